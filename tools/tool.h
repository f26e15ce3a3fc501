/* SPDX-License-Identifier: MIT */
/*
 * What the verbs of `venom` share.
 *
 * Each verb is one file with one `struct verb` in it, and its name is in VERBS.  A verb's run()
 * returns the exit status: 0, or 1 after it has printed one sentence with fail() or
 * complain().  Usage errors don't return: usage() exits with 2.  Data goes to stdout, all
 * else to stderr.
 */
#ifndef TOOL_H
#define TOOL_H

#include <getopt.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "venom.h"
#include "venom_schema.h"

#define NSEC_PER_SEC  1000000000ull
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

struct verb {
	const char *name;
	const char *summary; /* for `venom --help` */
	const char *help; /* for `venom VERB --help` */
	int (*run)(int argc, char **argv);
};

/* All verbs, in the order of `venom --help`; NAME is verb_NAME of NAME.c. */
#define VERBS(V) \
	V(serve) \
	V(pub) \
	V(sub) \
	V(req) \
	V(ls) \
	V(stat) \
	V(demo) \
	V(bench)
#define VERB(name) extern const struct verb verb_##name;
VERBS(VERB)
#undef VERB
extern const struct verb *verb; /* the verb that runs; messages begin with its name */

/* util.c: options.  opt_*() read the argument of the option that option() gave last. */
int option(int argc, char **argv, const struct option *opts);
const char *take_name(int argc, char **argv, bool more);
uint64_t opt_number(uint64_t min, uint64_t max);
double opt_real(double min, double max);
int64_t opt_seconds(void);
int64_t opt_spin(void);
__attribute__((noreturn, format(printf, 1, 2))) void usage(const char *fmt, ...);

/* util.c: messages and standard output.  complain(), fail() and fail_attached() return 1, the exit status. */
__attribute__((format(printf, 2, 3))) int complain(const char *name, const char *fmt, ...);
int fail(const char *name, int err);
int fail_attached(const char *name, int err);
bool out_good(void);
bool flush_out(void);
int finish(int status);

/* util.c: time and signals. */
extern atomic_int stopped; /* SIGINT or SIGTERM has arrived since hold_signals() */
uint64_t now_ns(void);
void hold_signals(void);
bool nap(uint64_t ns);
bool await_input(int fd);
bool await_daemon(int rc, uint64_t deadline);
const char *human_ns(char buf[16], uint64_t ns);

/* clang-format off */
#define AWAIT_OPTION {"await", required_argument, NULL, 'a'}
/* clang-format on */
#define AWAIT_HELP "  --await S         where no daemon has the name, wait up to S seconds for one\n"

/* daemon.c: what every verb with a daemon needs. */
/* clang-format off */
#define CONFIG_OPTIONS				\
	{"mode", required_argument, NULL, 'M'},	\
	{"spin", required_argument, NULL, 'S'},	\
	{"versions", required_argument, NULL, 'V'}, \
	{"huge", required_argument, NULL, 'H'},	\
	{"node", required_argument, NULL, 'N'},	\
	{"resume", no_argument, NULL, 'R'},	\
	{"clients", required_argument, NULL, 'C'}
/* clang-format on */
#define CONFIG_HELP                                                                           \
	"  --mode OCTAL      who may attach (r) and command (w), as of a file; default 600\n" \
	"  --versions N      versions that the ring holds; default 4, of pub 64 up to 4 KiB\n"                       \
	"  --clients N       shells at once; default 64\n"                                    \
	"  --huge WHEN       huge pages for the state: prefer (default), require or never\n"  \
	"  --node N          memory of this NUMA node\n"                                      \
	"  --resume          module: go on with the channel that a dead daemon left\n"        \
	"  --spin HOW        adaptive (default), forever, none, or nanoseconds to spin before a sleep\n"
bool config_option(int c, struct venom_config *cfg);

int daemon_create(struct venom_daemon **d, const char *name, const struct venom_config *cfg);

struct pace {
	uint64_t next;
	uint64_t period;
};
struct pace pace_start(double rate);
bool pace_wait(struct pace *p);

struct service;
int service_start(struct service **sv, struct venom_daemon *d, venom_handler fn, void *user);
int service_end(struct service *sv);

/* counters.c: the counters by name, for every place that prints them. */
struct counter {
	const char *name;
	size_t at; /* offset of its uint64_t */
};
extern const struct counter daemon_counters[], shell_counters[]; /* end with name NULL */
uint64_t counter(const struct counter *c, const void *stats);

/* text.c */
#define ESCAPED(len) (4 * (len) + 1)
size_t utf8(const unsigned char *p, size_t len);
bool control(const unsigned char *p, size_t n, unsigned int *code);
size_t escape(char *to, const char *text, size_t len);

/* json.c */
void json_string(const void *text, size_t len);
void json_name(const char *name);
void json_field(const char *text, size_t size);
void json_data(const void *data, size_t len);

/*
 * fields.c, fields_print.c: print a payload by the names of its fields to standard output, on one line, without a
 * newline.
 *
 * fields_parse() returns NULL, and the reason in `why`, if a payload of this schema can't be printed so: show it as
 * bytes.  The reason has no characters that control a terminal.  fields_parse() keeps no reference to `schema`.
 * fields_json() and fields_text() return false, and print nothing, if the payload is shorter than fields_size(); they
 * ignore bytes after that.
 */
#define FIELDS_WHY 256
struct fields;
struct fields *fields_parse(const struct venom_schema *schema, char why[FIELDS_WHY]);
void fields_free(struct fields *t);
size_t fields_size(const struct fields *t);
bool fields_json(const struct fields *t, const void *data, size_t len);
bool fields_text(const struct fields *t, const void *data, size_t len);

/* child.c: processes that die with their parent. */
pid_t child(int (*fn)(void *), void *arg);
bool child_gone(pid_t pid, int *status);
bool child_well(const char *who, int status);
bool child_end(const char *who, pid_t pid, uint64_t within_ns);
int pin_to_cpu(int cpu);

#endif /* TOOL_H */
