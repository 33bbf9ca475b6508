/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A loaded model is described and published, or found again in a file that was kept.
 */
#ifndef TOOLS_PUBLISH_H
#define TOOLS_PUBLISH_H

#include <bitmem/model.h>
#include <jansson.h>

/*
 * Describes a model on the device: an index as held.h tells, with what was @asked for. NULL
 * after saying what failed.
 */
json_t *publish_describe(struct bitmem *ctx, const struct bitmem_model *model, json_t *asked);

/*
 * Publishes the buffers of an index and the index itself, which is put into a buffer of @fd, last:
 * whoever finds it finds all. 0, or -1 after saying what failed.
 */
int publish(int fd, const json_t *index, const char *name, unsigned int mode);

/*
 * The index in a file that was kept, if it is what is @asked for, all of its buffers are there,
 * and the model's files are those that were loaded. NULL after saying why not.
 */
json_t *publish_find(int fd, const json_t *asked);

/* Takes the names of all of the file's buffers away. */
void publish_remove(int fd);

#endif /* TOOLS_PUBLISH_H */
