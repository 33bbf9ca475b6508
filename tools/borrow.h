/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Files of the device that another process has open, borrowed: what is done through them is
 * done as if that process did it.
 */
#ifndef TOOLS_BORROW_H
#define TOOLS_BORROW_H

#include <stddef.h>
#include <sys/types.h>

struct borrowed {
	int *fds;
	size_t n;
};

/*
 * Borrows each file of @path's device that process @pid has a descriptor of, once. 0, or -1
 * after saying on stderr what failed, and nothing to give back; having none is a failure.
 */
int borrow(const char *path, pid_t pid, struct borrowed *borrowed);
void borrow_end(struct borrowed *borrowed);

#endif /* TOOLS_BORROW_H */
