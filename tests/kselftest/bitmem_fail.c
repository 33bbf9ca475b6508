// SPDX-License-Identifier: GPL-2.0
/*
 * The helpers of bitmem_fail.h: files of debugfs and /proc. No state.
 */
#include "bitmem_fail.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DEBUGFS	"/sys/kernel/debug/"

/* All that may differ from what a test wants. How often is for the test to say later. */
static const struct {
	const char *path;
	const char *value;
} settings[] = {
	{ DEBUGFS "failslab/ignore-gfp-wait", "N" },
	{ DEBUGFS "failslab/cache-filter", "N" },
	{ DEBUGFS "failslab/task-filter", "Y" },
	{ DEBUGFS "failslab/verbose", "0" },
	{ DEBUGFS "failslab/times", "-1" },
	{ DEBUGFS "failslab/probability", "0" },
	{ DEBUGFS "fail_page_alloc/ignore-gfp-wait", "N" },
	{ DEBUGFS "fail_page_alloc/ignore-gfp-highmem", "N" },
	{ DEBUGFS "fail_page_alloc/min-order", "0" },
	{ DEBUGFS "fail_page_alloc/task-filter", "Y" },
	{ DEBUGFS "fail_page_alloc/verbose", "0" },
	{ DEBUGFS "fail_page_alloc/times", "-1" },
	{ DEBUGFS "fail_page_alloc/probability", "0" },
	{ DEBUGFS "fail_usercopy/verbose", "0" },
};

static_assert(ARRAY_LEN(settings) <= BT_FAIL_SETTINGS, "no room to save them");

static int read_text(const char *path, char *text, size_t room)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	if (fd < 0)
		return -errno;
	got = read(fd, text, room - 1);
	close(fd);
	if (got < 0)
		return -errno;
	text[got] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return 0;
}

static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		err = -errno;
	close(fd);
	return err;
}

/*
 * On the way back to a thread that was preempted the kernel writes to its rseq area. If that
 * copy is the one to fail, it is a SIGSEGV, whatever the thread was doing.
 */
static void leave_rseq(void)
{
	if (__rseq_size)
		syscall(SYS_rseq, (char *)__builtin_thread_pointer() + __rseq_offset,
			sizeof(struct rseq), RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
}

const char *bt_fail_begin(struct bt_fail *fail)
{
	size_t i;

	memset(fail, 0, sizeof(*fail));
	leave_rseq();
	fail->nth = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (fail->nth < 0)
		return errno == ENOENT ? "the kernel has no fault injection" :
					 "fault injection wants root";
	fail->probability[0] = open(DEBUGFS "failslab/probability", O_RDWR | O_CLOEXEC);
	fail->probability[1] = open(DEBUGFS "fail_page_alloc/probability", O_RDWR | O_CLOEXEC);
	if (fail->probability[0] < 0 || fail->probability[1] < 0)
		return "the kernel cannot make allocations fail, or debugfs is not mounted";
	for (i = 0; i < ARRAY_LEN(settings); i++) {
		if (read_text(settings[i].path, fail->saved[i], sizeof(fail->saved[i])))
			fail->saved[i][0] = '\0';
		else if (write_text(settings[i].path, settings[i].value))
			return "fault injection cannot be set up";
	}
	return NULL;
}

void bt_fail_end(const struct bt_fail *fail)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(settings); i++) {
		if (fail->saved[i][0])
			write_text(settings[i].path, fail->saved[i]);
	}
}

int bt_fail_nth(const struct bt_fail *fail, unsigned int n)
{
	char text[16];
	int length = snprintf(text, sizeof(text), "%u", n);

	return pwrite(fail->nth, text, length, 0) == length ? 0 : -errno;
}

/*
 * The file says how many are left to go until the failure. Asking copies to user space, which
 * is a thing that can fail itself: then nothing did before.
 */
bool bt_fail_hit(const struct bt_fail *fail)
{
	char text[16] = "";
	ssize_t got = pread(fail->nth, text, sizeof(text) - 1, 0);

	/* As well the copy from user space, which then did what was asked for. */
	bt_fail_nth(fail, 0);
	return got > 0 && !atoi(text);
}

int bt_fail_task(pid_t pid, bool fails)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/make-it-fail", pid);
	return write_text(path, fails ? "1" : "0");
}

bool bt_fail_self(bool fails)
{
	const char *path = "/proc/thread-self/make-it-fail";
	char text[16] = "";

	read_text(path, text, sizeof(text));
	write_text(path, fails ? "1" : "0");
	return text[0] == '1';
}

int bt_fail_workers(bool fail)
{
	DIR *proc = opendir("/proc");
	char path[300], name[32];
	struct dirent *entry;
	int n = 0;

	while (proc && (entry = readdir(proc))) {
		snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
		if (atoi(entry->d_name) <= 0 || read_text(path, name, sizeof(name)))
			continue;
		if (!strncmp(name, "bitmem", 6) && strchr(name, '/'))
			n += !bt_fail_task(atoi(entry->d_name), fail);
	}
	if (proc)
		closedir(proc);
	return n;
}

int bt_fail_often(const struct bt_fail *fail, unsigned int percent)
{
	char text[16];
	int length = snprintf(text, sizeof(text), "%u", percent), err = 0;
	size_t i;

	for (i = 0; i < ARRAY_LEN(fail->probability); i++) {
		if (write(fail->probability[i], text, length) != length)
			err = -errno;
	}
	return err;
}
