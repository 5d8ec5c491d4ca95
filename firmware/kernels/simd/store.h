// Accumulators become output elements: requantise, clamp, pack.
#ifndef MICO_SIMD_STORE_H
#define MICO_SIMD_STORE_H

#include "bits.h"
#include "mico_kernels.h"
#include "inline.h"

// How to append `count` accumulators: requantise, clamp, pack. Entry i * advance of `scales` belongs to
// acc[i]; advance is 1 or, with one scale for all, 0.
// All of it `repeat` times, acc going on and scales starting again: for several pixels.
typedef void store_function(struct bit_writer *w, const int32_t *acc, const struct mico_scale *scales,
                            uint32_t advance, uint32_t count, uint32_t repeat);

// The function for a tensor's format that is fast enough for these `count` scales.
store_function *store_for(const struct mico_tensor *t, const struct mico_scale *scales, uint32_t count);

// Append one integer: clamp and pack; of {-1, +1} the sign counts.
void store_value(struct bit_writer *w, const struct mico_tensor *t, int32_t value);

// (product + 2^(shift-1)) >> shift, saturated to int32.
static inline int32_t round_shift(int64_t product, int32_t shift) {
    int64_t y = (product + ((int64_t)1 << (shift - 1))) >> shift;
    return y > INT32_MAX ? INT32_MAX : y < INT32_MIN ? INT32_MIN : (int32_t)y;
}

#endif
