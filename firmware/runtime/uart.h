// The UART, polled: 8N1. Used by the boot ROM and by the runtime.
#ifndef MICO_UART_H
#define MICO_UART_H

#include <stdint.h>

#define UART_BAUD 115200u

void uart_init(void);
uint8_t uart_read(void);                            // waits
void uart_read_bytes(uint8_t *data, uint32_t size); // waits for all of them
void uart_write(uint8_t byte);
void uart_text(const char *text);
void uart_hex32(uint32_t value);

#endif
