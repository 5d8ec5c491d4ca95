// Text to the console's line: what printf would do, without its size, buffers and locale.
#ifndef MICO_TEXT_H
#define MICO_TEXT_H

#include <stdint.h>

// The text since check_start() is summed up: put_check() closes an answer with m-check-[its CRC-32].
void check_start(void);
void put_check(void);

void put_text(const char *text);
void put_u64(uint64_t value);
void put_i32(int32_t value);
void put_hex(uint32_t value, int digits); // lower case, leading zeros
void put_end_of_line(void);
void put_line(const char *text);  // text and end of line
void put_error(const char *text); // e-[text]

// m-info-[key=value]
void info_text(const char *key, const char *value);
void info_u32(const char *key, uint32_t value);
void info_hex32(const char *key, uint32_t value);

#endif
