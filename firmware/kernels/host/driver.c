// Host program around a generated network: reads inputs from stdin until it ends, runs them one by one, and
// writes the output of every layer to stdout as soon as that layer has run (its buffer may be reused later).
// Its argument is the number of lanes of the streaming engine, where that is used.
#include "model.h"
#include "mico_stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint8_t sample[MODEL_INPUT_BYTES];

int main(int argc, char **argv) {
#if MICO_SIMD == 2
    if (argc > 1) mico_stream_host_size((uint32_t)atoi(argv[1]), MICO_STREAM_BUFFER_WORDS);
#else
    (void)argc, (void)argv;
#endif
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
