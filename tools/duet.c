/* SPDX-License-Identifier: MIT */
/*
 * See duet.h.  The same two processes take turns: a slice of cache line round trips, a slice of requests, and so on.  A
 * machine's speed, and on a virtual machine the place of its CPUs, changes from one second to the next.  So two things
 * measured one after the other can't be compared; slices in turn can.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bounce.h"
#include "duet.h"
#include "tool.h"

#define MESSAGE 64

struct stage { /* shared by parent, daemon and shell */
	struct court court;
	char name[VENOM_NAME_MAX + 1];
	uint64_t slice_ns;
	atomic_int ready; /* the channel is there */
	struct duet du; /* parameters; the shell writes the results */
};

/* The first byte of a request: 0 ends the slice, 1 is an ordinary request, 2 ends the run. */
enum { END_SLICE, MORE, END_ALL };

static int daemon_part(void *arg)
{
	struct venom_config cfg = VENOM_CONFIG_INIT;
	struct stage *st = arg;
	struct venom_command cmd;
	struct venom_daemon *d;
	int rc, kind = END_SLICE;

	cfg.cmd_size = cfg.resp_size = MESSAGE;
	cfg.spin_ns = VENOM_SPIN_FOREVER;
	rc = pin_to_cpu(st->du.cpu_daemon);
	if (rc)
		return complain(NULL, "no process can be put on CPU %d: %s", st->du.cpu_daemon, strerror(-rc));
	rc = venom_daemon_create(&d, st->name, &cfg);
	if (rc)
		return fail(st->name, rc);
	st->ready = 1;
	while (kind != END_ALL) {
		if (kind == END_SLICE && !bounce_return(&st->court))
			return complain(NULL, "the shell of the duet has gone");
		rc = venom_daemon_receive(d, &cmd, 5 * NSEC_PER_SEC);
		if (rc != 1)
			return complain(st->name, "no request came from the duet's shell");
		kind = *(const char *)cmd.data;
		rc = venom_daemon_respond(d, &cmd, cmd.data, cmd.len);
		if (rc)
			return complain(st->name, "no answer can be given: %s", strerror(-rc));
	}
	venom_daemon_destroy(d);
	return 0;
}

static int ask(struct venom_shell *s, const char *name, char kind)
{
	static uint64_t number;
	char order[MESSAGE] = {kind}, answer[MESSAGE];
	ssize_t n;

	number++;
	memcpy(order + 8, &number, sizeof(number));
	n = venom_shell_request(s, order, sizeof(order), answer, sizeof(answer), 5 * NSEC_PER_SEC);
	if (n < 0)
		return fail_attached(name, n);
	if (n != MESSAGE || memcmp(order, answer, MESSAGE))
		return complain(name, "request %llu got another one's answer", (unsigned long long)number);
	return 0;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static int shell_part(void *arg)
{
	struct stage *st = arg;
	struct duet *du = &st->du;
	struct hist *line = malloc(sizeof(*line)), *request = malloc(sizeof(*request));
	struct venom_shell *s;
	int rc = pin_to_cpu(du->cpu_shell);

	if (!line || !request)
		return complain(NULL, "%s", strerror(ENOMEM));
	if (rc)
		return complain(NULL, "no process can be put on CPU %d: %s", du->cpu_shell, strerror(-rc));
	while (!st->ready)
		nap(1000000); /* if it never comes, the parent kills us */
	rc = venom_shell_connect(&s, st->name);
	if (rc)
		return fail(st->name, rc);
	venom_shell_set_spin(s, VENOM_SPIN_FOREVER);
	for (int i = 0; i < DUET_SLICES; i++) {
		uint64_t start, end;

		memset(line, 0, sizeof(*line));
		memset(request, 0, sizeof(*request));
		if (!bounce_serve(&st->court, st->slice_ns, du->clock_ns, line))
			return complain(NULL, "the daemon of the duet has gone");
		end = now_ns() + st->slice_ns;
		do {
			uint64_t took;

			start = now_ns();
			if (ask(s, st->name, MORE))
				return 1;
			took = now_ns() - start;
			hist_add(request, took > du->clock_ns ? took - du->clock_ns : 0);
		} while (start < end);
		if (ask(s, st->name, i == DUET_SLICES - 1 ? END_ALL : END_SLICE))
			return 1;
		du->ratio[i] = (double)hist_quantile(request, 0.5) / (hist_quantile(line, 0.5) ?: 1);
		hist_merge(&du->line, line);
		hist_merge(&du->request, request);
	}
	qsort(du->ratio, DUET_SLICES, sizeof(*du->ratio), by_size);
	venom_shell_close(s);
	return 0;
}

int duet_run(struct duet *du, uint64_t time_ns)
{
	struct stage *st = mmap(NULL, sizeof(*st), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t patience = time_ns + 20 * NSEC_PER_SEC;
	pid_t d, s;
	bool well;

	if (st == MAP_FAILED)
		return complain(NULL, "no memory for the duet: %s", strerror(errno));
	snprintf(st->name, sizeof(st->name), "duet-%d", getpid());
	st->du = *du;
	st->du.clock_ns = clock_cost();
	st->slice_ns = time_ns / (2 * DUET_SLICES);
	d = child(daemon_part, st);
	s = child(shell_part, st);
	well = d > 0 && s > 0;
	/* Wait for the daemon first: the shell can't continue without it, and ends by itself when it has gone. */
	if (d > 0)
		well &= child_end("the duet's daemon", d, patience);
	if (s > 0)
		well &= child_end("the duet's shell", s, well ? patience : 0);
	*du = st->du;
	munmap(st, sizeof(*st));
	return !well;
}
