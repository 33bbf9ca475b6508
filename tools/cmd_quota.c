// SPDX-License-Identifier: GPL-2.0
/*
 * bitmem quota: what users may have, and have. All of it goes over generic netlink.
 */
#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bitmem/events.h>

#include "cmd.h"
#include "number.h"
#include "output.h"
#include "table.h"
#include "text.h"

#define N_COLUMNS 4

struct options {
	bool json;
	/* The user asked for, if one was, as given. */
	const char *user;
	uint32_t uid;
	bool set;
	const char *text;
	uint64_t limit;
};

struct quotas {
	const struct options *options;
	struct bitmem_nl_quota *list;
	size_t n;
};

static int take_quota(const struct bitmem_nl_quota *quota, void *data)
{
	struct quotas *quotas = data;
	struct bitmem_nl_quota *list;

	if (quotas->options->user && quotas->options->uid != quota->uid)
		return 0;
	list = reallocarray(quotas->list, quotas->n + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	list[quotas->n++] = *quota;
	quotas->list = list;
	return 0;
}

/* NULL if the user has none, or is not asked for. */
static const char *name_of(uint32_t uid)
{
	const struct passwd *user = getpwuid(uid);

	return user ? user->pw_name : NULL;
}

static json_t *quota_json(const struct bitmem_nl_quota *quota)
{
	const char *name = name_of(quota->uid);
	json_t *object = json_object();

	output_json_set(&object, "uid", json_integer(quota->uid));
	output_json_set(&object, "user", name ? output_json_text(name) : json_null());
	output_json_set(&object, "bytes", output_json_u64(quota->bytes));
	output_json_set(&object, "limit", quota->limit == BITMEM_NL_NO_LIMIT ?
				json_null() : output_json_u64(quota->limit));
	return object;
}

static int print_json(const struct quotas *quotas)
{
	json_t *object = json_object();
	json_t *users = json_array();

	for (size_t i = 0; i < quotas->n; i++)
		output_json_append(&users, quota_json(&quotas->list[i]));
	output_json_set(&object, "users", users);
	return output_json(object);
}

static void add_quota(struct table *table, const struct bitmem_nl_quota *quota)
{
	const char *name = name_of(quota->uid);
	char size[TEXT_SIZE_LEN];

	table_cell(table, "%u", quota->uid);
	table_cell(table, "%s", text_size(quota->bytes, size));
	table_cell(table, "%s", quota->limit == BITMEM_NL_NO_LIMIT ?
			   "none" : text_size(quota->limit, size));
	table_cell(table, "%s", name ? name : "-");
}

static int print_text(const struct quotas *quotas)
{
	static const char *const header[N_COLUMNS] = {"UID", "USED", "LIMIT", "USER"};
	struct table *table = table_new(N_COLUMNS);
	int err = -1;

	if (table) {
		for (size_t i = 0; i < N_COLUMNS; i++) {
			table_cell(table, "%s", header[i]);
			if (i < N_COLUMNS - 1)
				table_align_right(table, i);
		}
		for (size_t i = 0; i < quotas->n; i++)
			add_quota(table, &quotas->list[i]);
		err = table_print(table);
		table_free(table);
	}
	if (err)
		output_error("%s", strerror(ENOMEM));
	return err ? -1 : output_flush();
}

/* Says what a command of netlink's ended with. */
static int say_failed(const char *what, int err, const char *reason)
{
	if (err == -EPERM)
		output_error("%s: needs CAP_SYS_ADMIN (try as root)", what);
	else if (err == -ENOENT)
		output_error("netlink: no family bitmem here (is the module loaded? It is in "
			     "the initial network namespace only)");
	else
		output_error("%s: %s", what, *reason ? reason : strerror(-err));
	return -1;
}

static int set(const struct options *options)
{
	char reason[BITMEM_NL_REASON_LEN];
	char what[256];
	int err = bitmem_nl_quota_set(options->uid, options->limit, reason);

	if (!err)
		return 0;
	snprintf(what, sizeof(what), "quota of %s: %s", options->user, options->text);
	return say_failed(what, err, reason);
}

static int show(const struct options *options)
{
	struct quotas quotas = {.options = options};
	int err = bitmem_nl_quotas(take_quota, &quotas);

	/* Of users who have neither a limit of their own nor files the kernel keeps nothing. */
	if (!err && options->set && !quotas.n)
		err = take_quota(&(struct bitmem_nl_quota){.uid = options->uid,
							   .limit = options->limit}, &quotas);
	if (err) {
		say_failed("quotas", err, "");
	} else if (options->user && !quotas.n) {
		output_error("%s: has no quota and no open file, or is not shown to others",
			     options->user);
		err = -1;
	} else {
		err = options->json ? print_json(&quotas) : print_text(&quotas);
	}
	free(quotas.list);
	return err;
}

/* A name, or a number. */
static int parse_user(struct options *options, const char *text)
{
	const struct passwd *user = getpwnam(text);
	uint64_t uid;

	options->user = text;
	if (user) {
		options->uid = user->pw_uid;
		return 0;
	}
	if (*text < '0' || *text > '9') {
		output_error("USER: no such user: %s", text);
		return -1;
	}
	if (number_parse("USER", text, 0, UINT32_MAX - 1, &uid))
		return -1;
	options->uid = (uint32_t)uid;
	return 0;
}

static int parse_limit(struct options *options, const char *text)
{
	options->set = true;
	options->text = text;
	options->limit = BITMEM_NL_NO_LIMIT;
	if (!strcmp(text, "none"))
		return 0;
	return number_parse("LIMIT", text, 0, BITMEM_NL_NO_LIMIT - 1, &options->limit);
}

static int parse_arguments(struct options *options, char **argv, int n)
{
	if (n > 2) {
		output_error("quota takes a user and a limit at most: %s", argv[2]);
		return -1;
	}
	if (n > 0 && parse_user(options, argv[0]))
		return -1;
	return n > 1 ? parse_limit(options, argv[1]) : 0;
}

static int take_option(void *data, int option, const char *text)
{
	struct options *options = data;

	(void)option;
	(void)text;
	options->json = true;
	return 0;
}

static int run(int argc, char **argv)
{
	struct options options = {0};
	int status = command_parse(&cmd_quota, argc, argv, take_option, &options);

	if (status >= 0)
		return status;
	if (parse_arguments(&options, argv + optind, argc - optind))
		return command_usage_error(&cmd_quota);
	if (options.set && set(&options))
		return EXIT_FAILURE;
	return show(&options) ? EXIT_FAILURE : EXIT_SUCCESS;
}

static const struct option longs[] = {
	{"json", no_argument, NULL, 'j'},
	COMMAND_HELP,
};

const struct command cmd_quota = {
	.name = "quota",
	.run = run,
	.options = longs,
	.arguments = true,
	.summary = "show what users may have, or limit one",
	.usage = "[--json] [USER [LIMIT]]\n"
		 "\n"
		 "Shows users who have a quota or files; root sees all, others themselves. With\n"
		 "LIMIT, bytes that may end in K, M or G, or none, it is set first; this needs\n"
		 "CAP_SYS_ADMIN. What a user has already stays.\n"
		 "\n"
		 "  --json  print one JSON object, with exact bytes\n",
};
