// One loop for each output format, so that widths, clamps and masks are constants in it.
#include "store.h"

#define SINGLE 0 // advance of `scales` from one element to the next: one scale for all,
#define EACH   1 // or one each

INLINED void append(struct bit_writer *w, uint32_t code, uint32_t bits) {
    w->value |= code << w->used;
    w->used += bits;
    if (w->used == 32) { // widths divide 32: no element straddles two words
        *w->next++ = w->value;
        w->value = 0;
        w->used = 0;
    }
}

// `scales` may be null: values are rescaled already.
INLINED void store(struct output *out, const int32_t *acc, const struct mico_scale *scales, uint32_t advance,
                   uint32_t count, uint32_t bits, uint32_t is_signed) {
    struct bit_writer w = out->writer;
    for (uint32_t i = 0; i < count; i++) {
        int32_t y = acc[i];
        if (scales) {
            if (bits != 1 || !is_signed) y = rescale(y, scales->multiplier, scales->shift);
            scales += advance;
        }
        if (bits == 32)
            *w.next++ = (uint32_t)y;
        else if (bits == 1 && is_signed)
            append(&w, (uint32_t)y >> 31, 1); // the sign: multipliers are positive
        else
            append(&w, clamp_code(y, bits, is_signed), bits);
    }
    out->writer = w;
}

INLINED void dispatch(struct output *out, const int32_t *acc, const struct mico_scale *scales,
                      uint32_t advance, uint32_t count) {
    switch (out->bits * 2 + out->is_signed) {
    case 16:
        store(out, acc, scales, advance, count, 8, 0);
        break;
    case 17:
        store(out, acc, scales, advance, count, 8, 1);
        break;
    case 8:
        store(out, acc, scales, advance, count, 4, 0);
        break;
    case 9:
        store(out, acc, scales, advance, count, 4, 1);
        break;
    case 4:
        store(out, acc, scales, advance, count, 2, 0);
        break;
    case 5:
        store(out, acc, scales, advance, count, 2, 1);
        break;
    case 2:
        store(out, acc, scales, advance, count, 1, 0);
        break;
    case 3:
        store(out, acc, scales, advance, count, 1, 1);
        break;
    default:
        store(out, acc, scales, advance, count, 32, 1);
        break;
    }
}

void output_store(struct output *out, const int32_t *acc, const struct mico_scale *scales, uint32_t count) {
    dispatch(out, acc, scales, EACH, count);
}

void output_store_uniform(struct output *out, const int32_t *acc, struct mico_scale scale, uint32_t count) {
    dispatch(out, acc, &scale, SINGLE, count);
}

void output_store_plain(struct output *out, const int32_t *values, uint32_t count) {
    dispatch(out, values, 0, SINGLE, count);
}

void output_end(struct output *out) {
    flush_bits(&out->writer);
}
