/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the kernel tells of NUMA nodes. What cannot be read is not known, which is no
 * error: a kernel without NUMA has none of these files.
 */
#include <stdio.h>
#include <string.h>

#include <bitmem/bitmem.h>

#include "../pressure/text.h"
#include "nodes.h"

#define KIB 1024

/* Reads a number at *@text, which is moved behind it. */
static bool number(const char **text, uint64_t *value)
{
	const char *c = *text + strspn(*text, " ");
	char digits[24];
	size_t length = strspn(c, "0123456789");

	if (length >= sizeof(digits))
		return false;
	memcpy(digits, c, length);
	digits[length] = 0;
	*text = c + length;
	return bm_text_number(digits, value);
}

/* How many of a list ("0-2,5") are below @node; -1 if it is not one of them. */
static int place_in_list(const char *list, uint64_t node)
{
	uint64_t first, last;
	int place = 0;

	while (number(&list, &first)) {
		last = first;
		if (*list == '-') {
			list++;
			if (!number(&list, &last) || last < first)
				return -1;
		}
		if (node < first)
			return -1;
		if (node <= last)
			return place + (int)(node - first);
		place += (int)(last - first + 1);
		if (*list != ',')
			return -1;
		list++;
	}
	return -1;
}

/* The distances of a node are those to all that are online, in their order. */
uint8_t bm_node_distance(const char *dir, int from, int to)
{
	uint64_t distance = BM_DISTANCE_UNKNOWN;
	char text[BM_TEXT_SIZE], name[40];
	const char *at = text;
	int place;

	if (from == BITMEM_NODE_ANY || to == BITMEM_NODE_ANY)
		return BM_DISTANCE_UNKNOWN;
	if (from == to)
		return BM_DISTANCE_LOCAL;
	if (!bm_text_read(dir, "online", text))
		return BM_DISTANCE_UNKNOWN;
	place = place_in_list(text, (uint64_t)to);
	snprintf(name, sizeof(name), "node%d/distance", from);
	if (place < 0 || !bm_text_read(dir, name, text))
		return BM_DISTANCE_UNKNOWN;
	do {
		if (!number(&at, &distance))
			return BM_DISTANCE_UNKNOWN;
	} while (place--);
	return distance < BM_DISTANCE_UNKNOWN ? (uint8_t)distance : BM_DISTANCE_UNKNOWN;
}

/* A figure of "Node N KEY: … kB", in bytes. */
static bool figure(const char *text, int node, const char *key, uint64_t *bytes)
{
	char start[64];

	snprintf(start, sizeof(start), "Node %d %s:", node, key);
	return bm_text_value(text, start, bytes) && !__builtin_mul_overflow(*bytes, KIB, bytes);
}

/* Bytes of a node that are set aside as huge pages, used or not. */
static uint64_t set_aside(const char *dir, int node)
{
	static const unsigned int sizes[] = { 2048, 1048576 };
	char text[BM_TEXT_SIZE], name[96];
	uint64_t all = 0, n;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		snprintf(name, sizeof(name), "node%d/hugepages/hugepages-%ukB/nr_hugepages", node,
			 sizes[i]);
		if (bm_text_read(dir, name, text) && bm_text_number(text, &n) &&
		    n < UINT64_MAX / KIB / sizes[i] / 2)
			all += n * KIB * sizes[i];
	}
	return all;
}

/* Files that nobody has written to lately go when memory is needed: half of them are counted. */
uint64_t bm_node_read(const char *dir, int node, struct bm_usage *usage)
{
	uint64_t total, available, active, inactive, huge;
	char text[BM_TEXT_SIZE], name[40];

	*usage = (struct bm_usage){ 0 };
	snprintf(name, sizeof(name), "node%d/meminfo", node);
	if (!bm_text_read(dir, name, text) || !figure(text, node, "MemTotal", &total) ||
	    !figure(text, node, "MemFree", &available))
		return 0;
	if (figure(text, node, "Active(file)", &active) &&
	    figure(text, node, "Inactive(file)", &inactive))
		available += active / 2 + inactive / 2;
	/* It never becomes available (see pressure/host.c). */
	huge = set_aside(dir, node);
	if (huge < total)
		total -= huge;
	if (available > total)
		available = total;
	usage->total = total;
	usage->used = total - available;
	return available;
}
