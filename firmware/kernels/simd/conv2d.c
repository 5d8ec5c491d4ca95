// Convolution with the SIMD unit: the window of an output pixel is gathered into one packed row (im2col), one
// or two rows at a time meet all output channels, and the accumulators are requantised and packed in memory
// order.
//
// Elements of a window that are neighbours in memory are copied together, whatever their width: all columns
// and channels of a window line, or with groups the group's channels of one pixel.
#include "inline.h"
#include "row.h"
#include "store.h"

#define BYTEWISE 32 // bytes of a window line up to which bytes are copied one by one

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

// The window's elements of all channels, padding as code 0: `bits` a line and `pixel` a column, from any bit
// to any bit.
static NOT_INLINED void gather_bits(const struct mico_conv2d *d, struct window v, uint32_t pixel,
                                    uint32_t *row, const uint32_t *row_limit) {
    const struct mico_tensor *in = &d->input;
    struct bit_writer w = {row, 0, 0};
    struct span s = columns_inside(d, v.left);
    uint32_t before = s.first * pixel, middle = s.count * pixel, bits = d->kernel_width * pixel;
    uint32_t position = ((uint32_t)v.top * in->width + (uint32_t)v.left + s.first) * pixel;
    for (int32_t y = v.top; y < v.top + d->kernel_height; y++, position += in->width * pixel) {
        if ((uint32_t)y >= in->height || middle == 0) { // a negative y is a large one
            put_zeros(&w, bits);
        } else if (bits <= 32) {
            put_bits(&w, get_bits(in->data, position, middle) << before, bits);
        } else {
            if (before) put_zeros(&w, before);
            copy_bits(&w, in->data, position, middle);
            if (bits > before + middle) put_zeros(&w, bits - before - middle);
        }
    }
    row_end(&w, row_limit);
}

// The same where a pixel is whole bytes and a line few of them.
static NOT_INLINED void gather_bytes(const struct mico_conv2d *d, struct window v, uint32_t pixel,
                                     uint32_t *row, const uint32_t *row_limit) {
    struct span s = columns_inside(d, v.left);
    uint32_t height = d->input.height,
             stride = d->input.width * pixel; // locals: stores of bytes may alias *d
    uint32_t line = d->kernel_width * pixel, count = s.count * pixel;
    const uint8_t *data = (const uint8_t *)d->input.data;
    uint32_t position =
        (uint32_t)v.top * stride + ((uint32_t)v.left + s.first) * pixel; // wraps above the first line
    uint8_t *to = (uint8_t *)row + s.first * pixel;
    zero_words(inside(d, v) ? row + d->kernel_height * line / 4 : row, row_limit); // the tail, or all
    for (int32_t y = v.top, end = v.top + d->kernel_height; y < end; y++, to += line, position += stride)
        if ((uint32_t)y < height) copy_bytes(to, data + position, count);
}

// The window's elements of one group's channels, padding as code 0.
static NOT_INLINED void gather_group(const struct mico_conv2d *d, struct window v, uint32_t group,
                                     uint32_t *row, const uint32_t *row_limit) {
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
static NOT_INLINED void gather_mask(const struct mico_conv2d *d, struct window v, uint32_t *row,
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

static NOT_INLINED void subtract_padding(const struct mico_conv2d *d, const struct row_shape *shape,
                                         struct window v, const uint32_t *weights, uint32_t *mask,
                                         int32_t *acc, uint32_t outputs) {
    int32_t *padding = (int32_t *)(mask + shape->words);
    gather_mask(d, v, mask, mask + shape->words);
    d->dot_mask(mask, 1, weights, shape->steps, 0, 0, padding, outputs);
    for (uint32_t i = 0; i < outputs; i++) acc[i] = (int32_t)((uint32_t)acc[i] - (uint32_t)padding[i]);
}

// 1x1 windows whose pixels are whole steps: their rows lie ready in the input, one after another.
static uint32_t in_place(const struct mico_conv2d *d, const struct row_shape *shape) {
    return d->kernel_height == 1 && d->kernel_width == 1 && d->stride_height == 1 && d->stride_width == 1 &&
           !d->pad_height && !d->pad_width && d->input.channels % shape->per_step == 0;
}

// Rows of the `pixels` output pixels from `first` on.
static NOT_INLINED void gather(const struct mico_conv2d *d, uint32_t first, uint32_t pixels, uint32_t *rows,
                               uint32_t words) {
    uint32_t pixel = d->input.channels * d->input.bits;
    uint32_t bytewise = pixel % 8 == 0 && d->kernel_width * pixel <= 8 * BYTEWISE;
    uint32_t y = first / d->output.width, x = first % d->output.width;
    for (uint32_t p = 0; p < pixels; p++, rows += words) {
        struct window v = window_at(d, y, x);
        if (bytewise)
            gather_bytes(d, v, pixel / 8, rows, rows + words);
        else
            gather_bits(d, v, pixel, rows, rows + words);
        if (++x == d->output.width) {
            x = 0;
            y++;
        }
    }
}

// Gathers rows of several pixels, then their dot products, then their outputs: each part runs long enough to
// pay for loading its code into the instruction cache.
static void conv2d_dense(const struct mico_conv2d *d) {
    uint32_t outputs = d->output.channels, pixels = d->output.height * d->output.width;
    uint32_t columns = d->kernel_height * d->kernel_width * d->input.channels;
    uint32_t batch = pixels < MICO_ROWS ? pixels : MICO_ROWS;
    struct row_shape shape = row_shape(columns, d->input.bits, d->weight_bits);
    int32_t tail = row_tail(&shape, &d->input, d->weight_bits, columns);
    int32_t *acc = (int32_t *)(d->scratch + batch * shape.words);
    uint32_t *mask = (uint32_t *)(acc + batch * outputs);
    uint32_t ready = in_place(d, &shape);
    store_function *store = store_for(&d->output, d->scales, outputs);
    struct bit_writer out = {d->output.data, 0, 0};

    for (uint32_t first = 0; first < pixels; first += batch) {
        uint32_t n = pixels - first < batch ? pixels - first : batch;
        const uint32_t *rows = ready ? d->input.data + first * shape.words : d->scratch;
        if (!ready) gather(d, first, n, d->scratch, shape.words);
        d->dot(rows, n, d->weights, shape.steps, d->bias, tail, acc, outputs);
        for (uint32_t p = 0; d->dot_mask && p < n; p++) {
            struct window v = window_at(d, (first + p) / d->output.width, (first + p) % d->output.width);
            if (!inside(d, v)) subtract_padding(d, &shape, v, d->weights, mask, acc + p * outputs, outputs);
        }
        store(&out, acc, d->scales, 1, outputs, n);
    }
    flush_bits(&out);
}

static NOT_INLINED void conv2d_grouped(const struct mico_conv2d *d) {
    uint32_t outputs = d->output.channels / d->groups;
    uint32_t columns = d->kernel_height * d->kernel_width * (d->input.channels / d->groups);
    struct row_shape shape = row_shape(columns, d->input.bits, d->weight_bits);
    int32_t tail = row_tail(&shape, &d->input, d->weight_bits, columns);
    uint32_t *row = d->scratch;
    int32_t *acc = (int32_t *)(row + shape.words);
    uint32_t *mask = (uint32_t *)(acc + d->output.channels);

    struct bit_writer out = {d->output.data, 0, 0};
    store_function *store = store_for(&d->output, d->scales, d->output.channels);
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
            store(&out, acc, d->scales, 1, d->output.channels, 1);
        }
    }
    flush_bits(&out);
}

void mico_conv2d(const struct mico_conv2d *d) {
    if (d->groups == 1)
        conv2d_dense(d);
    else
        conv2d_grouped(d);
}
