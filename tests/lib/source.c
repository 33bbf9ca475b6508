/* SPDX-License-Identifier: GPL-2.0 */
/* What the library reads in files of the kernel, with whatever may stand there. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../libbitmem/pressure/source.h"
#include "../../libbitmem/pressure/text.h"
#include "lib_test.h"
#include "model_test.h"

FIXTURE(source)
{
	char *dir;
};

FIXTURE_SETUP(source)
{
	self->dir = dir_make(NULL);
	ASSERT_NE(NULL, self->dir);
}

FIXTURE_TEARDOWN(source)
{
	char command[300];

	snprintf(command, sizeof(command), "rm -rf '%s'", self->dir);
	EXPECT_EQ(0, system(command));
	free(self->dir);
}

/* Writes @dir/@name, and the directories on the way. */
static void put(const char *dir, const char *name, const char *text)
{
	char path[PATH_MAX];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	for (char *c = path + strlen(dir) + 1; *c; c++) {
		if (*c != '/')
			continue;
		*c = 0;
		mkdir(path, 0700);
		*c = '/';
	}
	file = fopen(path, "we");
	if (!file)
		abort();
	fputs(text, file);
	fclose(file);
}

static const char *const bad_numbers[] = {
	"", " ", "\n", "-1", "+1", "x", "1x", "0x10", "1.5", "18446744073709551616",
	"99999999999999999999999999", "max", "١",
};

TEST(numbers)
{
	uint64_t value = 7;

	for (size_t i = 0; i < sizeof(bad_numbers) / sizeof(*bad_numbers); i++) {
		EXPECT_FALSE(bm_text_number(bad_numbers[i], &value)) TH_LOG("%s", bad_numbers[i]);
	}
	EXPECT_EQ(7, value);
	EXPECT_TRUE(bm_text_number("18446744073709551615\n", &value));
	EXPECT_EQ(UINT64_MAX, value);
	EXPECT_TRUE(bm_text_number("0", &value));
	EXPECT_EQ(0, value);
	EXPECT_TRUE(bm_text_number("12 kB\n", &value));
	EXPECT_EQ(12, value);
}

TEST(lines)
{
	uint64_t value;

	EXPECT_TRUE(bm_text_value("a 1\nab 2\nb 3", "ab", &value));
	EXPECT_EQ(2, value);
	EXPECT_TRUE(bm_text_value("a 1\nab 2\nb 3", "b", &value));
	EXPECT_EQ(3, value);
	EXPECT_FALSE(bm_text_value("a 1\nab 2\nb 3", "c", &value));
	EXPECT_FALSE(bm_text_value("xa 1\n", "a", &value));
	EXPECT_FALSE(bm_text_value("a", "a", &value));
	EXPECT_FALSE(bm_text_value("a\n1", "a", &value));
	EXPECT_FALSE(bm_text_value("", "a", &value));
	EXPECT_EQ(NULL, bm_text_line("", "a"));
}

TEST_F(source, text_is_cut)
{
	char *large = malloc(3 * BM_TEXT_SIZE), text[BM_TEXT_SIZE];

	memset(large, 'x', 3 * BM_TEXT_SIZE);
	large[3 * BM_TEXT_SIZE - 1] = 0;
	put(self->dir, "large", large);
	EXPECT_TRUE(bm_text_read(self->dir, "large", text));
	EXPECT_EQ(BM_TEXT_SIZE - 1, strlen(text));
	EXPECT_FALSE(bm_text_read(self->dir, "none", text));
	EXPECT_EQ(0, *text);
	/* A directory, and a name that is too long. */
	EXPECT_FALSE(bm_text_read(self->dir, ".", text));
	EXPECT_FALSE(bm_text_read(self->dir, large, text));
	free(large);
}

TEST_F(source, host)
{
	struct bm_usage usage;

	put(self->dir, "meminfo", "MemTotal:       1000 kB\nMemFree: 1 kB\n"
	    "MemAvailable:    250 kB\n");
	EXPECT_EQ(250 * 1024, bm_host_read(self->dir, &usage));
	EXPECT_EQ(1000 * 1024, usage.total);
	EXPECT_EQ(750 * 1024, usage.used);
	/* Set aside as huge pages. */
	put(self->dir, "meminfo", "MemTotal: 1000 kB\nMemAvailable: 250 kB\nHugetlb: 400 kB\n");
	EXPECT_EQ(250 * 1024, bm_host_read(self->dir, &usage));
	EXPECT_EQ(600 * 1024, usage.total);
	EXPECT_EQ(350 * 1024, usage.used);
	put(self->dir, "meminfo", "MemTotal: 1000 kB\nMemAvailable: 2000 kB\nHugetlb: 9999 kB\n");
	bm_host_read(self->dir, &usage);
	EXPECT_EQ(1000 * 1024, usage.total);
	EXPECT_EQ(0, usage.used);
}

TEST_F(source, odd_host)
{
	static const char *const texts[] = {
		"", "\n\n", "MemTotal: 1000 kB\n", "MemAvailable: 1000 kB\n",
		"MemTotal: -1 kB\nMemAvailable: 5 kB\n",
		"MemTotal: 18446744073709551615 kB\nMemAvailable: 5 kB\n",
		"MemTotal:\nMemAvailable:\n", "MemTotal: 1000 kB MemAvailable: 5 kB",
	};
	struct bm_usage usage;

	EXPECT_EQ(0, bm_host_read(self->dir, &usage));
	EXPECT_EQ(0, usage.total);
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		put(self->dir, "meminfo", texts[i]);
		EXPECT_EQ(0, bm_host_read(self->dir, &usage)) TH_LOG("%s", texts[i]);
		EXPECT_EQ(0, usage.total);
	}
}

/* The host that this runs on. */
TEST(this_host)
{
	struct bm_usage usage;

	EXPECT_LT(0, bm_host_read("/proc", &usage));
	EXPECT_LT(0, usage.used);
	EXPECT_LT(usage.used, usage.total);
}

static void put_group(const char *dir, const char *group, const char *max, const char *current,
		      const char *stat)
{
	char name[PATH_MAX];

	snprintf(name, sizeof(name), "fs/%s/cgroup.controllers", group);
	put(dir, name, "memory\n");
	snprintf(name, sizeof(name), "fs/%s/memory.max", group);
	put(dir, name, max);
	snprintf(name, sizeof(name), "fs/%s/memory.current", group);
	put(dir, name, current);
	snprintf(name, sizeof(name), "fs/%s/memory.stat", group);
	put(dir, name, stat);
}

/* What the group that @self/cgroup names uses; false if there is none. */
static bool read_group(const char *dir, const char *self, struct bm_usage *usage)
{
	struct bm_cgroup group;
	char mount[PATH_MAX];

	put(dir, "self/cgroup", self);
	snprintf(mount, sizeof(mount), "%s/fs", dir);
	if (!bm_cgroup_find(dir, mount, &group))
		return false;
	bm_cgroup_read(&group, usage);
	return true;
}

TEST_F(source, the_tightest_group)
{
	struct bm_usage usage;

	put(self->dir, "fs/cgroup.controllers", "memory\n");
	put_group(self->dir, "a", "1000\n", "500\n", "anon 1\ninactive_file 0\n");
	put_group(self->dir, "a/b", "800\n", "900\n", "anon 1\ninactive_file 300\nfile 7\n");
	put_group(self->dir, "a/b/c", "max\n", "10\n", "");
	/* 50 % of a, 600 of 800 in b, no limit in c. */
	ASSERT_TRUE(read_group(self->dir, "4:memory:/x\n0::/a/b/c\n", &usage));
	EXPECT_EQ(600, usage.used);
	EXPECT_EQ(800, usage.total);
	put(self->dir, "fs/a/memory.current", "760\n");
	ASSERT_TRUE(read_group(self->dir, "0::/a/b\n", &usage));
	EXPECT_EQ(760, usage.used);
	EXPECT_EQ(1000, usage.total);
	/* The root has no limit; nor has a group without files. */
	ASSERT_TRUE(read_group(self->dir, "0::/\n", &usage));
	EXPECT_EQ(0, usage.total);
	put(self->dir, "fs/n/cgroup.controllers", "\n");
	ASSERT_TRUE(read_group(self->dir, "0::/n\n", &usage));
	EXPECT_EQ(0, usage.total);
	put(self->dir, "fs/a/n/cgroup.controllers", "\n");
	ASSERT_TRUE(read_group(self->dir, "0::/a/n\n", &usage));
	EXPECT_EQ(1000, usage.total);
}

TEST_F(source, odd_groups)
{
	static const char *const paths[] = {
		"", "\n", "0::\n", "0::/a", "1:memory:/a\n", "0::a\n", "0::/none\n",
		"0::/a (deleted)\n", "0::/../a\n", "0::/a/..\n", "0::/..\n", "x0::/a\n",
	};
	struct bm_usage usage;
	char *deep = malloc(BM_TEXT_SIZE);

	put_group(self->dir, "a", "1000\n", "500\n", "inactive_file 600\n");
	put_group(self->dir, "a (deleted)", "1000\n", "500\n", "");
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		EXPECT_FALSE(read_group(self->dir, paths[i], &usage)) TH_LOG("%s", paths[i]);
	}
	memset(deep, 'd', BM_TEXT_SIZE);
	memcpy(deep, "0::/", 4);
	memcpy(deep + BM_TEXT_SIZE - 2, "\n", 2);
	EXPECT_FALSE(read_group(self->dir, deep, &usage));
	free(deep);
	/* More cache than there is in use; then a limit that nothing fits under. */
	ASSERT_TRUE(read_group(self->dir, "0::/a\n", &usage));
	EXPECT_EQ(0, usage.used);
	EXPECT_EQ(1000, usage.total);
	put_group(self->dir, "a", "0\n", "0\n", "");
	ASSERT_TRUE(read_group(self->dir, "0::/a\n", &usage));
	EXPECT_LT(0, usage.total);
	EXPECT_EQ(usage.total, usage.used);
	for (size_t i = 0; i < sizeof(bad_numbers) / sizeof(*bad_numbers); i++) {
		put_group(self->dir, "a", bad_numbers[i], "500\n", "");
		ASSERT_TRUE(read_group(self->dir, "0::/a\n", &usage));
		EXPECT_EQ(0, usage.total);
		put_group(self->dir, "a", "1000\n", bad_numbers[i], "");
		ASSERT_TRUE(read_group(self->dir, "0::/a\n", &usage));
		EXPECT_EQ(0, usage.total);
	}
}

TEST_F(source, stall)
{
	static const struct {
		const char *text;
		unsigned int share;
	} cases[] = {
		{ "some avg10=12.34 avg60=0.00 avg300=0.00 total=5\nfull avg10=99.00\n", 1234 },
		{ "full avg10=99.00 avg60=0.00\nsome avg10=0.07 avg60=1.00\n", 7 },
		{ "some avg10=100.00 avg60=0.00", 10000 },
		{ "", 0 }, { "some", 0 }, { "some avg10=", 0 }, { "some avg10=-5.00\n", 0 },
		{ "some avg10=5\n", 0 }, { "some avg10=5.1\n", 0 }, { "some avg10=.50\n", 0 },
		{ "some avg10=99999.00\n", 0 }, { "full avg10=50.00\n", 0 },
	};

	EXPECT_EQ(0, bm_stall_read(self->dir, "stall"));
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		put(self->dir, "stall", cases[i].text);
		EXPECT_EQ(cases[i].share, bm_stall_read(self->dir, "stall"))
			TH_LOG("%s", cases[i].text);
	}
	EXPECT_EQ(-1, bm_stall_open(self->dir, "none"));
}

/* Where this kernel takes a trigger, it polls and is quiet, or is at least no error. */
TEST(this_stall)
{
	int fd = bm_stall_open("/proc", "pressure/memory");

	if (fd < 0)
		SKIP(return, "no pressure stall information");
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	close(fd);
}

TEST_HARNESS_MAIN
