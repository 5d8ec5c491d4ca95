#include "text.h"

#include "../boot/crc.h"
#include "platform.h"

static uint32_t check;

static void put_char(char c) {
    check = crc32_step(check, (uint8_t)c);
    platform_write((uint8_t)c);
}

void check_start(void) {
    check = CRC32_INIT;
}

void put_check(void) {
    uint32_t value = ~check;
    put_text("m-check-[");
    put_hex(value, 8);
    put_line("]");
}

void put_text(const char *text) {
    while (*text) put_char(*text++);
}

void put_u64(uint64_t value) {
    char digits[20];
    int n = 0;
    do {
        digits[n++] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    while (n) put_char(digits[--n]);
}

void put_i32(int32_t value) {
    if (value < 0) put_char('-');
    put_u64(value < 0 ? 0u - (uint32_t)value : (uint32_t)value);
}

void put_hex(uint32_t value, int digits) {
    for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) {
        put_char("0123456789abcdef"[value >> shift & 15]);
    }
}

void put_end_of_line(void) {
    put_text("\r\n");
}

void put_line(const char *text) {
    put_text(text);
    put_end_of_line();
}

void put_error(const char *text) {
    put_text("e-[");
    put_text(text);
    put_line("]");
}

static void info_key(const char *key) {
    put_text("m-info-[");
    put_text(key);
    put_text("=");
}

void info_text(const char *key, const char *value) {
    info_key(key);
    put_text(value);
    put_line("]");
}

void info_u32(const char *key, uint32_t value) {
    info_key(key);
    put_u64(value);
    put_line("]");
}

void info_hex32(const char *key, uint32_t value) {
    info_key(key);
    put_hex(value, 8);
    put_line("]");
}
