// Commands of the bench: `receive` takes a case in frames, `bench` checks and times it. README.md has the
// answers.
#include <stddef.h>
#include <string.h>

#include "../boot/crc.h"
#include "../runtime/console.h"
#include "../runtime/platform.h"
#include "../runtime/soc.h"
#include "../runtime/text.h"
#include "bench_case.h"

#define CASE_ALIGNMENT 4096u // of the caches: where the firmware ends shall not matter

extern uint8_t __end[]; // linker script

static struct {
    const struct bench_case *prepared;
    uint32_t crc[BENCH_MAX_LAYERS];
    uint32_t cycles[BENCH_MAX_LAYERS];
    uint32_t counts[BENCH_MAX_LAYERS][PLATFORM_COUNTERS];
} bench;

static uint32_t case_base(void) {
    return ((uint32_t)(uintptr_t)__end + CASE_ALIGNMENT - 1) & ~(CASE_ALIGNMENT - 1);
}

static uint32_t ram_end(void) {
    return INFO_RAM_BASE + INFO_RAM_BYTES;
}

static uint32_t bench_random(uint32_t counter) {
    uint32_t x = counter * 0x9E3779B1u;
    x ^= x >> 15;
    x *= 0x85EBCA77u;
    return x ^ x >> 13;
}

static void prepare(const struct bench_case *c) {
    uint32_t count = *(const uint32_t *)c->payload;
    const struct bench_step *step = (const struct bench_step *)(c->payload + 4);
    for (; count--; step++) {
        const uint32_t *from = step->from;
        for (uint32_t row = 0; row < step->rows; row++) {
            uint8_t *to = step->to + row * step->row_stride;
            uint32_t counter = step->counter + row * step->counter_step;
            for (uint32_t i = 0; i < step->words; i++, to += step->word_stride) {
                *(uint32_t *)to = step->from ? *from++ : bench_random(counter++);
            }
        }
    }
    bench.prepared = c;
}

static void begin_lap(const struct bench_case *c) {
    uint32_t count = *(const uint32_t *)c->payload;
    memcpy(c->input(), c->payload + 4 + count * sizeof(struct bench_step), c->input_bytes);
    platform_before_lap();
}

// The output of every layer summed up as soon as it is there: the next one may reuse its buffer.
static void checked_lap(const struct bench_case *c) {
    begin_lap(c);
    for (uint32_t i = 0; i < c->layer_count; i++) {
        const struct model_layer *layer = &c->layers[i];
        layer->run();
        bench.crc[i] = crc32(layer->output, layer->output_bytes);
    }
}

static void counted_lap(const struct bench_case *c) {
    begin_lap(c);
    for (uint32_t i = 0; i < c->layer_count; i++) {
        platform_count_start();
        c->layers[i].run();
        platform_count_stop(bench.counts[i]);
    }
}

static uint64_t timed_lap(const struct bench_case *c) {
    begin_lap(c);
    uint64_t start = platform_cycles();
    for (uint32_t i = 0; i < c->layer_count; i++) {
        uint32_t before = (uint32_t)platform_cycles();
        c->layers[i].run();
        bench.cycles[i] = (uint32_t)platform_cycles() - before;
    }
    return platform_cycles() - start;
}

static void receive(const char *size) {
    uint32_t bytes = number(size), base = case_base();
    bench.prepared = NULL;
    if (bytes == 0 || bytes == NOT_A_NUMBER || bytes > ram_end() - base) {
        put_error("receive N: 1 to 1000000 bytes, and no more than the RAM has left");
    } else {
        receive_frames((uint8_t *)(uintptr_t)base, base, bytes, bytes);
    }
}

static uint32_t hexadecimal(const char *word) {
    uint32_t value = 0;
    if (word == NULL || *word == 0 || strlen(word) > 8) return NOT_A_NUMBER;
    for (; *word; word++) {
        const char *digits = "0123456789abcdef", *digit = strchr(digits, *word);
        if (digit == NULL) return NOT_A_NUMBER;
        value = value << 4 | (uint32_t)(digit - digits);
    }
    return value;
}

static void run(const struct bench_case *c, uint32_t laps) {
    int counts = platform_counts();
    if (bench.prepared != c) prepare(c);
    checked_lap(c);
    if (counts) counted_lap(c);
    while (laps--) {
        uint64_t cycles = timed_lap(c);
        put_text("m-lap-cycles-[");
        put_u64(cycles);
        put_line("]");
    }
    for (uint32_t i = 0; i < c->layer_count; i++) {
        put_text("m-layer-[");
        put_text(c->layers[i].name);
        put_text("] ");
        put_u64(bench.cycles[i]);
        put_text(" ");
        put_hex(bench.crc[i], 8);
        put_end_of_line();
    }
    if (counts) {
        put_counter_names();
        for (uint32_t i = 0; i < c->layer_count; i++)
            put_counts("m-counts-[", c->layers[i].name, bench.counts[i]);
    }
    put_check();
}

static void bench_command(char *rest) {
    uint32_t address = hexadecimal(next_word(&rest));
    uint32_t laps = number(next_word(&rest));
    const struct bench_case *c = (const struct bench_case *)(uintptr_t)address;
    if (platform_fault()) {
        put_error(platform_fault());
    } else if (laps == 0 || laps > 256 || address % 4 || address < case_base() ||
               address > ram_end() - sizeof(struct bench_case)) {
        put_error("bench ADDRESS LAPS: of a case that was received, in hex; 1 to 256");
    } else if (c->magic != BENCH_MAGIC || c->layer_count == 0 || c->layer_count > BENCH_MAX_LAYERS) {
        put_error("No case there");
    } else {
        run(c, laps);
    }
}

static int execute(char *word, char *rest) {
    if (strcmp(word, "receive") == 0) {
        receive(next_word(&rest));
    } else if (strcmp(word, "bench") == 0) {
        bench_command(rest);
    } else {
        return 0;
    }
    return 1;
}

const struct console_extra console_extra[1] = {{
    "m-[receive N%: a case in frames; bench ADDRESS LAPS%: check it, time it]",
    execute,
}};
