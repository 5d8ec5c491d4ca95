// See console.h. Every command, right or wrong, is answered with zero or more lines and then "m-ready".
#include "console.h"

#include <string.h>

#include "../boot/loader.h"
#include "inference.h"
#include "platform.h"
#include "text.h"

#define COMMAND_BYTES 80u // the closing % included
#define MAX_COUNT     1000000u

static struct {
    char command[COMMAND_BYTES];
    uint32_t length;
    uint32_t too_long;
    uint32_t not_ascii;
    uint32_t loading;     // db load has been accepted, bytes are still missing
    uint32_t loaded;      // bytes of the input so far
    struct loader loader; // for load%
} console;

static void put_lap_us(uint64_t cycles) {
    uint64_t clock_hz = platform_clock_hz();
    put_text("m-lap-us-");
    put_u64(cycles / clock_hz * 1000000u + cycles % clock_hz * 1000000u / clock_hz);
    put_end_of_line();
}

void console_boot_lines(void) {
    put_line("m-timestamp-mode-performance");
    put_lap_us(platform_cycles());
    put_line("m-init-done");
    put_line("m-ready");
}

// ---- words of a command

char *next_word(char **rest) {
    char *word = *rest;
    while (*word == ' ') word++;
    if (*word == 0) return NULL;
    char *end = word;
    while (*end && *end != ' ') end++;
    if (*end) *end++ = 0;
    *rest = end;
    return word;
}

uint32_t number(const char *word) {
    uint32_t value = 0;
    if (word == NULL || *word == 0) return NOT_A_NUMBER;
    for (; *word; word++) {
        if (*word < '0' || *word > '9') return NOT_A_NUMBER;
        value = 10 * value + (uint32_t)(*word - '0');
        if (value > MAX_COUNT) return NOT_A_NUMBER;
    }
    return value;
}

static int nibble(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

// ---- the input: db (hex, MLPerf) and load (binary frames)

// Takes the N of "db load N" and "load N"; answers an error unless it is the size of the model's input.
static int size_is_right(const char *word) {
    uint32_t size = number(word);
    if (size == MODEL_INPUT_BYTES) return 1;
    put_text("e-[The input of this model has ");
    put_u64(MODEL_INPUT_BYTES);
    put_line(" bytes]");
    return 0;
}

static void put_expecting(uint32_t bytes) {
    put_text("m-[Expecting ");
    put_u64(bytes);
    put_line(" bytes]");
}

static void db_load(const char *size) {
    if (!size_is_right(size)) return;
    console.loading = 1;
    console.loaded = 0;
    put_expecting(MODEL_INPUT_BYTES);
}

static void db_hex(const char *hex) {
    size_t digits = strlen(hex);
    if (!console.loading) {
        put_error("No bytes expected: db load N first");
    } else if (digits % 2) {
        put_error("Odd number of hex digits");
    } else if (digits / 2 > MODEL_INPUT_BYTES - console.loaded) {
        put_error("More bytes than db load announced");
    } else {
        for (size_t i = 0; i < digits; i++) {
            if (nibble(hex[i]) < 0) {
                put_error("Not a hex digit");
                return;
            }
        }
        for (size_t i = 0; i < digits; i += 2) {
            inference.input[console.loaded++] = (uint8_t)(nibble(hex[i]) << 4 | nibble(hex[i + 1]));
        }
        if (console.loaded == MODEL_INPUT_BYTES) {
            console.loading = 0;
            put_line("m-load-done");
        }
    }
}

static void db_print(void) {
    if (console.loaded == 0) {
        put_error("The input is empty");
        return;
    }
    put_text("m-buffer");
    for (uint32_t i = 0; i < console.loaded; i++) {
        put_text("-");
        put_hex(inference.input[i], 2);
    }
    put_end_of_line();
}

static void db(char *rest) {
    char *word = next_word(&rest);
    if (word == NULL) {
        put_error("db load N, db HH.. or db print");
    } else if (strcmp(word, "load") == 0) {
        db_load(next_word(&rest));
    } else if (strcmp(word, "print") == 0) {
        db_print();
    } else {
        db_hex(word);
    }
}

static void send_bytes(void *context, const uint8_t *data, uint32_t size) {
    (void)context;
    for (uint32_t i = 0; i < size; i++) platform_write(data[i]);
}

static void receive_bytes(void *context, uint8_t *data, uint32_t size) {
    (void)context;
    platform_read_bytes(data, size);
}

int receive_frames(uint8_t *memory, uint32_t base, uint32_t bytes, uint32_t expected) {
    struct loader *loader = &console.loader;
    loader->memory = memory;
    loader->ram_base = base;
    loader->ram_bytes = bytes;
    loader->send = send_bytes;
    loader->receive = receive_bytes;
    loader->accept_baud = NULL;
    loader->set_baud = NULL;
    loader_init(loader);
    put_expecting(expected);
    loader_run(loader);
    if (loader->started) {
        put_line("m-load-done");
    } else {
        put_error("Load aborted");
    }
    return loader->started;
}

// The boot protocol again, with the input as the memory: base 0, entry 0.
static void load(const char *size) {
    if (!size_is_right(size)) return;
    console.loading = 0;
    console.loaded = 0;
    if (receive_frames(inference.input, 0, MODEL_INPUT_BYTES, MODEL_INPUT_BYTES))
        console.loaded = MODEL_INPUT_BYTES;
}

// ---- inference and what is known of it

static int has_run(void) {
    if (inference.laps == 0) put_error("No inference has run");
    return inference.laps != 0;
}

static void results(void) {
    if (!has_run()) return;
    const int32_t *output = model_output();
    put_text("m-results-[");
    for (uint32_t i = 0; i < MODEL_OUTPUT_COUNT; i++) {
        if (i) put_text(",");
        put_i32(output[i]);
        put_text(".000");
    }
    put_line("]");
}

static void logits(void) {
    if (!has_run()) return;
    const int32_t *output = model_output();
    put_text("m-logits-[");
    for (uint32_t i = 0; i < MODEL_OUTPUT_COUNT; i++) {
        if (i) put_text(",");
        put_i32(output[i]);
    }
    put_line("]");
    put_check();
}

static void put_lap_cycles(void) {
    for (uint32_t i = 0; i < inference.laps && i < MAX_LAPS; i++) {
        put_text("m-lap-cycles-[");
        put_u64(inference.lap_cycles[i]);
        put_line("]");
    }
}

static void laps(void) {
    if (!has_run()) return;
    put_lap_cycles();
    put_check();
}

static void infer(char *rest) {
    const char *first = next_word(&rest), *second = next_word(&rest);
    uint32_t count = first ? number(first) : 1;
    uint32_t warmup = second ? number(second) : 10;
    const char *fault = platform_fault();
    if (fault) {
        put_error(fault);
    } else if (count == 0 || count == NOT_A_NUMBER || warmup == NOT_A_NUMBER) {
        put_error("infer N W: N from 1 and W from 0 to 1000000");
    } else if (console.loaded != MODEL_INPUT_BYTES) {
        put_error("No input: db load or load first");
    } else {
        put_text("m-warmup-start-");
        put_u64(warmup);
        put_end_of_line();
        put_line("m-warmup-done");
        put_text("m-infer-start-");
        put_u64(count);
        put_end_of_line();
        inference_run(count, warmup);
        put_lap_us(inference.start_cycles);
        put_lap_us(inference.end_cycles);
        put_lap_cycles();
        put_line("m-infer-done");
        fault = platform_fault();
        if (fault) {
            inference.laps = 0;
            put_error(fault);
        } else {
            results();
        }
    }
}

// Layers of the last lap; what they leave of the total is glue.
static void layers(void) {
    if (!has_run()) return;
    uint64_t total = inference.lap_cycles[(inference.laps < MAX_LAPS ? inference.laps : MAX_LAPS) - 1];
    uint64_t sum = 0;
    for (uint32_t i = 0; i < MODEL_LAYER_COUNT; i++) {
        sum += inference.layer_cycles[i];
        put_text("m-layer-[");
        put_text(model_layers[i].name);
        put_text("] ");
        put_u64(inference.layer_cycles[i]);
        put_end_of_line();
    }
    put_text("m-glue ");
    put_u64(total - sum);
    put_end_of_line();
    put_text("m-total ");
    put_u64(total);
    put_end_of_line();
    put_check();
}

// One more lap, with the hardware's counters around every layer.
static void counters(void) {
    if (!has_run()) return;
    if (!platform_counts()) {
        put_error("No profiling counters here");
        return;
    }
    inference_count();
    put_counter_names();
    for (uint32_t i = 0; i < MODEL_LAYER_COUNT; i++) {
        put_counts("m-counts-[", model_layers[i].name, inference.layer_counts[i]);
    }
    put_check();
}

void put_counter_names(void) {
    put_text("m-counters-[");
    for (uint32_t i = 0; i < PLATFORM_COUNTERS; i++) {
        if (i) put_text(",");
        put_text(platform_counter_names[i]);
    }
    put_line("]");
}

void put_counts(const char *start, const char *name, const uint32_t *counts) {
    put_text(start);
    put_text(name);
    put_text("] ");
    for (uint32_t i = 0; i < PLATFORM_COUNTERS; i++) {
        if (i) put_text(",");
        put_u64(counts[i]);
    }
    put_end_of_line();
}

static void info(void) {
    info_text("firmware", "mico 1");
    info_text("model", MODEL_NAME);
    info_text("model-id", MODEL_ID);
    info_u32("input-bytes", MODEL_INPUT_BYTES);
    info_u32("input-signed", MODEL_INPUT_SIGNED);
    info_u32("output-count", MODEL_OUTPUT_COUNT);
    info_u32("layer-count", MODEL_LAYER_COUNT);
    platform_info();
    put_check();
}

static void help(void) {
    put_line("m-[name% profile% timestamp% help%]");
    put_line("m-[db load N%, db HH..%, db print%: input in hex; load N%: input in frames]");
    put_line("m-[infer N W%: N timed laps after W (default 10) to warm up; results% logits% laps%]");
    put_line("m-[layers%: cycles of each layer of the last lap; counters%: of one more lap, what each layer "
             "does]");
    put_line("m-[info%: what runs here, and on what]");
    if (console_extra) put_line(console_extra->help);
}

static void execute(char *rest) {
    check_start();
    char *word = next_word(&rest);
    if (word == NULL) {
        put_error("Empty command");
    } else if (strcmp(word, "name") == 0) {
        put_line("m-name-dut-[MICO]");
    } else if (strcmp(word, "profile") == 0) {
        put_line("m-profile-[ULPMark for tinyML Firmware V0.0.1]");
        put_line("m-model-[" MODEL_NAME "]");
    } else if (strcmp(word, "timestamp") == 0) {
        put_lap_us(platform_cycles());
    } else if (strcmp(word, "db") == 0) {
        db(rest);
    } else if (strcmp(word, "load") == 0) {
        load(next_word(&rest));
    } else if (strcmp(word, "infer") == 0) {
        infer(rest);
    } else if (strcmp(word, "results") == 0) {
        results();
    } else if (strcmp(word, "logits") == 0) {
        logits();
    } else if (strcmp(word, "laps") == 0) {
        laps();
    } else if (strcmp(word, "layers") == 0) {
        layers();
    } else if (strcmp(word, "counters") == 0) {
        counters();
    } else if (strcmp(word, "info") == 0) {
        info();
    } else if (strcmp(word, "help") == 0) {
        help();
    } else if (console_extra && console_extra->execute(word, rest)) {
        // answered
    } else {
        put_text("e-[Unknown command: ");
        put_text(word);
        put_line("]");
    }
}

void console_run(void) {
    console.length = console.too_long = console.not_ascii = 0;
    for (;;) {
        char c = (char)platform_read();
        if (c == '%') {
            console.command[console.length] = 0;
            if (console.too_long) {
                put_error("Command of more than 80 characters");
            } else if (console.not_ascii) {
                put_error("Command is not printable ASCII");
            } else {
                execute(console.command);
            }
            put_line("m-ready");
            console.length = console.too_long = console.not_ascii = 0;
        } else if ((unsigned char)c >= 0x7F) {
            console.not_ascii = 1;
        } else if ((unsigned char)c >= ' ') { // control characters, line ends among them, are ignored
            if (console.length < COMMAND_BYTES - 1) {
                console.command[console.length++] = c;
            } else {
                console.too_long = 1;
            }
        }
    }
}
