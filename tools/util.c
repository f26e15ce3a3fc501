/* SPDX-License-Identifier: MIT */
/*
 * Options, messages, time and signals: shared by all verbs, so that they behave alike.
 */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tool.h"

static const char *opt_name; /* the long option that option() gave last */

/* ---- standard output ---------------------------------------------------- */

static int out_errno; /* errno of the first failed write; 0: none has failed */

/* Whether all output could be written so far.  Call it right after printing, while errno is that of the print. */
bool out_good(void)
{
	if (!out_errno && ferror(stdout))
		out_errno = errno;
	return !out_errno;
}

/* Flush the buffer of stdout; same result as out_good(). */
bool flush_out(void)
{
	errno = EIO; /* reported if an earlier print has failed unnoticed */
	fflush(stdout);
	return out_good();
}

/* ---- messages ----------------------------------------------------------- */

/* Print "venom VERB: NAME: text" in one piece: the messages of processes that share a terminal must not mix. */
static void say(const char *name, const char *fmt, va_list ap)
{
	char *text, *line, *shown;
	int len;

	if (vasprintf(&text, fmt, ap) < 0)
		return;
	len = asprintf(&line, "venom%s%s%s%s: %s", verb ? " " : "", verb ? verb->name : "", name ? ": " : "",
		       name ? name : "", text);
	free(text);
	if (len < 0)
		return;
	shown = malloc(ESCAPED(len));
	if (shown) {
		escape(shown, line, len);
		flush_out(); /* keeps the order of the two streams on a terminal */
		fprintf(stderr, "%s\n", shown);
	}
	free(shown);
	free(line);
}

__attribute__((noreturn)) static void hint(void)
{
	fprintf(stderr, "Try 'venom%s%s --help'.\n", verb ? " " : "", verb ? verb->name : "");
	exit(2);
}

void usage(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(NULL, fmt, ap);
	va_end(ap);
	hint();
}

int complain(const char *name, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(name, fmt, ap);
	va_end(ap);
	return 1;
}

/* Print why a channel can't be created, attached to or inspected: the library has the sentence. */
int fail(const char *name, int err)
{
	const char *msg = venom_errmsg();

	return complain(name, "%s", *msg ? msg : strerror(-err));
}

/* Print why a read or a command of an attached shell failed.  venom_errmsg() may be of an earlier call here. */
int fail_attached(const char *name, int err)
{
	switch (-err) {
	case EACCES:
		return complain(name, "the channel's mode does not let this user command");
	case EPIPE:
		return complain(name, "the daemon has gone");
	case ECONNRESET:
		return complain(name, "the daemon took the command and has gone without an answer");
	case ETIMEDOUT:
		return complain(name, "no answer in time");
	case EAGAIN:
		return complain(name, "the lane is full: the daemon has not taken the earlier commands yet");
	case EMSGSIZE:
		return complain(name, "the message is too large for this channel");
	case EOWNERDEAD:
		return complain(name, "the daemon died while it wrote the only version");
	case EPROTO:
		return complain(name, "what the daemon wrote is invalid");
	default:
		return complain(name, "%s", strerror(-err));
	}
}

/* Called last: report a failed write to stdout, since a full disk must not look like success. */
int finish(int status)
{
	if (!flush_out())
		return complain(NULL, "standard output: %s", strerror(out_errno));
	return status;
}

/* ---- options ------------------------------------------------------------ */

__attribute__((noreturn)) static void bad_option(int c, const char *arg)
{
	if (c == ':')
		usage("option '%s' wants an argument", arg);
	if (strncmp(arg, "--", 2))
		usage("there is no option '-%c'", optopt);
	if (optopt)
		usage("option '%s' takes no argument", arg);
	usage("there is no option '%s', or it is short for several", arg);
}

/* Return the next option, or -1 after the last.  --help and an invalid option print and exit here. */
int option(int argc, char **argv, const struct option *opts)
{
	int i = 0, c;

	opterr = 0; /* getopt would print the argument unescaped */
	c = getopt_long(argc, argv, ":h", opts, &i);
	if (c == ':' || c == '?')
		bad_option(c, argv[optind - 1]);
	if (c == 'h') {
		printf("usage: venom %s\n", verb->help);
		exit(finish(0));
	}
	opt_name = opts[i].name;
	return c;
}

/* Take the channel's name, which follows the options; unless `more`, nothing may follow it. */
const char *take_name(int argc, char **argv, bool more)
{
	if (optind == argc)
		usage("the NAME of a channel is missing");
	if (!more && optind + 1 < argc)
		usage("'%s' is too much; one NAME is enough", argv[optind + 1]);
	return argv[optind++];
}

/* A whole number; sizes may end in K, M or G. */
uint64_t opt_number(uint64_t min, uint64_t max)
{
	static const char units[] = "KMG";
	unsigned long long v;
	const char *unit;
	char *end;

	errno = 0;
	v = strtoull(optarg, &end, 10);
	unit = *end ? strchr(units, *end) : NULL;
	if (unit) {
		unsigned int shift = 10 * (unit - units + 1);

		if (v > UINT64_MAX >> shift)
			errno = ERANGE;
		v <<= shift;
		end++;
	}
	/* strtoull() accepts a sign and would turn -1 into a very large number. */
	if (errno || *end || *optarg < '0' || *optarg > '9' || v < min || v > max)
		usage("--%s: '%s' is not a number from %llu to %llu", opt_name, optarg, (unsigned long long)min,
		      (unsigned long long)max);
	return v;
}

double opt_real(double min, double max)
{
	char *end;
	double v = strtod(optarg, &end);

	if (end == optarg || *end || !(v >= min && v <= max))
		usage("--%s: '%s' is not a number from %g to %g", opt_name, optarg, min, max);
	return v;
}

/* Seconds with fractions, as nanoseconds. */
int64_t opt_seconds(void)
{
	return opt_real(0, 1e9) * NSEC_PER_SEC;
}

int64_t opt_spin(void)
{
	if (!strcmp(optarg, "adaptive"))
		return VENOM_SPIN_ADAPTIVE;
	if (!strcmp(optarg, "forever"))
		return VENOM_SPIN_FOREVER;
	if (!strcmp(optarg, "none"))
		return VENOM_SPIN_NONE;
	if (*optarg < '0' || *optarg > '9')
		usage("--%s: '%s' is none of: adaptive, forever, none, a number of nanoseconds", opt_name, optarg);
	return opt_number(0, INT64_MAX);
}

/* ---- time and signals --------------------------------------------------- */

atomic_int stopped;
static sigset_t open_mask, *napping; /* the signal mask while we nap; NULL before hold_signals() */

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

static void on_signal(int sig)
{
	(void)sig;
	stopped = 1;
}

/*
 * From here on SIGINT and SIGTERM only set `stopped`, and they arrive only while the main thread naps or waits for
 * input.  If they were never blocked, a signal between the check of `stopped` and the sleep after it would not end that
 * sleep.  Threads started later always have them blocked.
 */
void hold_signals(void)
{
	struct sigaction sa = {.sa_handler = on_signal};
	sigset_t held;

	sigemptyset(&held);
	sigaddset(&held, SIGINT);
	sigaddset(&held, SIGTERM);
	sigprocmask(SIG_BLOCK, &held, &open_mask);
	sigdelset(&open_mask, SIGINT);
	sigdelset(&open_mask, SIGTERM);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	napping = &open_mask;
}

/* A sleep that fails, as under a seccomp filter, must not become a busy loop. */
static int slept(int rc)
{
	if (rc < 0 && errno != EINTR)
		exit(complain(NULL, "ppoll: %s", strerror(errno)));
	return rc;
}

/* Sleep; false when it is time to stop. */
bool nap(uint64_t ns)
{
	struct timespec ts = {.tv_sec = ns / NSEC_PER_SEC, .tv_nsec = ns % NSEC_PER_SEC};

	if (!stopped)
		slept(ppoll(NULL, 0, &ts, napping));
	return !stopped;
}

/* Sleep until fd can be read or has ended; false when it is time to stop. */
bool await_input(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	while (!stopped && slept(ppoll(&p, 1, NULL, napping)) < 0)
		;
	return !stopped;
}

/* Whether to try again after rc: no daemon has the name yet, and there is time left.  If so, sleep 10 ms first. */
bool await_daemon(int rc, uint64_t deadline)
{
	return rc == -ENOENT && now_ns() < deadline && nap(NSEC_PER_SEC / 100);
}

const char *human_ns(char buf[16], uint64_t ns)
{
	if (ns < 10000)
		snprintf(buf, 16, "%u ns", (unsigned int)ns);
	else if (ns < 10000000)
		snprintf(buf, 16, "%.1f us", ns / 1e3);
	else if (ns < 10 * NSEC_PER_SEC)
		snprintf(buf, 16, "%.1f ms", ns / 1e6);
	else
		snprintf(buf, 16, "%.1f s", ns / 1e9);
	return buf;
}
