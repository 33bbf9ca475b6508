/* SPDX-License-Identifier: GPL-2.0 */
/* The fixture of the tests of tensors over sockets. */
#ifndef BITMEM_SHARE_FIXTURE_H
#define BITMEM_SHARE_FIXTURE_H

#include "lib_test.h"
#include "share_test.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* A context that sends, one that receives, and a pair of sockets with message boundaries. */
FIXTURE(share)
{
	struct bitmem *ctx, *other;
	int sockets[2];
	int fds;
};

FIXTURE_SETUP(share)
{
	self->ctx = test_open(2 * MIB);
	if (!self->ctx && test_no_device())
		SKIP(return, "no bitmem device");
	ASSERT_NE(NULL, self->ctx);
	self->other = test_open(2 * MIB);
	ASSERT_NE(NULL, self->other);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, self->sockets));
	self->fds = test_fds();
}

/* No descriptor and no memory is left; a context that the test closed is NULL. */
FIXTURE_TEARDOWN(share)
{
	if (self->ctx)
		EXPECT_EQ(0, test_stats(self->ctx).segments);
	if (self->ctx && self->other)
		EXPECT_EQ(self->fds, test_fds());
	EXPECT_EQ(0, bitmem_close(self->ctx));
	EXPECT_EQ(0, bitmem_close(self->other));
	close(self->sockets[0]);
	close(self->sockets[1]);
	EXPECT_FALSE(test_leaks());
}

#endif /* BITMEM_SHARE_FIXTURE_H */
