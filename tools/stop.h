/* SPDX-License-Identifier: GPL-2.0 */
/*
 * SIGINT and SIGTERM as a wish that long work looks at. A second signal kills.
 */
#ifndef TOOLS_STOP_H
#define TOOLS_STOP_H

/* From now on SIGINT and SIGTERM only set what stop_signal() returns. */
void stop_catch(void);

/*
 * After stop_catch(): @handler is called for the second signal, which it is to die of; NULL: the
 * second kills again.
 */
void stop_second(void (*handler)(int number));

/* The signal that came, 0 if none did. */
int stop_signal(void);

/* Sleeps until a signal has come. Returns it. */
int stop_wait(void);

/*
 * Sleeps until @fd (-1: none) can be read from or is at its end, or @seconds (below 0: any
 * time) are over, or a signal has come, be it before. 1 if there is something to read, else
 * 0; -1 with errno.
 */
int stop_poll(int fd, double seconds);

#endif /* TOOLS_STOP_H */
