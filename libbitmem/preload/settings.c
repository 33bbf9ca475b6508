/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What `bitmem run` wants, by way of the environment; and the start of it all. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "preload.h"

#define PREFIX "BITMEM_PRELOAD_"

struct preload_settings preload_settings = { .min_bytes = SIZE_MAX };

void preload_say(const char *what, const char *why)
{
	const struct iovec parts[] = {
		{ "bitmem: ", 8 },
		{ (void *)what, strlen(what) },
		{ ": ", 2 },
		{ (void *)why, strlen(why) },
		{ "\n", 1 },
	};

	if (writev(STDERR_FILENO, parts, sizeof(parts) / sizeof(*parts)) < 0)
		return;
}

/* A decimal number up to @max. Whether it is one. */
static bool parse(const char *text, uint64_t max, uint64_t *value)
{
	*value = 0;
	if (!*text)
		return false;
	for (; *text; text++) {
		const unsigned int digit = (unsigned int)(*text - '0');

		if (digit > 9 || __builtin_mul_overflow(*value, 10, value) ||
		    __builtin_add_overflow(*value, digit, value))
			return false;
	}
	return *value <= max;
}

/* The place of @text among @n names, or -1. */
static int find(const char *text, const char *const *names, int n)
{
	while (n-- && strcmp(text, names[n]))
		;
	return n;
}

static bool take_min(struct preload_settings *settings, const char *text)
{
	uint64_t value;

	if (!parse(text, SIZE_MAX, &value) || !value)
		return false;
	settings->min_bytes = value;
	return true;
}

static bool take_node(struct preload_settings *settings, const char *text)
{
	uint64_t value;

	if (!parse(text, INT_MAX, &value))
		return false;
	settings->node = (int)value;
	return true;
}

static bool take_backend(struct preload_settings *settings, const char *text)
{
	static const char *const names[] = { "auto", "device", "memfd" };
	const int i = find(text, names, 3);

	settings->backend = (enum bitmem_backend)i;
	return i >= 0;
}

static bool take_tag(struct preload_settings *settings, const char *text)
{
	if (!*text || strlen(text) >= sizeof(settings->tag))
		return false;
	strcpy(settings->tag, text);
	return true;
}

static bool take_stats(struct preload_settings *settings, const char *text)
{
	static const char *const names[] = { "none", "text", "json" };
	const int i = find(text, names, 3);

	settings->stats = (enum preload_stats)i;
	return i >= 0;
}

static bool take_require(struct preload_settings *settings, const char *text)
{
	settings->require = !strcmp(text, "1");
	return settings->require;
}

static bool take_fork(struct preload_settings *settings, const char *text)
{
	static const char *const names[] = { "copy", "drop" };
	const int i = find(text, names, 2);

	settings->drop = i == 1;
	return i >= 0;
}

static const struct {
	const char *name;
	bool (*take)(struct preload_settings *settings, const char *text);
} variables[] = {
	{ PREFIX "MIN_BYTES", take_min },
	{ PREFIX "NODE", take_node },
	{ PREFIX "BACKEND", take_backend },
	{ PREFIX "TAG", take_tag },
	{ PREFIX "STATS", take_stats },
	{ PREFIX "REQUIRE", take_require },
	{ PREFIX "FORK", take_fork },
};

/* What a variable of the environment is if its name is @name; else NULL. */
static const char *value_of(const char *variable, const char *name)
{
	const size_t length = strlen(name);

	return !strncmp(variable, name, length) && variable[length] == '=' ?
	       variable + length + 1 : NULL;
}

const char *preload_read(char **env)
{
	struct preload_settings settings = {
		.min_bytes = (size_t)128 << 10,
		.node = BITMEM_NODE_ANY,
	};

	for (; *env; env++) {
		for (size_t i = 0; i < sizeof(variables) / sizeof(*variables); i++) {
			const char *value = value_of(*env, variables[i].name);

			if (value && !variables[i].take(&settings, value))
				return variables[i].name;
		}
	}
	preload_settings = settings;
	return NULL;
}

/*
 * Before all else in the process (-z initfirst), the C library's own start included, which is why
 * the environment comes as an argument.
 */
static __attribute__((constructor)) void start(int argc, char **argv, char **env)
{
	const char *wrong;
	int err;

	(void)argc;
	(void)argv;
	preload_libc_start();
	wrong = preload_read(env);
	if (wrong) {
		preload_say(wrong, "that is no value of it; the pool is not used");
		return;
	}
	err = preload_fork_start();
	if (err) {
		preload_settings.min_bytes = SIZE_MAX;
		preload_say("the pool is not used", strerrordesc_np(err));
		return;
	}
	preload_stats_start();
}

static __attribute__((destructor)) void end(void)
{
	preload_stats_print();
}
