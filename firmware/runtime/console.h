// The console: MLPerf Tiny's text commands and our own; README.md has the table.
#ifndef MICO_CONSOLE_H
#define MICO_CONSOLE_H

#include <stdint.h>

void console_boot_lines(void);
void console_run(void); // reads and answers commands; does not return

// Commands that a program adds by defining `console_extra`; null where none does.
struct console_extra {
    const char *help;                       // a line of help%
    int (*execute)(char *word, char *rest); // answers the command `word`; 0 if it does not know it
};
extern const struct console_extra console_extra[1] __attribute__((weak));

// ---- for such commands

#define NOT_A_NUMBER 0xFFFFFFFFu

char *next_word(char **rest);      // cuts a word off at spaces; null at the end
uint32_t number(const char *word); // decimal, up to 1,000,000

// Announces `expected` bytes and takes them in frames: what the host addresses as base .. base + bytes is
// `memory`. Answers m-load-done and 1, or an error and 0.
int receive_frames(uint8_t *memory, uint32_t base, uint32_t bytes, uint32_t expected);

void put_counter_names(void);                                                 // m-counters-[name,...]
void put_counts(const char *start, const char *name, const uint32_t *counts); // start, name, "] ", counts

#endif
