/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tensors in C: making them, looking at parts of them, letting go of them.
 *
 *	tensor
 *
 * Runs on /dev/bitmem where it can be opened, else on a memfd; BITMEM_BACKEND=device|memfd
 * decides. BITMEM_LEAKS=1 would tell at the end what was forgotten: nothing, here.
 */
#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include <bitmem/lifetime.h>
#include <bitmem/track.h>

#define ROWS 4
#define COLUMNS 8

static struct bitmem *open_context(void)
{
	struct bitmem_error error;
	struct bitmem_options options;
	struct bitmem *ctx;

	/* Defaults first, then what is to be different: so members that are added stay at theirs. */
	bitmem_options_init(&options);
	options.error = &error;	/* words; errno alone is there in any case */
	ctx = bitmem_open(&options);
	if (!ctx)
		errx(1, "no memory to work with: %s", error.text);
	return ctx;
}

static void fill(struct bitmem_tensor *t)
{
	float *x = bitmem_tensor_data(t);

	for (size_t i = 0; i < ROWS * COLUMNS; i++)
		x[i] = i;
}

static double sum(const struct bitmem_tensor *t)
{
	const float *x = bitmem_tensor_data(t);
	double total = 0;

	for (size_t i = 0; i < bitmem_tensor_bytes(t) / sizeof(*x); i++)
		total += x[i];
	return total;
}

/*
 * Views share the memory of what they are views of, and keep it alive. bitmem_auto drops the
 * variable's reference at the end of its scope, on every way out.
 */
static int look(struct bitmem_tensor *matrix)
{
	const uint64_t flat[] = { BITMEM_INFER };
	struct bitmem_error error;
	bitmem_auto struct bitmem_tensor *row = bitmem_tensor_slice(matrix, 2, 1, &error);
	bitmem_auto struct bitmem_tensor *all = NULL;

	if (!row) {
		warnx("slice: %s", error.text);
		return -1;
	}
	all = bitmem_tensor_reshape(matrix, 1, flat, &error);
	if (!all) {
		warnx("reshape: %s", error.text);
		return -1;
	}
	printf("row 2: sum %.0f; all %" PRIu64 ": sum %.0f\n", sum(row),
	       bitmem_tensor_shape(all)[0], sum(all));
	return 0;
}

/* What lives as long as a step does goes into a scope, and is dropped with it in one call. */
static int step(struct bitmem *ctx)
{
	const uint64_t shape[] = { 8, 64 };
	struct bitmem_scope *scope = bitmem_scope_open(ctx);
	struct bitmem_tensor *query, *key;

	if (!scope) {
		warn("scope");
		return -1;
	}
	/* The references are the scope's: nothing to unref here. empty: not cleared first. */
	query = bitmem_scope_empty(scope, BITMEM_F16, 2, shape);
	key = query ? bitmem_scope_empty(scope, BITMEM_F16, 2, shape) : NULL;
	if (key)
		printf("in the step: %zu tensors\n", bitmem_scope_count(scope));
	else
		warn("tensor of the step");
	bitmem_scope_close(scope);
	return key ? 0 : -1;
}

int main(int argc, char **argv)
{
	/* Slowest dimension first; elements of the last one lie next to each other. */
	const uint64_t shape[] = { ROWS, COLUMNS };
	struct bitmem_stats stats = { .size = sizeof(stats) };
	struct bitmem_tensor *matrix;
	struct bitmem *ctx;
	int failed;

	if (argc != 1) {
		fprintf(stderr, "usage: %s\n", argv[0]);
		return 2;
	}
	ctx = open_context();
	/* Zeroed, 64-byte aligned, one reference. The place of this call is kept with it. */
	matrix = bitmem_tensor_new(ctx, BITMEM_F32, 2, shape);
	if (!matrix)
		err(1, "tensor of %d x %d", ROWS, COLUMNS);
	/* A tag says what memory is for: reports and snapshots add up by it. */
	if (bitmem_tensor_set_tag(matrix, "weights"))
		warnx("no tag");
	fill(matrix);
	failed = look(matrix) || step(ctx);

	if (!bitmem_stats(ctx, &stats))
		printf("alive: %" PRIu64 " tensor, %" PRIu64 " bytes, %" PRIu64 " views\n", stats.live,
		       stats.live_bytes, stats.views);
	fflush(stdout);
	/* What is alive, by the place that allocated it. */
	if (bitmem_leaks_report(ctx, STDOUT_FILENO, BITMEM_REPORT_TEXT))
		warnx("no report");
	bitmem_tensor_unref(matrix);
	printf("left at the end: %zu\n", bitmem_close(ctx));
	return failed ? 1 : 0;
}
