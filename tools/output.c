// SPDX-License-Identifier: GPL-2.0
/*
 * Output that can fail: a full disk behind stdout must not look like success.
 */
#include "output.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

void output_error(const char *fmt, ...)
{
	char line[4096];
	va_list args;
	char *safe;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	safe = text_escape(line);
	fprintf(stderr, "bitmem: %s\n", safe ? safe : "out of memory");
	free(safe);
}

static int stdout_failed(void)
{
	output_error("stdout: %s", strerror(errno ? errno : EIO));
	/* What is left in the buffer cannot be written: exit() must not try. */
	fclose(stdout);
	return -1;
}

int output_flush(void)
{
	errno = 0;
	if (fflush(stdout) || ferror(stdout))
		return stdout_failed();
	return 0;
}

int output_bytes(const void *data, size_t length)
{
	errno = 0;
	if (fwrite(data, 1, length, stdout) != length)
		return stdout_failed();
	return output_flush();
}

int output_json(json_t *object)
{
	int err;

	if (!object) {
		output_error("JSON: %s", strerror(ENOMEM));
		return -1;
	}
	errno = 0;
	err = json_dumpf(object, stdout, JSON_COMPACT | JSON_ENSURE_ASCII) || putchar('\n') == EOF;
	json_decref(object);
	return err ? stdout_failed() : output_flush();
}

static void drop(json_t **value)
{
	json_decref(*value);
	*value = NULL;
}

void output_json_set(json_t **object, const char *key, json_t *value)
{
	/* Takes NULLs, and drops @value on failure. */
	if (json_object_set_new(*object, key, value))
		drop(object);
}

void output_json_append(json_t **array, json_t *value)
{
	if (json_array_append_new(*array, value))
		drop(array);
}

json_t *output_json_text(const char *s)
{
	char *repaired = text_repair(s);
	json_t *value;

	if (!repaired)
		return NULL;
	value = json_string(repaired);
	free(repaired);
	return value;
}

json_t *output_json_u64(uint64_t value)
{
	return value > INT64_MAX ? NULL : json_integer((json_int_t)value);
}
