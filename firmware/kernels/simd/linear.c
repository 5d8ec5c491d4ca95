// Matrix-vector product with the SIMD unit. Where the activations fill whole steps the dot products read them
// in place; otherwise they are copied to a row that ends in zeros.
#include "row.h"
#include "store.h"

void mico_linear(const struct mico_linear *d) {
    uint32_t columns = d->input.height * d->input.width * d->input.channels;
    struct row_shape shape = row_shape(columns, d->input.bits, d->weight_bits);
    int32_t *acc = (int32_t *)(d->scratch + shape.words);
    const uint32_t *row = d->input.data;
    if (columns % shape.per_step != 0) {
        struct bit_writer w = {d->scratch, 0, 0};
        copy_bits(&w, row, 0, columns * d->input.bits);
        row_end(&w, d->scratch + shape.words);
        row = d->scratch;
    }
    int32_t tail = row_tail(&shape, &d->input, d->weight_bits, columns);
    d->dot(row, 1, d->weights, shape.steps, d->bias, tail, acc, d->output.channels);

    struct bit_writer out = {d->output.data, 0, 0};
    store_function *store = store_for(&d->output, d->scales, d->output.channels);
    store(&out, acc, d->scales, 1, d->output.channels, 1);
    flush_bits(&out);
}
