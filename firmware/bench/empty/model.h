// The bench has no model of its own: `infer` runs one layer that does nothing, so it times what a lap costs.
#ifndef MODEL_H
#define MODEL_H

#include <stdint.h>

#define MODEL_NAME         "bench"
#define MODEL_ID           "0000000000000000"
#define MODEL_INPUT_BYTES  4
#define MODEL_INPUT_SIGNED 0
#define MODEL_OUTPUT_COUNT 1
#define MODEL_LAYER_COUNT  1

struct model_layer {
    const char *name;
    void (*run)(void);
    const void *output;
    uint32_t output_bytes;
};

extern const struct model_layer model_layers[MODEL_LAYER_COUNT];
uint8_t *model_input(void);
const int32_t *model_output(void);

#endif
