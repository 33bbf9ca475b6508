/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Generic netlink by hand, for tests of the family "bitmem": messages can be built
 * that no library would send. Functions return 0 or a negative errno.
 */
#ifndef BITMEM_GENL_H
#define BITMEM_GENL_H

#include <linux/bitmem_netlink.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <stdint.h>

#define BN_ATTRS	64

/**
 * struct bn - a socket
 * @fd: of AF_NETLINK
 * @family: id of the family
 * @group: ids of the multicast groups "events" and "owners"
 * @seq: of the last request
 * @text: what the kernel said of the last error, or ""
 * @bad: the attribute that it named, or -1
 */
struct bn {
	int fd;
	uint16_t family;
	uint32_t group[2];
	uint32_t seq;
	char text[160];
	int bad;
};

/** struct bn_request - a message under construction */
struct bn_request {
	struct nlmsghdr nl;
	struct genlmsghdr genl;
	char attrs[1024];
};

/** struct bn_reply - a message from the kernel; an attribute that is absent is NULL */
struct bn_reply {
	uint8_t cmd;
	const struct nlattr *attrs[BN_ATTRS];
};

/** A callback for each message; what is not 0 ends the call and is its result. */
typedef int (*bn_fn)(const struct bn_reply *reply, void *data);

/** bn_open() - a new socket; -ENOENT if there is no family. */
int bn_open(struct bn *bn);
void bn_close(struct bn *bn);

/** bn_join() - listen to bn->group[@group]. */
int bn_join(struct bn *bn, unsigned int group);

/** bn_rcvbuf() - how much the socket holds for its reader. */
int bn_rcvbuf(struct bn *bn, int bytes);

void bn_request(const struct bn *bn, struct bn_request *request, uint8_t cmd, uint16_t flags);
void bn_put(struct bn_request *request, uint16_t attr, const void *data, uint16_t length);
void bn_put_u32(struct bn_request *request, uint16_t attr, uint32_t value);
void bn_put_u64(struct bn_request *request, uint16_t attr, uint64_t value);

/** bn_send() - just that. */
int bn_send(struct bn *bn, struct bn_request *request);

/** bn_receive() - one datagram: 1 if there is more to come, 0 at the end. */
int bn_receive(struct bn *bn, bn_fn fn, void *data);

/** bn_call() - bn_send(), and bn_receive() to the end. */
int bn_call(struct bn *bn, struct bn_request *request, bn_fn fn, void *data);

/** bn_do() and bn_dump() - bn_call() of a request without attributes. */
int bn_do(struct bn *bn, uint8_t cmd, bn_fn fn, void *data);
int bn_dump(struct bn *bn, uint8_t cmd, bn_fn fn, void *data);

uint32_t bn_u32(const struct bn_reply *reply, uint16_t attr);
uint64_t bn_u64(const struct bn_reply *reply, uint16_t attr);
const char *bn_text(const struct bn_reply *reply, uint16_t attr);

/** bn_nested() - the attributes in an attribute. */
void bn_nested(const struct nlattr *attr, const struct nlattr **attrs);

/** struct bn_event - what a listener was told; absent figures are 0, @has tells */
struct bn_event {
	uint8_t cmd;
	uint64_t value[BN_ATTRS];
	bool has[BN_ATTRS];
	char comm[32];
};

/**
 * bn_event() - the next event of kind @cmd (any if 0) within @ms; others are passed over.
 * -ETIMEDOUT; -ENOBUFS if some were lost.
 */
int bn_event(struct bn *bn, uint8_t cmd, unsigned int ms, struct bn_event *event);

#endif /* BITMEM_GENL_H */
