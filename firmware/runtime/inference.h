// Runs the model and keeps the cycles of its laps and layers. Nothing is printed while the clock runs.
#ifndef MICO_INFERENCE_H
#define MICO_INFERENCE_H

#include <stdint.h>

#include "model.h"
#include "platform.h"

#define MAX_LAPS 256u // laps whose cycles are kept

struct inference {
    uint8_t input[MODEL_INPUT_BYTES]; // the console's copy: the model may reuse its own buffer
    uint32_t laps;                    // of the last run; 0: none yet
    uint64_t start_cycles;            // before the first timed lap
    uint64_t end_cycles;              // after the last one
    uint64_t lap_cycles[MAX_LAPS];
    uint32_t layer_cycles[MODEL_LAYER_COUNT];                    // of the last lap
    uint32_t layer_counts[MODEL_LAYER_COUNT][PLATFORM_COUNTERS]; // of the last inference_count
};

extern struct inference inference;

void inference_run(uint32_t laps, uint32_t warmup);

// One lap that nobody times, with the hardware's counters read around every layer.
void inference_count(void);

#endif
