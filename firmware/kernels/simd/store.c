// One function for each output format, so that widths, clamps and masks are constants in its loop, and one
// for all formats where a scale's shift is small.
#include "store.h"

#include "inline.h"

// (acc * multiplier + 2^(shift-1)) >> shift for shifts above 32: neither the rounding bit nor the result
// touches the product's low word.
INLINED int32_t rescale_high(int32_t acc, struct mico_scale scale) {
    int32_t high = (int32_t)(((int64_t)acc * scale.multiplier) >> 32);
    return ((high >> (scale.shift - 33)) + 1) >> 1;
}

// Stored code of y in a format below 32 bits; of {-1, +1} the sign.
INLINED uint32_t clamp_code(int32_t y, uint32_t bits, uint32_t is_signed) {
    if (bits == 1 && is_signed) return (uint32_t)y >> 31;
    int32_t high = (1 << (bits - is_signed)) - 1;
    if (is_signed && __builtin_expect(y < ~high, 0)) y = ~high;
    if (!is_signed) y &= ~(y >> 31);
    if (__builtin_expect(y > high, 0)) y = high;
    return (uint32_t)y & ((1u << bits) - 1);
}

// `n` elements, side by side so that no result is waited for.
INLINED void store_group(struct bit_writer *w, const int32_t *acc, const struct mico_scale *scales,
                         uint32_t advance, uint32_t n, uint32_t bits, uint32_t is_signed) {
    int32_t y[4];
    uint32_t codes = 0;
    UNROLLED(4)
    for (uint32_t i = 0; i < n; i++)
        y[i] = bits == 1 && is_signed ? acc[i]
                                      : rescale_high(acc[i], scales[i * advance]); // multipliers are positive
    UNROLLED(4)
    for (uint32_t i = 0; i < n; i++) codes |= clamp_code(y[i], bits, is_signed) << (i * bits);
    put_bits(w, codes, n * bits);
}

INLINED void store(struct bit_writer *writer, const int32_t *acc, const struct mico_scale *scales,
                   uint32_t advance, uint32_t count, uint32_t repeat, uint32_t bits, uint32_t is_signed) {
    struct bit_writer w = *writer;
    for (; repeat > 0; repeat--) {
        const struct mico_scale *scale = scales;
        uint32_t left = count;
        for (; left >= 4; left -= 4) {
            store_group(&w, acc, scale, advance, 4, bits, is_signed);
            acc += 4;
            scale += 4 * advance;
        }
        for (; left > 0; left--) {
            store_group(&w, acc++, scale, advance, 1, bits, is_signed);
            scale += advance;
        }
    }
    *writer = w;
}

#define DEFINE_STORE(name, bits, is_signed)                                                                  \
    static void name(struct bit_writer *w, const int32_t *acc, const struct mico_scale *scales,              \
                     uint32_t advance, uint32_t count, uint32_t repeat) {                                    \
        store(w, acc, scales, advance, count, repeat, bits, is_signed);                                      \
    }
DEFINE_STORE(store_u8, 8, 0)
DEFINE_STORE(store_s8, 8, 1)
DEFINE_STORE(store_u4, 4, 0)
DEFINE_STORE(store_s4, 4, 1)
DEFINE_STORE(store_u2, 2, 0)
DEFINE_STORE(store_s2, 2, 1)
DEFINE_STORE(store_u1, 1, 0)
DEFINE_STORE(store_s1, 1, 1)

void store_value(struct bit_writer *w, const struct mico_tensor *t, int32_t value) {
    put_bits(w, t->bits == 32 ? (uint32_t)value : clamp_code(value, t->bits, t->is_signed), t->bits);
}

#define DEFINE_SLOW_STORE(name, bits, is_signed)                                                             \
    static void name(struct bit_writer *w, const int32_t *acc, const struct mico_scale *scales,              \
                     uint32_t advance, uint32_t count, uint32_t repeat) {                                    \
        const struct mico_tensor format = {0, 1, 1, count, bits, is_signed};                                 \
        for (; repeat > 0; repeat--) {                                                                       \
            for (uint32_t i = 0; i < count; i++) {                                                           \
                const struct mico_scale *scale = &scales[i * advance];                                       \
                int64_t product = (int64_t)*acc++ * scale->multiplier;                                       \
                store_value(w, &format, round_shift(product, scale->shift));                                 \
            }                                                                                                \
        }                                                                                                    \
    }
DEFINE_SLOW_STORE(slow_u8, 8, 0)
DEFINE_SLOW_STORE(slow_s8, 8, 1)
DEFINE_SLOW_STORE(slow_u4, 4, 0)
DEFINE_SLOW_STORE(slow_s4, 4, 1)
DEFINE_SLOW_STORE(slow_u2, 2, 0)
DEFINE_SLOW_STORE(slow_s2, 2, 1)
DEFINE_SLOW_STORE(slow_u1, 1, 0)
DEFINE_SLOW_STORE(slow_s32, 32, 1)

store_function *store_for(const struct mico_tensor *t, const struct mico_scale *scales, uint32_t count) {
    uint32_t fast = 1;
    for (uint32_t i = 0; i < count; i++)
        if (scales[i].shift <= 32) fast = 0;
    switch (t->bits * 2 + t->is_signed) {
    case 16:
        return fast ? store_u8 : slow_u8;
    case 17:
        return fast ? store_s8 : slow_s8;
    case 8:
        return fast ? store_u4 : slow_u4;
    case 9:
        return fast ? store_s4 : slow_s4;
    case 4:
        return fast ? store_u2 : slow_u2;
    case 5:
        return fast ? store_s2 : slow_s2;
    case 2:
        return fast ? store_u1 : slow_u1;
    case 3:
        return store_s1;
    default:
        return slow_s32;
    }
}
