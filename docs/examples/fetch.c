/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A client of serve.c: asks for a tensor, and has its memory, without a copy.
 *
 *	fetch SOCKET NAME	writes the tensor's bytes to stdout, what it is to stderr
 */
#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <bitmem/share.h>

static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(address.sun_path))
		errx(2, "SOCKET: %s is longer than %zu bytes", path, sizeof(address.sun_path) - 1);
	strcpy(address.sun_path, path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)))
		err(1, "%s", path);
	return fd;
}

static struct bitmem_tensor *fetch(struct bitmem *ctx, int server, const char *name)
{
	struct bitmem_error error;
	struct bitmem_tensor *t;
	char text[600];
	ssize_t length;

	if (send(server, name, strlen(name), MSG_NOSIGNAL) < 0)
		err(1, "asking");
	length = recv(server, text, sizeof(text) - 1, 0);
	if (length < 0)
		err(1, "answer");
	text[length] = 0;
	if (strcmp(text, "ok"))
		errx(1, "%s", length ? text : "the server has closed the connection");
	/* Whatever the other end sends: the tensor lies inside of the memory that came with it. */
	t = bitmem_tensor_receive(ctx, server, &error);
	if (!t)
		errx(1, "%s", error.text);
	return t;
}

static void describe(const struct bitmem_tensor *t, const char *name)
{
	const struct bitmem_dtype_info *info = bitmem_dtype_info(bitmem_tensor_dtype(t));

	fprintf(stderr, "%s: %s [", name, info->name);
	for (unsigned int i = 0; i < bitmem_tensor_ndims(t); i++)
		fprintf(stderr, "%s%" PRIu64, i ? ", " : "", bitmem_tensor_shape(t)[i]);
	fprintf(stderr, "], %zu bytes\n", bitmem_tensor_bytes(t));
}

int main(int argc, char **argv)
{
	struct bitmem_tensor *t;
	struct bitmem *ctx;
	int server, failed;

	if (argc != 3 || !*argv[2]) {
		fprintf(stderr, "usage: %s SOCKET NAME\n", argv[0]);
		return 2;
	}
	/* Of the same backend as the server's: device and memfd do not mix. */
	ctx = bitmem_open(NULL);
	if (!ctx)
		err(1, "bitmem");
	server = connect_to(argv[1]);
	t = fetch(ctx, server, argv[2]);
	/* From here on the memory is ours as well, even if the server is killed. */
	close(server);
	describe(t, argv[2]);
	failed = fwrite(bitmem_tensor_data(t), 1, bitmem_tensor_bytes(t), stdout) !=
		 bitmem_tensor_bytes(t);
	if (fflush(stdout) || failed)
		err(1, "stdout");
	bitmem_tensor_unref(t);
	return bitmem_close(ctx) ? 1 : 0;
}
