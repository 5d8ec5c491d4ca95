/* Works for ever, for measuring the simulator: byte products, SIMD dot products with loads, and copies that
 * miss the cache. */
#include "soc.h"

void on_trap(uint32_t cause, uint32_t pc) {
    show("trap", cause);
    show("pc", pc);
    for (;;) {
    }
}

static volatile int8_t *const x = (volatile int8_t *)0x40010000u;
static volatile uint32_t *const words = (volatile uint32_t *)0x40020000u;

int main(void) {
    print("busy\n");
    for (uint32_t round = 0;; round++) {
        int32_t sum = 0;
        for (uint32_t i = 0; i < 1024; i++) sum += x[i] * x[i + 1024];
        for (uint32_t i = 0; i < 4096; i += 2) {
            sum += (int32_t)CUSTOM0(4, 1, words[i & 1023], words[i & 511]);
            sum += (int32_t)CUSTOM0(6, 2, words[(i & 1023) + 1], words[(i & 511) + 1]);
        }
        for (uint32_t i = 0; i < 1024; i++) words[i + 8192] = words[i * 4] + round;
        words[0] = (uint32_t)sum;
        GPIO_OUT = round;
    }
}
