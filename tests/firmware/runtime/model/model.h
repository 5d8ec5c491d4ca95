// A model by hand, for the console's tests: two layers on four unsigned inputs, three logits.
#ifndef MODEL_H
#define MODEL_H

#include <stdint.h>

#define MODEL_NAME         "hand"
#define MODEL_ID           "00112233445566aa"
#define MODEL_INPUT_BYTES  40
#define MODEL_INPUT_SIGNED 0
#define MODEL_OUTPUT_COUNT 3
#define MODEL_LAYER_COUNT  2
#define MODEL_BUFFER_BYTES 52

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
