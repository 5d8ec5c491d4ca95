// A board as a process: the boot loader and then the console of the hand-made model, both as they run on the
// SoC, with a pty or pipes in place of the UART. An image is data here, not code: its CRC-32 decides how many
// cycles everything takes, so that a wrong image shows as a wrong number. The same image always takes the
// same.
#include <stdlib.h>
#include <unistd.h>

#include "../../../firmware/boot/crc.h"
#include "../../../firmware/boot/loader.h"
#include "../../../firmware/runtime/console.h"
#include "../../../firmware/runtime/platform.h"
#include "../../../firmware/runtime/text.h"

#define RAM_BASE  0x40000000u
#define RAM_BYTES 65536u

static uint8_t *ram;
static uint32_t image_bytes, image_crc32, step;
static uint64_t cycles;

uint8_t platform_read(void) {
    uint8_t byte;
    platform_read_bytes(&byte, 1);
    return byte;
}

void platform_read_bytes(uint8_t *data, uint32_t size) {
    while (size) {
        ssize_t n = read(STDIN_FILENO, data, size);
        if (n <= 0) exit(0);
        data += n;
        size -= (uint32_t)n;
    }
}

void platform_write(uint8_t byte) {
    if (write(STDOUT_FILENO, &byte, 1) != 1) exit(0);
}

uint64_t platform_cycles(void) {
    return cycles += step;
}

uint32_t platform_clock_hz(void) {
    return 1000000u;
}

void platform_before_lap(void) {}

const char *const platform_counter_names[PLATFORM_COUNTERS];
int platform_counts(void) {
    return 0;
}
void platform_count_start(void) {}
void platform_count_stop(uint32_t counts[PLATFORM_COUNTERS]) {
    (void)counts;
}

const char *platform_fault(void) {
    return crc32(ram, image_bytes) == image_crc32 ? NULL : "The image has changed";
}

void platform_info(void) {
    info_text("cpu", "host-board");
    info_text("build-id", "b0a4db0a");
    info_u32("clock-hz", platform_clock_hz());
    info_u32("image-bytes", image_bytes);
    info_hex32("image-crc32", crc32(ram, image_bytes));
    info_text("fault", platform_fault() ? platform_fault() : "none");
}

// tamper%: RAM that does not keep what was loaded.
static int tamper(char *word, char *rest) {
    (void)rest;
    if (word[0] != 't' || word[1] != 'a') return 0;
    ram[image_bytes / 2] ^= 1;
    return 1;
}

const struct console_extra console_extra[1] = {{"m-[tamper%: one bit of the image]", tamper}};

static void receive(void *context, uint8_t *data, uint32_t size) {
    (void)context;
    platform_read_bytes(data, size);
}

static void send_bytes(void *context, const uint8_t *data, uint32_t size) {
    (void)context;
    if (write(STDOUT_FILENO, data, size) != (ssize_t)size) exit(0);
}

int main(void) {
    static const char greeting[] = "mico-boot 1\r\n";
    ram = malloc(RAM_BYTES); // exactly as large as said: AddressSanitizer sees one byte too far
    if (!ram) return 1;
    for (uint32_t i = 0; i < RAM_BYTES; i++) ram[i] = 0xEE;
    struct loader loader = {
        .memory = ram, .ram_base = RAM_BASE, .ram_bytes = RAM_BYTES, .send = send_bytes, .receive = receive};
    do {
        send_bytes(NULL, (const uint8_t *)greeting, sizeof greeting - 1);
        loader_init(&loader);
        loader_run(&loader);
    } while (loader.aborted);
    image_bytes = read_u32(loader.reader.payload + 4); // of END
    image_crc32 = read_u32(loader.reader.payload + 8);
    step = 100 + image_crc32 % 10007;
    console_boot_lines();
    console_run();
}
