/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The public face of model loading. A model is built by one thread and constant
 * from then on, so that it can be read by many without a lock.
 *
 * A model keeps its set for the names and shapes; of the memory it keeps nothing
 * but its tensors, each of which keeps its segment. Its books count among the
 * context's, which it therefore keeps.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../context.h"
#include "../options.h"
#include "set.h"
#include "site.h"

/* The first version's sizes: callers compiled against it stay valid as members are added. */
#define OPTIONS_SIZE_1 BM_FIRST_SIZE(struct bitmem_model_options, error)
#define INFO_SIZE_1    BM_FIRST_SIZE(struct bitmem_model_info, tensors)

#define MAX_DEPTH  1024
#define MAX_WINDOW ((size_t)64 << 20)

struct bitmem_model {
	struct bitmem *ctx;	/* NULL until the books have been counted */
	size_t meta;		/* what they cost */
	struct bm_set set;
	struct bitmem_model_entry *entries;
	size_t n_entries;
	struct bm_names names;
	struct bm_load_result load;
	uint64_t bytes;
	double seconds;
	unsigned int site;	/* which place in code loaded it (site.h) */
};

void bitmem_model_options_init_sized(struct bitmem_model_options *options, size_t size)
{
	const struct bitmem_model_options defaults = {.size = size};

	bm_write_sized(options, size, &defaults, sizeof(defaults));
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

/* The first option that cannot be right, with its value; NULL if all can be. */
static const char *bad_option(const struct bitmem_model_options *options,
			      unsigned long long *value)
{
	*value = options->flags;
	if (options->flags & ~(unsigned int)BITMEM_MODEL_BUFFERED)
		return "flags";
	*value = (unsigned long long)options->dialect;
	if (*value > BITMEM_DIALECT_BITNET)
		return "dialect";
	*value = options->queue_depth;
	if (options->queue_depth > MAX_DEPTH)
		return "queue_depth";
	*value = options->window;
	return options->window > MAX_WINDOW ? "window" : NULL;
}

/* Copies the caller's options, which may be NULL, and checks them. */
static int take_options(struct bitmem_model_options *to, const struct bitmem_model_options *from)
{
	unsigned long long value;
	const char *bad;
	int ret;

	bitmem_model_options_init(to);
	ret = bm_read_options(to, from, OPTIONS_SIZE_1, "options");
	if (ret)
		return ret;
	bad = bad_option(to, &value);
	if (!bad)
		return 0;
	return bm_error(to->error, -EINVAL, "options: %s: %llu is not allowed", bad, value);
}

/* What a model that is complete keeps on the heap, its tensors not included. */
static size_t books_size(const struct bitmem_model *model)
{
	size_t size = bm_meta_size(model) + bm_meta_size(model->entries) +
		      bm_meta_size(model->names.slots) + bm_meta_size(model->set.files);

	for (size_t i = 0; i < model->set.n_files; i++) {
		const struct bm_file *file = model->set.files[i];

		size += bm_meta_size(file) + bm_meta_size(file->path);
		if (file->infos)
			size += bm_meta_size(file->infos);
		for (size_t j = 0; j < file->n_infos; j++)
			size += bm_meta_size(file->infos[j].name);
	}
	return size;
}

static void count_books(struct bitmem *ctx, size_t bytes)
{
	pthread_mutex_lock(&ctx->lock);
	ctx->counters.meta_bytes += bytes;
	pthread_mutex_unlock(&ctx->lock);
}

/* Drops the model's references to its tensors. */
static void destroy(struct bitmem_model *model)
{
	struct bitmem *ctx = model->ctx;

	if (ctx)
		count_books(ctx, -model->meta);
	for (size_t i = 0; i < model->n_entries; i++)
		bitmem_tensor_unref(model->entries[i].tensor);
	free(model->entries);
	bm_names_fini(&model->names);
	bm_set_fini(&model->set);
	free(model);
	if (ctx)
		bm_context_unref(ctx);
}

/* The library's tensors have their shapes slowest first. */
static struct bitmem_tensor *make_tensor(struct bitmem *ctx, const struct bm_file *file,
					 const struct bm_info *info, unsigned int site)
{
	uint64_t shape[BITMEM_MAX_DIMS], at = file->data_start - file->base + info->offset;

	for (unsigned int i = 0; i < info->ndims; i++)
		shape[i] = info->shape[file->format == BITMEM_FORMAT_GGUF ? info->ndims - 1 - i :
									    i];
	/* An empty tensor may lie behind padding that the file does not have. */
	if (!info->bytes && at > file->length)
		at = file->length;
	return bm_tensor_on_segment(ctx, file->segment, (size_t)at, (size_t)info->bytes,
				    info->dtype, info->ndims, shape, site);
}

static int add_entry(struct bitmem *ctx, struct bitmem_model *model, size_t index,
		     const struct bm_info *info)
{
	const struct bm_file *file = model->set.files[index];
	struct bitmem_model_entry *entry = &model->entries[model->n_entries];
	int err;

	entry->tensor = make_tensor(ctx, file, info, model->site);
	if (!entry->tensor) {
		err = errno;
		return bm_report(model->set.error, -err, file->path, "tensor \"%s\": %s",
				 BM_QUOTE(info->name), strerror(err));
	}
	entry->name = info->name;
	entry->dtype_name = info->dtype_name;
	entry->dtype = info->dtype;
	entry->ndims = info->ndims;
	entry->shape = info->shape;
	entry->bytes = info->bytes;
	entry->file = index;
	entry->file_offset = file->data_start + info->offset;
	model->bytes += info->bytes;
	model->n_entries++;
	return 0;
}

static int add_entries(struct bitmem *ctx, struct bitmem_model *model)
{
	size_t n = 0;
	int err = 0;

	for (size_t i = 0; i < model->set.n_files; i++)
		n += model->set.files[i]->n_infos;
	model->entries = calloc(n ? n : 1, sizeof(*model->entries));
	if (!model->entries)
		return bm_report_nomem(model->set.error, model->set.files[0]->path);
	for (size_t i = 0; i < model->set.n_files; i++) {
		const struct bm_file *file = model->set.files[i];

		for (size_t j = 0; !err && j < file->n_infos; j++)
			err = add_entry(ctx, model, i, &file->infos[j]);
	}
	return err;
}

/* Fills the table of names, in the order of the entries to be. */
static int add_names(struct bitmem_model *model)
{
	const struct bm_set *set = &model->set;
	size_t n = 0;

	for (size_t i = 0; i < set->n_files; i++) {
		const struct bm_file *file = set->files[i];

		for (size_t j = 0; j < file->n_infos; j++) {
			int err = bm_names_add(&model->names, file->infos[j].name, n++);

			if (err == -ENOMEM)
				return bm_report_nomem(set->error, file->path);
			if (err)
				return bm_report(set->error, -EBADMSG, file->path,
						 "tensor \"%s\": there twice in the model",
						 BM_QUOTE(file->infos[j].name));
		}
	}
	return 0;
}

/* The last call of the progress callback, which may still cancel. */
static int tell_done(const struct bitmem_model *model, const struct bitmem_model_options *options)
{
	unsigned int files = (unsigned int)model->set.n_files;
	struct bitmem_progress progress = {.done = model->load.bytes_read,
					   .total = model->load.bytes_read,
					   .files_done = files,
					   .files = files};

	if (!options->progress || !options->progress(&progress, options->progress_arg))
		return 0;
	return bm_report(options->error, -ECANCELED, model->set.files[0]->path,
			 "load: cancelled after all %" PRIu64 " bytes", progress.done);
}

static int build(struct bitmem *ctx, struct bitmem_model *model, const char *const *paths,
		 size_t n_paths, const struct bitmem_model_options *options)
{
	int err = 0;

	for (size_t i = 0; !err && i < n_paths; i++)
		err = bm_set_add(&model->set, paths[i]);
	if (!err)
		err = bm_set_seal(&model->set);
	if (!err)
		err = add_names(model);
	if (!err)
		err = bm_load(ctx, &model->set, options, &model->load);
	if (!err)
		err = add_entries(ctx, model);
	if (!err)
		err = tell_done(model, options);
	for (size_t i = 0; !err && i < model->set.n_files; i++) {
		struct bm_file *file = model->set.files[i];

		if (file->segment)
			bm_segment_unref(file->segment);
		file->segment = NULL;
	}
	return err;
}

static struct bitmem_model *model_new(const struct bitmem_model_options *options)
{
	struct bitmem_model *model = calloc(1, sizeof(*model));

	if (!model || bm_names_init(&model->names)) {
		free(model);
		bm_error(options->error, -ENOMEM, "memory: not enough for a model");
		return NULL;
	}
	model->set.dialect = options->dialect;
	model->set.buffered = options->flags & BITMEM_MODEL_BUFFERED;
	model->set.error = options->error;
	return model;
}

static struct bitmem_model *load(struct bitmem *ctx, const char *const *paths, size_t n_paths,
				 const struct bitmem_model_options *options, unsigned int site)
{
	struct bitmem_model_options own;
	struct bitmem_model *model;
	double start = now();
	int err;

	if (take_options(&own, options))
		return NULL;
	if (!ctx || !paths || !n_paths) {
		bm_error(own.error, -EINVAL, "arguments: paths: %zu, and a context, are too few",
			 n_paths);
		return NULL;
	}
	model = model_new(&own);
	if (!model)
		return NULL;
	model->site = site;
	err = build(ctx, model, paths, n_paths, &own);
	model->set.error = NULL;
	model->seconds = now() - start;
	if (!err) {
		model->ctx = bm_context_ref(ctx);
		model->meta = books_size(model);
		count_books(ctx, model->meta);
		return model;
	}
	destroy(model);
	errno = -err;
	return NULL;
}

struct bitmem_model *bitmem_model_load_files(struct bitmem *ctx, const char *const *paths,
					     size_t n_paths,
					     const struct bitmem_model_options *options)
{
	return load(ctx, paths, n_paths, options, bm_site_of_caller(__builtin_return_address(0)));
}

struct bitmem_model *bitmem_model_load(struct bitmem *ctx, const char *path,
				       const struct bitmem_model_options *options)
{
	return load(ctx, &path, path ? 1 : 0, options,
		    bm_site_of_caller(__builtin_return_address(0)));
}

void bitmem_model_close(struct bitmem_model *model)
{
	if (model)
		destroy(model);
}

int bitmem_model_info(const struct bitmem_model *model, struct bitmem_model_info *info)
{
	enum bitmem_format format = model->set.files[0]->format;
	struct bitmem_model_info all = {
		.size = info->size,
		.format = format,
		.format_name = format == BITMEM_FORMAT_GGUF ? "gguf" : "safetensors",
		.io = model->load.io,
		.bytes = model->bytes,
		.bytes_read = model->load.bytes_read,
		.seconds = model->seconds,
		.files = model->set.n_files,
		.tensors = model->n_entries,
	};

	if (info->size < INFO_SIZE_1)
		return -EINVAL;
	bm_write_sized(info, info->size, &all, sizeof(all));
	return 0;
}

const char *bitmem_model_file(const struct bitmem_model *model, size_t i)
{
	return i < model->set.n_files ? model->set.files[i]->path : NULL;
}

const struct bitmem_model_entry *bitmem_model_entry(const struct bitmem_model *model, size_t i)
{
	return i < model->n_entries ? &model->entries[i] : NULL;
}

struct bitmem_tensor *bitmem_model_tensor(const struct bitmem_model *model, const char *name)
{
	size_t i = bm_names_find(&model->names, name);

	if (i == SIZE_MAX) {
		errno = ENOENT;
		return NULL;
	}
	return model->entries[i].tensor;
}
