/* SPDX-License-Identifier: GPL-2.0 */
/* What is read of NUMA nodes, from files as a host with three of them has, and from wrong ones. */
#include <sys/stat.h>
#include <unistd.h>

#include "../../libbitmem/pools/nodes.h"
#include "lib_test.h"

FIXTURE(nodes)
{
	char dir[64];
};

static void write_file(const char *dir, const char *name, const char *text)
{
	char path[300];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	file = fopen(path, "we");
	if (!file || fputs(text, file) < 0 || fclose(file))
		abort();
}

static const char *const dirs[] = {
	"node0", "node1", "node4", "node4/hugepages", "node4/hugepages/hugepages-2048kB",
};

static const char *const files[] = {
	"online", "node0/distance", "node1/distance", "node4/distance", "node1/meminfo",
	"node4/meminfo", "node4/hugepages/hugepages-2048kB/nr_hugepages",
};

FIXTURE_SETUP(nodes)
{
	char path[300];

	strcpy(self->dir, "/tmp/bitmem-nodes.XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	for (size_t i = 0; i < sizeof(dirs) / sizeof(*dirs); i++) {
		snprintf(path, sizeof(path), "%s/%s", self->dir, dirs[i]);
		ASSERT_EQ(0, mkdir(path, 0700));
	}
	write_file(self->dir, "online", "0-1,4\n");
	write_file(self->dir, "node0/distance", "10 21 31\n");
	write_file(self->dir, "node1/distance", "21 10 17\n");
	write_file(self->dir, "node4/distance", "31 17 10\n");
	write_file(self->dir, "node1/meminfo",
		   "Node 1 MemTotal:  1000 kB\nNode 1 MemFree:  300 kB\n"
		   "Node 1 Active(file):  40 kB\nNode 1 Inactive(file):  60 kB\n");
	write_file(self->dir, "node4/meminfo",
		   "Node 4 MemTotal: 8192 kB\nNode 4 MemFree: 1024 kB\n");
	write_file(self->dir, "node4/hugepages/hugepages-2048kB/nr_hugepages", "3\n");
}

FIXTURE_TEARDOWN(nodes)
{
	char path[300];

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		snprintf(path, sizeof(path), "%s/%s", self->dir, files[i]);
		EXPECT_EQ(0, unlink(path));
	}
	for (size_t i = sizeof(dirs) / sizeof(*dirs); i--;) {
		snprintf(path, sizeof(path), "%s/%s", self->dir, dirs[i]);
		EXPECT_EQ(0, rmdir(path));
	}
	EXPECT_EQ(0, rmdir(self->dir));
}

/* The distances are those of the nodes that are online, whatever their numbers. */
TEST_F(nodes, distance)
{
	EXPECT_EQ(21, bm_node_distance(self->dir, 0, 1));
	EXPECT_EQ(31, bm_node_distance(self->dir, 0, 4));
	EXPECT_EQ(17, bm_node_distance(self->dir, 1, 4));
	EXPECT_EQ(31, bm_node_distance(self->dir, 4, 0));
	EXPECT_EQ(BM_DISTANCE_LOCAL, bm_node_distance(self->dir, 1, 1));
	EXPECT_EQ(BM_DISTANCE_UNKNOWN, bm_node_distance(self->dir, 0, 2));
	EXPECT_EQ(BM_DISTANCE_UNKNOWN, bm_node_distance(self->dir, 0, 5));
	EXPECT_EQ(BM_DISTANCE_UNKNOWN, bm_node_distance(self->dir, 3, 0));
	EXPECT_EQ(BM_DISTANCE_UNKNOWN, bm_node_distance(self->dir, BITMEM_NODE_ANY, 0));
	EXPECT_EQ(BM_DISTANCE_UNKNOWN, bm_node_distance(self->dir, 0, BITMEM_NODE_ANY));
	EXPECT_EQ(BM_DISTANCE_UNKNOWN, bm_node_distance("/nonexistent", 0, 1));
}

TEST_F(nodes, wrong_distances)
{
	static const char *const lists[] = { "", "\n", "x", "0-", "4-0", "0;1", "0-1;4", "-1,4" };
	static const char *const distances[] = { "", "10", "10 21", "10 21 x", "10 21 999",
						 "10 21 99999999999999999999999999" };

	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++) {
		write_file(self->dir, "online", lists[i]);
		EXPECT_EQ(BM_DISTANCE_UNKNOWN, bm_node_distance(self->dir, 0, 4))
			TH_LOG("%s", lists[i]);
	}
	write_file(self->dir, "online", "0-1,4\n");
	for (size_t i = 0; i < sizeof(distances) / sizeof(*distances); i++) {
		write_file(self->dir, "node0/distance", distances[i]);
		EXPECT_EQ(BM_DISTANCE_UNKNOWN, bm_node_distance(self->dir, 0, 4))
			TH_LOG("%s", distances[i]);
	}
}

TEST_F(nodes, memory)
{
	struct bm_usage usage;

	/* Half of the files' is counted as available. */
	EXPECT_EQ(350 << 10, bm_node_read(self->dir, 1, &usage));
	EXPECT_EQ(1000 << 10, usage.total);
	EXPECT_EQ(650 << 10, usage.used);
	/* Huge pages are set aside and count for nothing. */
	EXPECT_EQ(1024 << 10, bm_node_read(self->dir, 4, &usage));
	EXPECT_EQ(2048 << 10, usage.total);
	EXPECT_EQ(1024 << 10, usage.used);
	EXPECT_EQ(0, bm_node_read(self->dir, 0, &usage));
	EXPECT_EQ(0, usage.total);
	write_file(self->dir, "node1/meminfo", "Node 1 MemTotal:  lots kB\n");
	EXPECT_EQ(0, bm_node_read(self->dir, 1, &usage));
	EXPECT_EQ(0, usage.total + usage.used);
}

TEST_HARNESS_MAIN
