/* SPDX-License-Identifier: GPL-2.0 */
/*
 * SIGINT and SIGTERM as a wish that long work looks at. A second signal kills.
 */
#ifndef TOOLS_STOP_H
#define TOOLS_STOP_H

/* From now on SIGINT and SIGTERM only set what stop_signal() returns. */
void stop_catch(void);

/* The signal that came, 0 if none did. */
int stop_signal(void);

/* Sleeps until a signal has come. Returns it. */
int stop_wait(void);

#endif /* TOOLS_STOP_H */
