// What the host loads behind the bench firmware: a generated model linked against it, its input, and how to
// fill the weights that are too large for the line.
#ifndef MICO_BENCH_CASE_H
#define MICO_BENCH_CASE_H

#include <stdint.h>

#include "model.h"

#define BENCH_MAGIC      0x48434E42u // "BNCH"
#define BENCH_MAX_LAYERS 64u

// Writes `rows` rows of `words` words: to[r * row_stride + i * word_stride] (bytes). The words come from
// `from`, one after another, or, where that is null, are bench_random(counter + r * counter_step + i).
struct bench_step {
    uint8_t *to;
    const uint32_t *from;
    uint32_t rows, words;
    uint32_t row_stride, word_stride;
    uint32_t counter, counter_step;
};

struct bench_case {
    uint32_t magic;
    const struct model_layer *layers;
    uint32_t layer_count;
    uint8_t *(*input)(void);
    uint32_t input_bytes;
    const uint8_t *payload; // uint32_t steps, the steps, the input
};

#endif
