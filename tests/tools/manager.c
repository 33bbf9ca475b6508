// SPDX-License-Identifier: GPL-2.0
/*
 * A service manager for one service, as far as a file descriptor store goes:
 *
 *   manager SOCKET COMMAND [ARGUMENT]...
 *
 * Listens on SOCKET (NOTIFY_SOCKET), starts the command, and again when it failed or was killed,
 * with what it stored. SIGHUP restarts it; SIGTERM stops it, and ends this. Prints what happens, a
 * line each: "start PID FDS", the service's words, "stored NAME", "removed NAME N", "end STATUS".
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_STORED 16
#define MAX_STARTS 10

struct stored {
	int fd;
	char name[64];
};

static struct stored store[MAX_STORED];
static int n_stored;

static void die(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

static int open_socket(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)))
		die(path);
	return fd;
}

/* --- the service's words --- */

/* The value of an assignment in @text, into @buf; NULL if it is not there. */
static const char *value_of(const char *text, const char *key, char buf[64])
{
	size_t length = strlen(key);
	const char *line = text;

	while (line && (strncmp(line, key, length) || line[length] != '=')) {
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
	if (!line)
		return NULL;
	snprintf(buf, 64, "%.*s", (int)strcspn(line + length + 1, "\n"), line + length + 1);
	return buf;
}

static void keep(const char *text, int fd)
{
	char poll_value[64];
	char name[64];

	/* Else one that hangs up would be dropped. */
	if (fd < 0 || n_stored == MAX_STORED || !value_of(text, "FDNAME", name) ||
	    !value_of(text, "FDPOLL", poll_value) || strcmp(poll_value, "0")) {
		printf("not stored\n");
		close(fd);
		return;
	}
	store[n_stored].fd = fd;
	strcpy(store[n_stored++].name, name);
	printf("stored %s\n", name);
}

static void drop(const char *name)
{
	int left = 0;

	for (int i = 0; i < n_stored; i++) {
		if (strcmp(store[i].name, name))
			store[left++] = store[i];
		else
			close(store[i].fd);
	}
	printf("removed %s %d\n", name, n_stored - left);
	n_stored = left;
}

/* 0 when there is no more. */
static int take_message(int socket)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	char text[4096];
	struct iovec data = {.iov_base = text, .iov_len = sizeof(text) - 1};
	struct msghdr message = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
	struct cmsghdr *header;
	char value[64];
	int fd = -1;

	if (n < 0)
		return 0;
	text[n] = '\0';
	header = CMSG_FIRSTHDR(&message);
	if (header && header->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(header), sizeof(fd));
	printf("%s\n", text);
	if (value_of(text, "FDSTORE", value))
		keep(text, fd);
	else if (fd >= 0)
		close(fd); /* a barrier */
	if (value_of(text, "FDSTOREREMOVE", value) && value_of(text, "FDNAME", value))
		drop(value);
	return 1;
}

/* --- the service --- */

static void set_environment(void)
{
	char names[MAX_STORED * 64] = "";
	char number[16];

	if (!n_stored)
		return;
	for (int i = 0; i < n_stored; i++) {
		strcat(names, i ? ":" : "");
		strcat(names, store[i].name);
	}
	snprintf(number, sizeof(number), "%d", n_stored);
	setenv("LISTEN_FDS", number, 1);
	setenv("LISTEN_FDNAMES", names, 1);
	snprintf(number, sizeof(number), "%d", getpid());
	setenv("LISTEN_PID", number, 1);
}

static void become(char **command, const sigset_t *signals)
{
	int high[MAX_STORED];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigprocmask(SIG_UNBLOCK, signals, NULL);
	set_environment();
	for (int i = 0; i < n_stored; i++)
		high[i] = fcntl(store[i].fd, F_DUPFD_CLOEXEC, 3 + 2 * MAX_STORED);
	for (int i = 0; i < n_stored; i++)
		dup2(high[i], 3 + i);
	execvp(command[0], command);
	die(command[0]);
}

static pid_t start(char **command, const sigset_t *signals)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (!pid)
		become(command, signals);
	printf("start %d %d\n", pid, n_stored);
	return pid;
}

/* The signal that came; 0 after a message. */
static int wait_for_something(int socket, int signals)
{
	struct pollfd pfds[2] = {{.fd = socket, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
	struct signalfd_siginfo info;

	fflush(stdout);
	if (poll(pfds, 2, -1) < 0)
		die("poll");
	/* What a service said before it ended counts. */
	while (take_message(socket))
		;
	if (!(pfds[1].revents & POLLIN))
		return 0;
	if (read(signals, &info, sizeof(info)) != sizeof(info))
		die("signalfd");
	return (int)info.ssi_signo;
}

int main(int argc, char **argv)
{
	bool stopping = false;
	bool again = false;
	sigset_t mask;
	int starts = 1;
	int socket;
	int signals;
	int status;
	pid_t pid;

	if (argc < 3) {
		fputs("usage: manager SOCKET COMMAND [ARGUMENT]...\n", stderr);
		return 2;
	}
	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	sigaddset(&mask, SIGHUP);
	sigaddset(&mask, SIGTERM);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	signals = signalfd(-1, &mask, SFD_CLOEXEC);
	socket = open_socket(argv[1]);
	setenv("NOTIFY_SOCKET", argv[1], 1);
	pid = start(argv + 2, &mask);
	for (;;) {
		int signal = wait_for_something(socket, signals);

		stopping |= signal == SIGTERM;
		again |= signal == SIGHUP;
		if (signal == SIGTERM || signal == SIGHUP)
			kill(pid, SIGTERM);
		if (signal != SIGCHLD || waitpid(pid, &status, WNOHANG) != pid)
			continue;
		printf("end %d\n", WIFSIGNALED(status) ? 128 + WTERMSIG(status) :
							 WEXITSTATUS(status));
		if (stopping || (!status && !again) || starts++ == MAX_STARTS)
			break;
		again = false;
		pid = start(argv + 2, &mask);
	}
	fflush(stdout);
	unlink(argv[1]);
	return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
}
