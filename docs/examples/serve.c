/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Loads a model once and hands its tensors to whoever asks, over a UNIX socket: not their
 * bytes but their memory. fetch.c and fetch.py are clients.
 *
 *	serve MODEL SOCKET
 *
 * A request is one packet with a tensor's name. The answer is a packet that says "ok", or what
 * is wrong; after "ok" comes the tensor, as bitmem_tensor_send() writes it. When this process
 * is killed, clients keep what they have.
 */
#include <err.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <bitmem/model.h>
#include <bitmem/share.h>

enum { SIGNALS, LISTENER, CLIENTS, MAX_FDS = CLIENTS + 62 };

static struct bitmem *ctx;
static struct bitmem_model *model;

static struct bitmem_model *load(const char *path)
{
	struct bitmem_model_info info = { .size = sizeof(info) };
	struct bitmem_model_options options;
	struct bitmem_error error;
	struct bitmem_model *loaded;

	bitmem_model_options_init(&options);
	options.error = &error;
	loaded = bitmem_model_load(ctx, path, &options);
	if (!loaded)
		errx(1, "%s", error.text);
	if (!bitmem_model_info(loaded, &info))
		printf("%zu tensors by %s\n", info.tensors, info.io);
	return loaded;
}

/*
 * A model's tensor can be sent as it is where the memory is the device's. On memfd it may lie
 * in huge pages that a receiver could take away, so what is sent is a copy of its own.
 */
static struct bitmem_tensor *sendable(struct bitmem_tensor *t)
{
	struct bitmem_tensor *copy;

	if (bitmem_backend(ctx) == BITMEM_BACKEND_DEVICE)
		return bitmem_tensor_ref(t);
	copy = bitmem_tensor_new_shareable(ctx, bitmem_tensor_dtype(t), bitmem_tensor_ndims(t),
					   bitmem_tensor_shape(t));
	if (copy)
		memcpy(bitmem_tensor_data(copy), bitmem_tensor_data(t), bitmem_tensor_bytes(t));
	return copy;
}

/* Answers one request; not 0 if the client is gone, or does not read what it asked for. */
static int answer(int client)
{
	char name[512], text[600] = "ok";
	ssize_t length = recv(client, name, sizeof(name) - 1, 0);
	bitmem_auto struct bitmem_tensor *t = NULL;
	struct bitmem_tensor *of_model;

	if (length <= 0)
		return -1;
	name[length] = 0;
	of_model = bitmem_model_tensor(model, name);	/* borrowed: dropped with the model */
	t = of_model ? sendable(of_model) : NULL;
	if (!t)
		snprintf(text, sizeof(text), "%s: %s", name, strerror(errno));
	/* Clients' sockets do not block: one that is stuck cannot keep the others waiting. */
	if (send(client, text, strlen(text), MSG_NOSIGNAL) < 0)
		return -1;
	return t ? bitmem_tensor_send(client, t) : 0;
}

static int listen_on(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (strlen(path) >= sizeof(address.sun_path))
		errx(2, "SOCKET: %s is longer than %zu bytes", path, sizeof(address.sun_path) - 1);
	strcpy(address.sun_path, path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 16))
		err(1, "%s", path);
	return fd;
}

/* Signals that end the service arrive as something to read, between two requests. */
static int ending_signals(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	fd = sigprocmask(SIG_BLOCK, &set, NULL) ? -1 : signalfd(-1, &set, SFD_CLOEXEC);
	if (fd < 0)
		err(1, "signalfd");
	return fd;
}

static void serve(struct pollfd *fds)
{
	size_t n = CLIENTS;

	while (!fds[SIGNALS].revents) {
		/* With no place left the listener is not looked at: others wait in its queue. */
		fds[LISTENER].events = n < MAX_FDS ? POLLIN : 0;
		if (poll(fds, n, -1) < 0 && errno != EINTR)
			err(1, "poll");
		for (size_t i = n; i-- > CLIENTS;) {
			if (!fds[i].revents || (fds[i].revents == POLLIN && !answer(fds[i].fd)))
				continue;
			close(fds[i].fd);
			fds[i] = fds[--n];
		}
		if (fds[LISTENER].revents) {
			int fd = accept4(fds[LISTENER].fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

			if (fd >= 0)
				fds[n++] = (struct pollfd){ .fd = fd, .events = POLLIN };
		}
	}
	while (n)
		close(fds[--n].fd);
}

int main(int argc, char **argv)
{
	struct pollfd fds[MAX_FDS] = { 0 };

	if (argc != 3) {
		fprintf(stderr, "usage: %s MODEL SOCKET\n", argv[0]);
		return 2;
	}
	ctx = bitmem_open(NULL);
	if (!ctx)
		err(1, "bitmem");
	model = load(argv[1]);
	fds[SIGNALS] = (struct pollfd){ .fd = ending_signals(), .events = POLLIN };
	fds[LISTENER].fd = listen_on(argv[2]);
	printf("ready\n");
	fflush(stdout);
	serve(fds);
	unlink(argv[2]);
	bitmem_model_close(model);
	return bitmem_close(ctx) ? 1 : 0;
}
