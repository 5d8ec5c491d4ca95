// The console's platform as a process of the host: stdin and stdout in place of the UART, nanoseconds in
// place of cycles.
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "console.h"
#include "platform.h"
#include "text.h"

uint8_t platform_read(void) {
    uint8_t byte;
    if (read(STDIN_FILENO, &byte, 1) != 1) exit(0);
    return byte;
}

void platform_read_bytes(uint8_t *data, uint32_t size) {
    for (uint32_t i = 0; i < size; i++) data[i] = platform_read();
}

void platform_write(uint8_t byte) {
    if (write(STDOUT_FILENO, &byte, 1) != 1) exit(0);
}

uint64_t platform_cycles(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint32_t platform_clock_hz(void) {
    return 1000000000u;
}

void platform_before_lap(void) {}

// A host's process has none.
const char *const platform_counter_names[PLATFORM_COUNTERS];

int platform_counts(void) {
    return 0;
}

void platform_count_start(void) {}

void platform_count_stop(uint32_t counts[PLATFORM_COUNTERS]) {
    (void)counts;
}

const char *platform_fault(void) {
    return NULL;
}

void platform_info(void) {
    info_text("cpu", "host");
    info_u32("clock-hz", platform_clock_hz());
}

int main(void) {
    console_boot_lines();
    console_run();
}
