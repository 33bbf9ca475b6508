/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What differs between the kernels that bitmem builds for. Each BITMEM_HAVE_*
 * is set by Kbuild when the kernel's own headers declare the thing. Nothing
 * else in kmod/ may depend on a kernel version.
 */
#ifndef BITMEM_COMPAT_H
#define BITMEM_COMPAT_H

#include <linux/mm.h>

/* 6.3 made vm_flags read-only and gave it setters. */
#ifndef BITMEM_HAVE_VM_FLAGS_SET
static inline void vm_flags_set(struct vm_area_struct *vma, vm_flags_t flags)
{
	vma->vm_flags |= flags;
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

#endif /* BITMEM_COMPAT_H */
