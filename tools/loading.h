/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Loading models, as far as the commands that do so have it in common.
 */
#ifndef TOOLS_LOADING_H
#define TOOLS_LOADING_H

#include <stddef.h>

#include <bitmem/model.h>

#include "cmd.h"

struct loading {
	struct bitmem_options context;
	struct bitmem_model_options model;
	const char *const *paths;
	size_t n_paths;
};

/* The options that loading_take() takes. */
#define LOADING_OPTIONS                                                                            \
	{"buffered", no_argument, NULL, 'u'}, {"dialect", required_argument, NULL, 'd'},           \
	{"node", required_argument, NULL, 'n'}, {"queue-depth", required_argument, NULL, 'q'},     \
	{"window", required_argument, NULL, 'w'}

void loading_init(struct loading *loading);

/* 0, or -1 after saying what is wrong with it. */
int loading_take(struct loading *loading, int option, const char *text);

/* What is left of the command line is paths. 0, or -1 after saying that there is none. */
int loading_paths(struct loading *loading, const struct command *command, int argc, char **argv);

/* Opens a context. NULL after saying what failed. */
struct bitmem *loading_open(const struct loading *loading);

/* Told now and then how far it is. */
typedef void (*loading_told_fn)(const struct bitmem_progress *progress, void *arg);

/*
 * Loads the model, with a bar on a terminal; SIGINT and SIGTERM, if caught, end it. @told may be
 * NULL. NULL after saying what failed, with *@status the exit status.
 */
struct bitmem_model *loading_load(struct bitmem *ctx, const struct loading *loading,
				  loading_told_fn told, void *arg, int *status);

/* Says why work on the model ended. Returns the exit status. */
int loading_failed(const struct loading *loading, const struct bitmem_error *error, int err);

#endif /* TOOLS_LOADING_H */
