// SPDX-License-Identifier: GPL-2.0
/*
 * ncurses gives the terminal back when it is told to. A program that crashes cannot tell it:
 * what there is to send then is kept at hand, and a handler sends it.
 */
#include "terminal.h"

#include <curses.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <term.h>
#include <termios.h>
#include <unistd.h>

#include "output.h"
#include "stop.h"

static SCREEN *screen;
static struct termios before;
static char goodbye[256];
static size_t goodbye_length;
static char errors[4096];

/* All that end a program, but SIGINT and SIGTERM, of which stop.c looks after the first. */
static const int deadly[] = {
	SIGHUP, SIGQUIT, SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGPIPE, SIGALRM, SIGVTALRM,
	SIGPROF, SIGUSR1, SIGUSR2, SIGXCPU, SIGXFSZ, SIGSYS, SIGTRAP, SIGIO, SIGPWR,
};

#define N_DEADLY (sizeof(deadly) / sizeof(deadly[0]))

/* What was to be done at each before. */
static struct sigaction replaced[N_DEADLY];

/* Nothing but what a signal handler may call. */
static void die(int number)
{
	ssize_t n = write(STDOUT_FILENO, goodbye, goodbye_length);

	(void)n;
	tcsetattr(STDIN_FILENO, TCSANOW, &before);
	/* It is delivered when this returns. */
	signal(number, SIG_DFL);
	raise(number);
}

/* What is ignored stays so. */
static void set_handlers(void)
{
	struct sigaction action = {.sa_handler = die};

	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < N_DEADLY; i++) {
		sigaction(deadly[i], NULL, &replaced[i]);
		if (replaced[i].sa_handler != SIG_IGN)
			sigaction(deadly[i], &action, NULL);
	}
	stop_second(die);
}

static void restore_handlers(void)
{
	stop_second(NULL);
	for (size_t i = 0; i < N_DEADLY; i++)
		sigaction(deadly[i], &replaced[i], NULL);
}

/* What leaves the other screen, shows the cursor and ends colours and the keypad's mode. */
static void keep_goodbye(void)
{
	static const char *const names[] = {"sgr0", "cnorm", "rmkx", "rmcup"};

	goodbye_length = 0;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *text = tigetstr(names[i]);
		size_t length = text && text != (char *)-1 ? strlen(text) : 0;

		if (goodbye_length + length > sizeof(goodbye))
			continue;
		memcpy(goodbye + goodbye_length, text, length);
		goodbye_length += length;
	}
}

int terminal_open(void)
{
	const char *term = getenv("TERM");

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &before)) {
		output_error("stdin and stdout must be a terminal (or use --batch)");
		return -1;
	}
	setlocale(LC_CTYPE, "");
	screen = newterm(NULL, stdout, stdin);
	if (!screen) {
		output_error("TERM: not a terminal that can be drawn on: %s (or use --batch)",
			     term ? term : "");
		return -1;
	}
	keep_goodbye();
	set_handlers();
	setvbuf(stderr, errors, _IOFBF, sizeof(errors));
	cbreak();
	noecho();
	curs_set(0);
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	return 0;
}

void terminal_close(void)
{
	endwin();
	restore_handlers();
	delscreen(screen);
	screen = NULL;
	fflush(stderr);
	setvbuf(stderr, NULL, _IONBF, 0);
}
