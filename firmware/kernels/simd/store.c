// One loop for each output format, so that widths, clamps and masks are constants in it.
#include "store.h"

ALWAYS_INLINE void store(struct output *out, const int32_t *acc, const struct mico_scale *scales,
                         uint32_t step, uint32_t count, uint32_t bits, uint32_t is_signed) {
    struct bit_writer w = out->writer;
    for (uint32_t i = 0; i < count; i++, scales += step) {
        uint32_t code;
        if (bits == 1 && is_signed)
            code = (uint32_t)acc[i] >> 31; // the sign: multipliers are positive
        else
            code = clamp_code(rescale(acc[i], scales->multiplier, scales->shift), bits, is_signed);
        w.value |= code << w.used;
        w.used += bits;
        if (w.used == 32) { // widths divide 32: no element straddles two words
            *w.next++ = w.value;
            w.value = 0;
            w.used = 0;
        }
    }
    out->writer = w;
}

ALWAYS_INLINE void dispatch(struct output *out, const int32_t *acc, const struct mico_scale *scales,
                            uint32_t step, uint32_t count) {
    if (out->bits == 32) {
        for (uint32_t i = 0; i < count; i++, scales += step)
            *out->writer.next++ = (uint32_t)rescale(acc[i], scales->multiplier, scales->shift);
        return;
    }
    switch (out->bits * 2 + out->is_signed) {
    case 16:
        store(out, acc, scales, step, count, 8, 0);
        break;
    case 17:
        store(out, acc, scales, step, count, 8, 1);
        break;
    case 8:
        store(out, acc, scales, step, count, 4, 0);
        break;
    case 9:
        store(out, acc, scales, step, count, 4, 1);
        break;
    case 4:
        store(out, acc, scales, step, count, 2, 0);
        break;
    case 5:
        store(out, acc, scales, step, count, 2, 1);
        break;
    case 2:
        store(out, acc, scales, step, count, 1, 0);
        break;
    default:
        store(out, acc, scales, step, count, 1, 1);
        break;
    }
}

void output_store(struct output *out, const int32_t *acc, const struct mico_scale *scales, uint32_t count) {
    dispatch(out, acc, scales, 1, count);
}

void output_store_uniform(struct output *out, const int32_t *acc, struct mico_scale scale, uint32_t count) {
    dispatch(out, acc, &scale, 0, count);
}

void output_end(struct output *out) {
    flush_bits(&out->writer);
}
