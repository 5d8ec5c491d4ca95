// Operators that rescale single elements: residual add, concatenation of channels, requantisation.
#include "element.h"

void mico_add(const struct mico_add *d) {
    for (uint32_t i = 0; i < tensor_size(&d->output); i++) {
        int64_t sum = (int64_t)tensor_get_flat(&d->input[0], i) * d->multiplier[0] +
                      (int64_t)tensor_get_flat(&d->input[1], i) * d->multiplier[1];
        tensor_put_flat(&d->output, i, requantise_sum(sum, d->shift, &d->output));
    }
}

void mico_concat(const struct mico_concat *d) {
    uint32_t next = 0; // the output is written in memory order: pixel by pixel, input after input
    for (uint32_t pixel = 0; pixel < d->output.height * d->output.width; pixel++) {
        for (uint32_t i = 0; i < d->count; i++) {
            const struct mico_tensor *in = &d->input[i];
            for (uint32_t c = 0; c < in->channels; c++) {
                int32_t value = tensor_get_flat(in, pixel * in->channels + c);
                tensor_put_flat(&d->output, next++, requantise(value, d->scales[i], &d->output));
            }
        }
    }
}

void mico_requant(const struct mico_requant *d) {
    for (uint32_t i = 0; i < tensor_size(&d->output); i++)
        tensor_put_flat(&d->output, i, requantise(tensor_get_flat(&d->input, i), d->scale, &d->output));
}
