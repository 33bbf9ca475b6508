/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The workloads, each a way to make a trace.
 */
#ifndef BENCH_WORKLOAD_H
#define BENCH_WORKLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trace;

/* How large; of each thread. */
struct scale {
	/* Bytes that W3 and W5 fill. */
	uint64_t budget;
	/* Bytes of each of W4's models. */
	uint64_t model;
	/* For tests of the harness itself. */
	bool tiny;
	/* Of W1 and W2, as many times fewer operations, on as many blocks. */
	unsigned int shorter;
	uint64_t seed;
};

struct workload {
	const char *name;
	struct trace *(*build)(const struct scale *scale);
	/*
	 * Pairs that are timed together: few enough that the p99 is of single calls
	 * that take long, enough that reading the clock is a small part of it.
	 */
	unsigned int batch;
};

/* NULL if there is none of that name. */
const struct workload *workload_find(const char *name);

struct trace *decode_trace(const struct scale *scale);
struct trace *churn_trace(const struct scale *scale);
struct trace *cache_trace(const struct scale *scale);
struct trace *models_trace(const struct scale *scale);
struct trace *adversary_trace(const struct scale *scale);
struct trace *drops_trace(const struct scale *scale);

#endif /* BENCH_WORKLOAD_H */
