// libFuzzer on the console: whatever comes, every command is answered by lines that end in m-ready, and what
// is answered as checked bears its CRC-32. The console's file is included, so that its state can be reset.
#include <setjmp.h>
#include <stdio.h>

#include "../../../firmware/runtime/console.c"
#include "stream.h"

#define MAX_FUZZ_LAPS 300u // an input may ask for a million

static const char *const commands[] = {
    "name%",      "profile%",     "timestamp%", "db load 40%", "db print%",   "load 40%",
    "infer 1 1%", "infer 300 0%", "infer%",     "results%",    "logits%",     "laps%",
    "layers%",    "info%",        "counters%",  "help%",       "db 00112233", "db ",
    "infer ",     "load ",        "%",          " ",           "db load ",    "99999999999",
};

static struct fuzz_stream stream;
static jmp_buf end_of_stream;
static uint64_t now;
static uint32_t fuzz_laps;
static char line[512];
static uint32_t line_length;
static uint32_t answered;

static void must(int condition) {
    if (!condition) __builtin_trap();
}

uint8_t platform_read(void) {
    uint8_t byte;
    platform_read_bytes(&byte, 1);
    return byte;
}

void platform_read_bytes(uint8_t *data, uint32_t size) {
    if (stream.size - stream.next < size) longjmp(end_of_stream, 1);
    memcpy(data, stream.bytes + stream.next, size);
    stream.next += size;
}

void platform_write(uint8_t byte) {
    if (byte == '\n') {
        if (line_length >= 8 && memcmp(line + line_length - 8, "m-ready\r", 8) == 0) answered++;
        line_length = 0;
        return;
    }
    if (line_length == sizeof line) line_length = 0; // frames of load% have no lines
    line[line_length++] = (char)byte;
}

uint64_t platform_cycles(void) {
    return now += 7;
}

uint32_t platform_clock_hz(void) {
    return 1000000u;
}

void platform_before_lap(void) {
    if (++fuzz_laps > MAX_FUZZ_LAPS) longjmp(end_of_stream, 2);
}

const char *const platform_counter_names[PLATFORM_COUNTERS] = {"a", "b", "c", "d", "e", "f",
                                                               "g", "h", "i", "j", "k", "l"};
int platform_counts(void) {
    return 1;
}
void platform_count_start(void) {}
void platform_count_stop(uint32_t counts[PLATFORM_COUNTERS]) {
    for (uint32_t i = 0; i < PLATFORM_COUNTERS; i++) counts[i] = 0xFFFFFFFFu;
}

const char *platform_fault(void) {
    return NULL;
}

void platform_info(void) {}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    memset(&console, 0, sizeof console);
    memset(&inference, 0, sizeof inference);
    fuzz_laps = line_length = answered = 0;
    now = 0;
    fuzz_make_stream(&stream, data, size, 0, commands, sizeof commands / sizeof *commands);
    int ended = setjmp(end_of_stream);
    if (ended == 0) {
        console_run();
    } else if (ended == 1) {
        // The stream ended where a command was awaited, or within a load. A whole command was answered.
        must(answered != 0 || memchr(stream.bytes, '%', stream.size) == NULL ||
             console.loader.receive != NULL);
        must(console.length < COMMAND_BYTES && console.loaded <= MODEL_INPUT_BYTES);
    }
    return 0;
}
