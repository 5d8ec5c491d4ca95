// Compiled with the generated model.h of each case.
#include "bench_case.h"

extern const uint8_t __payload[]; // case.ld

const struct bench_case bench_case __attribute__((section(".case"))) = {
    BENCH_MAGIC, model_layers, MODEL_LAYER_COUNT, model_input, MODEL_INPUT_BYTES, __payload,
};
