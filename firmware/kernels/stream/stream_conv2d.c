// Convolution on the streaming engine: a GATHER of the windows of as many output pixels as the engine has
// lanes, then a RUN of all weights through them, for each group. The engine works while the core finds the
// next pixels, so what the core does here costs nothing as long as it is shorter than an operation.
#include "mico_kernels.h"
#include "stream_layer.h"

// An output pixel and its window.
struct place {
    uint32_t column; // of the output
    int32_t y;       // line of the input where the window starts; negative above it
    int32_t line;    // bits from the input's start to that line
    int32_t x;       // bits from the line's start to the window; negative left of it
};

static inline void next_line(const struct mico_stream_conv2d *d, struct place *p) {
    p->column = 0;
    p->x = d->left;
    p->y += (int32_t)d->step_lines;
    p->line += (int32_t)(d->step_lines * d->line);
}

static void gather_lane(uint32_t lane, int32_t offset, int32_t x) {
    switch (lane) { // an instruction's lane is a constant
    case 0:
        mico_stream_gather_lane(0, offset, x);
        break;
    case 1:
        mico_stream_gather_lane(1, offset, x);
        break;
    case 2:
        mico_stream_gather_lane(2, offset, x);
        break;
    default:
        mico_stream_gather_lane(3, offset, x);
        break;
    }
}

// Windows of `count` pixels that lie in several output lines, one by one; answers the pixel behind them.
static struct place gather_across(const struct mico_stream_conv2d *d, struct place p, uint32_t count,
                                  int32_t channel) {
    for (uint32_t lane = 0; lane < count; lane++) {
        mico_stream_set(MICO_STREAM_Y, (uint32_t)p.y);
        gather_lane(lane, p.line + p.x + channel, p.x + channel);
        p.x += (int32_t)d->step;
        if (++p.column == d->out_width) next_line(d, &p);
    }
    return p;
}

static void configure(const struct mico_stream_conv2d *d) {
    mico_stream_set(MICO_STREAM_CONFIG, d->config);
    mico_stream_set(MICO_STREAM_K, d->k);
    mico_stream_set(MICO_STREAM_SRC_BASE, mico_stream_address(d->input));
    mico_stream_set(MICO_STREAM_ROWS, d->rows);
    mico_stream_set(MICO_STREAM_COLS, d->cols);
    mico_stream_set(MICO_STREAM_LEN, d->len);
    mico_stream_set(MICO_STREAM_ROW_STRIDE, d->line);
    mico_stream_set(MICO_STREAM_COL_STRIDE, d->pixel);
    mico_stream_set(MICO_STREAM_LANE_STEP, d->step);
    mico_stream_set(MICO_STREAM_Y, (uint32_t)d->top);
    mico_stream_set(MICO_STREAM_WIDTH, d->line);
    mico_stream_set(MICO_STREAM_HEIGHT, d->image_rows);
    mico_stream_set(MICO_STREAM_DST_BASE, mico_stream_address(d->output));
    mico_stream_set(MICO_STREAM_DST_STRIDE, d->out_pixel);
    mico_stream_set(MICO_STREAM_N, d->n);
}

void mico_stream_conv2d(const struct mico_stream_conv2d *d) {
    uint32_t lanes = stream_begin(), pixels = d->out_width * d->out_height;
    uint32_t count = pixels < lanes ? pixels : lanes, first_weights = mico_stream_address(d->weights);
    struct place p = {0, d->top, d->top * (int32_t)d->line, d->left};
    configure(d);
    mico_stream_set(MICO_STREAM_LANES_ON, count);
    for (int32_t out = 0; pixels > 0; pixels -= count, out += (int32_t)(count * d->out_pixel)) {
        if (pixels < count) {
            count = pixels;
            mico_stream_set(MICO_STREAM_LANES_ON, count);
        }
        uint32_t across = p.column + count > d->out_width;
        int32_t channel = 0, out_channel = 0;
        uint32_t weights = first_weights;
        struct place next = p;
        for (uint32_t left = d->groups; left > 0; left--) {
            if (across)
                next = gather_across(d, p, count, channel);
            else
                mico_stream_gather(p.line + p.x + channel, p.x + channel);
            mico_stream_run(weights, out + out_channel);
            channel += (int32_t)d->group_in;
            out_channel += (int32_t)d->group_out;
            weights += d->group_weights;
        }
        if (!across) {
            next.column += count;
            next.x += (int32_t)(count * d->step);
            if (next.column == d->out_width) next_line(d, &next);
        }
        if (across || next.y != p.y) mico_stream_set(MICO_STREAM_Y, (uint32_t)next.y);
        p = next;
    }
    stream_end();
}
