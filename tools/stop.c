// SPDX-License-Identifier: GPL-2.0
/*
 * Signals. The handlers do not restart system calls, so that a read that hangs
 * comes back; they are taken out by the first signal, so that a second one ends
 * a program that does not get round to looking.
 */
#include "stop.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t caught;

static void catch (int number)
{
	caught = number;
}

void stop_catch(void)
{
	struct sigaction action = {.sa_handler = catch, .sa_flags = (int)SA_RESETHAND};

	sigemptyset(&action.sa_mask);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

int stop_signal(void)
{
	return caught;
}

int stop_wait(void)
{
	sigset_t blocked;
	sigset_t before;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGINT);
	sigaddset(&blocked, SIGTERM);
	sigprocmask(SIG_BLOCK, &blocked, &before);
	while (!caught)
		sigsuspend(&before);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return caught;
}
