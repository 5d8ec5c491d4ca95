// Plays a script of stream_bench.sv to the host model of mico_stream.h; exits 1 at the first difference.
// Usage: host_player SCRIPT LANES BUFFER_WORDS RAM_BYTES. Records of version 1 are skipped.
#include "mico_stream.h"

#include <stdio.h>
#include <stdlib.h>

static FILE *script;

static uint32_t next_word(void) {
    uint8_t b[4] = {0};
    if (fread(b, 1, 4, script) != 4) exit(3);
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

int main(int argc, char **argv) {
    if (argc != 5 || !(script = fopen(argv[1], "rb"))) return 2;
    uint32_t bytes = (uint32_t)strtoul(argv[4], NULL, 0), records = 0, checked = 0;
    uint8_t *ram = calloc(bytes, 1);
    mico_stream_host_size((uint32_t)atoi(argv[2]), (uint32_t)atoi(argv[3]));
    mico_stream_host_ram(ram, 0x40000000, bytes);
    for (uint32_t kind; (kind = next_word()) != 0;) {
        records++;
        if (kind == 1) {
            uint32_t function = next_word(), rs1 = next_word(), rs2 = next_word();
            uint32_t rd = next_word(), check = next_word();
            if (function >> 3 & 15) continue;
            uint32_t answer = mico_stream_execute(function >> 3, function & 7, rs1, rs2);
            checked++;
            if (check && answer != rd) {
                printf("record %u: answered %08x, not %08x\n", records, answer, rd);
                return 1;
            }
        } else if (kind == 4) {
            for (int i = 0; i < 4; i++) next_word();
        } else {
            uint32_t count = next_word();
            for (uint32_t i = 0; i < 4 * count; i += 4) {
                uint32_t word = next_word();
                uint32_t here = (uint32_t)ram[i + 3] << 24 | (uint32_t)ram[i + 2] << 16 |
                                (uint32_t)ram[i + 1] << 8 | ram[i];
                for (uint32_t b = 0; kind == 2 && b < 4; b++) ram[i + b] = (uint8_t)(word >> (8 * b));
                if (kind == 3 && here != word) {
                    printf("record %u: byte %u on is %08x, not %08x\n", records, i, here, word);
                    return 1;
                }
            }
            checked++;
        }
    }
    free(ram);
    fclose(script);
    printf("%u\n", checked);
    return 0;
}
