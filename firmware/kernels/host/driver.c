// Host program around a generated network: reads inputs from stdin until it ends, runs them one by one, and
// writes the output of every layer to stdout as soon as that layer has run (its buffer may be reused later).
#include "model.h"

#include <stdio.h>
#include <string.h>

static uint8_t sample[MODEL_INPUT_BYTES];

int main(void) {
    while (fread(sample, 1, sizeof sample, stdin) == sizeof sample) {
        memcpy(model_input(), sample, sizeof sample);
        for (uint32_t i = 0; i < MODEL_LAYER_COUNT; i++) {
            model_layers[i].run();
            if (fwrite(model_layers[i].output, 1, model_layers[i].output_bytes, stdout) !=
                model_layers[i].output_bytes)
                return 1;
        }
        if (fwrite(model_output(), sizeof(int32_t), MODEL_OUTPUT_COUNT, stdout) != MODEL_OUTPUT_COUNT)
            return 1;
    }
    return 0;
}
