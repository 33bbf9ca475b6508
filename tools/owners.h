/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Whose the buffers are, as the kernel tells over generic netlink: files, with what they hold
 * added up. Root is told of everybody's, others of their own.
 */
#ifndef TOOLS_OWNERS_H
#define TOOLS_OWNERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A file that buffers are charged to. */
struct owner {
	uint64_t file;
	/* Who opened it; pid is 0 if it has none here, comm empty if it is gone. */
	uint32_t pid;
	uint32_t uid;
	char comm[16];
	/* Closed by everybody; something else keeps the buffers. */
	bool closed;
	uint64_t buffers;
	uint64_t bytes;
	/* Buffers that dma-bufs refer to, that have a name, that are held in place. */
	uint64_t exported;
	uint64_t published;
	uint64_t fixed;
	/* Of the oldest. */
	uint64_t age_ms;
	/* Of the largest, any bytes. */
	char tag[32];
	uint64_t largest;
	/* Bytes on each node, owners.n_nodes of them. */
	uint64_t *nodes;
};

struct owners {
	/* In the order of their numbers. */
	struct owner *list;
	size_t n;
	uint32_t n_nodes;
};

/*
 * Asks the kernel; @n_nodes: NUMA nodes are below it. 0, or a negative errno and nothing to
 * free: ENOENT where netlink does not reach.
 */
int owners_read(struct owners *owners, uint32_t n_nodes);
void owners_free(struct owners *owners);

/*
 * In words, what error of netlink's keeps it from telling: "netlink does not reach here", or
 * "netlink: ...". Returns @buf.
 */
#define OWNERS_WHY_LEN 96
const char *owners_why(int err, char buf[OWNERS_WHY_LEN]);

/* The file of this number, or NULL. */
struct owner *owners_find(const struct owners *owners, uint64_t file);

#endif /* TOOLS_OWNERS_H */
