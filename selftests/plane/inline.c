/* SPDX-License-Identifier: MIT */
/*
 * Attacks reads and publishes in line (venom_inline.h).  They must give what the calls give, mixed with them in any
 * way, and must leave to the library what is not simple.  torn.c tests such reads beside a writer at full speed.
 */
#include "internal.h" /* first: the harness takes ARRAY_SIZE from it */
#include "lib/harness.h"
#include "lib/peer.h"
#include "lib/watch.h"

#define SIZE 200 /* more than is copied in line */

FIXTURE(in_line)
{
	struct venom_daemon *d;
	struct venom_shell *s;
	struct venom_inline_publisher p;
	struct venom_inline_reader r;
	struct venom_config cfg;
};

FIXTURE_VARIANT(in_line)
{
	uint32_t versions, flags;
};

FIXTURE_VARIANT_ADD(in_line, versions_1){.versions = 1};
FIXTURE_VARIANT_ADD(in_line, versions_2){.versions = 2};
FIXTURE_VARIANT_ADD(in_line, versions_3){.versions = 3};
FIXTURE_VARIANT_ADD(in_line, versions_8){.versions = 8};
FIXTURE_VARIANT_ADD(in_line, stamped){.versions = 4, .flags = VENOM_STAMP};

FIXTURE_SETUP(in_line)
{
	const char *name = vt_name();

	self->cfg = *vt_config();
	self->cfg.versions = variant->versions;
	self->cfg.flags = variant->flags;
	self->cfg.data_size = SIZE;
	ASSERT_EQ(0, venom_daemon_create(&self->d, name, &self->cfg));
	ASSERT_EQ(0, venom_shell_connect(&self->s, name));
	venom_inline_publisher_init(self->d, &self->p);
	venom_inline_reader_init(&self->r);
}

FIXTURE_TEARDOWN(in_line)
{
	venom_shell_close(self->s);
	venom_daemon_destroy(self->d);
}

static char buf[SIZE];

/* Publishes version v by one of the three ways, each some times in a row, with its own length. */
#define publish(self, v, len)                                                                     \
	do {                                                                                      \
		vt_fill(buf, len, v);                                                             \
		switch ((v) / 4 % 3) {                                                            \
		case 0:                                                                           \
			ASSERT_EQ(0, venom_daemon_publish((self)->d, buf, len));                  \
			break;                                                                    \
		case 1:                                                                           \
			ASSERT_EQ(0, venom_inline_publish((self)->d, &(self)->p, buf, len));      \
			break;                                                                    \
		case 2:                                                                           \
			vt_fill(venom_daemon_write_begin((self)->d, NULL), len, v);               \
			ASSERT_EQ(-EBUSY, venom_inline_publish((self)->d, &(self)->p, buf, len)); \
			ASSERT_EQ(0, venom_daemon_write_commit((self)->d, len));                  \
		}                                                                                 \
		ASSERT_EQ((uint64_t)(v), venom_daemon_version((self)->d));                        \
	} while (0)

static size_t len_of(uint32_t v)
{
	return 8 + v * 7 % (SIZE - 7);
}

TEST_F(in_line, as_the_calls)
{
	struct venom_view view;
	uint64_t version;

	ASSERT_EQ(-ENODATA, venom_inline_read(self->s, &self->r, buf, SIZE));
	ASSERT_EQ(-ENODATA, venom_inline_look(self->s, &self->r));
	for (uint32_t v = 1; v < 600; v++) {
		size_t len = len_of(v);

		publish(self, v, len);
		for (uint32_t again = 0; again < v % 5; again++) {
			memset(buf, 0, SIZE);
			ASSERT_EQ((ssize_t)len, venom_inline_read(self->s, &self->r, buf, SIZE));
			ASSERT_EQ(v, self->r.version);
			ASSERT_TRUE(vt_is(buf, len, v));
			ASSERT_EQ(0, venom_inline_look(self->s, &self->r));
			ASSERT_EQ(v, self->r.version);
			ASSERT_EQ(len, self->r.len);
			ASSERT_TRUE(vt_is(self->r.data, len, v));
			ASSERT_TRUE(venom_inline_whole(&self->r));
			memset(buf, 0, SIZE);
			ASSERT_EQ((ssize_t)len, venom_shell_read(self->s, buf, SIZE, &version));
			ASSERT_EQ(v, version);
			ASSERT_TRUE(vt_is(buf, len, v));
			ASSERT_EQ(-EMSGSIZE, venom_inline_read(self->s, &self->r, buf, len - 1));
			ASSERT_EQ(len, venom_shell_needed(self->s));
			ASSERT_EQ(-EMSGSIZE, venom_shell_read(self->s, buf, len - 1, NULL));
		}
		if (v % 4 == 0) {
			ASSERT_EQ(0, venom_shell_read_begin(self->s, &view));
			ASSERT_EQ(v, view.version);
			ASSERT_EQ(self->cfg.flags & VENOM_STAMP ? true : false, view.time_ns != 0);
		}
		/* A look that begins before the next version. */
		ASSERT_EQ(0, venom_inline_look(self->s, &self->r));
		if (v % 2 && self->cfg.versions > 1) {
			ASSERT_EQ(1, venom_inline_whole(&self->r));
			publish(self, v + 1, len_of(v + 1));
			/* Its buffer has not been overwritten yet... */
			ASSERT_EQ(1, venom_inline_whole(&self->r));
			ASSERT_TRUE(vt_is(self->r.data, len, v));
			/* ...and the version is not the latest any more. */
			ASSERT_EQ((ssize_t)len_of(v + 1), venom_inline_read(self->s, &self->r, buf, SIZE));
			ASSERT_TRUE(vt_is(buf, len_of(v + 1), v + 1));
			v++;
		}
	}
}

/* A look after any number of reads, and reads after any number of looks. */
TEST_F(in_line, reads_and_looks)
{
	for (uint32_t v = 1; v < 100; v++) {
		size_t len = 8 + v % 40;

		publish(self, v, len);
		for (uint32_t n = 0; n < v % 4; n++)
			ASSERT_EQ((ssize_t)len, venom_inline_read(self->s, &self->r, buf, SIZE));
		for (uint32_t n = 0; n < v % 3; n++) {
			ASSERT_EQ(0, venom_inline_look(self->s, &self->r));
			ASSERT_EQ(v, self->r.version);
			ASSERT_EQ(len, self->r.len);
			ASSERT_TRUE(vt_is(self->r.data, len, v));
			ASSERT_EQ(1, venom_inline_whole(&self->r));
		}
	}
}

/* While the next version is being written, and after a write that did not come to an end. */
TEST_F(in_line, beside_an_open_write)
{
	publish(self, 1, 24);
	for (int again = 0; again < 3; again++)
		ASSERT_EQ(24, venom_inline_read(self->s, &self->r, buf, SIZE));
	ASSERT_NE(NULL, venom_daemon_write_begin(self->d, NULL));
	for (int again = 0; again < 5; again++) {
		ssize_t n = venom_inline_read(self->s, &self->r, buf, SIZE);

		ASSERT_EQ(self->cfg.versions == 1 ? -EAGAIN : 24, n);
		ASSERT_TRUE(n < 0 || vt_is(buf, 24, 1));
	}
	vt_fill(venom_daemon_write_begin(self->d, NULL), 30, 2);
	ASSERT_EQ(0, venom_daemon_write_commit(self->d, 30));
	for (int again = 0; again < 3; again++) {
		ASSERT_EQ(30, venom_inline_read(self->s, &self->r, buf, SIZE));
		ASSERT_TRUE(vt_is(buf, 30, 2));
	}
}

TEST_F(in_line, all_sizes)
{
	uint32_t v = 0;

	for (size_t len = 0; len <= SIZE; len++) {
		uint64_t before = venom_daemon_version(self->d);

		v++;
		vt_fill(buf, len, v);
		ASSERT_EQ(0, venom_inline_publish(self->d, &self->p, buf, len));
		ASSERT_EQ(before + 1, venom_daemon_version(self->d));
		for (int again = 0; again < 3; again++) {
			memset(buf, 0, SIZE);
			ASSERT_EQ((ssize_t)len, venom_inline_read(self->s, &self->r, buf, len));
			ASSERT_TRUE(vt_is(buf, len, v));
			/* No more bytes are copied than were asked for. */
			for (size_t i = len; i < SIZE; i++)
				ASSERT_EQ(0, buf[i]);
		}
	}
	EXPECT_EQ(-EMSGSIZE, venom_inline_publish(self->d, &self->p, buf, SIZE + 1));
}

/* Each read is counted: in the shell's own statistics at once, for others 255 reads later at most. */
TEST_F(in_line, reads_are_counted)
{
	struct venom_shell_stats st;

	publish(self, 1, 64);
	for (uint64_t n = 1; n <= 2000; n++) {
		ssize_t len = n % 2 ? venom_shell_read(self->s, buf, SIZE, NULL)
				    : venom_inline_read(self->s, &self->r, buf, SIZE);

		ASSERT_EQ(64, len);
		ASSERT_EQ(0, venom_shell_stats(self->s, &st));
		ASSERT_EQ(n, st.reads + self->r.reads);
		ASSERT_EQ(1, st.last_tries);
		ASSERT_GE(255, self->r.reads);
		ASSERT_GE(510, n - self->s->cmd->counts.reads);
	}
}

/* Inline publishes pass over a buffer that a shell holds, too. */
TEST_F(in_line, beside_a_holder)
{
	struct venom_view view;
	uint64_t last = 0;

	publish(self, 1, 64);
	ASSERT_EQ(64, venom_inline_read(self->s, &self->r, buf, SIZE));
	if (self->cfg.versions < 3) {
		ASSERT_EQ(-EUSERS, venom_shell_hold(self->s, 0, &view));
		return;
	}
	ASSERT_EQ(0, venom_shell_hold(self->s, 0, &view));
	for (uint32_t v = 2; v < 100; v++) {
		vt_fill(buf, 64, v);
		ASSERT_EQ(0, venom_inline_publish(self->d, &self->p, buf, 64));
		for (int again = 0; again < 4; again++) {
			ASSERT_EQ(64, venom_inline_read(self->s, &self->r, buf, SIZE));
			ASSERT_TRUE(vt_is(buf, 64, v));
			ASSERT_TRUE(again ? last == self->r.version : last < self->r.version);
			last = self->r.version;
		}
		ASSERT_TRUE(vt_is(view.data, 64, 1));
	}
	EXPECT_LT(100, venom_daemon_version(self->d));
	ASSERT_EQ(0, venom_shell_release(self->s));
	ASSERT_EQ(0, venom_inline_publish(self->d, &self->p, buf, 8));
	EXPECT_EQ(8, venom_inline_read(self->s, &self->r, buf, SIZE));
}

/* Sleepers are woken. */
static void *sleeper(void *s)
{
	return (void *)(long)venom_shell_wait(s, 1, 60 * VT_S);
}

TEST_F(in_line, wakes)
{
	struct venom_daemon_stats st = {0};
	pthread_t thread;
	void *rc;

	publish(self, 1, 8);
	ASSERT_EQ(0, venom_shell_set_spin(self->s, VENOM_SPIN_NONE));
	ASSERT_EQ(0, pthread_create(&thread, NULL, sleeper, self->s));
	ASSERT_TRUE(VT_UNTIL(vt_load(&self->s->cmd->counts.sleeps)));
	vt_fill(buf, 8, 2);
	ASSERT_EQ(0, venom_inline_publish(self->d, &self->p, buf, 8));
	ASSERT_EQ(0, pthread_join(thread, &rc));
	EXPECT_EQ(1, (long)rc);
	ASSERT_EQ(0, venom_daemon_stats(self->d, &st));
	EXPECT_LE(1, st.wakes);
}

/* The state that a dead daemon has left can still be read. */
TEST_F(in_line, after_its_end)
{
	publish(self, 1, 64);
	ASSERT_EQ(64, venom_inline_read(self->s, &self->r, buf, SIZE));
	venom_daemon_destroy(self->d);
	self->d = NULL;
	EXPECT_EQ(0, venom_shell_alive(self->s));
	for (int again = 0; again < 600; again++)
		ASSERT_EQ(64, venom_inline_read(self->s, &self->r, buf, SIZE));
	EXPECT_TRUE(vt_is(buf, 64, 1));
}

TEST_HARNESS_MAIN
