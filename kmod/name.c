// SPDX-License-Identifier: GPL-2.0
/*
 * Names of buffers: how a file finds a buffer of another's without being handed a
 * descriptor.
 *
 * Each user (the publisher's effective one) has names of his own, kept in one tree.
 * A name holds no reference on its buffer: it is part of it, and goes when the
 * last reference has gone. A buffer found here may be on its way out already, so
 * a reference is had only if there still is one.
 *
 * bm_names_lock guards the tree and each buffer's @name. It is a leaf. What a
 * name says never changes once it is in the tree.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/user_namespace.h>

#include "bitmem.h"

/* The bits of a mode that mean something here. */
#define BM_MODE		0666

/**
 * struct bm_name - a published name
 * @node: in the tree, by user and name
 * @buf: what it leads to
 * @uid: the publisher
 * @gid: and his group
 * @mode: who may attach, as for a file
 * @text: the name, padded with NULs
 */
struct bm_name {
	struct rb_node node;
	struct bm_buffer *buf;
	kuid_t uid;
	kgid_t gid;
	umode_t mode;
	char text[BITMEM_NAME_LEN];
};

struct bm_name_key {
	kuid_t uid;
	const char *text;
};

static DEFINE_SPINLOCK(bm_names_lock);
static struct rb_root bm_names = RB_ROOT;

static int bm_name_compare(const void *key, const struct rb_node *node)
{
	const struct bm_name *name = rb_entry(node, struct bm_name, node);
	const struct bm_name_key *k = key;

	if (uid_lt(k->uid, name->uid))
		return -1;
	if (uid_gt(k->uid, name->uid))
		return 1;
	return memcmp(k->text, name->text, sizeof(name->text));
}

static int bm_name_compare_nodes(struct rb_node *new, const struct rb_node *node)
{
	const struct bm_name *name = rb_entry(new, struct bm_name, node);
	const struct bm_name_key key = { .uid = name->uid, .text = name->text };

	return bm_name_compare(&key, node);
}

/* Not empty, ends with a NUL, and nothing but NULs after the first. */
static bool bm_name_valid(const __u8 *text)
{
	size_t length = strnlen((const char *)text, BITMEM_NAME_LEN);

	return length && length < BITMEM_NAME_LEN &&
	       !memchr_inv(text + length, 0, BITMEM_NAME_LEN - length);
}

/* Puts the name into the tree, unless it is taken or the buffer has one. */
static int bm_name_insert(struct bm_name *name)
{
	int ret = -EEXIST;

	spin_lock(&bm_names_lock);
	if (!name->buf->name && !rb_find_add(&name->node, &bm_names, bm_name_compare_nodes)) {
		WRITE_ONCE(name->buf->name, name);
		ret = 0;
	}
	spin_unlock(&bm_names_lock);
	return ret;
}

/* Takes the buffer's name off the tree; NULL if it has none. */
static struct bm_name *bm_name_take(struct bm_buffer *buf)
{
	struct bm_name *name;

	spin_lock(&bm_names_lock);
	name = buf->name;
	if (name) {
		rb_erase(&name->node, &bm_names);
		WRITE_ONCE(buf->name, NULL);
	}
	spin_unlock(&bm_names_lock);
	return name;
}

/**
 * bm_name_publish() - give a buffer a name, as the current user's
 * @buf: the buffer, with a reference of the caller's
 * @arg: name and mode
 *
 * Return: 0; -EINVAL if the mode or the name can never be right, -EEXIST if the
 * user has that name already or the buffer has one, -ENOMEM.
 */
int bm_name_publish(struct bm_buffer *buf, const struct bitmem_publish *arg)
{
	struct bm_name *name;
	int ret;

	if ((arg->mode & ~BM_MODE) || !bm_name_valid(arg->name))
		return -EINVAL;
	name = kmalloc(sizeof(*name), GFP_KERNEL_ACCOUNT);
	if (!name)
		return -ENOMEM;
	name->buf = buf;
	name->uid = current_euid();
	name->gid = current_egid();
	name->mode = arg->mode;
	memcpy(name->text, arg->name, sizeof(name->text));
	ret = bm_name_insert(name);
	if (ret)
		kfree(name);
	return ret;
}

/* Takes the buffer's name away. -ENOENT if it has none. */
int bm_name_remove(struct bm_buffer *buf)
{
	struct bm_name *name = bm_name_take(buf);

	if (!name)
		return -ENOENT;
	kfree(name);
	return 0;
}

/* The last reference on the buffer is gone; before it is freed. */
void bm_name_forget(struct bm_buffer *buf)
{
	kfree(bm_name_take(buf));
}

/* Copies the buffer's name, BITMEM_NAME_LEN bytes. False if it has none. */
bool bm_name_copy(struct bm_buffer *buf, char *text)
{
	bool named;

	spin_lock(&bm_names_lock);
	named = buf->name;
	if (named)
		memcpy(text, buf->name->text, BITMEM_NAME_LEN);
	spin_unlock(&bm_names_lock);
	return named;
}

/* As for a file: one who may override what its owner says, where user and group are known. */
static bool bm_name_override(const struct bm_name *name)
{
	struct user_namespace *ns = current_user_ns();

	return kuid_has_mapping(ns, name->uid) && kgid_has_mapping(ns, name->gid) &&
	       ns_capable(ns, CAP_DAC_OVERRIDE);
}

/* What the current user may: MAY_READ, MAY_WRITE. As for a file, only the first match counts. */
static umode_t bm_name_allowed(const struct bm_name *name)
{
	umode_t bits;

	if (uid_eq(current_euid(), name->uid))
		bits = name->mode >> 6;
	else if (in_egroup_p(name->gid))
		bits = name->mode >> 3;
	else
		bits = name->mode;
	bits &= MAY_READ | MAY_WRITE;
	if (bits != (MAY_READ | MAY_WRITE) && bm_name_override(name))
		bits = MAY_READ | MAY_WRITE;
	return bits;
}

/* The buffer of a name, with a reference, and a copy of what the name says; or NULL. */
static struct bm_buffer *bm_name_lookup(const struct bm_name_key *key, struct bm_name *copy)
{
	struct bm_buffer *buf = NULL;
	struct rb_node *node;

	spin_lock(&bm_names_lock);
	node = rb_find(key, &bm_names, bm_name_compare);
	if (node) {
		*copy = *rb_entry(node, struct bm_name, node);
		if (kref_get_unless_zero(&copy->buf->kref))
			buf = copy->buf;
	}
	spin_unlock(&bm_names_lock);
	return buf;
}

/**
 * bm_name_find() - the buffer that a name leads the current user to
 * @arg: whose name, and which
 * @readonly: set if he may only read it, or asked for no more
 *
 * That a name exists is no secret, as with files in a directory that all may read:
 * -EACCES and -ENOENT tell the difference.
 *
 * Return: the buffer with a reference; or an ERR_PTR: -EINVAL if @arg can never be
 * right, -ENOENT if there is no such name, -EACCES if it is not for this user.
 */
struct bm_buffer *bm_name_find(const struct bitmem_attach *arg, bool *readonly)
{
	struct bm_name_key key = { .uid = current_euid(), .text = (const char *)arg->name };
	struct bm_buffer *buf;
	struct bm_name copy;
	umode_t allowed;

	if (arg->uid != BITMEM_UID_SELF)
		key.uid = make_kuid(current_user_ns(), arg->uid);
	if (!uid_valid(key.uid) || !bm_name_valid(arg->name))
		return ERR_PTR(-EINVAL);
	buf = bm_name_lookup(&key, &copy);
	if (!buf)
		return ERR_PTR(-ENOENT);
	/* Outside the lock: a capability check may log. */
	allowed = bm_name_allowed(&copy);
	if (!(allowed & MAY_READ)) {
		bm_buffer_put(buf);
		return ERR_PTR(-EACCES);
	}
	*readonly = !(allowed & MAY_WRITE) || (arg->flags & BITMEM_ATTACH_READONLY);
	return buf;
}
