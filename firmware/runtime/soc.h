// Registers of the SoC: the memory map of rtl/soc/README.md.
#ifndef MICO_SOC_H
#define MICO_SOC_H

#include <stdint.h>

#define SOC_REG(address) (*(volatile uint32_t *)(uintptr_t)(address))

#define INFO_MAGIC        SOC_REG(0xF0000000u)
#define INFO_BUILD_ID     SOC_REG(0xF0000004u)
#define INFO_CLOCK_HZ     SOC_REG(0xF0000008u)
#define INFO_CPU_KIND     SOC_REG(0xF000000Cu)
#define INFO_RAM_BYTES    SOC_REG(0xF0000010u)
#define INFO_SIMD_VERSION SOC_REG(0xF0000014u)
#define INFO_RAM_LATENCY  SOC_REG(0xF0000018u)
#define INFO_RAM_BASE     SOC_REG(0xF000001Cu)

#define CPU_VEXRISCV   1u
#define CPU_VEXIIRISCV 2u

#define UART_DATA    SOC_REG(0xF0001000u)
#define UART_STATUS  SOC_REG(0xF0001004u)
#define UART_DIVISOR SOC_REG(0xF0001008u)

#define UART_RX_READY (1u << 0)
#define UART_TX_READY (1u << 1)
#define UART_TX_IDLE  (1u << 4)

#define TIMER_CYCLES_LO SOC_REG(0xF0002000u)
#define TIMER_CYCLES_HI SOC_REG(0xF0002004u) // latched by reading CYCLES_LO

#define PROFILE_CONTROL SOC_REG(0xF0004000u)
#define PROFILE_COUNTS  (&SOC_REG(0xF0004004u)) // as they were at the last snapshot

#define PROFILE_ENABLE   (1u << 0)
#define PROFILE_SNAPSHOT (1u << 1)
#define PROFILE_CLEAR    (1u << 2)

#endif
