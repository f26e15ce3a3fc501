/* SPDX-License-Identifier: MIT */
/*
 * Random torture: a daemon and up to 16 shells do all that there is to do, in channels of all configs, while they are
 * killed, stopped, ended and started anew at random.  A ledger outside of the library follows each command and each
 * version (lib/torture.h).  Nothing may be lost without notice, come twice, come in another order, be torn, or reach
 * another process than it was meant for; nobody may hang; and nothing may be left in the end.
 *
 *	torture [--seconds N] [--shells N] [--seed S [--round R]] [--verbose]
 *
 * A round is a channel's config and a script of events, both derived from the seed and the round's number.  A failure
 * prints seed and round, which play the same script again, though not the same schedule.
 */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/torture.h"

#define UNUSED(x) ((void)(x))

enum event { KILL_SHELL, STOP_SHELL, KILL_DAEMON, STOP_DAEMON, END_DAEMON, RIVAL, LOOK, EVENTS };
static const char *const event_name[] = {"kill shell", "stop shell",   "kill daemon", "stop daemon",
					 "end daemon", "rival daemon", "look on"};
static const unsigned int often[] = {8, 4, 4, 2, 1, 1, 1};

static struct {
	struct t_arena *a;
	struct vt_peer shell[T_SHELLS], daemon;
	struct t_role shell_role[T_SHELLS], daemon_role;
	uint32_t shells;
	uint64_t rng, round;
	uint64_t events[EVENTS], kills, spawned;
	struct t_sums sums;
	bool verbose;
	bool bad_process, bad_ledger;
} t;

static uint64_t up_to(uint64_t n)
{
	return vt_rand(&t.rng) % n;
}

static void complain(const char *what)
{
	fprintf(stderr, "# torture --seed %#llx --round %llu: %s\n", (unsigned long long)vt_seed(),
		(unsigned long long)t.round, what);
}

/* ---- processes ---- */

static bool process_fault(const char *what)
{
	complain(what);
	vt_where(t.a->step, T_SHELLS + 1, what);
	t.bad_process = true;
	return false;
}

static void spawn_shell(unsigned int i)
{
	t.shell_role[i] = (struct t_role){t.a, i, t.a->seed + ++t.spawned};
	vt_spawn(&t.shell[i], t_shell_main, &t.shell_role[i]);
}

/* Starts a daemon.  If a next one may go on with its channel, that must be known before this one may be killed. */
static bool spawn_daemon(bool wait)
{
	struct t_arena *a = t.a;
	uint32_t i = a->daemons;

	VT_CHECK(i < T_DAEMONS);
	t.daemon_role = (struct t_role){a, i, a->seed + ++t.spawned};
	if (!a->resume)
		a->daemon[i].chan = i + 1;
	vt_store(&a->daemons, i + 1);
	vt_spawn(&t.daemon, t_daemon_main, &t.daemon_role);
	if ((wait || a->resume) && !VT_UNTIL(vt_load(&a->daemon[i].ready) || vt_has_ended(&t.daemon)))
		return process_fault("the daemon does not start");
	return true;
}

static struct t_daemon *last_daemon(void)
{
	return &t.a->daemon[t.a->daemons - 1];
}

/* No process has ended by itself. */
static bool all_well(void)
{
	for (unsigned int i = 0; i < T_SHELLS; i++)
		if (t.shell[i].pid > 0 && vt_has_ended(&t.shell[i]))
			return process_fault("a shell has ended");
	if (t.daemon.pid > 0 && vt_has_ended(&t.daemon))
		return process_fault("the daemon has ended");
	return true;
}

static void put_down(struct vt_peer *p)
{
	if (p->pid <= 0)
		return;
	t.kills++;
	vt_kill(p, SIGKILL);
}

static bool ends_well(struct vt_peer *p)
{
	int status;

	if (p->pid <= 0)
		return true;
	status = vt_wait(p);
	if (!status)
		return true;
	fprintf(stderr, "# status %d\n", status);
	return process_fault("a process did not end well");
}

/* ---- events ---- */

static int no_peer(const struct venom_peer *peer, void *user)
{
	UNUSED(peer);
	UNUSED(user);
	return 0;
}

/* All random numbers are drawn before anything is done, so that the script does not depend on how it goes. */
static bool one_event(void)
{
	uint64_t delay = up_to(4) ? up_to(10000) : up_to(60000), pick = up_to(21), slot = up_to(t.shells);
	uint64_t pause = up_to(2) ? 0 : up_to(20000), coin = up_to(4), early = up_to(2000);
	struct vt_peer *sh = &t.shell[slot], *dm = &t.daemon;
	struct venom_daemon *rival;
	enum event e = 0;
	int rc;

	for (; pick >= often[e]; e++)
		pick -= often[e];
	if (t.verbose)
		printf("# after %5llu us: %s, %llu\n", (unsigned long long)delay, event_name[e],
		       (unsigned long long)slot);
	usleep((useconds_t)delay);
	t.events[e]++;
	if (!all_well())
		return false;
	switch (e) {
	case KILL_SHELL:
		put_down(sh);
		if (coin)
			spawn_shell((unsigned int)slot);
		break;
	case STOP_SHELL:
		if (sh->pid <= 0) {
			spawn_shell((unsigned int)slot);
			break;
		}
		kill(sh->pid, SIGSTOP);
		usleep((useconds_t)pause);
		if (coin)
			kill(sh->pid, SIGCONT);
		else
			put_down(sh);
		break;
	case STOP_DAEMON:
	case KILL_DAEMON:
		if (e == STOP_DAEMON) {
			kill(dm->pid, SIGSTOP);
			usleep((useconds_t)pause);
			if (coin) {
				kill(dm->pid, SIGCONT);
				break;
			}
		}
		put_down(dm);
		if (e == KILL_DAEMON)
			usleep((useconds_t)pause);
		if (!coin && !t.a->resume) { /* one more daemon, killed almost at once */
			spawn_daemon(false);
			usleep((useconds_t)early);
			put_down(dm);
		}
		return spawn_daemon(coin > 1);
	case END_DAEMON:
		vt_store(&last_daemon()->quit, 1);
		return ends_well(dm) && spawn_daemon(coin > 1);
	case RIVAL:
		if (!VT_UNTIL(vt_load(&last_daemon()->ready)))
			return process_fault("the daemon does not start");
		rc = venom_daemon_create(&rival, t.a->name, &t.a->cfg);
		if (rc == -EBUSY)
			break;
		if (!rc)
			venom_daemon_destroy(rival);
		fprintf(stderr, "# create gave %d\n", rc);
		return process_fault("a second daemon was not refused as it should be");
	case LOOK:
		rc = venom_stat(t.a->name, NULL, NULL, no_peer, NULL);
		if (rc && rc != -ENOENT)
			return process_fault("venom_stat failed");
		break;
	default:
		break;
	}
	return true;
}

/* ---- a round ---- */

#define PICK(...)                                            \
	({                                                   \
		static const int64_t all_[] = {__VA_ARGS__}; \
		all_[up_to(sizeof(all_) / sizeof(all_[0]))]; \
	})

static void configure(uint32_t most)
{
	struct t_arena *a = t.a;
	struct venom_config cfg = VENOM_CONFIG_INIT;
	bool resume = up_to(4);

	t.shells = 1 + (uint32_t)(up_to(3) ? up_to(most < 6 ? most : 6) : up_to(most));
	a->handles = 1 + (uint32_t)up_to(3);
	cfg.versions = (uint32_t)PICK(1, 2, 4);
	cfg.data_size = (uint32_t)PICK(1, 8, 64, 100, 4096, 65536, 1 << 20);
	cfg.cmd_slots = (uint32_t)PICK(1, 2, 3, 7, 16, 64);
	cfg.cmd_size = (uint32_t)PICK(16, 17, 64, 200, 4096, VT_MESSAGE_MAX);
	cfg.resp_size = (uint32_t)PICK(16, 17, 64, 200, 4096, VT_MESSAGE_MAX);
	cfg.max_clients = up_to(4) ? T_SHELLS * 3 + 8 : 1 + t.shells * a->handles / 2;
	cfg.spin_ns = PICK(VENOM_SPIN_ADAPTIVE, VENOM_SPIN_NONE, 20000, VENOM_SPIN_FOREVER);
	cfg.flags = (up_to(3) ? 0 : VENOM_STAMP) | (up_to(3) ? 0 : VENOM_ORDER_ARRIVAL) | (resume ? VENOM_RESUME : 0);
	a->pause_us = (uint32_t)PICK(0, 0, 100, 2000);
	a->resume = resume && vt_on_dev();
	a->heed = up_to(2);
	a->strict = a->heed && up_to(2);
	if (a->heed) {
		cfg.flags |= VENOM_LOSSLESS;
		cfg.versions = (uint32_t)PICK(2, 3, 4, 8);
		cfg.data_size = (uint32_t)PICK(8, 64, 100, 4096, 65536);
		cfg.max_holders = up_to(2) ? VENOM_HOLDERS_AUTO : cfg.versions - 1;
		/* Where no reader is cut off, the publisher must come to its end, too. */
		cfg.full_ns = a->strict ? PICK(0, VT_MS) : PICK(0, VT_MS, -1);
		cfg.limit_ns = a->strict ? 600 * VT_S : PICK(VT_MS / 10, 2 * VT_MS, 10 * VT_MS);
	}
	a->cfg = cfg;
	snprintf(a->name, sizeof(a->name), "torture-%d-%llu", getpid(), (unsigned long long)t.round);
	if (t.verbose)
		printf("# round %llu: %u shells of %u handles; versions %u, data %llu, slots %u, cmd %u, resp %u, "
		       "clients %u, "
		       "spin %lld, flags %#x, pause %u us, holders %d, full %lld, limit %lld ns\n",
		       (unsigned long long)t.round, t.shells, a->handles, cfg.versions,
		       (unsigned long long)cfg.data_size, cfg.cmd_slots, cfg.cmd_size, cfg.resp_size, cfg.max_clients,
		       (long long)cfg.spin_ns, cfg.flags, a->pause_us,
		       a->heed ? (int)cfg.max_holders : -1, (long long)cfg.full_ns, (long long)cfg.limit_ns);
}

static bool all_quiet(uint32_t n)
{
	return vt_load(&t.a->quiet) == n || !all_well();
}

/* Every process goes on, comes to its end, and says so. */
static bool finish(void)
{
	struct t_arena *a = t.a;
	uint32_t n = 0;

	for (unsigned int i = 0; i < T_SHELLS; i++)
		n += t.shell[i].pid > 0;
	vt_store(&a->stop, 1);
	if (!VT_UNTIL(all_quiet(n)))
		return process_fault("somebody hangs");
	if (t.bad_process)
		return false;
	vt_store(&a->stop, 2);
	for (unsigned int i = 0; i < T_SHELLS; i++)
		if (!ends_well(&t.shell[i]))
			return false;
	vt_store(&a->end, 1);
	return ends_well(&t.daemon);
}

static void clear(void)
{
	struct t_arena *a = t.a;

	for (uint32_t i = 0; i < T_SESSIONS && i < a->sessions; i++) {
		struct t_session *l = &a->session[i];

		memset(l->sent, 0, l->n);
		memset(l->got, 0, l->n);
		memset(l, 0, offsetof(struct t_session, sent));
	}
	memset(a->daemon, 0, a->daemons * sizeof(a->daemon[0]));
	memset(a->step, 0, sizeof(a->step));
	a->sessions = a->chan = a->daemons = a->stop = a->quiet = a->end = 0;
	a->final = 0;
}

static bool play(uint32_t most)
{
	struct t_arena *a = t.a;
	const char *wrong;

	t.rng = vt_seed() + t.round * 0x10001;
	a->seed = vt_rand(&t.rng);
	t.spawned = 0;
	configure(most);
	if (!spawn_daemon(true))
		return false;
	for (unsigned int i = 0; i < t.shells; i++)
		spawn_shell(i);
	for (uint64_t n = 20 + up_to(60); n > 0; n--)
		if (!one_event())
			return false;
	if (!finish())
		return false;
	wrong = t_check_ledger(a, &t.sums);
	if (wrong)
		complain(wrong);
	t.bad_ledger |= !!wrong;
	clear();
	return !wrong;
}

/* ---- what is left ---- */

static long huge_free(void)
{
	FILE *f = fopen("/proc/meminfo", "r");
	char line[256];
	long n = -1;

	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "HugePages_Free: %ld", &n);
	if (f)
		fclose(f);
	return n;
}

static int ours(const struct venom_info *info, void *n)
{
	*(int *)n += !strncmp(info->name, "torture-", 8);
	return 0;
}

static int files(void)
{
	DIR *dir = opendir(getenv("VENOM_RUNTIME_DIR"));
	struct dirent *e;
	int n = 0;

	while (dir && (e = readdir(dir)))
		n += !!strstr(e->d_name, "torture-");
	if (dir)
		closedir(dir);
	return n;
}

static bool nothing_left(int fds, long huge)
{
	bool children = waitpid(-1, NULL, WNOHANG) >= 0, ok;
	int channels = 0, fds_now = vt_count_fds();

	venom_list(ours, &channels);
	ok = !children && fds_now == fds && !vt_count_areas() && !channels && !files() &&
	     VT_UNTIL(huge_free() >= huge); /* another test may free some meanwhile */
	if (!ok)
		fprintf(stderr,
			"# left: children %d; descriptors %d, had %d; mappings %d; channels %d; files %d; huge pages "
			"free "
			"%ld, were %ld\n",
			children, fds_now, fds, vt_count_areas(), channels, files(), huge_free(), huge);
	return ok;
}

/* ---- */

static void report(double seconds, uint64_t rounds)
{
#define N(x) ((unsigned long long)(x))
	t_add_tallies(t.a, &t.sums);
	printf("# %.0f s, %llu rounds on %s: %llu operations and %llu publishes, %llu kills\n", seconds, N(rounds),
	       vt_on_dev() ? "dev" : "memfd", N(t.sums.tally.ops), N(t.sums.tally.published), N(t.kills));
	printf("# events:");
	for (int e = 0; e < EVENTS; e++)
		printf(" %s %llu%s", event_name[e], N(t.events[e]), e < EVENTS - 1 ? "," : "\n");
	t_print_sums(&t.sums);
}

static bool ok(int n, bool well, const char *what)
{
	printf("%sok %d - %s\n", well ? "" : "not ", n, what);
	return well;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"seconds", 1, NULL, 's'}, {"shells", 1, NULL, 'n'},
						{"seed", 1, NULL, 'S'},	   {"round", 1, NULL, 'r'},
						{"verbose", 0, NULL, 'v'}, {NULL, 0, NULL, 0}};
	double seconds = 60 * vt_scale();
	uint64_t first = 1, rounds = 0, start;
	uint32_t most = T_SHELLS;
	bool one = false, all = true;
	long huge;
	int c, fds;

	seconds = seconds < 3 ? 3 : seconds;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 's') {
			seconds = atof(optarg);
		} else if (c == 'n' && atoi(optarg) > 0 && atoi(optarg) <= T_SHELLS) {
			most = (uint32_t)atoi(optarg);
		} else if (c == 'S') {
			setenv("VENOM_TEST_SEED", optarg, 1);
		} else if (c == 'r') {
			first = strtoull(optarg, NULL, 0);
			one = true;
		} else if (c == 'v') {
			t.verbose = true;
		} else {
			fprintf(stderr,
				"usage: torture [--seconds N] [--shells 1..%d] [--seed S [--round R]] [--verbose]\n",
				T_SHELLS);
			return 2;
		}
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	vt_seed();
	t.a = vt_shared(sizeof(*t.a));
	fds = vt_count_fds();
	huge = huge_free();
	start = vt_now();
	printf("TAP version 13\n1..3\n");
	for (t.round = first; play(most); t.round++) {
		rounds++;
		if (one || vt_now() - start > (uint64_t)(seconds * VT_S))
			break;
	}
	for (unsigned int i = 0; i < T_SHELLS; i++)
		vt_kill(&t.shell[i], SIGKILL);
	vt_kill(&t.daemon, SIGKILL);
	report((double)(vt_now() - start) / VT_S, rounds);
	all &= ok(1, !t.bad_process, "nobody hung, nor saw anything torn, out of order, or another's");
	all &= ok(2, !t.bad_ledger && rounds, "each command came once, or its loss was told");
	if (t.bad_process)
		printf("ok 3 - nothing is left # SKIP a round was broken off\n");
	else
		all &= ok(3, nothing_left(fds, huge), "nothing is left");
	return !all;
}
