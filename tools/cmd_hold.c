// SPDX-License-Identifier: GPL-2.0
/*
 * bitmem hold: a model that stays in memory, published for others, for as long as the service does.
 *
 * The file that its buffers belong to is given to the service manager to keep. So neither an end
 * of this process, whatever its kind, nor a restart of the service lets go of the memory: the next
 * process is handed the file, and finds all in it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <bitmem/share.h>

#include "cmd.h"
#include "device.h"
#include "held.h"
#include "loading.h"
#include "notify.h"
#include "output.h"
#include "progress.h"
#include "publish.h"
#include "stop.h"
#include "text.h"

/* The name under which the manager keeps the file. */
#define FD_NAME "bitmem-hold"

/* Between two of a load's words to the manager; and how long it then waits for the next. */
#define TOLD_SECONDS	0.5
#define TOLD_EXTEND_US	"60000000"

#define DEFAULT_MODE 0440u
#define MAX_MODE     0666u

struct options {
	struct loading loading;
	const char *name;
	unsigned int mode;
	bool json;
};

struct hold {
	const struct options *options;
	struct notify notify;
	/* What was asked for, as the index has it. */
	json_t *asked;
	double told;
};

/* --- telling --- */

/* @state after READY=1 or the like, and for people what is held. */
static const char *state_text(char *buf, size_t room, const char *state, const char *what,
			      uint64_t bytes, const char *name)
{
	char size[TEXT_SIZE_LEN];
	char *safe = text_escape(name);

	snprintf(buf, room, "%sSTATUS=%s %s as %s", state, what, text_size(bytes, size),
		 safe ? safe : "?");
	free(safe);
	return buf;
}

static void tell_progress(const struct bitmem_progress *progress, void *arg)
{
	struct hold *hold = arg;
	double now = progress_clock();
	char size[TEXT_SIZE_LEN];
	char state[128];

	if (now - hold->told < TOLD_SECONDS && progress->done < progress->total)
		return;
	hold->told = now;
	snprintf(state, sizeof(state), "STATUS=loading, %d%% of %s\nEXTEND_TIMEOUT_USEC=%s",
		 progress->total ? (int)(100.0 * (double)progress->done / (double)progress->total)
				 : 100,
		 text_size(progress->total, size), TOLD_EXTEND_US);
	notify_send(&hold->notify, state);
}

static uint64_t held_bytes(const json_t *index)
{
	uint64_t bytes = 0;
	json_t *buffer;
	size_t i;

	json_array_foreach(json_object_get(index, "buffers"), i, buffer)
		bytes += (uint64_t)json_integer_value(json_object_get(buffer, "length"));
	return bytes;
}

static int print(const struct hold *hold, const json_t *index, bool taken_over)
{
	uint64_t bytes = held_bytes(index);
	size_t tensors = json_array_size(json_object_get(index, "tensors"));
	json_t *object;
	char *safe;

	if (!hold->options->json) {
		safe = text_escape(hold->options->name);
		printf("holding %" PRIu64 " bytes, %zu %s, as %s, pid %d%s\n", bytes, tensors,
		       tensors == 1 ? "tensor" : "tensors", safe ? safe : "?", getpid(),
		       taken_over ? ", taken over" : "");
		free(safe);
		return output_flush();
	}
	object = json_object();
	output_json_set(&object, "name", output_json_text(hold->options->name));
	output_json_set(&object, "bytes", output_json_u64(bytes));
	output_json_set(&object, "tensors", json_integer((json_int_t)tensors));
	output_json_set(&object, "taken_over", json_boolean(taken_over));
	output_json_set(&object, "pid", json_integer(getpid()));
	return output_json(object);
}

/* --- holding --- */

/*
 * Says that all is there, gives @fd (-1: it is there) to the manager, and stays. Then the program
 * ends as it is: to close the model would free its buffers, also for whom the manager hands the
 * file to. If nobody has that any more, the memory goes back by itself. Returns the exit status
 * if it failed.
 */
static int stay(struct hold *hold, const json_t *index, int fd)
{
	const char *ready = fd < 0 ? "READY=1\n"
				   : "READY=1\nFDSTORE=1\nFDNAME=" FD_NAME "\nFDPOLL=0\n";
	char state[512];

	if (print(hold, index, fd < 0))
		return EXIT_FAILURE;
	state_text(state, sizeof(state), ready, fd < 0 ? "took over" : "holding",
		   held_bytes(index), hold->options->name);
	if (notify_send_fd(&hold->notify, state, fd)) {
		output_error("NOTIFY_SOCKET: %s", strerror(errno));
		return EXIT_FAILURE;
	}
	stop_wait();
	notify_send(&hold->notify, "STOPPING=1");
	exit(EXIT_SUCCESS);
}

static int load(struct hold *hold, struct bitmem *ctx)
{
	const struct options *options = hold->options;
	struct bitmem_model *model;
	json_t *index;
	int status;

	model = loading_load(ctx, &options->loading, tell_progress, hold, &status);
	if (!model)
		return status;
	index = publish_describe(ctx, model, hold->asked);
	status = EXIT_FAILURE;
	if (index && !publish(bitmem_device_fd(ctx), index, options->name, options->mode))
		status = stay(hold, index, bitmem_device_fd(ctx));
	json_decref(index);
	bitmem_model_close(model);
	return status;
}

/* So that a load of minutes does not end with "is published already". */
static int check_name(const char *name)
{
	struct bitmem_attach arg = {
		.size = sizeof(arg),
		.flags = BITMEM_ATTACH_READONLY,
		.uid = BITMEM_UID_SELF,
	};
	struct device device;
	int err;

	if (device_open(&device))
		return -1;
	memcpy(arg.name, name, strlen(name));
	err = ioctl(device.fd, BITMEM_ATTACH, &arg) ? errno : EEXIST;
	device_close(&device);
	if (err == ENOENT)
		return 0;
	output_error("%s: %s", name,
		     err == EEXIST || err == EACCES ? "is published already" : strerror(err));
	return -1;
}

static int hold_new(struct hold *hold)
{
	struct bitmem *ctx;
	int status;

	if (check_name(hold->options->name))
		return EXIT_FAILURE;
	ctx = loading_open(&hold->options->loading);
	if (!ctx)
		return EXIT_FAILURE;
	status = load(hold, ctx);
	bitmem_close(ctx);
	return status;
}

/* Goes on with a file that the manager kept, or lets go of it. */
static int hold_kept(struct hold *hold, int kept)
{
	json_t *index = publish_find(kept, hold->asked);
	int status;

	if (index) {
		status = stay(hold, index, -1);
		json_decref(index);
		close(kept);
		return status;
	}
	publish_remove(kept);
	close(kept);
	/* Its memory is free when the manager has closed it, too. */
	notify_send(&hold->notify, "FDSTOREREMOVE=1\nFDNAME=" FD_NAME);
	notify_barrier(&hold->notify);
	return hold_new(hold);
}

/* What has to be the same for a kept file to be the one that is wanted. */
static json_t *asked_json(const struct options *options)
{
	const struct loading *loading = &options->loading;
	json_t *object = json_object();
	json_t *paths = json_array();

	for (size_t i = 0; i < loading->n_paths; i++)
		output_json_append(&paths, output_json_text(loading->paths[i]));
	output_json_set(&object, "name", output_json_text(options->name));
	output_json_set(&object, "mode", json_integer(options->mode));
	output_json_set(&object, "uid", json_integer(geteuid()));
	output_json_set(&object, "paths", paths);
	output_json_set(&object, "dialect", json_integer(loading->model.dialect));
	output_json_set(&object, "node", json_integer(loading->context.node));
	return object;
}

static int hold_it(const struct options *options)
{
	struct hold hold = {.options = options};
	int status = EXIT_FAILURE;
	int kept;

	if (notify_open(&hold.notify))
		return EXIT_FAILURE;
	kept = notify_take(FD_NAME);
	hold.asked = asked_json(options);
	if (hold.asked)
		status = kept < 0 ? hold_new(&hold) : hold_kept(&hold, kept);
	else
		output_error("%s", strerror(ENOMEM));
	json_decref(hold.asked);
	notify_close(&hold.notify);
	return status;
}

/* --- the command line --- */

static int take_mode(struct options *options, const char *text)
{
	size_t digits = strspn(text, "01234567");
	unsigned long mode = digits && digits <= 4 ? strtoul(text, NULL, 8) : ~0ul;

	if (text[digits] || mode & ~(unsigned long)MAX_MODE) {
		output_error("--mode: not read and write bits in octal: %s", text);
		return -1;
	}
	options->mode = (unsigned int)mode;
	return 0;
}

static int take_option(void *data, int option, const char *text)
{
	struct options *options = data;

	switch (option) {
	case 'j':
		options->json = true;
		return 0;
	case 'N':
		options->name = text;
		return 0;
	case 'm':
		return take_mode(options, text);
	default:
		return loading_take(&options->loading, option, text);
	}
}

/* The file's own name if none was given. */
static int choose_name(struct options *options)
{
	const char *slash = strrchr(options->loading.paths[0], '/');
	const char *name = options->name;

	if (!name)
		name = slash ? slash + 1 : options->loading.paths[0];
	options->name = name;
	if (*name && strlen(name) <= HELD_NAME_MAX && !strchr(name, '/'))
		return 0;
	output_error("--name: not between 1 and %zu bytes without a slash: %s", HELD_NAME_MAX,
		     name);
	return -1;
}

static int run(int argc, char **argv)
{
	struct options options = {.mode = DEFAULT_MODE};
	int status;

	loading_init(&options.loading);
	options.loading.context.backend = BITMEM_BACKEND_DEVICE;
	status = command_parse(&cmd_hold, argc, argv, take_option, &options);
	if (status >= 0)
		return status;
	if (loading_paths(&options.loading, &cmd_hold, argc, argv) || choose_name(&options))
		return command_usage_error(&cmd_hold);
	stop_catch();
	return hold_it(&options);
}

static const struct option longs[] = {
	{"json", no_argument, NULL, 'j'},
	{"mode", required_argument, NULL, 'm'},
	{"name", required_argument, NULL, 'N'},
	LOADING_OPTIONS,
	COMMAND_HELP,
};

const struct command cmd_hold = {
	.name = "hold",
	.run = run,
	.options = longs,
	.arguments = true,
	.summary = "keep a model in memory, for others to attach",
	.usage = "[OPTION]... FILE...\n"
		 "\n"
		 "Loads a model on the device, publishes it and stays until SIGINT or SIGTERM.\n"
		 "As a service with FileDescriptorStoreMax= it is ready when the model is, and the\n"
		 "memory stays over its restarts.\n"
		 "\n"
		 "  --name NAME             for bitmem attach; else the first file's own\n"
		 "  --mode MODE             who may attach it, in octal; else 0440\n"
		 "  --buffered              read through the page cache\n"
		 "  --dialect ggml|bitnet   meaning of GGUF type ids that two projects use\n"
		 "  --json                  print one JSON object when it is there\n"
		 "  --node N                NUMA node to prefer\n"
		 "  --queue-depth N         reads in flight, at most 1024\n"
		 "  --window BYTES          bytes of one read, at most 64M; K and M are "
		 "understood\n",
};
