/* Interrupts and faults: timer, software and external interrupt, an illegal instruction, a custom instruction
   while the extension is off, reads and writes of nothing. Prints what it sees. */
#include "soc.h"

static volatile uint32_t seen[32];

static uint32_t slot(uint32_t cause) {
    return (cause >> 31) * 16 + (cause & 15);
}

void on_trap(uint32_t cause, uint32_t pc) {
    seen[slot(cause)]++;
    if (cause == 0x80000007u) {
        COMPARE_HI = 0xFFFFFFFFu;
    } else if (cause == 0x80000003u) {
        SOFTWARE = 0;
    } else if (cause == 0x8000000Bu) {
        INFO(8) = 0;
    } else {
        CSR_WRITE(mepc, pc + 4);
    }
}

int main(void) {
    for (uint32_t i = 0; i < 32; i++) seen[i] = 0;
    CSR_WRITE(mie, 0x888);
    CSR_WRITE(mstatus, 0x8);

    uint32_t start = CYCLES_LO;
    COMPARE_LO = start + 2000;
    COMPARE_HI = 0;
    while (!seen[16 + 7]) {
    }
    uint32_t late = CYCLES_LO - (start + 2000);
    show("timer", seen[16 + 7]);
    show("soon", late < 1000);

    SOFTWARE = 1;
    while (!seen[16 + 3]) {
    }
    show("software", seen[16 + 3]);

    show("nothing", REG(0x80000000u));
    REG(0xF0005000u) = 1;
    while (seen[16 + 11] < 2) {
    }
    show("external", seen[16 + 11]);
    show("faults", INFO(8));

    __asm__ volatile(".word 0");
    show("illegal", seen[2]);
    show("enabled", CUSTOM0(4, 1, 1, 1));
    CSR_WRITE(0xBC0, 0);
    uint32_t before = seen[2];
    CUSTOM0(4, 1, 1, 1);
    show("disabled", seen[2] - before);
    print("done\n");
    for (;;) get();
}
