/* What surrounds a wait for the streaming engine, a new mixture each round: stores, loads that miss,
 * divisions and flushes of either cache on their way when the core begins to wait; interrupts of the timer
 * before, in and behind the wait. Prints per 16 rounds a hash of all counters read behind each wait: two
 * simulators that differ by a cycle anywhere print different ones. */
#include "soc.h"

#define SET(index, value)    (void)CUSTOM0(0, 0x00, value, index)
#define GATHER(offset, x)    (void)CUSTOM0(0, 0x20, offset, x)
#define RUN(weights, offset) (void)CUSTOM0(0, 0x40, weights, offset)
#define WAIT()               (void)CUSTOM0(0, 0x50, 0, 0)

enum {
    kConfig,
    kK,
    kLanesOn,
    kSrcBase,
    kRows,
    kLen = 6,
    kLaneStep = 9,
    kWidth = 11,
    kHeight,
    kDstBase,
    kDstStride,
    kN
};

#define BASE   0x40010000u
#define ROUNDS 96u

static volatile uint32_t interrupts;
static uint32_t seed, hash;

void on_trap(uint32_t cause, uint32_t pc) {
    if (cause != 0x80000007u) {
        show("trap", cause);
        show("pc", pc);
        for (;;) {
        }
    }
    COMPARE_HI = ~0u;
    interrupts += 1 + (pc << 8);
}

static uint32_t random32(void) {
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
}

static void mix(uint32_t value) {
    hash = (hash << 5 | hash >> 27) ^ (value * 0x9E3779B9u);
}

static void one_round(uint32_t round) {
    const uint32_t r = random32();
    volatile uint32_t *const words = (volatile uint32_t *)(BASE + (r & 0xFFF0u));
    SET(kK, 4 + (r & 252u));
    SET(kN, 1 + (r >> 8 & 31u));
    SET(kLanesOn, 1 + (r >> 13 & 3u));
    COMPARE_LO = CYCLES_LO + (r >> 15 & 1023u);
    COMPARE_HI = 0;
    uint32_t quotient = r;
    GATHER(0, 0);
    if (round & 1u) words[0] = r;
    RUN(BASE + 0x8000u, 0);
    if (round & 2u) quotient += words[64];
    if (round & 4u) __asm__ volatile("divu %0, %1, %2" : "=r"(quotient) : "r"(seed), "r"(quotient | 1u));
    if (round & 8u) words[1] = r;
    switch (round >> 4 & 3u) {
    case 1:
        __asm__ volatile("fence.i" ::: "memory");
        break;
    case 2:
        __asm__ volatile(".word 0x500F" ::: "memory");
        break;
    case 3:
        __asm__ volatile("mul %0, %1, %2" : "=r"(quotient) : "r"(seed), "r"(r));
        break;
    default:
        break;
    }
    WAIT();
    mix(CSR_READ(mcycle));
    mix(CSR_READ(minstret));
    mix(CYCLES_LO);
    mix(CUSTOM0(0, 0x10, 0, 19)); /* BUSY */
    mix(interrupts);
    mix(quotient);
}

int main(void) {
    seed = 1;
    hash = 0;
    interrupts = 0;
    SET(kConfig, 0);
    SET(kSrcBase, BASE);
    SET(kRows, 1);
    SET(kLen, 256 * 8);
    SET(kLaneStep, 8);
    SET(kWidth, 0x7FFFFFFF);
    SET(kHeight, 1);
    SET(kDstBase, BASE + 0x20000u);
    SET(kDstStride, 32 * 32);
    CSR_WRITE(mie, 0x80);
    CSR_WRITE(mstatus, 0x8);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        one_round(round);
        if (round % 16 == 15) show("hash", hash);
    }
    show("interrupts", interrupts & 255u);
    show("cycles", CSR_READ(mcycle));
    print("end\n");
    return 0;
}
