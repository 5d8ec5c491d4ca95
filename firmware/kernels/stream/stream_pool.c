// Max pool on the streaming engine. Each lane holds, for one position of the window, what all windows of some
// lines of results have there; POOL takes the maximum over the lanes. Windows of more positions than lanes
// take several rounds, lane 0 holding the maximum so far.
#include "mico_kernels.h"
#include "stream_layer.h"

#define NO_EDGE 0x7FFFFFFFu

// Lines of results at a time: as many as a lane holds, but one where a line of padding may be among them.
static uint32_t lines_at_once(const struct mico_pool *d, uint32_t line_bits) {
    uint32_t lines = 32 * MICO_STREAM_BUFFER_WORDS / line_bits;
    if (d->pad_height) return 1;
    return lines < d->output.height ? lines : d->output.height;
}

static void configure(const struct mico_pool *d, uint32_t pixel) {
    const struct mico_tensor *in = &d->input;
    mico_stream_set(MICO_STREAM_CONFIG, MICO_STREAM_A(in->bits) | MICO_STREAM_TAIL_ZERO |
                                            (in->is_signed ? MICO_STREAM_PAD_MIN : MICO_STREAM_AU));
    mico_stream_set(MICO_STREAM_SRC_BASE, mico_stream_address(in->data));
    mico_stream_set(MICO_STREAM_COLS, d->output.width);
    mico_stream_set(MICO_STREAM_LEN, pixel);
    mico_stream_set(MICO_STREAM_ROW_STRIDE, d->stride_height * in->width * pixel);
    mico_stream_set(MICO_STREAM_COL_STRIDE, d->stride_width * pixel);
    mico_stream_set(MICO_STREAM_Y, 0);
    mico_stream_set(MICO_STREAM_WIDTH, in->width * pixel);
    mico_stream_set(MICO_STREAM_HEIGHT, d->pad_height ? in->height : NO_EDGE);
    mico_stream_set(MICO_STREAM_DST_BASE, mico_stream_address(d->output.data));
}

// The maximum of all positions of the windows that begin in line `top` of the input.
static void pool_lines(const struct mico_pool *d, uint32_t lanes, int32_t top, uint32_t elements,
                       uint32_t out) {
    uint32_t pixel = d->input.channels * d->input.bits, line = d->input.width * pixel, lane = 0;
    for (uint32_t ky = 0; ky < d->kernel_height; ky++, top++) {
        int32_t x = -(int32_t)(d->pad_width * pixel);
        if (d->pad_height) mico_stream_set(MICO_STREAM_Y, (uint32_t)top);
        for (uint32_t kx = 0; kx < d->kernel_width; kx++, x += (int32_t)pixel) {
            if (lane == lanes) {
                mico_stream_pool_keep(elements);
                lane = 1;
            }
            stream_gather_lane(lane++, top * (int32_t)line + x, x);
        }
    }
    // The last round may leave lanes over, with positions of the one before: maxima already have them.
    mico_stream_pool(elements, (int32_t)out);
}

void mico_stream_max_pool(const struct mico_pool *d) {
    uint32_t lanes = stream_begin(), positions = (uint32_t)d->kernel_height * d->kernel_width;
    if (lanes < 2) { // nothing to take the maximum of
        mico_max_pool(d);
        return;
    }
    uint32_t pixel = d->input.channels * d->input.bits, elements = d->output.width * d->output.channels;
    uint32_t lines = lines_at_once(d, d->output.width * pixel);
    configure(d, pixel);
    mico_stream_set(MICO_STREAM_LANES_ON, positions < lanes ? positions : lanes);
    for (uint32_t y = 0; y < d->output.height; y += lines) {
        if (d->output.height - y < lines) lines = d->output.height - y;
        mico_stream_set(MICO_STREAM_ROWS, lines);
        pool_lines(d, lanes, (int32_t)(y * d->stride_height) - d->pad_height, lines * elements,
                   y * elements * d->input.bits);
    }
    stream_end();
}
