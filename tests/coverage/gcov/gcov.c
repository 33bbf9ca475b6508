// SPDX-License-Identifier: GPL-2.0
/*
 * Keeps the counters of a counted bitmem.ko when that goes, as files that gcov reads:
 * /sys/kernel/debug/bitmem_gcov/N/OBJECT.gcda, N counting how often it went. They are
 * there until this module goes.
 *
 * Only loading and unloading call in here, one at a time.
 */
#include <linux/debugfs.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#include "gcov.h"

#define GCOV_MAGIC		0x67636461	/* "gcda" */
#define GCOV_TAG_FUNCTION	0x01000000
#define GCOV_TAG_COUNTERS	0x01a10000
#define GCOV_TAG_STEP		0x00020000	/* from one kind of counters to the next */

struct kept {
	struct list_head link;
	struct debugfs_blob_wrapper blob;
};

static LIST_HEAD(kept);
static struct dentry *root;
static unsigned int taken;

/* Objects name this one for their arcs. Nothing in the kernel ever calls it. */
void __gcov_merge_add(s64 *values, unsigned int num)
{
}
EXPORT_SYMBOL_GPL(__gcov_merge_add);

/* Puts a number at *@pos, or with no buffer only moves on. */
static void put_word(u32 *buffer, size_t *pos, u32 word)
{
	if (buffer)
		buffer[*pos] = word;
	(*pos)++;
}

static void put_function(u32 *buffer, size_t *pos, const struct gcov_object *object,
			 const struct gcov_function *function)
{
	const struct gcov_counters *counters = function->counters;
	unsigned int kind, i;

	put_word(buffer, pos, GCOV_TAG_FUNCTION);
	put_word(buffer, pos, 3 * sizeof(u32));
	put_word(buffer, pos, function->ident);
	put_word(buffer, pos, function->lines_checksum);
	put_word(buffer, pos, function->graph_checksum);
	for (kind = 0; kind < GCOV_COUNTERS; kind++) {
		if (!object->merge[kind])
			continue;
		put_word(buffer, pos, GCOV_TAG_COUNTERS + kind * GCOV_TAG_STEP);
		put_word(buffer, pos, counters->num * sizeof(u64));
		for (i = 0; i < counters->num; i++) {
			put_word(buffer, pos, lower_32_bits(counters->values[i]));
			put_word(buffer, pos, upper_32_bits(counters->values[i]));
		}
		counters++;
	}
}

/* Returns the length in words. */
static size_t put_object(u32 *buffer, const struct gcov_object *object)
{
	unsigned int i;
	size_t pos = 0;

	put_word(buffer, &pos, GCOV_MAGIC);
	put_word(buffer, &pos, object->version);
	put_word(buffer, &pos, object->stamp);
	put_word(buffer, &pos, object->checksum);
	for (i = 0; i < object->nr_functions; i++) {
		const struct gcov_function *function = object->functions[i];

		if (function && function->key == object)
			put_function(buffer, &pos, object, function);
	}
	return pos;
}

static bool keep_object(struct dentry *dir, const struct gcov_object *object)
{
	size_t words = put_object(NULL, object);
	struct kept *keep = kzalloc(sizeof(*keep), GFP_KERNEL);

	if (!keep)
		return false;
	keep->blob.size = words * sizeof(u32);
	keep->blob.data = vmalloc(keep->blob.size);
	if (!keep->blob.data) {
		kfree(keep);
		return false;
	}
	put_object(keep->blob.data, object);
	list_add(&keep->link, &kept);
	debugfs_create_blob(kbasename(object->filename), 0444, dir, &keep->blob);
	return true;
}

/* Keeps what the objects in the table have counted. */
void bitmem_gcov_take(struct gcov_object *const *begin, struct gcov_object *const *end)
{
	struct gcov_object *const *object;
	struct dentry *dir;
	char name[16];

	snprintf(name, sizeof(name), "%u", taken++);
	dir = debugfs_create_dir(name, root);
	for (object = begin; object < end; object++) {
		if (!keep_object(dir, *object))
			pr_err("bitmem_gcov: no memory for %s\n", (*object)->filename);
	}
}
EXPORT_SYMBOL_GPL(bitmem_gcov_take);

static int __init gcov_init(void)
{
	root = debugfs_create_dir("bitmem_gcov", NULL);
	return PTR_ERR_OR_ZERO(root);
}
module_init(gcov_init);

static void __exit gcov_exit(void)
{
	struct kept *keep, *next;

	debugfs_remove(root);
	list_for_each_entry_safe(keep, next, &kept, link) {
		vfree(keep->blob.data);
		kfree(keep);
	}
}
module_exit(gcov_exit);

MODULE_DESCRIPTION("Keeps bitmem's coverage");
MODULE_LICENSE("GPL");
