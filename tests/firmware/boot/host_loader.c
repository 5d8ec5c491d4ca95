// The loader's state machine as a process: frames on stdin, answers on stdout, 64 KiB of heap as its RAM.
// When an image is started it writes the RAM to the file argv[1], says so as a program would, and swallows
// the rest.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../../firmware/boot/loader.h"

#define RAM_BASE  0x40000000u
#define RAM_BYTES 65536u

static void receive(void *context, uint8_t *data, uint32_t size) {
    (void)context;
    while (size) {
        ssize_t n = read(STDIN_FILENO, data, size);
        if (n <= 0) exit(0);
        data += n;
        size -= (uint32_t)n;
    }
}

static void send_bytes(void *context, const uint8_t *data, uint32_t size) {
    (void)context;
    if (write(STDOUT_FILENO, data, size) != (ssize_t)size) exit(0);
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    uint8_t *ram = malloc(RAM_BYTES); // exactly as large as said: AddressSanitizer sees one byte too far
    struct loader loader = {
        .memory = ram, .ram_base = RAM_BASE, .ram_bytes = RAM_BYTES, .send = send_bytes, .receive = receive};
    for (uint32_t i = 0; i < RAM_BYTES; i++) ram[i] = 0xEE;
    do {
        loader_init(&loader);
        loader_run(&loader);
    } while (loader.aborted);
    FILE *file = fopen(argv[1], "wb");
    if (!file || fwrite(ram, 1, RAM_BYTES, file) != RAM_BYTES || fclose(file)) return 1;
    free(ram);
    const char text[] = "m-timestamp-mode-performance\r\nm-init-done\r\nm-ready\r\n";
    send_bytes(0, (const uint8_t *)text, sizeof text - 1);
    for (;;) {
        uint8_t byte;
        receive(0, &byte, 1);
    }
}
