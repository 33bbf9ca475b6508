// SPDX-License-Identifier: GPL-2.0
/*
 * Runs a program on a pseudo terminal, does things to it, and tells how it left the terminal.
 *
 *   onpty COLUMNSxROWS [STEP]... -- COMMAND [ARGUMENT]...
 *
 * Steps, one after the other: see:TEXT waits until the program writes TEXT, type:KEYS types,
 * size:COLUMNSxROWS makes the terminal that large, kill:N sends signal N. Then it waits for
 * the end. Prints a line each: "status N" or "killed N"; "terminal restored" or "terminal
 * changed", its settings; "screen left", "screen kept" or "screen never", the other screen;
 * "cursor shown" or "cursor hidden"; "wrote ...", all that the program wrote, escaped. Fails
 * if a text is not seen within a minute, or the program does not end.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define LIMIT 60 /* seconds */
#define ROOM  (4 << 20)

static int master;
static int slave;
static pid_t pid;
static char wrote[ROOM + 1];
static size_t length;
/* Where the next text is looked for. */
static size_t seen;

static void die(const char *what)
{
	fprintf(stderr, "onpty: %s%s%s; wrote %zu bytes\n", what, errno ? ": " : "",
		errno ? strerror(errno) : "", length);
	if (pid > 0)
		kill(pid, SIGKILL);
	exit(EXIT_FAILURE);
}

static void set_size(const char *text)
{
	struct winsize size = {0};

	if (sscanf(text, "%hux%hu", &size.ws_col, &size.ws_row) != 2) {
		errno = 0;
		die("not a size");
	}
	if (ioctl(master, TIOCSWINSZ, &size))
		die("TIOCSWINSZ");
}

static void open_terminal(void)
{
	master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (master < 0 || grantpt(master) || unlockpt(master))
		die("posix_openpt");
	/* Kept open here, so that the settings outlive the program. */
	slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		die("ptsname");
}

static void start(char **command)
{
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid)
		return;
	setsid();
	ioctl(slave, TIOCSCTTY, 0);
	for (int fd = 0; fd < 3; fd++)
		dup2(slave, fd);
	execvp(*command, command);
	_exit(127);
}

/* What there is, waiting for @ms at most. */
static void read_some(int ms)
{
	struct pollfd pfd = {.fd = master, .events = POLLIN};
	ssize_t n;

	if (poll(&pfd, 1, ms) != 1)
		return;
	n = read(master, wrote + length, ROOM - length);
	if (n > 0)
		length += (size_t)n;
}

static void see(const char *text)
{
	time_t until = time(NULL) + LIMIT;
	char *found;

	while (!(found = memmem(wrote + seen, length - seen, text, strlen(text)))) {
		errno = 0;
		if (time(NULL) > until || length == ROOM)
			die(text);
		read_some(100);
	}
	seen = (size_t)(found - wrote) + strlen(text);
}

static void take_step(const char *step)
{
	if (!strncmp(step, "see:", 4))
		see(step + 4);
	else if (!strncmp(step, "size:", 5))
		set_size(step + 5);
	else if (!strncmp(step, "kill:", 5))
		kill(pid, atoi(step + 5));
	else if (strncmp(step, "type:", 5) != 0 || write(master, step + 5, strlen(step + 5)) < 0)
		die(step);
}

static int wait_for_end(void)
{
	time_t until = time(NULL) + LIMIT;
	int status;

	while (waitpid(pid, &status, WNOHANG) != pid) {
		errno = 0;
		if (time(NULL) > until)
			die("it does not end");
		read_some(50);
	}
	read_some(0);
	return status;
}

/* Whether @last was written after @first, or neither. */
static const char *last_of(const char *first, const char *last, const char *yes, const char *no,
			   const char *never)
{
	const char *result = never;

	for (size_t i = 0; i < length; i++) {
		if (!strncmp(wrote + i, first, strlen(first)))
			result = no;
		if (!strncmp(wrote + i, last, strlen(last)))
			result = yes;
	}
	return result;
}

static void tell(int status, const struct termios *before, const struct termios *after)
{
	bool same = before->c_iflag == after->c_iflag && before->c_oflag == after->c_oflag &&
		    before->c_cflag == after->c_cflag && before->c_lflag == after->c_lflag &&
		    !memcmp(before->c_cc, after->c_cc, sizeof(before->c_cc));

	if (WIFEXITED(status))
		printf("status %d\n", WEXITSTATUS(status));
	else
		printf("killed %d\n", WTERMSIG(status));
	printf("terminal %s\n", same ? "restored" : "changed");
	printf("screen %s\n", last_of("\033[?1049h", "\033[?1049l", "left", "kept", "never"));
	printf("cursor %s\n", last_of("\033[?25l", "\033[?25h", "shown", "hidden", "shown"));
	fputs("wrote ", stdout);
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)wrote[i];

		printf(c >= ' ' && c < 0x7f ? "%c" : "\\x%02x", c);
	}
	putchar('\n');
}

int main(int argc, char **argv)
{
	struct termios before;
	struct termios after;
	int first = 2;
	int status;

	while (first < argc && strcmp(argv[first], "--") != 0)
		first++;
	if (first + 1 >= argc) {
		fputs("usage: onpty COLUMNSxROWS [STEP]... -- COMMAND [ARGUMENT]...\n", stderr);
		return 2;
	}
	open_terminal();
	set_size(argv[1]);
	if (tcgetattr(slave, &before))
		die("tcgetattr");
	start(argv + first + 1);
	for (int i = 2; i < first; i++)
		take_step(argv[i]);
	status = wait_for_end();
	if (tcgetattr(slave, &after))
		die("tcgetattr");
	tell(status, &before, &after);
	return EXIT_SUCCESS;
}
