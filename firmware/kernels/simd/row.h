// Rows of gathered activations: their padded size, and what the padding would add to a dot product.
#ifndef MICO_SIMD_ROW_H
#define MICO_SIMD_ROW_H

#include "bits.h"
#include "mico_kernels.h"

// A row is padded to whole steps; a step is as many elements as one word of the narrower operand holds.
struct row_shape {
    uint32_t per_step, steps;
    uint32_t words;        // of activations
    uint32_t weight_words; // of one row of weights
};

static inline struct row_shape row_shape(uint32_t columns, uint32_t activation_bits, uint32_t weight_bits) {
    struct row_shape s;
    s.per_step = 32 / (activation_bits < weight_bits ? activation_bits : weight_bits);
    s.steps = (columns + s.per_step - 1) / s.per_step;
    s.words = s.steps * (s.per_step * activation_bits / 32);
    s.weight_words = s.steps * (s.per_step * weight_bits / 32);
    return s;
}

// Zeros from `next` to `end`. The empty statement keeps the compiler from calling memset, byte by byte in
// small libraries.
static inline void zero_words(uint32_t *next, const uint32_t *end) {
    while (next < end) {
        *next++ = 0;
        __asm__ volatile("" : "+r"(next));
    }
}

// Zeros up to the end of the row.
static inline void row_end(struct bit_writer *w, const uint32_t *end) {
    flush_bits(w);
    zero_words(w->next, end);
}

// What the padding adds to every dot product. A zero on either side adds nothing, but where both operands are
// {-1, +1} there is no zero: code 0 is +1 on both sides, so each padded element adds one.
static inline int32_t row_tail(const struct row_shape *s, const struct mico_tensor *activations,
                               uint32_t weight_bits, uint32_t columns) {
    if (weight_bits != 1 || activations->bits != 1 || !activations->is_signed) return 0;
    return (int32_t)(s->steps * s->per_step - columns);
}

#endif
