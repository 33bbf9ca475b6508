/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What differs between the kernels that bitmem builds for. Each BITMEM_HAVE_*
 * is set by Kbuild when the kernel's own headers declare the thing. Nothing
 * else in kmod/ may depend on a kernel version.
 */
#ifndef BITMEM_COMPAT_H
#define BITMEM_COMPAT_H

#include <linux/mm.h>
#include <linux/shrinker.h>
#include <linux/slab.h>
#ifdef BITMEM_HAVE_IO_URING_CMD_H
#include <linux/io_uring/cmd.h>
#else
#include <linux/io_uring.h>
#endif

/* 6.3 made vm_flags read-only and gave it setters. */
#ifndef BITMEM_HAVE_VM_FLAGS_SET
static inline void vm_flags_set(struct vm_area_struct *vma, vm_flags_t flags)
{
	vma->vm_flags |= flags;
}

static inline void vm_flags_clear(struct vm_area_struct *vma, vm_flags_t flags)
{
	vma->vm_flags &= ~flags;
}
#endif

/*
 * How many page tables map a folio of ours, which is not anonymous. Before 6.10
 * the large folios' count had no inline form, so it is put together here: from
 * that of the whole and those of the pages, which up to 6.1 count the mappings
 * of the whole as well.
 */
static inline int bm_folio_mapcount(struct folio *folio)
{
#ifdef BITMEM_HAVE_FOLIO_LARGE_MAPCOUNT
	return folio_mapcount(folio);
#else
	long i, n = folio_nr_pages(folio);
	int whole = 0, count = 0;

	for (i = 0; i < n; i++)
		count += atomic_read(&folio_page(folio, i)->_mapcount) + 1;
	if (folio_test_large(folio))
		whole = folio_entire_mapcount(folio);
#ifdef BITMEM_HAVE_FOLIO_MAPCOUNT_PTR
	return count + whole - whole * n;
#else
	return count + whole;
#endif
#endif
}

/*
 * May pages that split_page() made single be freed as the block they were? Where
 * allocations are profiled each of them has an account of its own by then, and only
 * the first one's would be closed.
 */
#define BM_CAN_FREE_BLOCK	(!IS_ENABLED(CONFIG_MEM_ALLOC_PROFILING))

/* 6.5 gave a name to the flags that users may set. */
#ifndef IORING_URING_CMD_MASK
#define IORING_URING_CMD_MASK	IORING_URING_CMD_FIXED
#endif

/* The command area of the SQE: 6.6 hands over the SQE instead of it. */
static inline const void *bm_uring_payload(const struct io_uring_cmd *cmd)
{
#ifdef BITMEM_HAVE_IO_URING_SQE_CMD
	return cmd->sqe->cmd;
#else
	return cmd->cmd;
#endif
}

/* 6.13 wants a string. */
#ifdef BITMEM_HAVE_IMPORT_NS_STRING
#define BM_IMPORT_NS_DMA_BUF	MODULE_IMPORT_NS("DMA_BUF")
#else
#define BM_IMPORT_NS_DMA_BUF	MODULE_IMPORT_NS(DMA_BUF)
#endif

/*
 * Says which attribute of a netlink request is wrong and why; from 6.3 on with its value.
 * @extack may be NULL: it is where a dump starts on kernels before 6.9.
 */
#ifdef BITMEM_HAVE_ERR_MSG_ATTR_FMT
#define bm_refuse(extack, attr, text, value) \
	NL_SET_ERR_MSG_ATTR_FMT(extack, attr, "%s: %llu", text, (u64)(value))
#else
#define bm_refuse(extack, attr, text, value) do {	\
	struct netlink_ext_ack *_extack = (extack);	\
							\
	(void)(value);					\
	NL_SET_BAD_ATTR(_extack, attr);			\
	if (_extack)					\
		_extack->_msg = (text);			\
} while (0)
#endif

/* The attributes of a dump's request: 6.7 put them where those of other requests are. */
#ifdef BITMEM_HAVE_GENL_INFO_DUMP
#define bm_dump_attrs(cb)	(genl_info_dump(cb)->attrs)
#else
#define bm_dump_attrs(cb)	(genl_dumpit_info(cb)->attrs)
#endif

/* 6.7 allocates shrinkers itself, and cannot fail to register one. */
#ifdef BITMEM_HAVE_SHRINKER_ALLOC
static inline int bm_shrinker_register(struct shrinker *shrinker, const char *name)
{
	shrinker_register(shrinker);
	return 0;
}
#else
static inline struct shrinker *shrinker_alloc(unsigned int flags, const char *name)
{
	struct shrinker *shrinker = kzalloc(sizeof(*shrinker), GFP_KERNEL);

	if (shrinker) {
		shrinker->flags = flags;
		shrinker->seeks = DEFAULT_SEEKS;
	}
	return shrinker;
}

static inline int bm_shrinker_register(struct shrinker *shrinker, const char *name)
{
	int ret = register_shrinker(shrinker, "%s", name);

	if (ret)
		kfree(shrinker);
	return ret;
}

static inline void shrinker_free(struct shrinker *shrinker)
{
	unregister_shrinker(shrinker);
	kfree(shrinker);
}
#endif

#endif /* BITMEM_COMPAT_H */
