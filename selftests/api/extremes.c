/* SPDX-License-Identifier: MIT */
/*
 * Attacks create and connect with extreme configs: each field of venom_config at its ends and around its powers of two,
 * alone and in pairs.  They must give an errno that the header lists, or a channel that works with its largest state,
 * command and answer.  One state is larger than 32 bits can say.
 */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "internal.h" /* first: the harness takes ARRAY_SIZE from it */
#include "lib/harness.h"
#include "lib/peer.h"
#include "lib/watch.h"

/* ---- the settings ---- */

#define FIELD(name)                                                                                         \
	{                                                                                                   \
#name, offsetof(struct venom_config, name), sizeof(((struct venom_config *)0)->name)                \
	}

static const struct {
	const char *name;
	size_t offset, size;
} fields[] = {
	FIELD(size),	  FIELD(flags),	      FIELD(data_size), FIELD(versions), FIELD(cmd_slots),
	FIELD(cmd_size),  FIELD(resp_size),   FIELD(max_clients), FIELD(mode),	 FIELD(huge),
	FIELD(reserved),  FIELD(huge_size),   FIELD(spin_ns),	FIELD(node),	 FIELD(max_holders),
	FIELD(full_ns),	  FIELD(limit_ns),
};

/* A 32-bit field takes the lower half. */
static const uint64_t values[] = {
	0,
	1,
	2,
	3,
	24,
	63,
	64,
	65,
	600,
	1023,
	1024,
	1025,
	4095,
	4096,
	4097,
	65535,
	65536,
	65537,
	(1u << 20) - 1,
	1u << 20,
	(1u << 20) + 1,
	2u << 20,
	1u << 30,
	INT32_MAX,
	1ull << 31,
	UINT32_MAX - 127,
	UINT32_MAX - 64,
	UINT32_MAX - 63,
	UINT32_MAX - 62,
	UINT32_MAX - 32,
	UINT32_MAX - 31,
	UINT32_MAX - 15,
	UINT32_MAX - 1,
	UINT32_MAX,
	1ull << 32,
	(1ull << 32) + 1,
	1ull << 45,
	(1ull << 46) - 4096,
	(1ull << 46) - 1,
	1ull << 46,
	1ull << 62,
	INT64_MAX,
	1ull << 63,
	UINT64_MAX - 4096,
	UINT64_MAX - 63,
	UINT64_MAX - 2,
	UINT64_MAX - 1,
	UINT64_MAX,
};

#define ONES  (ARRAY_SIZE(fields) * ARRAY_SIZE(values))

struct setting {
	unsigned int field, value;
};

/* The position of the sweep: it survives the process that runs the sweep. */
struct place {
	struct setting a, b;
	bool pair;
	const char *step;
	long rc;
	uint64_t works;
	bool space_is_limited;
};

static struct place *place;

static struct setting nth(uint64_t n)
{
	return (struct setting){.field = (unsigned int)(n / ARRAY_SIZE(values) % ARRAY_SIZE(fields)),
				.value = (unsigned int)(n % ARRAY_SIZE(values))};
}

static void set(struct venom_config *cfg, struct setting s)
{
	memcpy((char *)cfg + fields[s.field].offset, &values[s.value], fields[s.field].size); /* little-endian */
}

/* ---- one config ---- */

/*
 * The memory that a channel of this config takes, as far as 128 bits tell.  What is large, but not refused at once, is
 * not tried: the machine has other work.  (Embedded, limits on the file size and the address space refuse it; but only
 * the latter refuses one command's buffer, and sanitizers and emulators do not allow that limit.)
 */
static bool too_heavy(const struct venom_config *cfg)
{
	unsigned __int128 state = (unsigned __int128)cfg->versions * (cfg->data_size + 4096);
	unsigned __int128 lane = (unsigned __int128)cfg->cmd_slots * 2 * ((uint64_t)cfg->cmd_size + cfg->resp_size + 128);

	if (!vt_on_dev())
		return !place->space_is_limited && cfg->cmd_size > 64u << 20;
	return (state > 256u << 20 && state < (unsigned __int128)1 << 44) || (lane > 256u << 20 && lane < (unsigned __int128)1 << 44);
}

static bool listed(long rc, bool connect)
{
	switch (rc) {
	case -EINVAL:
		return !connect;
	case -ENOMEM:
	case -EMFILE:
	case -EDQUOT:
	case -ENOSYS: /* of the field node, if the kernel knows no nodes */
		return true;
	default:
		return false;
	}
}

#define STEP(what, want)                        \
	do {                                    \
		place->step = what;             \
		place->rc = rc;                 \
		if (!(want))                    \
			return false;           \
	} while (0)

/* Sends the largest command and the largest answer there and back, up to a MiB. */
static bool exchange(struct venom_daemon *d, struct venom_shell *s, const struct venom_config *cfg)
{
	static char big[1 << 20], back[1 << 20];
	size_t len = cfg->cmd_size < sizeof(big) ? cfg->cmd_size : sizeof(big);
	size_t answer = cfg->resp_size < sizeof(big) ? cfg->resp_size : sizeof(big);
	struct venom_command cmd;
	uint64_t tag;
	long rc;

	vt_fill(big, sizeof(big), 5);
	rc = venom_shell_submit(s, big, len, &tag);
	STEP("submit", !rc);
	rc = venom_daemon_receive(d, &cmd, VT_PATIENCE_S * VT_S);
	STEP("receive", rc == 1 && cmd.len == len && !memcmp(cmd.data, big, len));
	rc = venom_daemon_respond(d, &cmd, big, answer);
	STEP("respond", !rc);
	rc = venom_shell_complete(s, &tag, back, sizeof(back), VT_PATIENCE_S * VT_S);
	STEP("complete", rc == (long)answer && !memcmp(back, big, answer));
	return true;
}

static bool live(struct venom_daemon *d, const char *name, const struct venom_config *cfg)
{
	struct venom_shell *s = NULL;
	struct venom_view view;
	size_t capacity = 0;
	char *p;
	long rc = 0;

	p = venom_daemon_write_begin(d, &capacity);
	STEP("write_begin", p && capacity == cfg->data_size);
	p[0] = p[capacity - 1] = 7;
	rc = venom_daemon_write_commit(d, capacity);
	STEP("write_commit", !rc);
	rc = venom_shell_connect(&s, name);
	if (rc == -EACCES && !(cfg->mode & 0400) && geteuid())
		return true; /* the mode bars the owner itself */
	STEP("connect", !rc || listed(rc, true));
	if (rc)
		return true;
	place->works++;
	rc = venom_shell_read_begin(s, &view);
	STEP("read_begin", !rc && view.len == capacity && ((const char *)view.data)[capacity - 1] == 7);
	if ((cfg->mode & 0200 || !geteuid()) && !exchange(d, s, cfg))
		return false;
	venom_shell_close(s);
	return true;
}

static bool fine(const char *name, const struct venom_config *cfg)
{
	struct venom_daemon *d = NULL;
	bool ok;
	long rc;

	place->step = "create";
	rc = venom_daemon_create(&d, name, cfg);
	STEP("create", !rc || listed(rc, false));
	if (rc)
		return true;
	ok = live(d, name, cfg);
	if (ok)
		place->step = "destroy";
	venom_daemon_destroy(d);
	return ok;
}

/* ---- the sweep ---- */

struct sweep {
	const char *name;
	uint64_t seed, from, n; /* the n-th single setting, then random pairs */
	uint64_t done, wrong;
	struct place place;
};

static void say(const struct place *p, const char *how)
{
	fprintf(stderr, "# %s = %#llx", fields[p->a.field].name, (unsigned long long)values[p->a.value]);
	if (p->pair)
		fprintf(stderr, ", %s = %#llx", fields[p->b.field].name, (unsigned long long)values[p->b.value]);
	fprintf(stderr, ": %s: %s gave %ld\n", how, p->step, p->rc);
}

static void limit_all(void)
{
	struct rlimit file = {.rlim_cur = 64 << 20, .rlim_max = 64 << 20};
	void *much;

	VT_CHECK(!setrlimit(RLIMIT_FSIZE, &file));
	signal(SIGXFSZ, SIG_IGN); /* limits.c tests that */
#if !defined(VT_ASAN) && !defined(VT_TSAN)
	struct rlimit space = {.rlim_cur = 1 << 30, .rlim_max = 1 << 30};

	VT_CHECK(vt_on_dev() || !setrlimit(RLIMIT_AS, &space));
#endif
	much = mmap(NULL, 2ul << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	place->space_is_limited = much == MAP_FAILED;
	if (much != MAP_FAILED)
		munmap(much, 2ul << 30);
}

#define AT_A_TIME 100 /* configs in one process: the time-out is for these, not for the whole sweep */

static int sweep_main(struct vt_peer *self, void *arg)
{
	struct sweep *w = arg;
	uint64_t end = w->done + AT_A_TIME < w->n ? w->done + AT_A_TIME : w->n;

	(void)self;
	place = &w->place;
	limit_all();
	for (; w->done < end; w->done++) {
		struct venom_config cfg = VENOM_CONFIG_INIT;
		uint64_t i = w->from + w->done, rnd = w->seed + i;

		cfg.max_clients = 4;
		place->pair = i >= ONES;
		place->a = nth(place->pair ? vt_rand(&rnd) : i);
		place->b = nth(vt_rand(&rnd));
		set(&cfg, place->a);
		if (place->pair)
			set(&cfg, place->b);
		if (too_heavy(&cfg))
			continue;
		if (!fine(w->name, &cfg)) {
			say(place, "wrong");
			w->wrong++;
		}
	}
	return 0;
}

TEST(all_alone_and_many_in_pairs)
{
	struct sweep *w = vt_shared(sizeof(*w));
	struct vt_peer p;
	int status;

	w->name = vt_name();
	w->seed = vt_seed();
	w->n = ONES + vt_scaled(600);
	while (w->done < w->n) {
		vt_spawn(&p, sweep_main, w);
		status = vt_wait(&p);
		if (!status)
			continue;
		/* The next process skips the config that ended this one. */
		say(&w->place, status == -ETIMEDOUT ? "hangs" : status < 0 ? "died of a signal" : "ended");
		fprintf(stderr, "# status %d\n", status);
		w->wrong++;
		w->done++;
		ASSERT_GT(20, w->wrong);
	}
	vt_forget(w->name);
	fprintf(stderr, "# %llu of %llu configs made a channel that works\n", (unsigned long long)w->place.works,
		(unsigned long long)w->n);
	EXPECT_EQ(0, w->wrong);
	EXPECT_LT(50, w->place.works);
}

/* ---- a state past 32 bits ---- */

/* Only the plain build does it: a sanitizer's shadow of so much memory takes too long. */
#if !defined(VT_ASAN) && !defined(VT_TSAN)
#define HUGE_SIZE ((4ull << 30) + 5000)

static uint64_t mem_available(void)
{
	unsigned long long kb = 0;
	char line[128];
	FILE *f = fopen("/proc/meminfo", "r");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "MemAvailable: %llu", &kb) == 1)
			break;
	if (f)
		fclose(f);
	return kb * 1024;
}

static long publish_huge(long a, long b, long c)
{
	char *buf = venom_daemon_write_begin(pd, NULL);

	VT_CHECK(buf);
	vt_fill(buf, 100, 1);
	vt_fill(buf + HUGE_SIZE - 100, 100, 2);
	return venom_daemon_write_commit(pd, HUGE_SIZE) + a + b + c;
}

/* Lengths and offsets don't end at 32 bits. */
TEST(more_than_4_gib)
{
	struct venom_config *cfg = vt_config();
	const char *name = vt_name();
	struct venom_info info;
	struct venom_view view;
	struct venom_shell *s;
	struct vt_peer dm;

	if (mem_available() < 6ull << 30)
		SKIP(return, "needs 6 GiB of free memory");
	cfg->data_size = HUGE_SIZE;
	cfg->versions = 1;
	cfg->huge = VENOM_HUGE_NEVER;
	vt_start(&dm);
	ASSERT_EQ(0, vt_call(&dm, pd_create, name, cfg)) TH_LOG("%s", vt_errmsg);
	ASSERT_EQ(0, venom_shell_connect(&s, name));
	ASSERT_EQ(0, vt_call(&dm, publish_huge));
	ASSERT_EQ(0, venom_shell_read_begin(s, &view));
	EXPECT_EQ(HUGE_SIZE, view.len);
	EXPECT_TRUE(vt_is(view.data, 100, 1));
	EXPECT_TRUE(vt_is((const char *)view.data + HUGE_SIZE - 100, 100, 2));
	EXPECT_EQ(0, venom_shell_read_retry(s, &view));
	EXPECT_EQ(-EMSGSIZE, venom_shell_read(s, &info, sizeof(info), NULL));
	EXPECT_EQ(HUGE_SIZE, venom_shell_needed(s));
	ASSERT_EQ(0, venom_shell_info(s, &info));
	EXPECT_EQ(HUGE_SIZE, info.data_size);
	EXPECT_LE(HUGE_SIZE, info.state_bytes);
	venom_shell_close(s);
	vt_call(&dm, pd_destroy);
	EXPECT_EQ(0, vt_stop(&dm));
}
#endif

TEST_HARNESS_MAIN
