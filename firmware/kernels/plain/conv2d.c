// Convolution, one multiply-accumulate at a time. Padding contributes nothing: positions outside the input
// are skipped.
#include "element.h"

static int32_t accumulate(const struct mico_conv2d *d, uint32_t y, uint32_t x, uint32_t channel) {
    const struct mico_tensor *in = &d->input;
    uint32_t group_inputs = in->channels / d->groups;
    uint32_t group_outputs = d->output.channels / d->groups;
    uint32_t group = channel / group_outputs;
    uint32_t columns = (uint32_t)d->kernel_height * d->kernel_width * group_inputs;
    uint32_t row_words = weight_row_words(columns, in->bits, d->weight_bits);
    const uint32_t *weights = &d->weights[group * group_outputs * row_words];

    int32_t acc = d->bias[channel];
    for (uint32_t ky = 0; ky < d->kernel_height; ky++) {
        for (uint32_t kx = 0; kx < d->kernel_width; kx++) {
            int32_t iy = (int32_t)(y * d->stride_height + ky) - d->pad_height;
            int32_t ix = (int32_t)(x * d->stride_width + kx) - d->pad_width;
            if (iy < 0 || ix < 0 || iy >= (int32_t)in->height || ix >= (int32_t)in->width) continue;
            for (uint32_t c = 0; c < group_inputs; c++) {
                uint32_t column = (ky * d->kernel_width + kx) * group_inputs + c;
                acc += tensor_get(in, (uint32_t)iy, (uint32_t)ix, group * group_inputs + c) *
                       weight_get(weights, group_outputs, row_words, d->weight_bits, channel % group_outputs,
                                  column);
            }
        }
    }
    return acc;
}

void mico_conv2d(const struct mico_conv2d *d) {
    for (uint32_t y = 0; y < d->output.height; y++)
        for (uint32_t x = 0; x < d->output.width; x++)
            for (uint32_t c = 0; c < d->output.channels; c++)
                tensor_put(&d->output, y, x, c, requantise(accumulate(d, y, x, c), d->scales[c], &d->output));
}
