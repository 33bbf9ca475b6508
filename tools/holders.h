/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Who holds the device's memory: found in /proc, so as far as the caller is
 * allowed to look.
 */
#ifndef TOOLS_HOLDERS_H
#define TOOLS_HOLDERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A process, as seen when it was looked at. */
struct process {
	pid_t pid;
	char comm[64];
};

/* A buffer of a file, as its fdinfo tells. */
struct held_buffer {
	uint64_t id;
	uint64_t bytes;
	uint64_t age_ms;
	uint64_t mappings;
	/* Escaped by the kernel. */
	char tag[128];
	/* DMA-bufs that refer to it, and its name, escaped likewise, if netlink tells. */
	uint64_t exports;
	char name[256];
	/* Whether netlink told of it. */
	bool told;
};

/* A struct file: one open() of the device, however many descriptors lead to it. */
struct held_file {
	uint64_t file;
	uint64_t buffers;
	uint64_t bytes;
	uint64_t peak_bytes;
	uint64_t age_ms;
	uint64_t owner;
	/* Whether netlink told of its buffers: how many are exported, and have a name. */
	bool told;
	uint64_t exported;
	uint64_t published;
	/* The first buffers; there may be more than are listed. */
	struct held_buffer *list;
	size_t n_list;
	struct process *processes;
	size_t n_processes;
};

/* A process that maps device memory through a file it has no descriptor of. */
struct mapper {
	struct process process;
	uint64_t bytes;
};

struct holders {
	struct held_file *files;
	size_t n_files;
	struct mapper *mappers;
	size_t n_mappers;
	/* 0, or the negative errno for which netlink told nothing. */
	int owners_error;
	/* Processes that the caller may not look into. */
	size_t hidden;
};

/*
 * Looks through /proc for the device that @path names. 0, or -1 with errno and
 * nothing to free.
 */
int holders_scan(const char *path, struct holders *holders);
void holders_free(struct holders *holders);

#endif /* TOOLS_HOLDERS_H */
