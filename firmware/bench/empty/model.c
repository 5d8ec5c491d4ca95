#include "model.h"

static uint32_t input;

static void nothing(void) {}

const struct model_layer model_layers[MODEL_LAYER_COUNT] = {{"nothing", nothing, &input, sizeof input}};

uint8_t *model_input(void) {
    return (uint8_t *)&input;
}

const int32_t *model_output(void) {
    return (const int32_t *)&input;
}
