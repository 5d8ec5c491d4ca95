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
#define STEPS   (OPS >= 4 ? 1 : 4 / OPS) // per iteration of the inner loop

#define JOIN_(a, b) a##b
#define JOIN(a, b)  JOIN_(a, b)
#define STEP        JOIN(NAME, _step)
#define FINISH      JOIN(NAME, _finish)
#define BLOCK       JOIN(NAME, _block)

// Add the products that wait.
INLINED void FINISH(uint32_t pixels, uint32_t lanes, uint32_t sum[2][4], const uint32_t part[2]) {
    uint32_t products = lanes * pixels;
    if (products > 1) SIMD_ADD(sum[(products - 2) % pixels][(products - 2) / pixels], part[0]);
    SIMD_ADD(sum[pixels - 1][lanes - 1], part[products > 1]);
}

// One step, product by product: loads first, then the two sums that the step before left in `part`, then
// products with the sum of the product two before between any two. So no product comes within two
// instructions of a load, and no result is used at once. Leaves its last two products in `part` (of a single
// row and lane, the last).
INLINED void STEP(uint32_t pixels, uint32_t lanes, const uint32_t *a, const uint32_t *a2, const uint32_t *w,
                  uint32_t sum[2][4], uint32_t part[2]) {
    uint32_t act[2], weight[4], products = lanes * pixels;
    UNROLLED(8)
    for (uint32_t i = 0; i < OPS; i++) {
        if (i == 0 || A_WORDS > 1) {
            UNROLLED(2)
            for (uint32_t p = 0; p < pixels; p++) SIMD_LOAD(act[p], (p ? a2 : a)[i]);
        }
        if (i == 0 || W_WORDS > 1) {
            UNROLLED(4)
            for (uint32_t r = 0; r < lanes; r++) SIMD_LOAD(weight[r], w[i * lanes + r]);
        }
        FINISH(pixels, lanes, sum, part);
        UNROLLED(8)
        for (uint32_t j = 0; j < products; j++) {
            if (j >= 2) SIMD_ADD(sum[(j - 2) % pixels][(j - 2) / pixels], part[j & 1]);
            SIMD_DOT(part[j & 1], A_BITS, A_UNSIGNED, W_BITS, i, act[j % pixels], weight[j / pixels]);
        }
    }
}

// `lanes` rows of weights, interleaved word by word. Sums wrap: only the last one has to fit int32.
INLINED void BLOCK(uint32_t pixels, uint32_t lanes, const uint32_t *a, const uint32_t *w, uint32_t steps,
                   const int32_t *bias, uint32_t offset, int32_t *acc, uint32_t outputs) {
    uint32_t sum[2][4], part[2] = {0, 0};
    const uint32_t *a2 = a + steps * A_WORDS; // the second row
    UNROLLED(4)
    for (uint32_t r = 0; r < lanes; r++) {
        UNROLLED(2)
        for (uint32_t p = 0; p < pixels; p++) sum[p][r] = (bias ? (uint32_t)bias[r] : 0) - offset;
    }

    for (; steps >= STEPS; steps -= STEPS) {
        UNROLLED(4)
        for (uint32_t u = 0; u < STEPS; u++)
            STEP(pixels, lanes, a + u * A_WORDS, a2 + u * A_WORDS, w + u * W_WORDS * lanes, sum, part);
        a += STEPS * A_WORDS;
        a2 += STEPS * A_WORDS;
        w += STEPS * W_WORDS * lanes;
    }
    if (STEPS > 2 && (steps & 2)) {
        STEP(pixels, lanes, a, a2, w, sum, part);
        STEP(pixels, lanes, a + A_WORDS, a2 + A_WORDS, w + W_WORDS * lanes, sum, part);
        a += 2 * A_WORDS;
        a2 += 2 * A_WORDS;
        w += 2 * W_WORDS * lanes;
    }
    if (STEPS > 1 && (steps & 1)) STEP(pixels, lanes, a, a2, w, sum, part);
    FINISH(pixels, lanes, sum, part);

    UNROLLED(4)
    for (uint32_t r = 0; r < lanes; r++) {
        UNROLLED(2)
        for (uint32_t p = 0; p < pixels; p++) acc[p * outputs + r] = (int32_t)sum[p][r];
    }
}

// Blocks are functions of their own: what a layer uses stays small in the instruction cache.
#define DEFINE_BLOCK(pixels, lanes)                                                                          \
    static NOT_INLINED void JOIN(NAME, _##pixels##x##lanes)(                                                 \
        const uint32_t *a, const uint32_t *w, uint32_t steps, const int32_t *bias, uint32_t offset,          \
        int32_t *acc, uint32_t outputs) {                                                                    \
        BLOCK(pixels, lanes, a, w, steps, bias, offset, acc, outputs);                                       \
    }
DEFINE_BLOCK(1, 1)
DEFINE_BLOCK(1, 2)
DEFINE_BLOCK(1, 4)
DEFINE_BLOCK(2, 1)
DEFINE_BLOCK(2, 2)
DEFINE_BLOCK(2, 4)
// All pixels meet a block of weights before the next block: instructions and weights stay in their caches.
#define ALL_PIXELS(lanes)                                                                                    \
    do {                                                                                                     \
        const int32_t *b = bias ? bias + done : 0;                                                           \
        int32_t *sums = acc + done;                                                                          \
        const uint32_t *row = rows;                                                                          \
        uint32_t p = pixels;                                                                                 \
        for (; p >= 2; p -= 2, row += 2 * steps * A_WORDS, sums += 2 * outputs)                              \
            JOIN(NAME, _2x##lanes)(row, weights, steps, b, (uint32_t)offset, sums, outputs);                 \
        if (p) JOIN(NAME, _1x##lanes)(row, weights, steps, b, (uint32_t)offset, sums, outputs);              \
        weights += steps * W_WORDS * lanes;                                                                  \
        done += lanes;                                                                                       \
    } while (0)

void NAME(const uint32_t *rows, uint32_t pixels, const uint32_t *weights, uint32_t steps, const int32_t *bias,
          int32_t offset, int32_t *acc, uint32_t outputs) {
    uint32_t done = 0;
    while (outputs - done >= 4) ALL_PIXELS(4);
    if (outputs - done >= 2) ALL_PIXELS(2);
    if (outputs - done >= 1) ALL_PIXELS(1);
}

#undef ALL_PIXELS
#undef DEFINE_BLOCK
#undef A_WORDS
#undef W_WORDS
#undef OPS
#undef STEPS
#undef JOIN_
#undef JOIN
#undef STEP
#undef FINISH
#undef BLOCK
#undef NAME
#undef A_BITS
#undef A_UNSIGNED
#undef W_BITS
