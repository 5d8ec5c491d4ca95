// The console's platform on the SoC, and the end of every trap.
#include "soc.h"

#include "../boot/crc.h"
#include "console.h"
#include "mico_stream.h"
#include "platform.h"
#include "text.h"
#include "uart.h"

#define STACK_CANARY 0x4F43494Du

// From the linker script: the image as it was loaded, and the end of what the program writes.
extern uint8_t __image_start[], __image_end[], __end[];
extern uint32_t __stack_bottom[];

static const char *fault;

uint8_t platform_read(void) {
    return uart_read();
}

void platform_read_bytes(uint8_t *data, uint32_t size) {
    uart_read_bytes(data, size);
}

void platform_write(uint8_t byte) {
    uart_write(byte);
}

uint64_t platform_cycles(void) {
    uint32_t low = TIMER_CYCLES_LO; // latches the high half
    return (uint64_t)TIMER_CYCLES_HI << 32 | low;
}

uint32_t platform_clock_hz(void) {
    return INFO_CLOCK_HZ;
}

void platform_before_lap(void) {
    __asm__ volatile("fence.i" ::: "memory"); // empties the instruction cache
    if (INFO_CPU_KIND == CPU_VEXRISCV) {
        __asm__ volatile(".word 0x0000500F" ::: "memory"); // VexRiscv: empties the (write-through) data cache
    }
}

const char *const platform_counter_names[PLATFORM_COUNTERS] = {
    "cycles",    "engine-busy", "engine-stall", "cfu-ops",   "cfu-wait",     "ibus-transfers",
    "ibus-wait", "dbus-reads",  "dbus-writes",  "dbus-wait", "engine-reads", "engine-writes",
};

int platform_counts(void) {
    PROFILE_CONTROL = PROFILE_ENABLE;
    return PROFILE_CONTROL == PROFILE_ENABLE;
}

void platform_count_start(void) {
    PROFILE_CONTROL = PROFILE_ENABLE | PROFILE_SNAPSHOT | PROFILE_CLEAR;
}

void platform_count_stop(uint32_t counts[PLATFORM_COUNTERS]) {
    PROFILE_CONTROL = PROFILE_ENABLE | PROFILE_SNAPSHOT;
    for (uint32_t i = 0; i < PLATFORM_COUNTERS; i++) counts[i] = PROFILE_COUNTS[i];
}

const char *platform_fault(void) {
    if (!fault && __stack_bottom[0] != STACK_CANARY) fault = "Stack overflow: reset";
    return fault;
}

void platform_info(void) {
    info_hex32("build-id", INFO_BUILD_ID);
    info_u32("clock-hz", INFO_CLOCK_HZ);
    info_text("cpu", INFO_CPU_KIND == CPU_VEXRISCV     ? "vexriscv"
                     : INFO_CPU_KIND == CPU_VEXIIRISCV ? "vexiiriscv"
                                                       : "unknown");
    info_u32("ram-bytes", INFO_RAM_BYTES);
    info_u32("ram-latency", INFO_RAM_LATENCY);
    info_u32("simd-version", INFO_SIMD_VERSION);
    info_u32("simd-kernels", MICO_SIMD);
    info_u32("image-bytes", (uint32_t)(__image_end - __image_start));
    info_hex32("image-crc32", crc32(__image_start, (size_t)(__image_end - __image_start)));
    info_text("fault", platform_fault() ? platform_fault() : "none");
}

// Called by start.S on a fresh stack. The model's state is unknown from here on: no inference until a reset.
void runtime_trap(uint32_t cause, uint32_t pc, uint32_t value) {
    fault = "Trapped before: reset";
    put_end_of_line(); // the trap may have cut a line in two
    put_text("e-[Trap: cause ");
    put_u64(cause);
    put_text(" pc 0x");
    put_hex(pc, 8);
    put_text(" value 0x");
    put_hex(value, 8);
    put_line("]");
    put_line("m-ready");
    console_run();
}

void runtime_main(void) {
    __stack_bottom[0] = STACK_CANARY;
    uart_init();
    if (INFO_MAGIC != 0x4F43494Du) {
        fault = "No info block: not the SoC that this was built for";
    } else if ((uint32_t)(__end - __image_start) > INFO_RAM_BYTES) {
        fault = "The program needs more RAM than there is";
    } else if ((int32_t)INFO_SIMD_VERSION < MICO_SIMD) {
        fault = "Built for a later version of the SIMD unit than this SoC has";
    } else if (MICO_SIMD == 2 && mico_stream_buffer_words() < MICO_STREAM_BUFFER_WORDS) {
        fault = "Built for larger lane buffers than the SIMD unit of this SoC has";
    }
    console_boot_lines();
    console_run();
}
