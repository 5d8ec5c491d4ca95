// Matrix-vector product, one multiply-accumulate at a time.
#include "element.h"

void mico_linear(const struct mico_linear *d) {
    uint32_t columns = tensor_size(&d->input);
    uint32_t rows = d->output.channels;
    uint32_t row_words = weight_row_words(columns, d->input.bits, d->weight_bits);
    for (uint32_t row = 0; row < rows; row++) {
        int32_t acc = d->bias[row];
        for (uint32_t k = 0; k < columns; k++)
            acc += tensor_get_flat(&d->input, k) *
                   weight_get(d->weights, rows, row_words, d->weight_bits, row, k);
        tensor_put_flat(&d->output, row, requantise(acc, d->scales[row], &d->output));
    }
}
