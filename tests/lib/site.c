/* SPDX-License-Identifier: GPL-2.0 */
/* Who allocated: the right line, by macro; the right address, without. */
#include <bitmem/share.h>

#include "track_test.h"

static const struct bitmem_place *place_of(struct bitmem_snapshot *s, const void *ptr)
{
	const struct bitmem_live *live = track_find(s, ptr);

	return live ? live->place : NULL;
}

TEST_F(lib, by_line)
{
	const uint64_t shape = 10;
	const unsigned int line = __LINE__ + 1;
	void *a = bitmem_alloc(self->ctx, 10, 0);
	void *b = bitmem_alloc(self->ctx, 10, 4096);
	void *c = bitmem_zalloc(self->ctx, 10, 0);
	struct bitmem_tensor *d = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, &shape);
	struct bitmem_tensor *e = bitmem_tensor_empty(self->ctx, BITMEM_U8, 1, &shape);
	struct bitmem_tensor *f = bitmem_tensor_new_shareable(self->ctx, BITMEM_U8, 1, &shape);
	struct bitmem_tensor *g = bitmem_tensor_view(f, BITMEM_U8, 1, &shape, 0);
	const void *ptrs[] = { a, b, c, bitmem_tensor_data(d), bitmem_tensor_data(e),
			       bitmem_tensor_data(f) };
	struct bitmem_snapshot *s = bitmem_snapshot(self->ctx);
	char text[200], brief[8];
	size_t length;

	ASSERT_NE(NULL, s);
	for (unsigned int i = 0; i < 6; i++)
		EXPECT_TRUE(track_is_at(place_of(s, ptrs[i]), "site.c", line + i));
	ASSERT_EQ(7, bitmem_snapshot_count(s));
	EXPECT_TRUE(track_is_at(bitmem_snapshot_get(s, 6)->place, "site.c", line + 6));
	length = bitmem_place_text(place_of(s, a), text, sizeof(text));
	EXPECT_EQ(strlen(text), length);
	EXPECT_NE(NULL, strstr(text, "site.c:"));
	EXPECT_NE(NULL, strstr(text, "by_line"));
	EXPECT_EQ(length, bitmem_place_text(place_of(s, a), brief, sizeof(brief)));
	EXPECT_EQ(0, strncmp(brief, text, sizeof(brief) - 1));
	bitmem_snapshot_free(s);
	EXPECT_EQ(0, bitmem_free(self->ctx, a));
	EXPECT_EQ(0, bitmem_free(self->ctx, b));
	EXPECT_EQ(0, bitmem_free(self->ctx, c));
	bitmem_tensor_unref(d);
	bitmem_tensor_unref(e);
	bitmem_tensor_unref(f);
	bitmem_tensor_unref(g);
}

static __attribute__((noinline)) void *by_address(struct bitmem *ctx)
{
	void *ptr = (bitmem_alloc)(ctx, 10, 0);

	__asm__ volatile("" : : "r"(ptr));
	return ptr;
}

TEST_F(lib, by_address)
{
	void *a = by_address(self->ctx), *b = by_address(self->ctx);
	struct bitmem_snapshot *s = bitmem_snapshot(self->ctx);
	const struct bitmem_place *place;
	char text[200];

	ASSERT_NE(NULL, s);
	place = place_of(s, a);
	ASSERT_NE(NULL, place);
	EXPECT_EQ(NULL, place->file);
	EXPECT_LT((uintptr_t)by_address, (uintptr_t)place->address);
	EXPECT_GT((uintptr_t)by_address + 512, (uintptr_t)place->address);
	EXPECT_EQ(place, place_of(s, b));
	EXPECT_LT(2, bitmem_place_text(place, text, sizeof(text)));
	EXPECT_NE(NULL, strstr(text, "0x"));
	bitmem_snapshot_free(s);
	EXPECT_EQ(0, bitmem_free(self->ctx, a));
	EXPECT_EQ(0, bitmem_free(self->ctx, b));
}

/* A place of the caller's own, and two that are one. */
TEST_F(lib, on_behalf)
{
	static struct bitmem_site one = { 0, 7, "a.c", "f" }, two = { 0, 7, "a.c", "f" };
	static struct bitmem_site other = { 0, 7, "a.c", "g" };
	void *a = bitmem_alloc_at(self->ctx, 10, 0, &one);
	void *b = bitmem_zalloc_at(self->ctx, 20, 64, &two);
	void *c = bitmem_alloc_default_at(self->ctx, 10, &other);
	struct bitmem_snapshot *s = bitmem_snapshot(self->ctx);
	struct bitmem_group *groups;
	size_t n;

	ASSERT_NE(NULL, s);
	EXPECT_EQ(place_of(s, a), place_of(s, b));
	EXPECT_NE(place_of(s, a), place_of(s, c));
	ASSERT_EQ(0, bitmem_snapshot_group(s, bitmem_by_place, NULL, &groups, &n));
	ASSERT_EQ(2, n);
	EXPECT_EQ(3, groups[0].sum.count + groups[1].sum.count);
	EXPECT_EQ(40, groups[0].sum.bytes + groups[1].sum.bytes);
	free(groups);
	bitmem_snapshot_free(s);
	EXPECT_EQ(0, bitmem_free(self->ctx, a));
	EXPECT_EQ(0, bitmem_free(self->ctx, b));
	EXPECT_EQ(0, bitmem_free(self->ctx, c));
}

static __attribute__((noinline)) struct bitmem_site *here(void)
{
	struct bitmem_site *site = bitmem_site_of(NULL, 0, NULL);

	__asm__ volatile("" : : "r"(site));
	return site;
}

/* Places that are known when the program runs. */
TEST_F(lib, found)
{
	static const char file[] = "a.c", f[] = "f", g[] = "g";
	struct bitmem_site *site = bitmem_site_of(file, 7, f);
	static struct bitmem_site equal = { 0, 7, "a.c", "f" };
	void *a = bitmem_alloc_at(self->ctx, 10, 0, site);
	void *b = bitmem_alloc_at(self->ctx, 10, 0, &equal);
	void *c = bitmem_alloc_at(self->ctx, 10, 0, here());
	struct bitmem_snapshot *s = bitmem_snapshot(self->ctx);

	ASSERT_NE(NULL, s);
	EXPECT_EQ(site, bitmem_site_of(file, 7, f));
	EXPECT_NE(site, bitmem_site_of(file, 8, f));
	EXPECT_NE(site, bitmem_site_of(file, 7, g));
	EXPECT_EQ(here(), here());
	EXPECT_TRUE(track_is_at(place_of(s, a), "a.c", 7));
	EXPECT_EQ(0, strcmp("f", place_of(s, a)->function));
	EXPECT_EQ(place_of(s, a), place_of(s, b));
	EXPECT_EQ(NULL, place_of(s, c)->file);
	EXPECT_LT((uintptr_t)here, (uintptr_t)place_of(s, c)->address);
	EXPECT_GT((uintptr_t)here + 512, (uintptr_t)place_of(s, c)->address);
	bitmem_snapshot_free(s);
	EXPECT_EQ(0, bitmem_free(self->ctx, a));
	EXPECT_EQ(0, bitmem_free(self->ctx, b));
	EXPECT_EQ(0, bitmem_free(self->ctx, c));
}

/* More than there are numbers for: the rest is not told apart, and is what it is for ever. */
TEST_F(lib, too_many)
{
	struct bitmem_site *first = bitmem_site_of("a.c", 1, "f"), *last = NULL;
	struct bitmem_snapshot *s;
	void *a, *b;

	for (unsigned int line = 1; line <= 20000; line++)
		last = bitmem_site_of("a.c", line, "f");
	EXPECT_EQ(last, bitmem_site_of("b.c", 1, "g"));
	EXPECT_EQ(first, bitmem_site_of("a.c", 1, "f"));
	a = bitmem_alloc_at(self->ctx, 10, 0, first);
	b = bitmem_alloc_at(self->ctx, 10, 0, last);
	s = bitmem_snapshot(self->ctx);
	ASSERT_NE(NULL, s);
	EXPECT_TRUE(track_is_at(place_of(s, a), "a.c", 1));
	ASSERT_NE(NULL, place_of(s, b));
	EXPECT_EQ(NULL, place_of(s, b)->file);
	bitmem_snapshot_free(s);
	EXPECT_EQ(0, bitmem_free(self->ctx, a));
	EXPECT_EQ(0, bitmem_free(self->ctx, b));
}

/* What the dynamic linker knows, where there is one. */
TEST(symbols)
{
	char text[200];
	int local;

	EXPECT_EQ(strlen("0x10"), bitmem_symbol((void *)0x10, text, sizeof(text)));
	EXPECT_EQ(0, strcmp("0x10", text));
	EXPECT_LT(2, bitmem_symbol(&local, text, sizeof(text)));
	EXPECT_LT(2, bitmem_symbol((void *)(uintptr_t)by_address, text, sizeof(text)));
	EXPECT_NE(NULL, strstr(text, "0x"));
	if (!test_sanitized())
		return;
	bitmem_symbol((void *)(uintptr_t)strtoul, text, sizeof(text));
	EXPECT_NE(NULL, strstr(text, "strto")) TH_LOG("%s", text);
}

TEST_F(lib, counters_know_no_place)
{
	struct bitmem *ctx = track_open(BITMEM_TRACKING_COUNTERS);
	struct bitmem_snapshot *s;
	char text[32];
	void *a;

	ASSERT_NE(NULL, ctx);
	a = bitmem_alloc(ctx, 10, 0);
	s = bitmem_snapshot(ctx);
	ASSERT_NE(NULL, s);
	EXPECT_TRUE(track_agrees(s));
	ASSERT_NE(NULL, place_of(s, a));
	EXPECT_EQ(NULL, place_of(s, a)->file);
	EXPECT_EQ(NULL, place_of(s, a)->address);
	EXPECT_EQ(7, bitmem_place_text(place_of(s, a), text, sizeof(text)));
	EXPECT_EQ(0, strcmp("unknown", text));
	bitmem_snapshot_free(s);
	EXPECT_EQ(0, bitmem_free(ctx, a));
	EXPECT_EQ(0, bitmem_close(ctx));
}

TEST_HARNESS_MAIN
