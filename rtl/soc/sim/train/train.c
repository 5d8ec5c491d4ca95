/* What the simulator is compiled for when it is compiled with a profile: a mix like that of a network on the
 * SoC. Works for ever and waits for nothing: scalar loops over bytes and words, dot products, GATHER and RUN
 * of the streaming engine with requantisation, stores that miss the cache, flushes. */
#include <stdint.h>

#define REG(address) (*(volatile uint32_t *)(address))
#define CUSTOM0(funct3, funct7, a, b)                                                                        \
    __extension__({                                                                                          \
        uint32_t rd_;                                                                                        \
        __asm__ volatile(".insn r 0x0B, " #funct3 ", " #funct7 ", %0, %1, %2"                                \
                         : "=r"(rd_)                                                                         \
                         : "r"((uint32_t)(a)), "r"((uint32_t)(b))                                            \
                         : "memory");                                                                        \
        rd_;                                                                                                 \
    })
#define SET(index, value) (void)CUSTOM0(0, 0x00, value, index)

enum {
    kConfig,
    kK,
    kLanesOn,
    kSrcBase,
    kRows,
    kLen = 6,
    kRowStride,
    kLaneStep = 9,
    kY,
    kWidth,
    kHeight,
    kDstBase,
    kDstStride,
    kN
};

#define IMAGE   ((volatile int8_t *)0x40010000u)
#define WORDS   ((volatile uint32_t *)0x40020000u)
#define WEIGHTS ((volatile uint32_t *)0x40030000u)
#define RESULTS 0x40040000u

/* A 5x5 convolution of a 14x14x8 image to 8 channels of 8 bits, 4 pixels at a time; `bits` of the weights. */
static void convolution(uint32_t width_code, uint32_t weight_words) {
    for (uint32_t n = 0; n < 8; n++) {
        volatile uint32_t *const row = WEIGHTS + n * (3 + weight_words);
        row[0] = n;
        row[1] = 0x40000000u + n;
        row[2] = 40;
        for (uint32_t i = 0; i < weight_words; i++) row[3 + i] = n * 0x9E3779B9u + i * 0x85EBCA6Bu;
    }
    SET(kConfig, width_code << 2 | 1u << 5);
    SET(kK, 200);
    SET(kN, 8);
    SET(kLanesOn, 4);
    SET(kSrcBase, (uint32_t)IMAGE);
    SET(kRows, 5);
    SET(kLen, 5 * 64);
    SET(kRowStride, 14 * 64);
    SET(kLaneStep, 64);
    SET(kWidth, 14 * 64);
    SET(kHeight, 14);
    SET(kDstBase, RESULTS);
    SET(kDstStride, 64);
    (void)REG(0xC0000000u);
    for (int32_t y = 0; y < 14; y++) {
        SET(kY, y - 2);
        for (int32_t x = 0; x < 12; x += 4) {
            (void)CUSTOM0(0, 0x20, ((y - 2) * 14 + x - 2) * 64, (x - 2) * 64);
            (void)CUSTOM0(0, 0x40, (uint32_t)WEIGHTS, (y * 14 + x) * 64);
        }
    }
    (void)CUSTOM0(0, 0x50, 0, 0);
    __asm__ volatile(".word 0x500F" ::: "memory");
}

static void scalar(uint32_t round) {
    int32_t sum = 0;
    for (uint32_t i = 0; i < 2048; i++) sum += IMAGE[i] * IMAGE[i ^ 1024];
    for (uint32_t i = 0; i < 1024; i++) {
        sum += (int32_t)CUSTOM0(4, 1, WORDS[i & 255], WORDS[i & 511]);
        sum += (int32_t)CUSTOM0(6, 2, WORDS[(i & 255) + 1], WORDS[(i & 511) + 1]);
    }
    for (uint32_t i = 0; i < 1024; i++) WORDS[i + 8192] = WORDS[i * 4] / (i + 1) + round;
    WORDS[round & 511] = (uint32_t)sum;
    REG(0xF0003000u) = round;
}

void train(void) {
    for (uint32_t round = 0;; round++) {
        for (uint32_t i = 0; i < 512; i++)
            ((volatile uint32_t *)IMAGE)[i] = round * 0x01000193u + i * 0x9E3779B9u;
        scalar(round);
        convolution(0, 50);
        scalar(round);
        convolution(1, 25);
        convolution(3, 7);
    }
}
