// The boot ROM on the SoC: the loader's state machine between UART and RAM.
#include "../runtime/soc.h"
#include "../runtime/uart.h"
#include "loader.h"

// Top of the RAM: the loader's own stack, frame buffer included. An image may not be loaded there, but may
// use it later.
#define LOADER_RAM_BYTES 4096u

// Fewer cycles a bit than this, and the loader would not keep up with the bytes.
#define MIN_DIVISOR 16u

struct line {
    uint32_t baud;     // in use
    uint32_t fixed;    // the UART of a simulator that moves whole bytes: it has no rate
    uint32_t answered; // cycle of the last answer
};

static uint32_t divisor(uint32_t baud) {
    return (INFO_CLOCK_HZ + baud / 2) / baud;
}

// Within 2 % of what the clock can be divided to, so that the last bit of a byte is still read where it is.
static uint32_t accept_baud(void *context, uint32_t wanted) {
    const struct line *line = context;
    if (wanted == UART_BAUD && !line->fixed) return wanted; // whatever the clock: this is where it came from
    if (line->fixed || wanted == 0 || wanted > INFO_CLOCK_HZ / MIN_DIVISOR) return 0;
    if (wanted < INFO_CLOCK_HZ / 65535u + 1) return 0;
    uint32_t clock = wanted * divisor(wanted),
             off = clock > INFO_CLOCK_HZ ? clock - INFO_CLOCK_HZ : INFO_CLOCK_HZ - clock;
    return off <= INFO_CLOCK_HZ / 50 ? wanted : 0;
}

static void set_baud(void *context, uint32_t baud) {
    struct line *line = context;
    while (!(UART_STATUS & UART_TX_IDLE)) {
    }
    UART_DIVISOR = divisor(baud);
    line->baud = baud;
}

static void send(void *context, const uint8_t *data, uint32_t size) {
    struct line *line = context;
    for (uint32_t i = 0; i < size; i++) uart_write(data[i]);
    line->answered = TIMER_CYCLES_LO;
}

// At a negotiated rate, a second without a frame to answer means that the host is gone or hears nothing: back
// to the rate that everybody begins with.
static void receive(void *context, uint8_t *data, uint32_t size) {
    struct line *line = context;
    if (line->baud == UART_BAUD) {
        uart_read_bytes(data, size);
        return;
    }
    for (uint32_t i = 0; i < size; i++) {
        do {
            if (line->baud != UART_BAUD && TIMER_CYCLES_LO - line->answered > INFO_CLOCK_HZ) {
                set_baud(line, UART_BAUD);
            }
        } while (!(UART_STATUS & UART_RX_READY));
        data[i] = (uint8_t)UART_DATA;
    }
}

void boot_trap(uint32_t cause, uint32_t pc) {
    uart_text("e-[Boot trap: cause ");
    uart_hex32(cause);
    uart_text(", pc ");
    uart_hex32(pc);
    uart_text("]\r\n");
}

uint32_t boot_main(void) {
    struct line line;
    struct loader loader;
    loader.ram_base = INFO_RAM_BASE;
    loader.ram_bytes = INFO_RAM_BYTES - LOADER_RAM_BYTES;
    loader.memory = (uint8_t *)loader.ram_base;
    loader.send = send;
    loader.receive = receive;
    loader.accept_baud = accept_baud;
    loader.set_baud = set_baud;
    loader.context = &line;
    uart_init();
    line.baud = UART_BAUD;
    do {
        uart_text("mico-boot 1\r\n");
        line.fixed = UART_STATUS & UART_TX_IDLE; // nothing is ever under way there
        loader_init(&loader);
        loader_run(&loader);
    } while (loader.aborted);
    return loader.entry;
}
