/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A pressure that the test makes up, and time to wait for what is done by itself.
 *
 * Programs that use it are linked with --wrap for bm_pressure_read() and
 * bm_pressure_stall_fd().
 */
#ifndef BITMEM_PRESSURE_TEST_H
#define BITMEM_PRESSURE_TEST_H

#include <pthread.h>
#include <stdbool.h>
#include <unistd.h>

#include <bitmem/pressure.h>

/* From now on so much of the memory is in use. */
void test_set_usage(unsigned int percent);

/* The next keeper that looks polls @fd for stalls, and closes it in the end. */
void test_set_stall_fd(int fd);

/* How often the library has read that. */
unsigned int test_readings(void);

/* Waits until the library has read it @n times more. */
bool test_wait_readings(unsigned int n);

/* Whether this process has a thread of the library's. */
bool test_has_keeper(void);

/* The "NAME: value" of the library's thread in its status; empty if there is none. */
void test_keeper_status(const char *name, char value[64]);

/* A strategy with @flags that does everything as soon as it may. */
struct bitmem_strategy test_strategy(unsigned int flags);

/* What went back; all 0xff if it cannot be had. */
struct bitmem_strategy_stats test_returns(struct bitmem *ctx);

/* Waits until the condition holds, for longer than the slowest machine needs. */
#define WAIT_FOR(condition) ({ \
	bool good_; \
	for (int i_ = 0; !(good_ = (condition)) && i_ < 20000; i_++) \
		usleep(5000); \
	good_; \
})

#define MOST_CALLS 1000

/* What callbacks were told. */
struct calls {
	pthread_mutex_t lock;
	unsigned int n;
	enum bitmem_pressure levels[MOST_CALLS];
};

#define CALLS_INIT { .lock = PTHREAD_MUTEX_INITIALIZER }

/* A callback; @arg is a struct calls. */
void test_note(struct bitmem *ctx, enum bitmem_pressure level, void *arg);

unsigned int test_calls(struct calls *calls);

#endif /* BITMEM_PRESSURE_TEST_H */
