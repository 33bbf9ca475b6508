// SPDX-License-Identifier: GPL-2.0
/*
 * Signals. The handlers do not restart system calls, so that a read that hangs
 * comes back; they are taken out by the first signal, so that a second one ends
 * a program that does not get round to looking.
 */
#include "stop.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <time.h>

static volatile sig_atomic_t caught;
/* For the second signal, instead of its default. */
static void (*at_second)(int number);

static void catch (int number)
{
	if (caught && at_second)
		at_second(number);
	caught = number;
}

static void set_handlers(int flags)
{
	struct sigaction action = {.sa_handler = catch, .sa_flags = flags};

	sigemptyset(&action.sa_mask);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

void stop_catch(void)
{
	set_handlers((int)SA_RESETHAND);
}

void stop_second(void (*handler)(int number))
{
	at_second = handler;
	set_handlers(handler ? 0 : (int)SA_RESETHAND);
}

int stop_signal(void)
{
	return caught;
}

/* What is between a look at @caught and going to sleep is not to be missed. */
static void block(sigset_t *before)
{
	sigset_t blocked;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGINT);
	sigaddset(&blocked, SIGTERM);
	sigprocmask(SIG_BLOCK, &blocked, before);
}

int stop_wait(void)
{
	sigset_t before;

	block(&before);
	while (!caught)
		sigsuspend(&before);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return caught;
}

int stop_poll(int fd, double seconds)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	struct timespec timeout = {0};
	sigset_t before;
	int n = 0;

	if (seconds > 0) {
		timeout.tv_sec = (time_t)seconds;
		timeout.tv_nsec = (long)((seconds - (double)timeout.tv_sec) * 1e9);
	}
	block(&before);
	if (!caught)
		n = ppoll(&pfd, 1, seconds < 0 ? NULL : &timeout, &before);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return n < 0 && errno == EINTR ? 0 : n;
}
