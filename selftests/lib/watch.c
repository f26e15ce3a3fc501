/* SPDX-License-Identifier: MIT */
#include "lib/watch.h"

#include <signal.h>
#include <sys/wait.h>

#define TICK_MS	 5
#define GRACE_MS 2000 /* after the first failure: the other processes may report its cause */

void vt_where(const struct vt_step *s, int n, const char *why)
{
	int i;

	fprintf(stderr, "# watchdog: %s\n", why);
	for (i = 0; i < n; i++)
		fprintf(stderr, "# process %d after %llu steps: in %s (%llu)\n", i, (unsigned long long)s[i].steps,
			s[i].where ? s[i].where : "nothing yet", (unsigned long long)s[i].detail);
}

bool vt_has_ended(const struct vt_peer *p)
{
	siginfo_t info = {.si_pid = 0};

	return !waitid(P_PID, (id_t)p->pid, &info, WEXITED | WNOHANG | WNOWAIT) && info.si_pid;
}

bool vt_any_ended(const struct vt_peer *p, int n)
{
	while (n--)
		if (p[n].pid > 0 && vt_has_ended(&p[n]))
			return true;
	return false;
}

int vt_watch(struct vt_peer *p, struct vt_step *s, int n)
{
	uint64_t last = 0, now;
	int i, status, idle_ms = 0, running = n, bad = 0;

	while (running) {
		running = 0;
		now = 0;
		for (i = 0; i < n; i++) {
			now += __atomic_load_n(&s[i].steps, __ATOMIC_RELAXED);
			if (p[i].pid <= 0)
				continue;
			if (!vt_has_ended(&p[i])) {
				running++;
				continue;
			}
			status = vt_wait(&p[i]);
			if (status) {
				fprintf(stderr, "# process %d ended with %d, in %s (%llu)\n", i, status,
					s[i].where ? s[i].where : "nothing yet", (unsigned long long)s[i].detail);
				bad++;
			}
		}
		idle_ms = bad || now == last ? idle_ms + TICK_MS : 0;
		last = now;
		if (running && idle_ms >= (bad ? GRACE_MS : VT_PATIENCE_S * 1000)) {
			vt_where(s, n, bad ? "the others go on without it" : "nobody gets on");
			for (i = 0; i < n; i++)
				vt_kill(&p[i], SIGKILL);
			return bad + running;
		}
		if (running)
			vt_sleep_ms(TICK_MS);
	}
	return bad;
}

int vt_play(void *arena, struct vt_step *s, vt_main first, vt_main other, int n)
{
	struct vt_peer peer[VT_PLAYERS + 1];
	struct vt_role role[VT_PLAYERS + 1];
	int i, ready;

	for (i = 0; i <= n; i++)
		role[i] = (struct vt_role){arena, i};
	vt_spawn(&peer[n], first, &role[n]);
	ready = vt_await(&peer[n]);
	for (i = 0; i < n; i++) {
		if (ready) {
			peer[i] = (struct vt_peer){.fd = -1};
			continue;
		}
		vt_spawn(&peer[i], other, &role[i]);
		ready = vt_await(&peer[i]);
	}
	for (i = 0; i <= n && !ready; i++)
		vt_signal(&peer[i]);
	return vt_watch(peer, s, n + 1);
}
