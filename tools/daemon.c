/* SPDX-License-Identifier: MIT */
/*
 * What every verb with a daemon needs: the options of a channel, a pace to publish at, and a second thread that serves
 * commands while the first one publishes.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

/* Whether c is one of CONFIG_OPTIONS; if so, its value is now in cfg. */
bool config_option(int c, struct venom_config *cfg)
{
	static const char *const huge[] = {
		[VENOM_HUGE_PREFER] = "prefer", [VENOM_HUGE_REQUIRE] = "require", [VENOM_HUGE_NEVER] = "never"};
	unsigned long mode;
	char *end;

	switch (c) {
	case 'M':
		mode = strtoul(optarg, &end, 8);
		if (*end || *optarg < '0' || *optarg > '7' || mode > 0777)
			usage("--mode: '%s' is not an octal mode such as 600", optarg);
		cfg->mode = mode;
		return true;
	case 'S':
		cfg->spin_ns = opt_spin();
		return true;
	case 'V':
		cfg->versions = opt_number(1, VENOM_VERSIONS_MAX);
		return true;
	case 'N':
		cfg->node = opt_number(0, 1023);
		return true;
	case 'R':
		cfg->flags |= VENOM_RESUME;
		return true;
	case 'C':
		cfg->max_clients = opt_number(1, VENOM_CLIENTS_MAX);
		return true;
	case 'H':
		for (cfg->huge = 0; cfg->huge < ARRAY_SIZE(huge); cfg->huge++)
			if (!strcmp(optarg, huge[cfg->huge]))
				return true;
		usage("--huge: '%s' is none of: prefer, require, never", optarg);
	default:
		return false;
	}
}

/*
 * Create the channel.  If huge pages were preferred but not available, print a note.  Return 0, or 1 after an error
 * message.
 */
int daemon_create(struct venom_daemon **d, const char *name, const struct venom_config *cfg)
{
	struct venom_info info;
	int rc = venom_daemon_create(d, name, cfg);

	if (rc)
		return fail(name, rc);
	venom_daemon_info(*d, &info);
	if (cfg->huge == VENOM_HUGE_PREFER && info.page_size < 1 << 20)
		complain(name, "note: no huge pages to be had, the state is on base pages");
	return 0;
}

/* A pace of `rate` beats a second; the first beat is now. */
struct pace pace_start(double rate)
{
	return (struct pace){.next = now_ns(), .period = NSEC_PER_SEC / rate};
}

/* Sleep until the next beat; false when it is time to stop. */
bool pace_wait(struct pace *p)
{
	uint64_t now = now_ns();

	p->next += p->period;
	/*
	 * A delay of up to 100 ms is made up for.  After a longer halt, the missed beats are skipped, not published in
	 * a burst.
	 */
	if (now > p->next + NSEC_PER_SEC / 10)
		p->next = now;
	return nap(p->next > now ? p->next - now : 0);
}

struct service {
	struct venom_daemon *d;
	venom_handler fn;
	void *user;
	pthread_t main, thread;
	int rc;
};

static void *serve(void *arg)
{
	struct service *sv = arg;

	sv->rc = venom_daemon_run(sv->d, sv->fn, sv->user);
	/* Without a server it is useless to publish: end the main thread's nap. */
	if (sv->rc) {
		stopped = 1;
		pthread_kill(sv->main, SIGTERM);
	}
	return NULL;
}

/* Serve commands with fn in a thread of its own.  Return 0, or 1 after an error message. */
int service_start(struct service **out, struct venom_daemon *d, venom_handler fn, void *user)
{
	struct service *sv = calloc(1, sizeof(*sv));
	int err;

	if (!sv)
		return complain(NULL, "%s", strerror(ENOMEM));
	sv->d = d;
	sv->fn = fn;
	sv->user = user;
	sv->main = pthread_self();
	err = pthread_create(&sv->thread, NULL, serve, sv);
	if (err) {
		free(sv);
		return complain(NULL, "no thread can be started to answer commands: %s", strerror(err));
	}
	*out = sv;
	return 0;
}

/* Stop the thread.  Return 0, or 1 after printing the error that had ended it before. */
int service_end(struct service *sv)
{
	int rc;

	venom_daemon_stop(sv->d);
	pthread_join(sv->thread, NULL);
	rc = sv->rc;
	free(sv);
	return rc ? complain(NULL, "commands can't be answered any more: %s", strerror(-rc)) : 0;
}
