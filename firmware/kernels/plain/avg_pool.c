// Averages over a window or the whole picture: a sum, then one requantisation that holds the division.
#include "element.h"

// Sum over the window whose first position is (top, left), which may lie outside; padded positions add
// nothing.
static int32_t window_sum(const struct mico_tensor *in, int32_t top, int32_t left, uint32_t height,
                          uint32_t width, uint32_t c) {
    int32_t acc = 0;
    for (int32_t y = top; y < top + (int32_t)height; y++)
        for (int32_t x = left; x < left + (int32_t)width; x++)
            if (y >= 0 && x >= 0 && y < (int32_t)in->height && x < (int32_t)in->width)
                acc += tensor_get(in, (uint32_t)y, (uint32_t)x, c);
    return acc;
}

void mico_avg_pool(const struct mico_pool *d) {
    for (uint32_t y = 0; y < d->output.height; y++) {
        for (uint32_t x = 0; x < d->output.width; x++) {
            int32_t top = (int32_t)(y * d->stride_height) - d->pad_height;
            int32_t left = (int32_t)(x * d->stride_width) - d->pad_width;
            for (uint32_t c = 0; c < d->output.channels; c++) {
                int32_t acc = window_sum(&d->input, top, left, d->kernel_height, d->kernel_width, c);
                tensor_put(&d->output, y, x, c, requantise(acc, d->scale, &d->output));
            }
        }
    }
}

void mico_global_avg_pool(const struct mico_global_pool *d) {
    for (uint32_t c = 0; c < d->output.channels; c++) {
        int32_t acc = window_sum(&d->input, 0, 0, d->input.height, d->input.width, c);
        tensor_put(&d->output, 0, 0, c, requantise(acc, d->scale, &d->output));
    }
}
