// What the console needs of the machine below it: the SoC (soc.c) or a process on a host (host.c).
#ifndef MICO_PLATFORM_H
#define MICO_PLATFORM_H

#include <stdint.h>

uint8_t platform_read(void);                            // waits for a byte
void platform_read_bytes(uint8_t *data, uint32_t size); // waits for all of them
void platform_write(uint8_t byte);
uint64_t platform_cycles(void);
uint32_t platform_clock_hz(void);

// Brings the caches into one defined state, so that a lap's cycles do not depend on what ran before it.
void platform_before_lap(void);

// Profiling counters of the hardware: what happens between start and stop, each modulo 2^32.
#define PLATFORM_COUNTERS 12u
extern const char *const platform_counter_names[PLATFORM_COUNTERS];
int platform_counts(void); // whether there are any
void platform_count_start(void);
void platform_count_stop(uint32_t counts[PLATFORM_COUNTERS]);

// Why no inference may run now ("Trapped before: reset"), or NULL.
const char *platform_fault(void);

// Prints the m-info lines that concern the machine.
void platform_info(void);

#endif
