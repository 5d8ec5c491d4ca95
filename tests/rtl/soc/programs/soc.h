/* Registers of the SoC and a few helpers for test programs. Not the product's runtime. */
#pragma once

#include <stdint.h>

#define REG(address)   (*(volatile uint32_t *)(address))
#define INFO(i)        REG(0xF0000000u + 4u * (i))
#define UART_DATA      REG(0xF0001000u)
#define UART_STATUS    REG(0xF0001004u)
#define UART_DIVISOR   REG(0xF0001008u)
#define UART_INTERRUPT REG(0xF000100Cu)
#define CYCLES_LO      REG(0xF0002000u)
#define CYCLES_HI      REG(0xF0002004u)
#define COMPARE_LO     REG(0xF0002008u)
#define COMPARE_HI     REG(0xF000200Cu)
#define SOFTWARE       REG(0xF0002010u)
#define GPIO_OUT       REG(0xF0003000u)
#define GPIO_IN        REG(0xF0003004u)

#define CUSTOM0(funct3, funct7, a, b)                                                                        \
    ({                                                                                                       \
        uint32_t rd_;                                                                                        \
        __asm__ volatile(".insn r CUSTOM_0, " #funct3 ", " #funct7 ", %0, %1, %2"                            \
                         : "=r"(rd_)                                                                         \
                         : "r"(a), "r"(b));                                                                  \
        rd_;                                                                                                 \
    })
#define CSR_READ(csr)                                                                                        \
    ({                                                                                                       \
        uint32_t value_;                                                                                     \
        __asm__ volatile("csrr %0, " #csr : "=r"(value_));                                                   \
        value_;                                                                                              \
    })
#define CSR_WRITE(csr, value) __asm__ volatile("csrw " #csr ", %0" ::"r"(value))

static inline void put(char c) {
    while (!(UART_STATUS & 2u)) {
    }
    UART_DATA = (uint8_t)c;
}

static inline uint8_t get(void) {
    while (!(UART_STATUS & 1u)) {
    }
    return (uint8_t)UART_DATA;
}

static inline void print(const char *text) {
    while (*text) put(*text++);
}

/* "name hhhhhhhh\n" */
static inline void show(const char *name, uint32_t value) {
    print(name);
    put(' ');
    for (int i = 28; i >= 0; i -= 4) put("0123456789abcdef"[(value >> i) & 15u]);
    put('\n');
}

void on_trap(uint32_t cause, uint32_t pc);
