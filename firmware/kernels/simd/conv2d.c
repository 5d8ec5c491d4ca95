// Convolution with the SIMD unit: the window of an output pixel is gathered into one packed row (im2col), one
// or two rows at a time meet all output channels, and the accumulators are requantised and packed in memory
// order.
//
// Elements of a window that are neighbours in memory are copied together, whatever their width: all columns
// and channels of a window line, or with groups the group's channels of one pixel.
#include "row.h"
#include "store.h"

// One window: first input line and column, which may lie outside the input.
struct window {
    int32_t top, left;
};

static struct window window_at(const struct mico_conv2d *d, uint32_t y, uint32_t x) {
    return (struct window){(int32_t)(y * d->stride_height) - d->pad_height,
                           (int32_t)(x * d->stride_width) - d->pad_width};
}

static uint32_t inside(const struct mico_conv2d *d, struct window v) {
    return v.top >= 0 && v.left >= 0 && v.top + d->kernel_height <= (int32_t)d->input.height &&
           v.left + d->kernel_width <= (int32_t)d->input.width;
}

// Columns [first, first + count) of a window that lie inside the input; `count` may be 0.
struct span {
    uint32_t first, count;
};

static struct span columns_inside(const struct mico_conv2d *d, int32_t left) {
    int32_t first = left < 0 ? -left : 0;
    int32_t end = (int32_t)d->input.width - left;
    if (end > d->kernel_width) end = d->kernel_width;
    if (end < first) return (struct span){0, 0};
    return (struct span){(uint32_t)first, (uint32_t)(end - first)};
}

// The window's elements of all channels, padding as code 0.
static void gather(const struct mico_conv2d *d, struct window v, uint32_t *row, const uint32_t *row_limit) {
    const struct mico_tensor *in = &d->input;
    uint32_t pixel = in->channels * in->bits; // bits
    uint32_t line = in->width * pixel;
    struct bit_writer w = {row, 0, 0};
    struct span s = columns_inside(d, v.left);
    uint32_t before = s.first * pixel, middle = s.count * pixel;
    uint32_t after = d->kernel_width * pixel - before - middle;
    uint32_t position = (uint32_t)(v.left + (int32_t)s.first) * pixel;
    for (int32_t y = v.top; y < v.top + d->kernel_height; y++) {
        if (y < 0 || y >= (int32_t)in->height) {
            put_zeros(&w, d->kernel_width * pixel);
            continue;
        }
        if (before) put_zeros(&w, before);
        copy_bits(&w, in->data, (uint32_t)y * line + position, middle);
        if (after) put_zeros(&w, after);
    }
    row_end(&w, row_limit);
}

// The window's elements of one group's channels, padding as code 0.
static void gather_group(const struct mico_conv2d *d, struct window v, uint32_t group, uint32_t *row,
                         const uint32_t *row_limit) {
    const struct mico_tensor *in = &d->input;
    uint32_t channels = in->channels / d->groups;
    uint32_t bits = channels * in->bits;
    struct bit_writer w = {row, 0, 0};
    for (int32_t y = v.top; y < v.top + d->kernel_height; y++) {
        for (int32_t x = v.left; x < v.left + d->kernel_width; x++) {
            if (y < 0 || x < 0 || y >= (int32_t)in->height || x >= (int32_t)in->width) {
                put_zeros(&w, bits);
                continue;
            }
            uint32_t element = ((uint32_t)y * in->width + (uint32_t)x) * in->channels + group * channels;
            copy_bits(&w, in->data, element * in->bits, bits);
        }
    }
    row_end(&w, row_limit);
}

// Ones where the window's elements are padding, zeros elsewhere: as unsigned activations their dot product
// with the weights is what code 0, which is +1, has added there.
static void gather_mask(const struct mico_conv2d *d, struct window v, uint32_t *row,
                        const uint32_t *row_limit) {
    uint32_t channels = d->input.channels / d->groups;
    struct bit_writer w = {row, 0, 0};
    for (int32_t y = v.top; y < v.top + d->kernel_height; y++) {
        for (int32_t x = v.left; x < v.left + d->kernel_width; x++) {
            uint32_t outside =
                y < 0 || x < 0 || y >= (int32_t)d->input.height || x >= (int32_t)d->input.width;
            for (uint32_t c = 0; c < channels; c++) put_bits(&w, outside, 1);
        }
    }
    row_end(&w, row_limit);
}

static void subtract_padding(const struct mico_conv2d *d, const struct row_shape *shape, struct window v,
                             const uint32_t *weights, uint32_t *mask, int32_t *acc, uint32_t outputs) {
    int32_t *padding = (int32_t *)(mask + shape->words);
    gather_mask(d, v, mask, mask + shape->words);
    d->dot_mask(mask, 1, weights, shape->steps, 0, 0, padding, outputs);
    for (uint32_t i = 0; i < outputs; i++) acc[i] = (int32_t)((uint32_t)acc[i] - (uint32_t)padding[i]);
}

// A 1x1 window whose pixel is whole steps: its row lies ready in the input.
static uint32_t in_place(const struct mico_conv2d *d, const struct row_shape *shape) {
    return d->kernel_height == 1 && d->kernel_width == 1 && !d->pad_height && !d->pad_width &&
           d->input.channels % shape->per_step == 0;
}

static void conv2d_dense(const struct mico_conv2d *d) {
    uint32_t outputs = d->output.channels;
    uint32_t columns = d->kernel_height * d->kernel_width * d->input.channels;
    struct row_shape shape = row_shape(columns, d->input.bits, d->weight_bits);
    int32_t tail = row_tail(&shape, &d->input, d->weight_bits, columns);
    uint32_t *rows = d->scratch;
    int32_t *acc = (int32_t *)(rows + MICO_ROWS * shape.words);
    uint32_t *mask = (uint32_t *)(acc + MICO_ROWS * outputs);
    uint32_t ready = in_place(d, &shape);

    struct output out = output_begin(&d->output);
    uint32_t left = d->output.height * d->output.width;
    uint32_t y = 0, x = 0;
    while (left > 0) {
        uint32_t pixels = left >= MICO_ROWS && !ready ? MICO_ROWS : 1;
        struct window v[MICO_ROWS];
        const uint32_t *row = rows;
        for (uint32_t p = 0; p < pixels; p++) {
            v[p] = window_at(d, y, x);
            if (ready)
                row =
                    d->input.data + ((uint32_t)v[p].top * d->input.width + (uint32_t)v[p].left) * shape.words;
            else
                gather(d, v[p], rows + p * shape.words, rows + (p + 1) * shape.words);
            if (++x == d->output.width) {
                x = 0;
                y++;
            }
        }
        d->dot(row, pixels, d->weights, shape.steps, d->bias, tail, acc, outputs);
        for (uint32_t p = 0; p < pixels; p++) {
            if (d->dot_mask && !inside(d, v[p]))
                subtract_padding(d, &shape, v[p], d->weights, mask, acc + p * outputs, outputs);
            output_store(&out, acc + p * outputs, d->scales, outputs);
        }
        left -= pixels;
    }
    output_end(&out);
}

static void conv2d_grouped(const struct mico_conv2d *d) {
    uint32_t outputs = d->output.channels / d->groups;
    uint32_t columns = d->kernel_height * d->kernel_width * (d->input.channels / d->groups);
    struct row_shape shape = row_shape(columns, d->input.bits, d->weight_bits);
    int32_t tail = row_tail(&shape, &d->input, d->weight_bits, columns);
    uint32_t *row = d->scratch;
    int32_t *acc = (int32_t *)(row + shape.words);
    uint32_t *mask = (uint32_t *)(acc + d->output.channels);

    struct output out = output_begin(&d->output);
    for (uint32_t y = 0; y < d->output.height; y++) {
        for (uint32_t x = 0; x < d->output.width; x++) {
            struct window v = window_at(d, y, x);
            for (uint32_t g = 0; g < d->groups; g++) {
                const uint32_t *weights = d->weights + g * outputs * shape.weight_words;
                int32_t *sums = acc + g * outputs;
                gather_group(d, v, g, row, row + shape.words);
                d->dot(row, 1, weights, shape.steps, d->bias + g * outputs, tail, sums, outputs);
                if (d->dot_mask && !inside(d, v))
                    subtract_padding(d, &shape, v, weights, mask, sums, outputs);
            }
            output_store(&out, acc, d->scales, d->output.channels);
        }
    }
    output_end(&out);
}

void mico_conv2d(const struct mico_conv2d *d) {
    if (d->groups == 1)
        conv2d_dense(d);
    else
        conv2d_grouped(d);
}
