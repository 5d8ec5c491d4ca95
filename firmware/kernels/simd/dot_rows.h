// Dot products for one pair of widths; included once per pair with A_BITS, A_UNSIGNED, W_BITS and NAME
// defined.
//
// A step reads one word of the narrower operand and, for each row, as many words of the wider one as hold the
// same number of elements; the sub-word index of the instruction runs over them. Up to two rows of
// activations meet up to four rows of weights at a time, so that a loaded word is used several times and no
// result is needed at once.

#define A_WORDS (A_BITS > W_BITS ? A_BITS / W_BITS : 1) // activation words per step
#define W_WORDS (W_BITS > A_BITS ? W_BITS / A_BITS : 1) // words per step and row of weights
#define OPS     (A_WORDS * W_WORDS)
#define UNROLL  (OPS >= 4 ? 1 : 4 / OPS)

#define JOIN_(a, b)   a##b
#define JOIN(a, b)    JOIN_(a, b)
#define STEP          JOIN(NAME, _step)
#define BLOCK         JOIN(NAME, _block)
#define ALWAYS_INLINE static inline __attribute__((always_inline))

ALWAYS_INLINE void STEP(uint32_t pixels, uint32_t lanes, const uint32_t *a, uint32_t stride,
                        const uint32_t *w, uint32_t sum[2][4]) {
    _Pragma("GCC unroll 8") for (uint32_t i = 0; i < OPS; i++) {
        uint32_t part[2][4];
        _Pragma("GCC unroll 4") for (uint32_t r = 0; r < lanes; r++) {
            uint32_t weights = w[(W_WORDS > 1 ? i : 0) * lanes + r];
            _Pragma("GCC unroll 2") for (uint32_t p = 0; p < pixels; p++) part[p][r] =
                SIMD_DOT(A_BITS, A_UNSIGNED, W_BITS, i, a[p * stride + (A_WORDS > 1 ? i : 0)], weights);
        }
        _Pragma("GCC unroll 4") for (uint32_t r = 0; r < lanes; r++)
            _Pragma("GCC unroll 2") for (uint32_t p = 0; p < pixels; p++) sum[p][r] += part[p][r];
    }
}

// `lanes` rows of weights, interleaved word by word.
ALWAYS_INLINE void BLOCK(uint32_t pixels, uint32_t lanes, const uint32_t *a, const uint32_t *w,
                         uint32_t steps, const int32_t *bias, uint32_t offset, int32_t *acc,
                         uint32_t outputs) {
    uint32_t sum[2][4];
    uint32_t stride = steps * A_WORDS;
    _Pragma("GCC unroll 4") for (uint32_t r = 0; r < lanes; r++)
        _Pragma("GCC unroll 2") for (uint32_t p = 0; p < pixels; p++) sum[p][r] =
            (bias ? (uint32_t)bias[r] : 0) - offset;

    for (; steps >= UNROLL; steps -= UNROLL) {
        _Pragma("GCC unroll 4") for (uint32_t u = 0; u < UNROLL; u++)
            STEP(pixels, lanes, a + u * A_WORDS, stride, w + u * W_WORDS * lanes, sum);
        a += UNROLL * A_WORDS;
        w += UNROLL * W_WORDS * lanes;
    }
    if (UNROLL > 1) {
        for (; steps > 0; steps--) {
            STEP(pixels, lanes, a, stride, w, sum);
            a += A_WORDS;
            w += W_WORDS * lanes;
        }
    }

    _Pragma("GCC unroll 4") for (uint32_t r = 0; r < lanes; r++)
        _Pragma("GCC unroll 2") for (uint32_t p = 0; p < pixels; p++) acc[p * outputs + r] =
            (int32_t)sum[p][r];
}

void NAME(const uint32_t *rows, uint32_t pixels, const uint32_t *weights, uint32_t steps, const int32_t *bias,
          int32_t offset, int32_t *acc, uint32_t outputs) {
    uint32_t done = 0;
    while (done < outputs) {
        uint32_t left = outputs - done;
        uint32_t lanes = left >= 4 ? 4 : left >= 2 ? 2 : 1;
        const int32_t *b = bias ? bias + done : 0;
        if (pixels == 2) {
            if (lanes == 4)
                BLOCK(2, 4, rows, weights, steps, b, (uint32_t)offset, acc + done, outputs);
            else if (lanes == 2)
                BLOCK(2, 2, rows, weights, steps, b, (uint32_t)offset, acc + done, outputs);
            else
                BLOCK(2, 1, rows, weights, steps, b, (uint32_t)offset, acc + done, outputs);
        } else {
            if (lanes == 4)
                BLOCK(1, 4, rows, weights, steps, b, (uint32_t)offset, acc + done, outputs);
            else if (lanes == 2)
                BLOCK(1, 2, rows, weights, steps, b, (uint32_t)offset, acc + done, outputs);
            else
                BLOCK(1, 1, rows, weights, steps, b, (uint32_t)offset, acc + done, outputs);
        }
        weights += steps * W_WORDS * lanes;
        done += lanes;
    }
}

#undef A_WORDS
#undef W_WORDS
#undef OPS
#undef UNROLL
#undef STEP
#undef BLOCK
#undef JOIN
#undef JOIN_
#undef ALWAYS_INLINE
#undef NAME
#undef A_BITS
#undef A_UNSIGNED
#undef W_BITS
