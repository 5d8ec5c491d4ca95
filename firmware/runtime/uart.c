#include "uart.h"

#include "soc.h"

void uart_init(void) {
    UART_DIVISOR = (INFO_CLOCK_HZ + UART_BAUD / 2) / UART_BAUD;
}

uint8_t uart_read(void) {
    while (!(UART_STATUS & UART_RX_READY)) {
    }
    return (uint8_t)UART_DATA;
}

void uart_read_bytes(uint8_t *data, uint32_t size) {
    for (uint32_t i = 0; i < size; i++) data[i] = uart_read();
}

void uart_write(uint8_t byte) {
    while (!(UART_STATUS & UART_TX_READY)) {
    }
    UART_DATA = byte;
}

void uart_text(const char *text) {
    while (*text) uart_write((uint8_t)*text++);
}

void uart_hex32(uint32_t value) {
    uart_text("0x");
    for (int shift = 28; shift >= 0; shift -= 4)
        uart_write((uint8_t) "0123456789abcdef"[value >> shift & 15]);
}
