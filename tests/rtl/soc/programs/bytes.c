/* Commands of one byte: 'c' prints the cycle counter, 'f' sends 20,000 bytes, 't' waits 3,000 cycles for a
   byte and says whether one came, 'i' counts bytes by interrupt until a full stop. */
#include "soc.h"

static volatile uint32_t received;
static volatile uint32_t stop;

void on_trap(uint32_t cause, uint32_t pc) {
    if (cause != 0x8000000Bu) {
        show("trap", cause);
        show("pc", pc);
        for (;;) {
        }
    }
    while (UART_STATUS & 1u) {
        received++;
        if (UART_DATA == '.') stop = 1;
    }
}

static void wait_with_time_out(void) {
    uint32_t start = CYCLES_LO;
    while (!(UART_STATUS & 1u)) {
        if (CYCLES_LO - start > 3000) {
            print("time-out\n");
            return;
        }
    }
    show("byte", UART_DATA);
}

static void count_by_interrupt(void) {
    received = stop = 0;
    UART_INTERRUPT = 1;
    CSR_WRITE(mie, 0x800);
    CSR_WRITE(mstatus, 0x8);
    print("on\n");
    while (!stop) {
    }
    CSR_WRITE(mstatus, 0);
    UART_INTERRUPT = 0;
    show("received", received);
}

int main(void) {
    print("ready\n");
    for (;;) {
        uint8_t c = get();
        if (c == 'c') show("cycles", CYCLES_LO);
        if (c == 'f')
            for (uint32_t i = 0; i < 20000; i++) put((char)('a' + i % 26));
        if (c == 't') wait_with_time_out();
        if (c == 'i') count_by_interrupt();
    }
}
