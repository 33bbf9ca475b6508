/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The whole terminal, by ncurses, and back again.
 */
#ifndef TOOLS_TERMINAL_H
#define TOOLS_TERMINAL_H

/*
 * Takes the terminal over. Until terminal_close() whatever ends the program, but for
 * SIGKILL, gives it back first, and what goes to stderr waits for that. 0, or -1 after
 * saying on stderr what failed.
 */
int terminal_open(void);
void terminal_close(void);

#endif /* TOOLS_TERMINAL_H */
