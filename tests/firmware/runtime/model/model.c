// logits = (sum, -sum of squares, first - last); the first layer overwrites the input, as a planned buffer
// may.
#include "model.h"

static _Alignas(4) uint8_t input[MODEL_INPUT_BYTES];
static int32_t output[MODEL_OUTPUT_COUNT];

static void sums(void) {
    output[0] = 0;
    output[1] = 0;
    for (int i = 0; i < MODEL_INPUT_BYTES; i++) {
        output[0] += input[i];
        output[1] -= (int32_t)input[i] * input[i];
    }
}

static void difference(void) {
    output[2] = input[0] - input[MODEL_INPUT_BYTES - 1];
    for (int i = 0; i < MODEL_INPUT_BYTES; i++) input[i] = 0xEE;
}

const struct model_layer model_layers[MODEL_LAYER_COUNT] = {
    {"sums", sums, output, 8},
    {"difference", difference, output, 12},
};
uint8_t *model_input(void) {
    return input;
}
const int32_t *model_output(void) {
    return output;
}
