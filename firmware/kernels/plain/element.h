// Single elements of packed tensors and weight matrices, and the one rule of requantisation: plain and slow,
// the reference for everything faster.
#ifndef MICO_PLAIN_ELEMENT_H
#define MICO_PLAIN_ELEMENT_H

#include "mico_kernels.h"

// Field `index` of packed words, as an integer.
static inline int32_t field_get(const uint32_t *words, uint32_t index, uint32_t bits, uint32_t is_signed) {
    if (bits == 32) return (int32_t)words[index];
    uint32_t per_word = 32 / bits;
    uint32_t code = (words[index / per_word] >> (index % per_word * bits)) & ((1u << bits) - 1);
    if (!is_signed) return (int32_t)code;
    if (bits == 1) return code ? -1 : 1;
    return (int32_t)code - (code >> (bits - 1) ? 1 << bits : 0);
}

static inline int32_t tensor_get(const struct mico_tensor *t, uint32_t y, uint32_t x, uint32_t c) {
    return field_get(t->data, (y * t->width + x) * t->channels + c, t->bits, t->is_signed);
}

// Element `index` in memory order, for operators that take every element alike.
static inline int32_t tensor_get_flat(const struct mico_tensor *t, uint32_t index) {
    return field_get(t->data, index, t->bits, t->is_signed);
}

static inline uint32_t tensor_size(const struct mico_tensor *t) {
    return t->height * t->width * t->channels;
}

static inline void tensor_put_flat(const struct mico_tensor *t, uint32_t index, int32_t value) {
    if (t->bits == 32) {
        t->data[index] = (uint32_t)value;
        return;
    }
    uint32_t per_word = 32 / t->bits;
    uint32_t shift = index % per_word * t->bits;
    uint32_t mask = (1u << t->bits) - 1;
    uint32_t code = t->bits == 1 && t->is_signed ? value < 0 : (uint32_t)value & mask;
    uint32_t *word = &t->data[index / per_word];
    // Words are written in order: the first element clears what the buffer held before.
    *word = (shift ? *word : 0) | code << shift;
}

static inline void tensor_put(const struct mico_tensor *t, uint32_t y, uint32_t x, uint32_t c,
                              int32_t value) {
    tensor_put_flat(t, (y * t->width + x) * t->channels + c, value);
}

// Words of one row of a weight matrix with `columns` columns: padded to a whole step, the elements in one
// word of the narrower operand.
static inline uint32_t weight_row_words(uint32_t columns, uint32_t activation_bits, uint32_t weight_bits) {
    uint32_t per_step = 32 / (activation_bits < weight_bits ? activation_bits : weight_bits);
    uint32_t steps = (columns + per_step - 1) / per_step;
    return steps * per_step * weight_bits / 32;
}

// Weight (row, column): rows lie in blocks of four, then two, then one; in a block, word 0 of every row comes
// first, then word 1 of every row, and so on.
static inline int32_t weight_get(const uint32_t *weights, uint32_t rows, uint32_t row_words, uint32_t bits,
                                 uint32_t row, uint32_t column) {
    uint32_t first = row & ~3u;
    uint32_t lanes = rows - first >= 4 ? 4 : rows - first;
    if (lanes == 3) {
        lanes = row - first < 2 ? 2 : 1;
        if (lanes == 1) first += 2;
    }
    uint32_t per_word = 32 / bits;
    const uint32_t *word = &weights[first * row_words + column / per_word * lanes + (row - first)];
    return field_get(word, column % per_word, bits, 1);
}

// clamp((product + 2^(shift-1)) >> shift) to the format of `out`; {-1, +1} takes the sign.
static inline int32_t requantise_sum(int64_t product, int32_t shift, const struct mico_tensor *out) {
    if (out->bits == 1 && out->is_signed) return product >= 0 ? 1 : -1;
    int64_t y = (product + ((int64_t)1 << (shift - 1))) >> shift;
    int64_t low = out->is_signed ? -((int64_t)1 << (out->bits - 1)) : 0;
    int64_t high = ((int64_t)1 << (out->bits - (out->is_signed ? 1 : 0))) - 1;
    return (int32_t)(y < low ? low : y > high ? high : y);
}

static inline int32_t requantise(int32_t acc, struct mico_scale scale, const struct mico_tensor *out) {
    return requantise_sum((int64_t)acc * scale.multiplier, scale.shift, out);
}

#endif
