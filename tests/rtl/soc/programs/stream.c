/* The streaming engine beside the core: what the core has stored the engine reads, what the engine has
 * written the core loads, with the fences of rtl/soc/README.md between. Each round multiplies a fresh 4 x K
 * matrix by a fresh row of weights; prints the rounds in which the engine's result was not the core's. */
#include "soc.h"

#define SET(value, index)    (void)CUSTOM0(0, 0x00, value, index)
#define GATHER(offset, x)    (void)CUSTOM0(0, 0x20, offset, x)
#define RUN(weights, offset) (void)CUSTOM0(0, 0x40, weights, offset)
#define WAIT()               CUSTOM0(0, 0x50, 0, 0)
#define FENCE_BEFORE()       __asm__ volatile("lw zero, 0(%0)" ::"r"(0xC0000000u) : "memory")
#define FENCE_BEFORE_BY_IO() __asm__ volatile("lw zero, 0(%0)" ::"r"(0xF0000000u) : "memory")
#define FENCE_AFTER()        __asm__ volatile(".word 0x500F" ::: "memory")
#define COMPILER_BARRIER()   __asm__ volatile("" ::: "memory")

#define LANES  4
#define K      64
#define ROUNDS 200

static int8_t a[LANES][K] __attribute__((aligned(32)));
static int8_t w[K] __attribute__((aligned(32)));
static int32_t out[LANES] __attribute__((aligned(32)));

void on_trap(uint32_t cause, uint32_t pc) {
    show("trap", cause);
    show("pc", pc);
    for (;;) {
    }
}

static uint32_t seed;
static uint32_t random32(void) {
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
}

/* One round; fences left out on purpose where `before` or `after` is 0. Answers whether the result was right.
 */
static int round_is_right(int before, int after) {
    int32_t expected[LANES] = {0};
    COMPILER_BARRIER();
    for (int l = 0; l < LANES; l++) expected[l] = out[l]; /* lines of the result are in the data cache */
    for (int i = 0; i < K; i++) w[i] = (int8_t)random32();
    for (int l = 0; l < LANES; l++) {
        expected[l] = 0;
        for (int i = 0; i < K; i++) {
            a[l][i] = (int8_t)random32();
            expected[l] += a[l][i] * w[i];
        }
    }
    /* Back-to-back stores just before the operation, in the words that the engine reads first and last. */
    const uint32_t changed = random32();
    __asm__ volatile("sw %0, 0(%1)\n sw %0, 4(%1)\n sw %0, 0(%2)\n sw %0, 60(%2)\n sw %0, 60(%3)\n sw %0, "
                     "0(%3)\n sw %0, 56(%1)" ::"r"(changed),
                     "r"(w), "r"(a[0]), "r"(a[3])
                     : "memory");
    if (before == 1) FENCE_BEFORE();
    if (before == 2) FENCE_BEFORE_BY_IO();
    GATHER(0, 0);
    RUN((uint32_t)w, 0);
    WAIT();
    if (after) FENCE_AFTER();
    int32_t got[LANES];
    for (int l = 0; l < LANES; l++) got[l] = *(volatile int32_t *)&out[l];
    for (int l = 0; l < LANES; l++) {
        expected[l] = 0;
        for (int i = 0; i < K; i++) expected[l] += a[l][i] * w[i];
    }
    int right = 1;
    for (int l = 0; l < LANES; l++) right &= got[l] == expected[l];
    return right;
}

static void rounds(const char *name, int before, int after) {
    uint32_t wrong = 0;
    for (int i = 0; i < ROUNDS; i++) wrong += !round_is_right(before, after);
    show(name, wrong);
}

/* The engine's time is the core's: stores of one word and the operation at once. The engine must read what a
 * store just before the fence has left, whatever the number of stores in the core's buffers. */
static uint32_t stores_then_gather(uint32_t stores) {
    uint32_t wrong = 0;
    volatile uint32_t *const words = (volatile uint32_t *)a[0];
    for (uint32_t round = 0; round < 50; round++) {
        const uint32_t value = random32();
        for (uint32_t i = 0; i + 1 < stores; i++) words[i & 7] = i;
        words[0] = value;
        FENCE_BEFORE();
        GATHER(0, 0);
        wrong += CUSTOM0(1, 0x10, 0, 0) != value; /* PEEK word 0 of lane 0 */
    }
    return wrong;
}

int main(void) {
    seed = 1;
    show("version", INFO(5));
    show("lanes", INFO(10));
    SET(0, 0); /* 8 x 8 bits, signed, INT32 without bias */
    SET(K, 1);
    SET(LANES, 2);
    SET((uint32_t)a, 3);
    SET(K * 8, 6);
    SET(K * 8, 9);
    SET(K * 8 * LANES, 11);
    SET(1, 12);
    SET((uint32_t)out, 13);
    SET(32, 14);
    rounds("fenced", 1, 1);
    rounds("by-io", 2, 1);
    rounds("unfenced-before", 0, 1);
    rounds("unfenced-after", 1, 0);
    for (uint32_t stores = 1; stores <= 9; stores++) show("stores", stores_then_gather(stores));
    show("ops", CUSTOM0(0, 0x10, 0, 18));
    show("error", CUSTOM0(0, 0x10, 0, 17));
    volatile uint32_t *const cached = (volatile uint32_t *)0x40008000u;
    volatile uint32_t *const alias = (volatile uint32_t *)0xC0008000u;
    cached[0] = 0x12345678u;
    show("alias", alias[0]);
    ((volatile uint8_t *)alias)[1] = 0xAB;
    FENCE_AFTER();
    show("cached", cached[0]);
    show("cycles", CYCLES_LO);
    print("done\n");
    for (;;) {
    }
}
