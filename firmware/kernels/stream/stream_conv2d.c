// Convolution on the streaming engine: a GATHER of the windows of as many output pixels as the engine has
// lanes, then a RUN of all weights through them, for each group. The engine works while the core finds the
// next pixels, so what the core does here costs nothing as long as it is shorter than an operation.
#include "mico_kernels.h"
#include "stream_layer.h"

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

// One group, lines of at least `count` pixels. All that the loop needs fits the core's registers.
static void walk_lines(const struct mico_stream_conv2d *d, uint32_t count, uint32_t pixels) {
    const uint32_t weights = mico_stream_address(d->weights), width = d->out_width;
    const int32_t first_x = d->left, step = (int32_t)d->step, lines = (int32_t)d->step_lines;
    const int32_t next_line = lines * (int32_t)d->line, group_step = (int32_t)count * step;
    const int32_t out_step = (int32_t)(count * d->out_pixel);
    int32_t y = d->top, line = y * (int32_t)d->line, x = first_x, out = 0;
    uint32_t left = width; // pixels of this line to come
    for (;;) {
        if (left >= count) {
            mico_stream_gather(line + x, x);
            left -= count;
            x += group_step;
        } else {
            // The group lies in two lines: all lanes as if the second line began further left, at the cost of
            // a little padding, then those of the first line again.
            int32_t before = first_x - (int32_t)left * step;
            mico_stream_set(MICO_STREAM_Y, (uint32_t)(y + lines));
            mico_stream_gather(line + next_line + before, before);
            mico_stream_set(MICO_STREAM_LANES_ON, left);
            mico_stream_set(MICO_STREAM_Y, (uint32_t)y);
            mico_stream_gather(line + x, x);
            mico_stream_set(MICO_STREAM_LANES_ON, count);
            x = before + group_step;
            left += width - count;
            line += next_line;
            y += lines;
            mico_stream_set(MICO_STREAM_Y, (uint32_t)y);
        }
        mico_stream_run(weights, out);
        out += out_step;
        pixels -= count;
        if (left == 0) {
            left = width;
            x = first_x;
            line += next_line;
            y += lines;
            mico_stream_set(MICO_STREAM_Y, (uint32_t)y);
        }
        if (pixels == 0) return;
        if (pixels < count) { // the last pixels: all in one line, the last
            count = pixels;
            mico_stream_set(MICO_STREAM_LANES_ON, count);
        }
    }
}

// Any number of groups, lines of any length: `count` pixels from `first` on, window by window where they do
// not lie in one line.
static void gather_group(const struct mico_stream_conv2d *d, uint32_t first, uint32_t count,
                         int32_t channel) {
    uint32_t column = first % d->out_width, across = column + count > d->out_width;
    int32_t y = d->top + (int32_t)(first / d->out_width * d->step_lines);
    for (uint32_t lane = 0; lane < (across ? count : 1); lane++) {
        int32_t x = d->left + (int32_t)(column * d->step) + channel, offset = y * (int32_t)d->line + x;
        mico_stream_set(MICO_STREAM_Y, (uint32_t)y);
        if (across)
            stream_gather_lane(lane, offset, x);
        else
            mico_stream_gather(offset, x);
        if (++column == d->out_width) {
            column = 0;
            y += (int32_t)d->step_lines;
        }
    }
}

static void walk_groups(const struct mico_stream_conv2d *d, uint32_t count, uint32_t pixels) {
    for (uint32_t done = 0; done < pixels; done += count) {
        if (pixels - done < count) {
            count = pixels - done;
            mico_stream_set(MICO_STREAM_LANES_ON, count);
        }
        uint32_t weights = mico_stream_address(d->weights), out = done * d->out_pixel;
        int32_t channel = 0;
        for (uint32_t group = 0; group < d->groups; group++) {
            gather_group(d, done, count, channel);
            mico_stream_run(weights, (int32_t)out);
            channel += (int32_t)d->group_in;
            out += d->group_out;
            weights += d->group_weights;
        }
    }
}

void mico_stream_conv2d(const struct mico_stream_conv2d *d) {
    uint32_t lanes = stream_begin(), pixels = d->out_width * d->out_height;
    uint32_t count = pixels < lanes ? pixels : lanes;
    configure(d);
    mico_stream_set(MICO_STREAM_LANES_ON, count);
    if (d->groups == 1 && d->out_width >= count)
        walk_lines(d, count, pixels);
    else
        walk_groups(d, count, pixels);
    stream_end();
}
