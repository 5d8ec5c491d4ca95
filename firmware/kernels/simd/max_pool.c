// Maximum over a window, on packed fields: up to 32 bits of neighbouring channels of a pixel are compared at
// once.
#include "bits.h"
#include "mico_kernels.h"

// Field-wise maximum of unsigned fields; `top` holds the most significant bit of each field of `bits` bits.
static inline uint32_t max_fields(uint32_t x, uint32_t y, uint32_t top, uint32_t bits) {
    // Per field: the top bit of `below` says whether x >= y without their top bits; differing top bits decide
    // alone.
    uint32_t below = (x | top) - (y & ~top);
    uint32_t greater = ((x & ~y) | (~(x ^ y) & below)) & top;
    uint32_t mask = (greater - (greater >> (bits - 1))) | greater;
    return (x & mask) | (y & ~mask);
}

static uint32_t top_bits(uint32_t bits) {
    uint32_t top = 0;
    for (uint32_t i = bits - 1; i < 32; i += bits) top |= 1u << i;
    return top;
}

// First and one past the last window position inside an axis of `size`.
static inline void clip(int32_t start, uint32_t kernel, uint32_t size, uint32_t *first, uint32_t *end) {
    int32_t stop = start + (int32_t)kernel;
    *first = start < 0 ? 0 : (uint32_t)start;
    *end = stop > (int32_t)size ? size : (uint32_t)stop;
}

void mico_max_pool(const struct mico_pool *d) {
    const struct mico_tensor *in = &d->input;
    uint32_t bits = in->bits;
    uint32_t pixel = in->channels * bits;
    uint32_t top = top_bits(bits);
    // Two's complement orders as unsigned with its top bit flipped; of {-1, +1} the larger has code 0.
    uint32_t flip = in->is_signed ? top : 0;
    struct bit_writer w = {d->output.data, 0, 0};

    for (uint32_t oy = 0; oy < d->output.height; oy++) {
        uint32_t y0, y1;
        clip((int32_t)(oy * d->stride_height) - d->pad_height, d->kernel_height, in->height, &y0, &y1);
        for (uint32_t ox = 0; ox < d->output.width; ox++) {
            uint32_t x0, x1;
            clip((int32_t)(ox * d->stride_width) - d->pad_width, d->kernel_width, in->width, &x0, &x1);
            for (uint32_t done = 0; done < pixel; done += 32) {
                uint32_t count = pixel - done < 32 ? pixel - done : 32;
                uint32_t best = 0; // the least field of every format, after the flip
                for (uint32_t y = y0; y < y1; y++) {
                    uint32_t position = (y * in->width + x0) * pixel + done;
                    for (uint32_t x = x0; x < x1; x++, position += pixel)
                        best = max_fields(best, get_bits(in->data, position, count) ^ flip, top, bits);
                }
                uint32_t used = count == 32 ? ~0u : (1u << count) - 1;
                put_bits(&w, (best ^ flip) & used, count);
            }
        }
    }
    flush_bits(&w);
}
