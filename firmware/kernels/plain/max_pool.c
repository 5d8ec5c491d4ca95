// Maximum over a window; padded positions are ignored.
#include "element.h"

static int32_t window_max(const struct mico_pool *d, uint32_t y, uint32_t x, uint32_t c) {
    int32_t best = INT32_MIN;
    for (uint32_t ky = 0; ky < d->kernel_height; ky++) {
        for (uint32_t kx = 0; kx < d->kernel_width; kx++) {
            int32_t iy = (int32_t)(y * d->stride_height + ky) - d->pad_height;
            int32_t ix = (int32_t)(x * d->stride_width + kx) - d->pad_width;
            if (iy < 0 || ix < 0 || iy >= (int32_t)d->input.height || ix >= (int32_t)d->input.width) continue;
            int32_t value = tensor_get(&d->input, (uint32_t)iy, (uint32_t)ix, c);
            if (value > best) best = value;
        }
    }
    return best;
}

void mico_max_pool(const struct mico_pool *d) {
    for (uint32_t y = 0; y < d->output.height; y++)
        for (uint32_t x = 0; x < d->output.width; x++)
            for (uint32_t c = 0; c < d->output.channels; c++)
                tensor_put(&d->output, y, x, c, window_max(d, y, x, c));
}
