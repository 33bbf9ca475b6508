// SPDX-License-Identifier: GPL-2.0
/*
 * A child's environment is ours without anything that would tune an allocator:
 * each is measured as it comes.
 */
#include "child.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const tunings[] = {
	"BITMEM_TRACKING=", "GLIBC_TUNABLES=", "LD_PRELOAD=",
	"MALLOC_", /* glibc's, and jemalloc's MALLOC_CONF */
	"MIMALLOC_", "TCMALLOC_",
};

void child_arg(struct child *child, const char *word)
{
	char *copy = strdup(word);

	if (child->count == CHILD_ARGS || !copy)
		errx(1, "%s: one argument too many", word);
	child->args[child->count++] = copy;
}

void child_option(struct child *child, const char *name, unsigned long long value)
{
	char text[64];

	snprintf(text, sizeof(text), "--%s=%llu", name, value);
	child_arg(child, text);
}

static int is_tuning(const char *variable)
{
	size_t i;

	for (i = 0; i < sizeof(tunings) / sizeof(*tunings); i++) {
		if (!strncmp(variable, tunings[i], strlen(tunings[i])))
			return 1;
	}
	return 0;
}

/* The array and, if there is a preload, its first word are to be freed. */
static char **environment(const char *preload)
{
	size_t count = 0, used = 0, i;
	char **env;

	while (environ[count])
		count++;
	env = calloc(count + 2, sizeof(*env));
	if (!env)
		err(1, "environment");
	if (preload && asprintf(&env[used++], "LD_PRELOAD=%s", preload) < 0)
		err(1, "environment");
	for (i = 0; i < count; i++) {
		if (!is_tuning(environ[i]))
			env[used++] = environ[i];
	}
	return env;
}

static void read_all(struct child *child, int fd)
{
	char buffer[4096];
	ssize_t got;

	while ((got = read(fd, buffer, sizeof(buffer))) != 0) {
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			err(1, "%s", child->args[0]);
		child->output = realloc(child->output, child->length + (size_t)got + 1);
		if (!child->output)
			err(1, "output");
		memcpy(child->output + child->length, buffer, (size_t)got);
		child->length += (size_t)got;
		child->output[child->length] = 0;
	}
}

static int start(struct child *child, int fd, int to, pid_t *pid)
{
	char **env = environment(child->preload);
	posix_spawn_file_actions_t actions;
	int ret;

	posix_spawn_file_actions_init(&actions);
	/* What is not read goes nowhere, except complaints. */
	if (fd != STDOUT_FILENO)
		posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	if (child->quiet)
		posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, to, fd);
	ret = posix_spawnp(pid, child->args[0], &actions, NULL, (char **)child->args, env);
	posix_spawn_file_actions_destroy(&actions);
	if (child->preload)
		free(env[0]);
	free(env);
	return ret;
}

int child_run(struct child *child, int fd)
{
	int ends[2], ret, status;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC))
		err(1, "pipe");
	ret = start(child, fd, ends[1], &pid);
	close(ends[1]);
	if (ret) {
		close(ends[0]);
		warnx("%s: %s", child->args[0], strerror(ret));
		return -1;
	}
	read_all(child, ends[0]);
	close(ends[0]);
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			err(1, "%s", child->args[0]);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void child_free(struct child *child)
{
	size_t i;

	for (i = 0; i < child->count; i++)
		free((char *)child->args[i]);
	free(child->output);
}
