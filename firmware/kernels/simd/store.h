// Accumulators become output elements: requantise, clamp, pack.
#ifndef MICO_SIMD_STORE_H
#define MICO_SIMD_STORE_H

#include "bits.h"
#include "mico_kernels.h"
#include "inline.h"

// Format of an output and where its next element goes; elements wait in the writer until their word is full.
struct output {
    struct bit_writer writer;
    uint32_t bits, is_signed;
};

static inline struct output output_begin(const struct mico_tensor *t) {
    return (struct output){{t->data, 0, 0}, t->bits, t->is_signed};
}

// Requantise and append `count` accumulators; entry i of `scales` belongs to acc[i].
void output_store(struct output *out, const int32_t *acc, const struct mico_scale *scales, uint32_t count);

// The same with one scale for all.
void output_store_uniform(struct output *out, const int32_t *acc, struct mico_scale scale, uint32_t count);

// Write what waits for its word to be full.
void output_end(struct output *out);

// Append `count` rescaled integers, clamped; of {-1, +1} the sign counts.
void output_store_plain(struct output *out, const int32_t *values, uint32_t count);

// (product + 2^(shift-1)) >> shift, saturated to int32.
INLINED int32_t round_shift(int64_t product, int32_t shift) {
    int64_t y = (product + ((int64_t)1 << (shift - 1))) >> shift;
    return y > INT32_MAX ? INT32_MAX : y < INT32_MIN ? INT32_MIN : (int32_t)y;
}

// The same of acc * multiplier. From shift 33 on neither the rounding bit nor the result touches the
// product's low word, so that one high product does; the generator normalises multipliers so that nearly all
// layers get there.
INLINED int32_t rescale(int32_t acc, int32_t multiplier, int32_t shift) {
    int64_t product = (int64_t)acc * multiplier;
    if (__builtin_expect(shift > 32, 1)) return (((int32_t)(product >> 32) >> (shift - 33)) + 1) >> 1;
    return round_shift(product, shift);
}

// Stored code of y in a format below 32 bits other than {-1, +1}.
INLINED uint32_t clamp_code(int32_t y, uint32_t bits, uint32_t is_signed) {
    int32_t low = is_signed ? -(1 << (bits - 1)) : 0;
    int32_t high = (1 << (bits - is_signed)) - 1;
    if (y < low) y = low;
    if (y > high) y = high;
    return (uint32_t)y & ((1u << bits) - 1);
}

#endif
