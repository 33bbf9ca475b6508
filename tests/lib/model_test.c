/* SPDX-License-Identifier: GPL-2.0 */
/* Directories, checks and plain reads for the tests of models; see model_test.h. */
#include "model_test.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#define N_PATHS 64

char *dir_make(const char *where)
{
	const char *tmp = where ? where : getenv("TMPDIR");
	char *dir;

	if (asprintf(&dir, "%s/bitmem-model-XXXXXX", tmp ? tmp : "/tmp") < 0)
		return NULL;
	if (mkdtemp(dir))
		return dir;
	free(dir);
	return NULL;
}

void dir_remove(char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *entry;

	while (d && (entry = readdir(d)))
		(void)unlinkat(dirfd(d), entry->d_name, 0);
	if (d)
		closedir(d);
	rmdir(dir);
	free(dir);
}

const char *dir_path(const char *dir, const char *name)
{
	static char paths[N_PATHS][PATH_MAX];
	static unsigned int turn;
	char *path = paths[turn++ % N_PATHS];

	snprintf(path, PATH_MAX, "%s/%s", dir, name);
	return path;
}

bool dir_write(const char *dir, const char *name, const void *data, size_t length)
{
	int fd = open(dir_path(dir, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	size_t done = 0;
	ssize_t n = 0;

	while (fd >= 0 && done < length) {
		n = write(fd, (const char *)data + done, length - done);
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	if (fd >= 0)
		close(fd);
	return fd >= 0 && done == length;
}

bool dir_write_bytes(const char *dir, const char *name, const struct bytes *b)
{
	return dir_write(dir, name, b->data, b->length);
}

/* $BITMEM_MODELS, or shared/models beside the first repository above the program or cwd. */
const char *models_dir(void)
{
	static char found[PATH_MAX + 64];
	const char *starts[] = { "/proc/self/exe", "/proc/self/cwd" };
	const char *given = getenv("BITMEM_MODELS");
	char at[PATH_MAX];

	if (given)
		return access(given, R_OK) ? NULL : given;
	for (size_t i = 0; i < 2; i++) {
		if (!realpath(starts[i], at))
			continue;
		for (char *slash = strrchr(at, '/'); slash && slash != at;
		     slash = strrchr(at, '/')) {
			snprintf(found, sizeof(found), "%s/COPYING", at);
			if (!access(found, F_OK)) {
				snprintf(found, sizeof(found), "%s/../shared/models", at);
				return access(found, R_OK) ? NULL : found;
			}
			*slash = '\0';
		}
	}
	return NULL;
}

/* Compares a tensor's bytes with the file's, a piece at a time. */
static bool same_bytes(int fd, const struct bitmem_model_entry *entry)
{
	const char *data = bitmem_tensor_data(entry->tensor);
	static __thread char piece[65536];

	for (uint64_t at = 0; at < entry->bytes;) {
		uint64_t left = entry->bytes - at;
		size_t want = left < sizeof(piece) ? left : sizeof(piece);
		ssize_t n = pread(fd, piece, want, (off_t)(entry->file_offset + at));

		if (n <= 0 || memcmp(data + at, piece, (size_t)n))
			return false;
		at += (uint64_t)n;
	}
	return true;
}

static bool entry_matches(const struct bitmem_model *model, const struct bitmem_model_entry *entry,
			  enum bitmem_format format)
{
	const uint64_t *shape = bitmem_tensor_shape(entry->tensor);
	unsigned int n = entry->ndims;
	bool same;
	int fd;

	if (bitmem_model_tensor(model, entry->name) != entry->tensor ||
	    bitmem_tensor_bytes(entry->tensor) != entry->bytes ||
	    bitmem_tensor_dtype(entry->tensor) != entry->dtype ||
	    bitmem_tensor_ndims(entry->tensor) != n)
		return false;
	for (unsigned int i = 0; i < n; i++)
		if (shape[i] != entry->shape[format == BITMEM_FORMAT_GGUF ? n - 1 - i : i])
			return false;
	fd = open(bitmem_model_file(model, entry->file), O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	same = same_bytes(fd, entry);
	close(fd);
	return same;
}

bool model_matches_files(const struct bitmem_model *model)
{
	struct bitmem_model_info info = { .size = sizeof(info) };
	uint64_t bytes = 0;

	if (bitmem_model_info(model, &info))
		return false;
	for (size_t i = 0; i < info.tensors; i++) {
		const struct bitmem_model_entry *entry = bitmem_model_entry(model, i);

		if (!entry || !entry_matches(model, entry, info.format)) {
			printf("# tensor %zu, %s, is not what its file has\n", i,
			       entry ? entry->name : "(missing)");
			return false;
		}
		bytes += entry->bytes;
	}
	return bytes == info.bytes && info.bytes_read >= bytes &&
	       !bitmem_model_entry(model, info.tensors) && !bitmem_model_file(model, info.files);
}

/* The error must be one line: "…FILE: FIELD: what", printable. */
static bool good_text(const char *text, const char *file, const char *words)
{
	const char *at = strstr(text, file), *colon = at ? strstr(at, ": ") : NULL;

	for (const char *c = text; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			return false;
	return colon && colon[2] && strstr(colon + 2, ": ") && (!words || strstr(colon, words));
}

static bool good_code(int code, int got)
{
	if (code)
		return code == got;
	return got == EBADMSG || got == ENOTSUP || got == EMEDIUMTYPE;
}

/* Counters that a failed load must leave alone: all of them. */
static bool nothing_kept(struct bitmem *ctx, const struct bitmem_stats *before, int fds)
{
	struct bitmem_stats after = test_stats(ctx);

	return test_stats_equal(before, &after) && test_fds() == fds;
}

bool model_refused(struct bitmem *ctx, const char *path, int code, const char *file,
		   const char *words)
{
	struct bitmem_stats before = test_stats(ctx);
	struct bitmem_error error = { .code = 1 };
	struct bitmem_model_options options;
	struct bitmem_model *model;
	int fds = test_fds(), got;

	bitmem_model_options_init(&options);
	options.error = &error;
	errno = 0;
	model = bitmem_model_load(ctx, path, &options);
	got = errno;
	if (model) {
		printf("# %s was loaded\n", path);
		bitmem_model_close(model);
		return false;
	}
	if (good_code(code, got) && error.code == -got && good_text(error.text, file, words) &&
	    nothing_kept(ctx, &before, fds))
		return true;
	printf("# errno %d (%d due), code %d, text: %s (\"%s\" due)%s\n", got, code, error.code,
	       error.text, words ? words : "",
	       nothing_kept(ctx, &before, fds) ? "" : ", and something is still held");
	return false;
}

bool model_loads(struct bitmem *ctx, const char *path)
{
	struct bitmem_error error = { 0 };
	struct bitmem_model_options options;
	struct bitmem_model *model;
	bool good;

	bitmem_model_options_init(&options);
	options.error = &error;
	model = bitmem_model_load(ctx, path, &options);
	if (!model) {
		printf("# not loaded: %s\n", error.text);
		return false;
	}
	good = model_matches_files(model);
	bitmem_model_close(model);
	return good;
}
