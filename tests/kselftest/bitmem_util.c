// SPDX-License-Identifier: GPL-2.0
/*
 * The helpers of bitmem_test.h that know nothing of the device: patterns, what
 * the kernel says of this process, time, files, other processes.
 */
#include "bitmem_test.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/io_uring.h>
#include <linux/mempolicy.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static inline uint64_t pattern(size_t word, uint64_t seed)
{
	return (word + 1) * 0x9e3779b97f4a7c15ull ^ seed << 32 ^ seed;
}

void bt_fill(void *memory, size_t length, uint64_t seed)
{
	uint64_t *words = memory;
	size_t i;

	for (i = 0; i < length / sizeof(*words); i++)
		words[i] = pattern(i, seed);
}

ssize_t bt_wrong(const void *memory, size_t length, uint64_t seed)
{
	const uint64_t *words = memory;
	size_t i;

	for (i = 0; i < length / sizeof(*words); i++) {
		if (words[i] != pattern(i, seed))
			return i * sizeof(*words);
	}
	return -1;
}

ssize_t bt_nonzero(const void *memory, size_t length)
{
	const uint64_t *words = memory;
	size_t i;

	for (i = 0; i < length / sizeof(*words); i++) {
		if (words[i])
			return i * sizeof(*words);
	}
	return -1;
}

void bt_touch(void *memory, size_t length, size_t page)
{
	volatile char *bytes = memory;
	size_t i;

	for (i = 0; i < length; i += page)
		bytes[i] = 1;
}

static __thread sigjmp_buf probe_return;
static __thread volatile sig_atomic_t probing;
static pthread_once_t probe_once = PTHREAD_ONCE_INIT;

/* A fault of anybody else's is not ours to hide: it comes again, and kills. */
static void probe_failed(int sig)
{
	if (probing)
		siglongjmp(probe_return, sig);
	signal(sig, SIG_DFL);
}

static void probe_prepare(void)
{
	struct sigaction action = { .sa_handler = probe_failed };

	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
}

int bt_probe(const volatile void *address)
{
	int sig;

	pthread_once(&probe_once, probe_prepare);
	sig = sigsetjmp(probe_return, 1);
	if (!sig) {
		probing = 1;
		(void)*(const volatile char *)address;
	}
	probing = 0;
	return sig;
}

int bt_pin(const int pipe[2], void *memory, size_t length)
{
	struct iovec iov = { memory, length };
	ssize_t done = vmsplice(pipe[1], &iov, 1, 0);

	return done == (ssize_t)length ? 0 : done < 0 ? -errno : -EIO;
}

int bt_unpin(const int pipe[2], size_t length, size_t at, uint64_t seed)
{
	char *got = malloc(length);
	char *want = malloc(at + length);
	int err = -ENOMEM;

	if (got && want) {
		bt_fill(want, at + length, seed);
		if (read(pipe[0], got, length) != (ssize_t)length)
			err = -EIO;
		else
			err = memcmp(got, want + at, length) ? -EBADMSG : 0;
	}
	free(want);
	free(got);
	return err;
}

/* Without liburing: a ring that is never used but to hold the buffer. */
int bt_pin_long(void *memory, size_t length)
{
	const struct iovec iov = { memory, length };
	struct io_uring_params params = {};
	int err, ring = syscall(SYS_io_uring_setup, 1, &params);

	if (ring < 0)
		return -errno;
	if (!syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, &iov, 1))
		return ring;
	err = -errno;
	close(ring);
	return err;
}

void bt_unpin_long(int pin)
{
	syscall(SYS_io_uring_register, pin, IORING_UNREGISTER_BUFFERS, NULL, 0);
	close(pin);
}

int bt_disk(bool *ours)
{
	const char *name = getenv("BITMEM_NVME");
	int fd;

	*ours = name;
	fd = open(name ? name : "/dev/nvme0n1",
		  (*ours ? O_RDWR : O_RDONLY) | O_DIRECT | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int bt_node_of(void *address)
{
	int node;

	if (syscall(SYS_get_mempolicy, &node, NULL, 0, address, MPOL_F_NODE | MPOL_F_ADDR))
		return -errno;
	return node;
}

long bt_faults(void)
{
	struct rusage usage;

	return getrusage(RUSAGE_THREAD, &usage) ? -1 : usage.ru_minflt;
}

/*
 * Calls @line for the lines of the smaps entry that begins at @memory until it
 * returns other than -1; that, or -1.
 */
static long smaps_each(const void *memory, const char *arg,
		       long (*line)(const char *line, const char *arg))
{
	FILE *file = fopen("/proc/self/smaps", "re");
	unsigned long from, to;
	bool here = false;
	char text[512];
	long ret = -1;

	if (!file)
		return -1;
	while (ret == -1 && fgets(text, sizeof(text), file)) {
		if (sscanf(text, "%lx-%lx ", &from, &to) == 2)
			here = from == (uintptr_t)memory;
		else if (here)
			ret = line(text, arg);
	}
	fclose(file);
	return ret;
}

static long field_kb(const char *line, const char *field)
{
	size_t length = strlen(field);

	if (strncmp(line, field, length) || line[length] != ':')
		return -1;
	return strtol(line + length + 1, NULL, 10);
}

static long has_flag(const char *line, const char *flag)
{
	char word[5];

	if (strncmp(line, "VmFlags:", 8))
		return -1;
	snprintf(word, sizeof(word), " %.2s ", flag);
	return !!strstr(line, word);
}

long bt_smaps(const void *memory, const char *field)
{
	return smaps_each(memory, field, field_kb);
}

bool bt_vmflags(const void *memory, const char *flag)
{
	return smaps_each(memory, flag, has_flag) == 1;
}

uint64_t bt_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

void bt_sleep_ms(unsigned int ms)
{
	struct timespec time = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&time, NULL);
}

int bt_file(int flags)
{
	const char *dir = getenv("TMPDIR");
	char path[PATH_MAX];
	int made, fd;

	snprintf(path, sizeof(path), "%s/bitmem-XXXXXX", dir ? dir : "/tmp");
	made = mkostemp(path, O_CLOEXEC);
	if (made < 0)
		return -errno;
	fd = open(path, O_RDWR | O_CLOEXEC | flags);
	if (fd < 0)
		fd = -errno;
	unlink(path);
	close(made);
	return fd;
}

bool bt_kernel_before(unsigned int major, unsigned int minor)
{
	unsigned int have_major = 0, have_minor = 0;
	struct utsname name;

	if (uname(&name) || sscanf(name.release, "%u.%u", &have_major, &have_minor) != 2)
		return false;
	return have_major < major || (have_major == major && have_minor < minor);
}

static unsigned int number_of(const char *variable, unsigned int fallback)
{
	const char *text = getenv(variable);
	unsigned long number = text ? strtoul(text, NULL, 10) : 0;

	return number ? number : fallback;
}

unsigned int bt_rounds(unsigned int fallback)
{
	return number_of("BITMEM_ROUNDS", fallback);
}

unsigned int bt_seconds(unsigned int fallback)
{
	return number_of("BITMEM_SECONDS", fallback);
}

int bt_signal(const int pipe[2])
{
	return write(pipe[1], "", 1) == 1 ? 0 : -errno;
}

int bt_await(const int pipe[2])
{
	char byte;
	ssize_t got = read(pipe[0], &byte, 1);

	return got == 1 ? 0 : got ? -errno : -EPIPE;
}

int bt_reap(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return WIFSIGNALED(status) ? 256 + WTERMSIG(status) : WEXITSTATUS(status);
}
