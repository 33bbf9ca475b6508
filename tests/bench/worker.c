// SPDX-License-Identifier: GPL-2.0
#include "worker.h"

#include <err.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "child.h"
#include "settings.h"

enum { NOT_THERE = 3 };

const char *worker_path(void)
{
	static char path[4096];
	ssize_t length;
	char *slash;

	if (*path)
		return path;
	length = readlink("/proc/self/exe", path, sizeof(path) - sizeof("bench-worker"));
	if (length < 0)
		err(1, "/proc/self/exe");
	path[length] = 0;
	slash = strrchr(path, '/');
	strcpy(slash + 1, "bench-worker");
	return path;
}

void worker_choose(struct child *child, size_t subject)
{
	child->preload = subjects[subject].preload;
	child_arg(child, "--allocator");
	child_arg(child, subjects[subject].name);
}

/* One object, or NULL after a message. */
static json_t *parse(const struct child *child)
{
	json_error_t error;
	json_t *json = json_loadb(child->output, child->length, 0, &error);

	if (!json)
		warnx("bench-worker: its output: %s", error.text);
	return json;
}

int worker_probe(size_t subject)
{
	struct child child = { 0 };
	int status;

	child_arg(&child, worker_path());
	worker_choose(&child, subject);
	child_option(&child, "size", 64);
	/* That there is no such library is said once, below. */
	child.quiet = child.preload;
	status = child_run(&child, STDOUT_FILENO);
	if (!status)
		subjects[subject].about = parse(&child);
	else if (status == NOT_THERE)
		fprintf(stderr, "%s: going on without it (package %s)\n", subjects[subject].name,
			subjects[subject].package);
	else
		warnx("%s: bench-worker ended with %d", subjects[subject].name, status);
	child_free(&child);
	return subjects[subject].about || status == NOT_THERE ? 0 : -1;
}

static void describe(struct child *child, const struct settings *settings, size_t which,
		     uint64_t ms)
{
	const struct plan_case *plan = &plan_cases[which];

	child_arg(child, "--workload");
	child_arg(child, plan->workload);
	child_arg(child, "--write");
	child_arg(child, settings->writing ? settings->writing : plan->writing);
	child_option(child, "threads", plan->threads);
	child_option(child, "budget", settings->budget_mib << 20);
	child_option(child, "model", settings->model_mib << 20);
	child_option(child, "seed", settings->seed);
	child_option(child, "ms", ms);
	if (plan->crossing)
		child_arg(child, "--crossing");
	if (plan->tensors)
		child_arg(child, "--tensors");
	if (settings->tiny)
		child_arg(child, "--tiny");
}

json_t *worker_run(const struct settings *settings, size_t which, size_t subject, uint64_t ms)
{
	struct child child = { 0 };
	json_t *json = NULL;
	int status;

	child_arg(&child, worker_path());
	worker_choose(&child, subject);
	describe(&child, settings, which, ms);
	status = child_run(&child, STDOUT_FILENO);
	if (status)
		warnx("%s, %u threads, %s: bench-worker ended with %d", plan_cases[which].name,
		      plan_cases[which].threads, subjects[subject].name, status);
	else
		json = parse(&child);
	child_free(&child);
	return json;
}
