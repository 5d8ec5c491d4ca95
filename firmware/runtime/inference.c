#include "inference.h"

#include <string.h>

#include "platform.h"

struct inference inference;

// One lap: the clock runs from the last input byte in the model's buffer to the last output byte written.
static uint64_t lap(void) {
    memcpy(model_input(), inference.input, MODEL_INPUT_BYTES);
    platform_before_lap();
    uint64_t start = platform_cycles();
    for (uint32_t i = 0; i < MODEL_LAYER_COUNT; i++) {
        uint32_t before = (uint32_t)platform_cycles();
        model_layers[i].run();
        inference.layer_cycles[i] = (uint32_t)platform_cycles() - before;
    }
    return platform_cycles() - start;
}

void inference_run(uint32_t laps, uint32_t warmup) {
    inference.laps = 0;
    while (warmup--) lap();
    inference.start_cycles = platform_cycles();
    for (uint32_t i = 0; i < laps; i++) {
        uint64_t cycles = lap();
        if (i < MAX_LAPS) inference.lap_cycles[i] = cycles;
    }
    inference.end_cycles = platform_cycles();
    inference.laps = laps;
}

void inference_count(void) {
    memcpy(model_input(), inference.input, MODEL_INPUT_BYTES);
    platform_before_lap();
    for (uint32_t i = 0; i < MODEL_LAYER_COUNT; i++) {
        platform_count_start();
        model_layers[i].run();
        platform_count_stop(inference.layer_counts[i]);
    }
}
