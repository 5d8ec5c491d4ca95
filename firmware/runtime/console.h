// The console: MLPerf Tiny's text commands and our own; README.md has the table.
#ifndef MICO_CONSOLE_H
#define MICO_CONSOLE_H

void console_boot_lines(void);
void console_run(void); // reads and answers commands; does not return

#endif
