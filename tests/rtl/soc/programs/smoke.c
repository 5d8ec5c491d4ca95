/* Says what it sees: info block, cycle counters, a SIMD operation, multiplication; then repeats each byte it
 * receives plus 1. */
#include "soc.h"

void on_trap(uint32_t cause, uint32_t pc) {
    show("trap", cause);
    show("pc", pc);
    for (;;) {
    }
}

int main(void) {
    for (uint32_t i = 0; i < 8; i++) show("info", INFO(i));
    uint32_t a = CYCLES_LO, b = CYCLES_LO;
    show("forward", b > a);
    show("high", CYCLES_HI);
    /* 8-bit signed dot product (funct7 1, funct3 4): 1*5 + 2*6 + 3*7 - 4*8 = 6. */
    show("dot", CUSTOM0(4, 1, 0xFC030201u, 0x08070605u));
    volatile uint32_t seven = 7;
    show("product", seven * 0x01234567u);
    show("quotient", 0xFFFFFFFFu / seven);
    volatile uint8_t *bytes = (volatile uint8_t *)0x40001000u;
    for (uint32_t i = 0; i < 4; i++) bytes[i] = (uint8_t)(0x10u + i);
    bytes[2] = 0xAB;
    show("bytes", *(volatile uint32_t *)bytes);
    print("ready\n");
    for (;;) put((char)(get() + 1));
}
