// SPDX-License-Identifier: GPL-2.0
/*
 * Loading and unloading the module: what its parameter takes, when it may go, and
 * that it takes nothing with it. Needs root and the module's path in $BITMEM_KO.
 *
 * If the module is loaded at first, it is again at the end, with the same
 * parameter, whatever became of the tests: they run in a child, and the parent
 * sees to it. If somebody uses the module, everything skips.
 */
#include "bitmem_test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <kselftest_harness.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define SYSFS	"/sys/module/bitmem"
#define PARAM	SYSFS "/parameters/pool_mb"
#define MODEST	"pool_mb=64"

/* Why nothing can be tested, or NULL; found out before the tests run. */
static const char *obstacle;

FIXTURE(load) {
	const char *ko;
};

static int insmod(const char *path, const char *parameters)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	err = syscall(SYS_finit_module, fd, parameters, 0) ? -errno : 0;
	close(fd);
	return err;
}

static int rmmod(void)
{
	return syscall(SYS_delete_module, "bitmem", O_NONBLOCK) ? -errno : 0;
}

static bool loaded(void)
{
	return !access(SYSFS, F_OK);
}

/* One file's first line, without its end; false if there is none. */
static bool read_line(const char *path, char *line, int room)
{
	FILE *file = fopen(path, "re");
	bool got;

	if (!file)
		return false;
	got = fgets(line, room, file);
	fclose(file);
	if (got)
		line[strcspn(line, "\n")] = '\0';
	return got;
}

/* The node appears by devtmpfs, at once, but perhaps udev has yet to have its way. */
static int open_device(void)
{
	int i, fd = -1;

	for (i = 0; i < 200 && fd < 0; i++) {
		fd = bt_open();
		if (fd < 0)
			bt_sleep_ms(5);
	}
	return fd;
}

/* udev may have the new device open for a moment. */
static int rmmod_soon(void)
{
	int i, err = 0;

	for (i = 0; i < 100; i++) {
		err = rmmod();
		if (err != -EWOULDBLOCK)
			break;
		bt_sleep_ms(10);
	}
	return err;
}

FIXTURE_SETUP(load)
{
	if (obstacle)
		SKIP(return, "%s", obstacle);
	self->ko = getenv("BITMEM_KO");
}

FIXTURE_TEARDOWN_PARENT(load)
{
	if (loaded())
		EXPECT_EQ(0, rmmod_soon());
}

/* The sum of the figures that follow @key in lines of @path. */
static int64_t sum_of(const char *path, const char *key)
{
	const size_t length = strlen(key);
	FILE *file = fopen(path, "re");
	char line[256];
	int64_t sum = 0;

	while (file && fgets(line, sizeof(line), file)) {
		const char *at = line + strspn(line, " ");

		if (!strncmp(at, key, length))
			sum += strtoll(at + length, NULL, 10);
	}
	if (file)
		fclose(file);
	return sum;
}

/*
 * Memory that nobody has, in bytes. Superblocks just freed may stand in lists of
 * the CPUs, tens of MiB of them, where MemFree does not see them.
 */
static int64_t memory_free(void)
{
	return sum_of("/proc/meminfo", "MemFree:") * 1024 +
	       sum_of("/proc/zoneinfo", "count:") * sysconf(_SC_PAGESIZE);
}

/* Waits for @want bytes to be free, as what is freed may be so a little later. */
static int64_t wait_for_memory(int64_t want)
{
	const uint64_t began = bt_now_ns();
	int64_t have;

	while ((have = memory_free()) < want && bt_now_ns() - began < 3000000000ull)
		bt_sleep_ms(20);
	return have;
}

/* Over and over, and all memory is back at the end. */
TEST_F_TIMEOUT(load, rounds, 600)
{
	const unsigned int rounds = bt_rounds(5);
	int64_t before;
	unsigned int i;

	ASSERT_EQ(0, insmod(self->ko, MODEST));
	ASSERT_EQ(0, rmmod_soon());
	bt_sleep_ms(200);
	before = memory_free();
	for (i = 0; i < rounds; i++) {
		struct bitmem_alloc alloc;
		struct bt t;
		char *memory;

		ASSERT_EQ(0, insmod(self->ko, MODEST));
		close(open_device());
		ASSERT_EQ(NULL, bt_begin(&t));
		memory = bt_new(t.fd, 16 * t.superblock + t.page, &alloc);
		ASSERT_NE(NULL, memory);
		bt_touch(memory, alloc.out_length, t.page);
		ASSERT_EQ(0, munmap(memory, alloc.out_length));
		ASSERT_EQ(0, close(t.fd));
		ASSERT_EQ(0, rmmod_soon());
		EXPECT_EQ(-1, access(BT_DEVICE, F_OK));
	}
	/* A superblock lost in every round would be 10 MiB. */
	before -= 6 * BT_MIB;
	EXPECT_LE(before, wait_for_memory(before));
}

/* Before the pool is full. */
TEST_F(load, unload_while_filling)
{
	int i;

	for (i = 0; i < 5; i++) {
		ASSERT_EQ(0, insmod(self->ko, "pool_mb=512"));
		bt_sleep_ms(7 * i);
		ASSERT_EQ(0, rmmod_soon());
	}
}

/* Who asks for more than there is yet waits for the fill, and gets it. */
TEST_F(load, allocate_while_filling)
{
	struct bitmem_pool_info total;
	struct bitmem_alloc alloc;
	int fd;

	ASSERT_EQ(0, insmod(self->ko, "pool_mb=512"));
	fd = open_device();
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, bt_alloc(fd, 512 * BT_MIB, &alloc));
	EXPECT_EQ(-ENOMEM, bt_alloc(fd, 1, &alloc));
	ASSERT_EQ(0, bt_total(fd, &total));
	EXPECT_EQ(512 * BT_MIB, total.out_allocated);
	EXPECT_EQ(512 * BT_MIB, total.out_capacity);
	close(fd);
}

/* Killed while it waits for the fill. */
TEST_F(load, killed_while_waiting)
{
	int i, fd;

	for (i = 0; i < 3; i++) {
		pid_t child;

		ASSERT_EQ(0, insmod(self->ko, "pool_mb=512"));
		child = fork();
		ASSERT_LE(0, child);
		if (!child) {
			struct bitmem_alloc alloc;

			bt_alloc(open_device(), 512 * BT_MIB, &alloc);
			pause();
		}
		bt_sleep_ms(10 + 10 * i);
		ASSERT_EQ(0, kill(child, SIGKILL));
		ASSERT_EQ(256 + SIGKILL, bt_reap(child));
		fd = open_device();
		ASSERT_LE(0, fd);
		EXPECT_EQ(0, BT_WAIT(fd, out_allocated, 0, 1000));
		close(fd);
		ASSERT_EQ(0, rmmod_soon());
	}
}

TEST_F(load, busy_while_open)
{
	int fd;

	ASSERT_EQ(0, insmod(self->ko, MODEST));
	fd = open_device();
	ASSERT_LE(0, fd);
	bt_sleep_ms(100);
	EXPECT_EQ(-EWOULDBLOCK, rmmod());
	close(fd);
	EXPECT_EQ(0, rmmod_soon());
}

TEST_F(load, busy_while_mapped)
{
	struct bitmem_alloc alloc;
	char *memory;
	int fd;

	ASSERT_EQ(0, insmod(self->ko, MODEST));
	fd = open_device();
	memory = bt_new(fd, 3 * BT_MIB, &alloc);
	ASSERT_NE(NULL, memory);
	close(fd);
	bt_sleep_ms(100);
	EXPECT_EQ(-EWOULDBLOCK, rmmod());
	bt_fill(memory, 3 * BT_MIB, 1);
	EXPECT_EQ(-1, bt_wrong(memory, 3 * BT_MIB, 1));
	ASSERT_EQ(0, munmap(memory, 3 * BT_MIB));
	EXPECT_EQ(0, rmmod_soon());
}

/* Pages in a pipe hold no module: it goes, and they are freed by whoever reads the pipe. */
TEST_F(load, unload_while_pinned)
{
	const size_t length = 2 * BT_MIB + 4096;
	struct bitmem_alloc alloc;
	char *memory, bytes[4096];
	struct iovec iov[2];
	int fd, tube[2];

	ASSERT_EQ(0, insmod(self->ko, MODEST));
	fd = open_device();
	memory = bt_new(fd, length, &alloc);
	ASSERT_NE(NULL, memory);
	memset(memory, 0x3c, length);
	ASSERT_EQ(0, pipe(tube));
	iov[0] = (struct iovec) { memory, 4096 };
	iov[1] = (struct iovec) { memory + length - 4096, 4096 };
	ASSERT_EQ(8192, vmsplice(tube[1], iov, 2, 0));
	ASSERT_EQ(0, munmap(memory, length));
	close(fd);
	ASSERT_EQ(0, rmmod_soon());
	ASSERT_EQ(4096, read(tube[0], bytes, sizeof(bytes)));
	EXPECT_EQ(0x3c, bytes[0]);
	EXPECT_EQ(0x3c, bytes[4095]);
	ASSERT_EQ(4096, read(tube[0], bytes, sizeof(bytes)));
	EXPECT_EQ(0x3c, bytes[4095]);
}

TEST_F(load, bad_parameter)
{
	static const char *const bad[] = {
		"pool_mb=", "pool_mb=garbage", "pool_mb=64x", "pool_mb=-1", "pool_mb=64,",
		"pool_mb=64,x", "pool_mb=,64", "pool_mb=1.5", "pool_mb=99999999",
		"pool_mb=18446744073709551615", "pool_mb=8796093022208",
		"pool_mb=1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1",
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(bad); i++) {
		EXPECT_EQ(-EINVAL, insmod(self->ko, bad[i]))
			TH_LOG("%s", bad[i]);
		EXPECT_FALSE(loaded());
		EXPECT_EQ(-1, access(BT_DEVICE, F_OK));
	}
}

/* One value is the total of all nodes. */
TEST_F(load, total)
{
	struct bitmem_pool_info total;
	struct bt t;

	ASSERT_EQ(0, insmod(self->ko, "pool_mb=66"));
	close(open_device());
	ASSERT_EQ(NULL, bt_begin(&t));
	ASSERT_EQ(0, bt_total(t.fd, &total));
	EXPECT_EQ(66 * BT_MIB, total.out_target);
	EXPECT_EQ(66 * BT_MIB, total.out_capacity);
	EXPECT_EQ(66 * BT_MIB, total.out_largest);
	EXPECT_EQ(0, total.out_state);
	close(t.fd);
}

/* Several values are one for each node. */
TEST_F(load, list)
{
	char parameter[64];
	struct bt t;
	uint32_t i;
	int used;

	ASSERT_EQ(0, insmod(self->ko, MODEST));
	close(open_device());
	ASSERT_EQ(NULL, bt_begin(&t));
	close(t.fd);
	if (t.pools < 2 || t.pools > 8)
		SKIP(return, "%u pools", t.pools);
	ASSERT_EQ(0, rmmod_soon());
	used = snprintf(parameter, sizeof(parameter), "pool_mb=");
	for (i = 0; i < t.pools; i++)
		used += snprintf(parameter + used, sizeof(parameter) - used, "%s%u",
				 i ? "," : "", 32 * (i + 1));
	ASSERT_EQ(0, insmod(self->ko, parameter));
	close(open_device());
	ASSERT_EQ(NULL, bt_begin(&t));
	for (i = 0; i < t.pools; i++)
		EXPECT_EQ(32 * (i + 1) * BT_MIB, t.before[i].out_capacity);
	close(t.fd);
}

/* An empty pool is a pool: it says no at once. */
TEST_F(load, nothing)
{
	struct bitmem_pool_info total;
	struct bitmem_alloc alloc;
	struct bt t;

	ASSERT_EQ(0, insmod(self->ko, "pool_mb=0"));
	close(open_device());
	ASSERT_EQ(NULL, bt_begin(&t));
	EXPECT_EQ(-ENOMEM, bt_alloc(t.fd, 1, &alloc));
	ASSERT_EQ(0, bt_total(t.fd, &total));
	EXPECT_EQ(0, total.out_capacity);
	close(t.fd);
}

/* Twice at once there is no such thing. */
TEST_F(load, twice)
{
	ASSERT_EQ(0, insmod(self->ko, MODEST));
	EXPECT_EQ(-EEXIST, insmod(self->ko, MODEST));
	EXPECT_EQ(0, rmmod_soon());
	EXPECT_EQ(-ENOENT, rmmod());
}

/* Unloads the module, and notes with what parameter it was loaded: "" if it was not. */
static const char *make_room(char *parameter, int room)
{
	const char *ko = getenv("BITMEM_KO");
	char value[200];

	parameter[0] = '\0';
	if (geteuid())
		return "needs root";
	if (!ko)
		return "BITMEM_KO does not say where the module is";
	if (access(ko, R_OK))
		return "the module of BITMEM_KO cannot be read";
	if (!loaded())
		return NULL;
	if (!read_line(PARAM, value, sizeof(value)))
		return "the module's parameter cannot be read";
	if (rmmod())
		return "somebody uses the module";
	snprintf(parameter, room, "pool_mb=%s", value);
	return NULL;
}

/* Loads the module as it was, and waits for its pools. */
static int restore(const char *parameter)
{
	const char *why = NULL;
	struct bt t;
	int err = insmod(getenv("BITMEM_KO"), parameter);

	if (!err) {
		close(open_device());
		why = bt_begin(&t);
	}
	if (err || why)
		printf("Bail out! %s: %s\n", parameter, why ?: strerror(-err));
	return err || why;
}

int main(int argc, char **argv)
{
	char parameter[256];
	int status;
	pid_t child;

	bt_lock();
	obstacle = make_room(parameter, sizeof(parameter));
	child = fork();
	if (!child)
		return test_harness_run(argc, argv);
	status = child < 0 ? KSFT_FAIL : bt_reap(child);
	if (parameter[0] && restore(parameter))
		status = KSFT_FAIL;
	return status < 256 ? status : KSFT_FAIL;
}
