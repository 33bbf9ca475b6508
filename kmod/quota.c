// SPDX-License-Identifier: GPL-2.0
/*
 * Quotas: what a file, and what a user over all files, may have.
 *
 * A user's entry lives as long as a file refers to it, or a limit that was set
 * for the user is to be remembered. Charging a file and its user is two steps,
 * since their locks are leaves; the second one failing undoes the first.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/rbtree.h>
#include <linux/slab.h>

#include "bitmem.h"

/* By uid. */
static struct rb_root bm_users = RB_ROOT;
static DEFINE_SPINLOCK(bm_users_lock);

/* The limit of whom none was set for. */
static u64 bm_default_limit = BITMEM_NO_LIMIT;

/* --- the table of users --- */

static struct bm_user *bm_user_entry(struct rb_node *node)
{
	return rb_entry_safe(node, struct bm_user, link);
}

/* The entry of @fresh's user: the one that there is, or else @fresh. */
static struct bm_user *bm_user_insert(struct bm_user *fresh)
{
	struct rb_node **link = &bm_users.rb_node, *parent = NULL;

	lockdep_assert_held(&bm_users_lock);
	while (*link) {
		struct bm_user *user = bm_user_entry(*link);

		if (uid_eq(user->uid, fresh->uid))
			return user;
		parent = *link;
		link = uid_lt(fresh->uid, user->uid) ? &parent->rb_left : &parent->rb_right;
	}
	rb_link_node(&fresh->link, parent, link);
	rb_insert_color(&fresh->link, &bm_users);
	return fresh;
}

/* The user with the lowest uid above @uid, or of all if it is NULL; or NULL. */
static struct bm_user *bm_user_above(const kuid_t *uid)
{
	struct rb_node *node = bm_users.rb_node;
	struct bm_user *found = NULL;

	lockdep_assert_held(&bm_users_lock);
	while (node) {
		struct bm_user *user = bm_user_entry(node);

		if (!uid || uid_gt(user->uid, *uid)) {
			found = user;
			node = node->rb_left;
		} else {
			node = node->rb_right;
		}
	}
	return found;
}

static struct bm_user *bm_user_new(kuid_t uid)
{
	struct bm_user *user = kzalloc(sizeof(*user), GFP_KERNEL_ACCOUNT);

	if (!user)
		return NULL;
	kref_init(&user->kref);
	user->uid = uid;
	spin_lock_init(&user->lock);
	user->limit = bm_default_limit;
	return user;
}

/**
 * bm_user_get() - a user's entry
 * @uid: who
 *
 * Return: it, with a reference, or NULL if there is no memory for a new one.
 */
struct bm_user *bm_user_get(kuid_t uid)
{
	struct bm_user *user, *fresh = bm_user_new(uid);

	if (!fresh)
		return NULL;
	spin_lock(&bm_users_lock);
	user = bm_user_insert(fresh);
	if (user != fresh)
		kref_get(&user->kref);
	spin_unlock(&bm_users_lock);
	if (user != fresh)
		kfree(fresh);
	return user;
}

/* The last reference goes with the table's lock held, so that nobody finds the entry. */
static void bm_user_release(struct kref *kref)
	__releases(&bm_users_lock)
{
	struct bm_user *user = container_of(kref, struct bm_user, kref);

	rb_erase(&user->link, &bm_users);
	spin_unlock(&bm_users_lock);
	kfree(user);
}

void bm_user_put(struct bm_user *user)
{
	kref_put_lock(&user->kref, bm_user_release, &bm_users_lock);
}

/* --- charging --- */

static bool bm_fits(u64 used, u64 more, u64 limit)
{
	return more <= limit && used <= limit - more;
}

static bool bm_user_charge(struct bm_user *user, u64 bytes)
{
	bool fits;

	spin_lock(&user->lock);
	fits = bm_fits(user->bytes, bytes, user->limit);
	if (fits)
		user->bytes += bytes;
	spin_unlock(&user->lock);
	return fits;
}

/**
 * bm_charge() - charge pages to a file and its user
 * @file: the file
 * @npages: how many
 *
 * Return: 0, or -EDQUOT with nothing charged.
 */
int bm_charge(struct bm_file *file, unsigned long npages)
{
	u64 bytes = (u64)npages << PAGE_SHIFT;
	bool fits;

	spin_lock(&file->lock);
	fits = bm_fits(file->bytes, bytes, file->limit);
	if (fits)
		file->bytes += bytes;
	spin_unlock(&file->lock);
	if (!fits)
		return -EDQUOT;

	fits = bm_user_charge(file->user, bytes);
	spin_lock(&file->lock);
	if (fits)
		file->peak = max(file->peak, file->bytes);
	else
		file->bytes -= bytes;
	spin_unlock(&file->lock);
	return fits ? 0 : -EDQUOT;
}

void bm_uncharge(struct bm_file *file, unsigned long npages)
{
	u64 bytes = (u64)npages << PAGE_SHIFT;

	spin_lock(&file->lock);
	file->bytes -= bytes;
	spin_unlock(&file->lock);
	spin_lock(&file->user->lock);
	file->user->bytes -= bytes;
	spin_unlock(&file->user->lock);
}

/* --- limits --- */

/**
 * bm_file_limit() - ioctl(BITMEM_LIMIT)
 * @file: the file
 * @arg: its arguments
 *
 * Return: 0, or -EPERM if the limit would rise.
 */
int bm_file_limit(struct bm_file *file, struct bitmem_limit *arg)
{
	int ret = 0;

	spin_lock(&file->lock);
	if (arg->limit != BITMEM_NO_LIMIT && arg->limit > file->limit)
		ret = -EPERM;
	else
		file->limit = min(file->limit, arg->limit);
	arg->out_limit = file->limit;
	arg->out_used = file->bytes;
	spin_unlock(&file->lock);
	return ret;
}

/**
 * bm_quota_set() - set a user's limit
 * @uid: who
 * @limit: bytes, or BITMEM_NO_LIMIT. A user who has more keeps it, and gets no more
 *
 * Return: 0 or -ENOMEM.
 */
int bm_quota_set(kuid_t uid, u64 limit)
{
	struct bm_user *user = bm_user_get(uid);
	bool kept, keep = limit != bm_default_limit;

	if (!user)
		return -ENOMEM;
	spin_lock(&user->lock);
	kept = user->kept;
	user->kept = keep;
	user->limit = limit;
	if (keep && !kept)
		kref_get(&user->kref);
	spin_unlock(&user->lock);
	if (!keep && kept)
		bm_user_put(user);
	bm_user_put(user);
	return 0;
}

/**
 * bm_quota_next() - look at the users one by one, in the order of their ids
 * @uid: the last one seen; gets the next one
 * @first: there is no last one
 * @bytes: gets what the user has
 * @limit: gets the user's limit
 *
 * Return: 0, or -ENOENT if there are no more.
 */
int bm_quota_next(kuid_t *uid, bool first, u64 *bytes, u64 *limit)
{
	struct bm_user *found;

	spin_lock(&bm_users_lock);
	found = bm_user_above(first ? NULL : uid);
	if (found)
		kref_get(&found->kref);
	spin_unlock(&bm_users_lock);
	if (!found)
		return -ENOENT;
	*uid = found->uid;
	spin_lock(&found->lock);
	*bytes = found->bytes;
	*limit = found->limit;
	spin_unlock(&found->lock);
	bm_user_put(found);
	return 0;
}

/* --- life --- */

/* @user_mb: what each user may have, in MiB; 0 = no limit. */
int bm_quota_init(unsigned long user_mb)
{
	if (user_mb > U64_MAX >> 20) {
		pr_err("user_quota_mb: %lu is too much\n", user_mb);
		return -EINVAL;
	}
	bm_default_limit = user_mb ? (u64)user_mb << 20 : BITMEM_NO_LIMIT;
	return 0;
}

/* No file is left: what there is are remembered limits. */
void bm_quota_exit(void)
{
	struct rb_node *node;

	while ((node = rb_first(&bm_users)))
		bm_user_put(bm_user_entry(node));
}
