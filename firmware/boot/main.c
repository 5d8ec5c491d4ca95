// The boot ROM on the SoC: the loader's state machine between UART and RAM.
#include "../runtime/soc.h"
#include "../runtime/uart.h"
#include "loader.h"

// Top of the RAM: the loader's own stack, frame buffer included. An image may not be loaded there, but may
// use it later.
#define LOADER_RAM_BYTES 4096u

static void send(void *context, const uint8_t *data, uint32_t size) {
    (void)context;
    for (uint32_t i = 0; i < size; i++) uart_write(data[i]);
}

static void receive(void *context, uint8_t *data, uint32_t size) {
    (void)context;
    uart_read_bytes(data, size);
}

void boot_trap(uint32_t cause, uint32_t pc) {
    uart_text("e-[Boot trap: cause ");
    uart_hex32(cause);
    uart_text(", pc ");
    uart_hex32(pc);
    uart_text("]\r\n");
}

uint32_t boot_main(void) {
    struct loader loader;
    loader.ram_base = INFO_RAM_BASE;
    loader.ram_bytes = INFO_RAM_BYTES - LOADER_RAM_BYTES;
    loader.memory = (uint8_t *)loader.ram_base;
    loader.send = send;
    loader.receive = receive;
    loader.context = 0;
    uart_init();
    do {
        uart_text("mico-boot 1\r\n");
        loader_init(&loader);
        loader_run(&loader);
    } while (loader.aborted);
    return loader.entry;
}
