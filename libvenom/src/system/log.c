/* SPDX-License-Identifier: MIT */
/* What went wrong, in a sentence: for the caller (errmsg) or for the administrator (log). */
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>
#include "internal.h"

static _Thread_local char errmsg[256];
static void (*log_fn)(const char *line);

VENOM_API const char *venom_errmsg(void)
{
	return errmsg;
}

void venom_errmsg_clear(void)
{
	errmsg[0] = 0;
}

VENOM_API void venom_set_log(void (*fn)(const char *line))
{
	store_release(&log_fn, fn);
}

static void log_line(const char *line)
{
	void (*fn)(const char *) = load_acquire(&log_fn);
	const char *env = secure_getenv("VENOM_LOG");
	NO_CANCEL;

	if (fn)
		fn(line);
	else if (env && *env && strcmp(env, "0"))
		dprintf(STDERR_FILENO, "venom: %s\n", line);
}

int venom_fail(int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(errmsg, sizeof(errmsg), fmt, ap);
	va_end(ap);
	log_line(errmsg);
	return err;
}

int venom_silent(void)
{
	return venom_fail(-ETIMEDOUT, "the daemon's process does not answer: is it stopped?");
}

const char *venom_reason(int err)
{
	switch (err) {
	case EMFILE:
		return "this process is out of descriptors: raise its limit (ulimit -n)";
	case ENFILE:
		return "the system is out of descriptors: see /proc/sys/fs/file-max";
	default:
		return strerror(err);
	}
}

int venom_explain(int err, const char *what)
{
	return err < 0 && !*errmsg ? venom_fail(err, "%s: %s", what, venom_reason(-err)) : err;
}

void venom_log(const char *fmt, ...)
{
	char line[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	log_line(line);
}

VENOM_API const char *venom_version(void)
{
	return VENOM_VERSION;
}
