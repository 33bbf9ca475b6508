// SPDX-License-Identifier: GPL-2.0
/*
 * One mistake of every kind that a guest is there to notice: insmod splat.ko what=KIND makes
 * it, and each kernel that looks for the kind must turn the run red.
 *
 * Nothing here is locked but where locking is the mistake: loading happens once. What must not
 * be optimized away, or warned of by the compiler, goes through volatile variables.
 */
#include <linux/bug.h>
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/platform_device.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/workqueue.h>

#define SPLAT_BYTES	64
#define SPLAT_RACE_MS	3000

static char *what = "warning";
module_param(what, charp, 0444);
MODULE_PARM_DESC(what, "the mistake to make");

/* Keeps nothing and loses nothing; the compiler cannot know. */
static volatile unsigned long splat_sink;
static volatile int splat_shift = 40;

static void splat_warning(void)
{
	WARN(1, "planted by the guest kit's own test\n");
}

static void splat_use_after_free(void)
{
	u8 *memory = kmalloc(SPLAT_BYTES, GFP_KERNEL);

	if (!memory)
		return;
	OPTIMIZER_HIDE_VAR(memory);
	kfree(memory);
	splat_sink = memory[SPLAT_BYTES / 2];
}

static void splat_out_of_bounds(void)
{
	u8 *memory = kmalloc(SPLAT_BYTES, GFP_KERNEL);

	if (!memory)
		return;
	OPTIMIZER_HIDE_VAR(memory);
	memory[SPLAT_BYTES] = 1;
	kfree(memory);
}

/* A page that somebody still writes to when it belongs to the allocator again. */
static void splat_page_use_after_free(void)
{
	struct page *page = alloc_page(GFP_KERNEL);
	u8 *memory;

	if (!page)
		return;
	memory = page_address(page);
	__free_page(page);
	OPTIMIZER_HIDE_VAR(memory);
	memory[SPLAT_BYTES] = 1;
}

static DEFINE_MUTEX(splat_a);
static DEFINE_MUTEX(splat_b);

/* Never deadlocks, for one thread does both: only who looks at the order can tell. */
static void splat_lock_inversion(void)
{
	mutex_lock(&splat_a);
	mutex_lock(&splat_b);
	mutex_unlock(&splat_b);
	mutex_unlock(&splat_a);

	mutex_lock(&splat_b);
	mutex_lock(&splat_a);
	mutex_unlock(&splat_a);
	mutex_unlock(&splat_b);
}

static void splat_sleep_in_atomic(void)
{
	static DEFINE_SPINLOCK(lock);

	spin_lock(&lock);
	might_sleep();
	spin_unlock(&lock);
}

static void splat_rcu_without_lock(void)
{
	static int value;
	static int __rcu *pointer = (int __rcu __force *)&value;

	splat_sink = *rcu_dereference(pointer);
}

static void splat_leak(void)
{
	u8 *memory = kmalloc(SPLAT_BYTES, GFP_KERNEL);

	if (memory)
		memset(memory, 0x5a, SPLAT_BYTES);
}

static void splat_refcount(void)
{
	refcount_t count = REFCOUNT_INIT(1);

	if (refcount_dec_and_test(&count))
		refcount_dec(&count);
}

static void splat_refcount_revived(void)
{
	refcount_t count = REFCOUNT_INIT(0);

	refcount_inc(&count);
}

/* One reference given back too many. */
static void splat_page_reference(void)
{
	struct page *page = alloc_page(GFP_KERNEL);

	if (!page)
		return;
	put_page(page);
	put_page(page);
}

/* A page that goes back while it looks locked, as one does that is freed under a fault. */
static void splat_page_state(void)
{
	struct page *page = alloc_page(GFP_KERNEL);

	if (!page)
		return;
	__SetPageLocked(page);
	__free_page(page);
}

static unsigned long splat_shared;

static int splat_racer(void *unused)
{
	unsigned long end = jiffies + msecs_to_jiffies(SPLAT_RACE_MS);

	while (time_before(jiffies, end) && !kthread_should_stop()) {
		splat_shared++;
		cond_resched();
	}
	while (!kthread_should_stop())
		msleep(20);
	return 0;
}

static void splat_data_race(void)
{
	struct task_struct *racer[2];
	int i;

	for (i = 0; i < ARRAY_SIZE(racer); i++) {
		racer[i] = kthread_create(splat_racer, NULL, "splat/%d", i);
		if (IS_ERR(racer[i]))
			continue;
		kthread_bind(racer[i], i % num_online_cpus());
		wake_up_process(racer[i]);
	}
	msleep(SPLAT_RACE_MS);
	for (i = 0; i < ARRAY_SIZE(racer); i++) {
		if (!IS_ERR(racer[i]))
			kthread_stop(racer[i]);
	}
}

static void splat_shift_out_of_bounds(void)
{
	int one = 1;

	OPTIMIZER_HIDE_VAR(one);
	splat_sink = one << splat_shift;
}

static void splat_list(void)
{
	LIST_HEAD(list);
	struct list_head entry;

	list_add(&entry, &list);
	list.next = &list;
	list_del(&entry);
}

static void splat_do_nothing(struct work_struct *work)
{
}

struct splat_work {
	struct delayed_work work;
};

/* Freed with its timer still running. */
static void splat_object(void)
{
	struct splat_work *w = kzalloc(sizeof(*w), GFP_KERNEL);

	if (!w)
		return;
	INIT_DELAYED_WORK(&w->work, splat_do_nothing);
	schedule_delayed_work(&w->work, 1000 * HZ);
	kfree(w);
}

/* Gives back a mapping it never had. */
static void splat_dma(void)
{
	struct platform_device *device = platform_device_register_simple("splat", -1, NULL, 0);

	if (IS_ERR(device))
		return;
	dma_coerce_mask_and_coherent(&device->dev, DMA_BIT_MASK(64));
	dma_unmap_page(&device->dev, 0x100000, PAGE_SIZE, DMA_TO_DEVICE);
	platform_device_unregister(device);
}

static const struct {
	const char *name;
	void (*make)(void);
} splats[] = {
	{ "warning", splat_warning },
	{ "use-after-free", splat_use_after_free },
	{ "out-of-bounds", splat_out_of_bounds },
	{ "page-use-after-free", splat_page_use_after_free },
	{ "lock-inversion", splat_lock_inversion },
	{ "sleep-in-atomic", splat_sleep_in_atomic },
	{ "rcu-without-lock", splat_rcu_without_lock },
	{ "leak", splat_leak },
	{ "refcount", splat_refcount },
	{ "refcount-revived", splat_refcount_revived },
	{ "page-reference", splat_page_reference },
	{ "page-state", splat_page_state },
	{ "data-race", splat_data_race },
	{ "shift", splat_shift_out_of_bounds },
	{ "list", splat_list },
	{ "object", splat_object },
	{ "dma", splat_dma },
};

static int __init splat_init(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(splats); i++) {
		if (!strcmp(what, splats[i].name)) {
			splats[i].make();
			return 0;
		}
	}
	return -EINVAL;
}
module_init(splat_init);

static void __exit splat_exit(void)
{
}
module_exit(splat_exit);

MODULE_DESCRIPTION("Mistakes on purpose");
MODULE_LICENSE("GPL");
