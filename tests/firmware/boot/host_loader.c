// The loader's state machine as a process: frames on stdin, answers on stdout, 64 KiB of heap as its RAM.
// When an image is started it writes the RAM to the file argv[1], says so as a program would, and swallows
// the rest. With argv[2], a descriptor, its line has a rate: it takes any up to 2 Mbaud, says there "AFTER
// BAUD" in a line when it changes it, after so many bytes, and falls back as the boot ROM does.
#define _POSIX_C_SOURCE 200809L
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "../../../firmware/boot/loader.h"

#define RAM_BASE     0x40000000u
#define RAM_BYTES    65536u
#define DEFAULT_BAUD 115200u
#define FALLBACK_MS  1000

static int notices = -1;
static uint32_t baud = DEFAULT_BAUD;
static unsigned long sent;
static int64_t answered_ms;

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static uint32_t accept_baud(void *context, uint32_t wanted) {
    (void)context;
    return notices >= 0 && wanted >= 9600 && wanted <= 2000000 ? wanted : 0;
}

static void set_baud(void *context, uint32_t wanted) {
    (void)context;
    baud = wanted;
    dprintf(notices, "%lu %u\n", sent, (unsigned)baud);
}

static void receive(void *context, uint8_t *data, uint32_t size) {
    while (size) {
        if (baud != DEFAULT_BAUD) {
            struct pollfd wait = {.fd = STDIN_FILENO, .events = POLLIN};
            if (now_ms() - answered_ms > FALLBACK_MS) {
                set_baud(context, DEFAULT_BAUD);
            } else if (poll(&wait, 1, 20) == 0) {
                continue;
            }
        }
        ssize_t n = read(STDIN_FILENO, data, size);
        if (n <= 0) exit(0);
        data += n;
        size -= (uint32_t)n;
    }
}

static void send_bytes(void *context, const uint8_t *data, uint32_t size) {
    (void)context;
    if (write(STDOUT_FILENO, data, size) != (ssize_t)size) exit(0);
    sent += size;
    answered_ms = now_ms();
}

int main(int argc, char **argv) {
    if (argc != 2 && argc != 3) return 2;
    if (argc == 3) notices = atoi(argv[2]);
    uint8_t *ram = malloc(RAM_BYTES); // exactly as large as said: AddressSanitizer sees one byte too far
    struct loader loader = {.memory = ram,
                            .ram_base = RAM_BASE,
                            .ram_bytes = RAM_BYTES,
                            .send = send_bytes,
                            .receive = receive,
                            .accept_baud = accept_baud,
                            .set_baud = set_baud};
    for (uint32_t i = 0; i < RAM_BYTES; i++) ram[i] = 0xEE;
    do {
        loader_init(&loader);
        loader_run(&loader);
    } while (loader.aborted);
    FILE *file = fopen(argv[1], "wb");
    if (!file || fwrite(ram, 1, RAM_BYTES, file) != RAM_BYTES || fclose(file)) return 1;
    free(ram);
    if (baud != DEFAULT_BAUD) set_baud(NULL, DEFAULT_BAUD);
    const char text[] = "m-timestamp-mode-performance\r\nm-init-done\r\nm-ready\r\n";
    send_bytes(0, (const uint8_t *)text, sizeof text - 1);
    for (;;) {
        uint8_t byte;
        receive(0, &byte, 1);
    }
}
