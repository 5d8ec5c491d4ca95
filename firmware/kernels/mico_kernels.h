// Operators of a generated network: what generated code calls and both implementations (plain/, simd/)
// define.
//
// Every operator takes one constant descriptor. Tensors are channel last (height, width, channels), packed
// densely with element 0 in the least significant bits of the lowest byte, aligned to 4 bytes and padded to a
// multiple of 4. README.md in this folder has the layout of weights.
#ifndef MICO_KERNELS_H
#define MICO_KERNELS_H

#include <stdint.h>

// A tensor; a vector of F elements has height = width = 1 and channels = F.
// bits is 32, 8, 4, 2 or 1. One signed bit is {-1, +1}, stored as 1 for -1 and 0 for +1.
struct mico_tensor {
    uint32_t *data;
    uint32_t height, width, channels;
    uint8_t bits;
    uint8_t is_signed;
};

// y = clamp((acc * multiplier + 2^(shift-1)) >> shift); multiplier 1..2^31-1, shift 1..62.
struct mico_scale {
    int32_t multiplier;
    int32_t shift;
};

// Dot products of `pixels` rows of packed activations with all `outputs` rows of a weight matrix:
// acc[p * outputs + o] = bias[o] - offset + sum over k of rows[p][k] * weights[o][k]; bias may be null
// (zeros). A row is `steps` steps long; a step is as many elements as a word of the narrower operand holds.
typedef void mico_dot(const uint32_t *rows, uint32_t pixels, const uint32_t *weights, uint32_t steps,
                      const int32_t *bias, int32_t offset, int32_t *acc, uint32_t outputs);

// Convolution and depthwise or grouped convolution. Weights: one matrix a group, rows are output channels,
// columns run over (kernel height, kernel width, input channels of the group).
struct mico_conv2d {
    struct mico_tensor input, output;
    uint8_t kernel_height, kernel_width;
    uint8_t stride_height, stride_width;
    uint8_t pad_height, pad_width;
    uint8_t weight_bits;
    uint16_t groups;
    const uint32_t *weights;
    const int32_t *bias;             // one per output channel
    const struct mico_scale *scales; // one per output channel
    mico_dot *dot;                   // SIMD build: the variant for these widths
    mico_dot *dot_mask;              // SIMD build: where {-1, +1} activations meet zero padding, else null
    uint32_t *scratch;               // SIMD build: see below
};

// Scratch of a convolution: n rows of activations and n times the output channels int32, n = MICO_ROWS or, if
// less, the output's pixels (one with groups); with dot_mask one row and the output channels int32 more.
struct mico_linear {
    struct mico_tensor input, output;
    uint8_t weight_bits;
    const uint32_t *weights;
    const int32_t *bias;
    const struct mico_scale *scales;
    mico_dot *dot;
    uint32_t *scratch; // SIMD build: one row, then accumulators
};

// Convolution, grouped or not, linear layer or matrix product on the streaming engine (MICO_SIMD = 2): output
// pixels of a picture, each from one window of the input, for every group. Sizes and strides are bits unless
// said; config, k, n, rows, cols, len and image_rows are the engine's registers (rtl/simd/stream/README.md).
struct mico_stream_conv2d {
    const uint32_t *input;
    uint32_t *output;
    const uint32_t *weights; // row streams of the engine, group after group
    uint32_t config;
    uint32_t k, n;                               // elements of a row; rows of a group
    uint32_t rows, cols, len;                    // window: rows of `cols` runs of `len`
    uint32_t line, pixel, image_rows;            // input: a line, a pixel; its number of lines
    uint32_t out_width, out_height;              // pixels
    uint32_t out_pixel;                          // output: a pixel
    int32_t top, left;                           // first window: line number, and x
    uint32_t step_lines, step;                   // from one window to the next: lines down, and right
    uint32_t groups;                             // what follows is from one group to the next
    uint32_t group_in, group_out, group_weights; // the last one in bytes
};

// Max pool ignores padding; average pool divides by the whole window (the division is in `scale`).
struct mico_pool {
    struct mico_tensor input, output;
    uint8_t kernel_height, kernel_width;
    uint8_t stride_height, stride_width;
    uint8_t pad_height, pad_width;
    struct mico_scale scale; // average only
};

struct mico_global_pool {
    struct mico_tensor input, output;
    struct mico_scale scale;
};

// output = (a * multiplier[0] + b * multiplier[1] + 2^(shift-1)) >> shift, clamped.
struct mico_add {
    struct mico_tensor input[2], output;
    int32_t multiplier[2];
    int32_t shift;
};

struct mico_concat {
    uint32_t count;
    const struct mico_tensor *input; // `count` of them, joined along channels
    const struct mico_scale *scales; // one per input
    struct mico_tensor output;
};

struct mico_requant {
    struct mico_tensor input, output;
    struct mico_scale scale;
};

void mico_conv2d(const struct mico_conv2d *d);
void mico_linear(const struct mico_linear *d);
void mico_max_pool(const struct mico_pool *d);
void mico_avg_pool(const struct mico_pool *d);
void mico_global_avg_pool(const struct mico_global_pool *d);
void mico_add(const struct mico_add *d);
void mico_concat(const struct mico_concat *d);
void mico_requant(const struct mico_requant *d);

// The same on the streaming engine, where its buffers hold what is said in stream/.
void mico_stream_conv2d(const struct mico_stream_conv2d *d);
void mico_stream_max_pool(const struct mico_pool *d);
void mico_stream_avg_pool(const struct mico_pool *d);
void mico_stream_global_avg_pool(const struct mico_global_pool *d);
void mico_stream_add(const struct mico_add *d);
void mico_stream_concat(const struct mico_concat *d);
void mico_stream_requant(const struct mico_requant *d);

#define MICO_ROWS 8 // output pixels at most that a convolution gathers before it computes them

// MICO_DOT(u4, 2): the dot product for unsigned 4-bit activations and 2-bit weights; the plain build has
// none.
#if MICO_SIMD
#define MICO_DOT(activation, weight) mico_dot_##activation##_w##weight
#define MICO_DECLARE_DOTS(activation)                                                                        \
    mico_dot mico_dot_##activation##_w8, mico_dot_##activation##_w4, mico_dot_##activation##_w2,             \
        mico_dot_##activation##_w1
MICO_DECLARE_DOTS(s8);
MICO_DECLARE_DOTS(u8);
MICO_DECLARE_DOTS(s4);
MICO_DECLARE_DOTS(u4);
MICO_DECLARE_DOTS(s2);
MICO_DECLARE_DOTS(u2);
MICO_DECLARE_DOTS(s1);
MICO_DECLARE_DOTS(u1);
#else
#define MICO_DOT(activation, weight) 0
#endif

#endif
