// Operators that rescale single elements or sums of few, on the streaming engine's MAP: requantise, add,
// concatenate, average. MAP sums over the lanes, and in a lane over as many strings as K says.
#include "mico_kernels.h"
#include "stream_layer.h"

#define BUFFER_BITS (32u * MICO_STREAM_BUFFER_WORDS)
#define NO_EDGE     0x7FFFFFFFu // a line that never ends: no padding

static uint32_t format_in(const struct mico_tensor *t) {
    return MICO_STREAM_A(t->bits) | (t->is_signed ? 0 : MICO_STREAM_AU);
}

static uint32_t format_out(const struct mico_tensor *t) {
    return (t->bits == 32 ? MICO_STREAM_LOGIT : MICO_STREAM_PACK(t->bits)) |
           (t->is_signed ? 0 : MICO_STREAM_OU);
}

static uint32_t elements_of(const struct mico_tensor *t) {
    return t->height * t->width * t->channels;
}

static void set_scale(struct mico_scale scale) {
    mico_stream_set(MICO_STREAM_M0, (uint32_t)scale.multiplier);
    mico_stream_set(MICO_STREAM_SHIFT, (uint32_t)scale.shift);
}

// Strings are plain pieces of memory, one string a lane, and each makes results.
static void configure_pieces(const struct mico_tensor *in, const struct mico_tensor *out, uint32_t config,
                             uint32_t lanes_on) {
    mico_stream_set(MICO_STREAM_CONFIG, format_in(in) | format_out(out) | config);
    mico_stream_set(MICO_STREAM_K, 1);
    mico_stream_set(MICO_STREAM_LANES_ON, lanes_on);
    mico_stream_set(MICO_STREAM_SRC_BASE, mico_stream_address(in->data));
    mico_stream_set(MICO_STREAM_ROWS, 1);
    mico_stream_set(MICO_STREAM_COLS, 1);
    mico_stream_set(MICO_STREAM_Y, 0);
    mico_stream_set(MICO_STREAM_WIDTH, NO_EDGE);
    mico_stream_set(MICO_STREAM_HEIGHT, 1);
    mico_stream_set(MICO_STREAM_DST_BASE, mico_stream_address(out->data));
}

// Maps all elements of a tensor, a lane buffer at a time; `second` is from the first tensor's bits to those
// of the second, if lane 1 takes part.
static void map_pieces(const struct mico_tensor *in, const struct mico_tensor *out, uint32_t lanes_on,
                       int32_t second) {
    uint32_t most = BUFFER_BITS / in->bits, count = elements_of(in);
    for (uint32_t done = 0; done < count; done += most) {
        uint32_t n = count - done < most ? count - done : most;
        int32_t from = (int32_t)(done * in->bits);
        mico_stream_set(MICO_STREAM_LEN, n * in->bits);
        stream_gather_lane(0, from, 0);
        if (lanes_on == 2) stream_gather_lane(1, from + second, 0);
        mico_stream_map(n, (int32_t)(done * out->bits));
    }
}

void mico_stream_requant(const struct mico_requant *d) {
    stream_begin();
    configure_pieces(&d->input, &d->output, MICO_STREAM_TAIL_ZERO, 1);
    set_scale(d->scale);
    map_pieces(&d->input, &d->output, 1, 0);
    stream_end();
}

void mico_stream_add(const struct mico_add *d) {
    if (stream_begin() < 2) {
        mico_add(d);
        return;
    }
    uint32_t second = mico_stream_address(d->input[1].data) - mico_stream_address(d->input[0].data);
    uint32_t mixed = d->input[0].is_signed != d->input[1].is_signed ? MICO_STREAM_MIX : 0;
    configure_pieces(&d->input[0], &d->output, mixed | MICO_STREAM_TAIL_ZERO, 2);
    mico_stream_set(MICO_STREAM_M0, (uint32_t)d->multiplier[0]);
    mico_stream_set(MICO_STREAM_M1, (uint32_t)d->multiplier[1]);
    mico_stream_set(MICO_STREAM_SHIFT, (uint32_t)d->shift);
    map_pieces(&d->input[0], &d->output, 2, (int32_t)(8 * second));
    stream_end();
}

// The channels of one pixel of one input are a piece. Bits behind it belong to the next input or pixel, but
// for the last piece of all.
void mico_stream_concat(const struct mico_concat *d) {
    stream_begin();
    uint32_t pixels = d->output.height * d->output.width, out_pixel = d->output.channels * d->output.bits;
    uint32_t first = 0; // bits of the output's pixel where the input's channels begin
    for (uint32_t i = 0; i < d->count; i++) {
        const struct mico_tensor *in = &d->input[i];
        uint32_t in_pixel = in->channels * in->bits, last = i + 1 == d->count;
        configure_pieces(in, &d->output, 0, 1);
        set_scale(d->scales[i]);
        mico_stream_set(MICO_STREAM_LEN, in_pixel);
        for (uint32_t p = 0; p < pixels; p++) {
            if (last && p + 1 == pixels) configure_pieces(in, &d->output, MICO_STREAM_TAIL_ZERO, 1);
            stream_gather_lane(0, (int32_t)(p * in_pixel), 0);
            mico_stream_map(in->channels, (int32_t)(p * out_pixel + first));
        }
        first += in->channels * d->output.bits;
    }
    stream_end();
}

// Sums over windows.
static void configure_windows(const struct mico_tensor *in, const struct mico_tensor *out,
                              struct mico_scale scale, uint32_t expand) {
    uint32_t pixel = in->channels * in->bits;
    uint32_t config = expand ? MICO_STREAM_A(2) | MICO_STREAM_EXPAND : format_in(in);
    mico_stream_set(MICO_STREAM_CONFIG, config | format_out(out) | MICO_STREAM_TAIL_ZERO);
    mico_stream_set(MICO_STREAM_SRC_BASE, mico_stream_address(in->data));
    mico_stream_set(MICO_STREAM_WIDTH, in->width * pixel);
    mico_stream_set(MICO_STREAM_HEIGHT, in->height);
    mico_stream_set(MICO_STREAM_ROW_STRIDE, in->width * pixel);
    mico_stream_set(MICO_STREAM_DST_BASE, mico_stream_address(out->data));
    set_scale(scale);
}

// One window in lane 0: as many terms of `channels` elements as it has positions.
static void configure_window(const struct mico_tensor *in, uint32_t height, uint32_t width) {
    mico_stream_set(MICO_STREAM_LANES_ON, 1);
    mico_stream_set(MICO_STREAM_K, height * width);
    mico_stream_set(MICO_STREAM_ROWS, height);
    mico_stream_set(MICO_STREAM_COLS, 1);
    mico_stream_set(MICO_STREAM_LEN, width * in->channels * in->bits);
}

// A line of results at a time: lane l holds column l of all its windows, a term for each line.
static void configure_line(const struct mico_pool *d) {
    uint32_t pixel = d->input.channels * d->input.bits;
    mico_stream_set(MICO_STREAM_LANES_ON, d->kernel_width);
    mico_stream_set(MICO_STREAM_K, d->kernel_height);
    mico_stream_set(MICO_STREAM_ROWS, d->kernel_height);
    mico_stream_set(MICO_STREAM_COLS, d->output.width);
    mico_stream_set(MICO_STREAM_LEN, pixel);
    mico_stream_set(MICO_STREAM_COL_STRIDE, d->stride_width * pixel);
    mico_stream_set(MICO_STREAM_LANE_STEP, pixel);
    for (uint32_t lane = 1; lane < d->kernel_width; lane++)
        mico_stream_set(MICO_STREAM_M0 + lane, (uint32_t)d->scale.multiplier);
}

void mico_stream_avg_pool(const struct mico_pool *d) {
    const struct mico_tensor *in = &d->input, *out = &d->output;
    uint32_t lanes = stream_begin(), pixel = in->channels * in->bits;
    uint32_t expand = in->bits == 1 && in->is_signed && (d->pad_height || d->pad_width);
    uint32_t line_bits = d->kernel_height * out->width * pixel * (expand ? 2 : 1);
    uint32_t line = d->kernel_width <= lanes && line_bits <= BUFFER_BITS;
    configure_windows(in, out, d->scale, expand);
    if (line)
        configure_line(d);
    else
        configure_window(in, d->kernel_height, d->kernel_width);
    int32_t top = -(int32_t)d->pad_height, left = -(int32_t)(d->pad_width * pixel), to = 0;
    uint32_t gathers = line ? 1 : out->width, elements = line ? out->width * out->channels : out->channels;
    for (uint32_t y = 0; y < out->height; y++, top += d->stride_height) {
        mico_stream_set(MICO_STREAM_Y, (uint32_t)top);
        int32_t x = left;
        for (uint32_t i = 0; i < gathers; i++, x += (int32_t)(d->stride_width * pixel)) {
            mico_stream_gather(top * (int32_t)(in->width * pixel) + x, x);
            mico_stream_map(elements, to);
            to += (int32_t)(elements * out->bits);
        }
    }
    stream_end();
}

void mico_stream_global_avg_pool(const struct mico_global_pool *d) {
    stream_begin();
    configure_windows(&d->input, &d->output, d->scale, 0);
    configure_window(&d->input, d->input.height, d->input.width);
    mico_stream_set(MICO_STREAM_Y, 0);
    mico_stream_gather(0, 0);
    mico_stream_map(d->output.channels, 0);
    stream_end();
}
