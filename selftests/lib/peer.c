/* SPDX-License-Identifier: MIT */
#include "lib/peer.h"

#include <stdlib.h>
#include <string.h>

#define UNUSED(...) ((void)(sizeof((long[]){__VA_ARGS__})))

struct venom_daemon *pd;
struct venom_shell *ps;
struct venom_command pd_cmd[PD_KEPT];
int pd_cmds;

struct venom_config *vt_config(void)
{
	struct venom_config *cfg = vt_shared(sizeof(*cfg));

	*cfg = (struct venom_config)VENOM_CONFIG_INIT;
	return cfg;
}

uint32_t vt_clients(struct venom_daemon *d)
{
	struct venom_daemon_stats st;

	venom_daemon_stats(d, &st);
	return st.clients;
}

void vt_forget(const char *name)
{
	struct venom_daemon *d;

	if (!venom_daemon_create(&d, name, NULL))
		venom_daemon_destroy(d);
}

static long note(long err)
{
	if (err < 0)
		snprintf((char *)vt_errmsg, 1024, "%s", venom_errmsg());
	return err;
}

/* A buffer of this process, of at least len bytes. */
static void *buffer(size_t len)
{
	static void *buf;
	static size_t size;

	if (len > size) {
		free(buf);
		buf = malloc(len);
		VT_CHECK(buf);
		size = len;
	}
	return buf;
}

long pd_create(long name, long cfg, long c)
{
	UNUSED(c);
	return note(venom_daemon_create(&pd, (const char *)name, (const struct venom_config *)cfg));
}

long pd_destroy(long a, long b, long c)
{
	UNUSED(a, b, c);
	venom_daemon_destroy(pd);
	pd = NULL;
	return 0;
}

long pd_publish(long v, long len, long c)
{
	void *buf = buffer((size_t)len + 1);

	UNUSED(c);
	vt_fill(buf, (size_t)len, (uint32_t)v);
	return venom_daemon_publish(pd, buf, (size_t)len);
}

long pd_begin(long fill, long len, long c)
{
	size_t capacity;
	void *buf = venom_daemon_write_begin(pd, &capacity);

	UNUSED(c);
	if (!buf || capacity < (size_t)len)
		return -1;
	vt_fill(buf, (size_t)len, (uint32_t)fill);
	return 0;
}

long pd_commit(long len, long b, long c)
{
	UNUSED(b, c);
	return venom_daemon_write_commit(pd, (size_t)len);
}

static long take(struct venom_command *cmd, int64_t timeout_ns)
{
	int err = venom_daemon_receive(pd, cmd, timeout_ns);
	uint32_t v;

	if (err <= 0)
		return err;
	VT_CHECK(err == 1);
	VT_CHECK(vt_whole(cmd->data, cmd->len, &v));
	return v;
}

long pd_receive(long timeout_ms, long b, long c)
{
	struct venom_command cmd;
	long v = take(&cmd, pp_ns(timeout_ms));

	UNUSED(b, c);
	if (v > 0)
		pd_cmd[pd_cmds++ % PD_KEPT] = cmd;
	return v;
}

long pd_respond(long i, long v, long len)
{
	void *buf = buffer((size_t)len + 1);

	vt_fill(buf, (size_t)len, (uint32_t)v);
	return venom_daemon_respond(pd, &pd_cmd[i], buf, (size_t)len);
}

long pd_echo(long n, long b, long c)
{
	struct venom_command cmd;

	UNUSED(b, c);
	while (n--) {
		long v = take(&cmd, -1);

		if (v < 0)
			return v;
		if (!(cmd.flags & VENOM_CMD_REQUEST))
			continue;
		v = venom_daemon_respond(pd, &cmd, cmd.data, cmd.len);
		if (v && v != -EPIPE && v != -ESTALE)
			return v;
	}
	return 0;
}

long pd_set_spin(long ns, long b, long c)
{
	UNUSED(b, c);
	return venom_daemon_set_spin(pd, ns);
}

long pd_stats(long to, long b, long c)
{
	UNUSED(b, c);
	return venom_daemon_stats(pd, (struct venom_daemon_stats *)to);
}

long pd_stop(long a, long b, long c)
{
	UNUSED(a, b, c);
	return venom_daemon_stop(pd);
}

long ps_connect(long name, long b, long c)
{
	UNUSED(b, c);
	return note(venom_shell_connect(&ps, (const char *)name));
}

long ps_close(long a, long b, long c)
{
	UNUSED(a, b, c);
	venom_shell_close(ps);
	ps = NULL;
	return 0;
}

long ps_id(long a, long b, long c)
{
	UNUSED(a, b, c);
	return venom_shell_id(ps);
}

long ps_send(long v, long len, long c)
{
	void *buf = buffer((size_t)len + 1);

	UNUSED(c);
	vt_fill(buf, (size_t)len, (uint32_t)v);
	return venom_shell_send(ps, buf, (size_t)len);
}

long ps_request(long v, long len, long timeout_ms)
{
	char *buf = buffer(VT_BOX + (size_t)len);
	ssize_t n;
	uint32_t got;

	vt_fill(buf + VT_BOX, (size_t)len, (uint32_t)v);
	n = venom_shell_request(ps, buf + VT_BOX, (size_t)len, buf, VT_BOX, pp_ns(timeout_ms));
	if (n < 0)
		return n;
	VT_CHECK(vt_whole(buf, (size_t)n, &got));
	return got;
}

/* Room for any version of the channel. */
static void *version_buffer(size_t *size)
{
	struct venom_info info;

	VT_CHECK(!venom_shell_info(ps, &info));
	*size = info.data_size;
	return buffer(info.data_size);
}

/* The v of the n bytes that a read gave, or its errno. */
static long value_read(const void *buf, ssize_t n)
{
	uint32_t got;

	if (n < 0)
		return n;
	VT_CHECK(vt_whole(buf, (size_t)n, &got));
	return got;
}

long ps_read(long a, long b, long c)
{
	size_t size;
	void *buf = version_buffer(&size);

	UNUSED(a, b, c);
	return value_read(buf, venom_shell_read(ps, buf, size, NULL));
}

static uint64_t next_at, next_before;

long ps_read_next(long a, long b, long c)
{
	size_t size;
	void *buf = version_buffer(&size);

	UNUSED(a, b, c);
	next_before = next_at;
	return value_read(buf, venom_shell_read_next(ps, buf, size, &next_at));
}

long ps_missed(long a, long b, long c)
{
	UNUSED(a, b, c);
	return (long)(next_at - next_before);
}

long ps_lossless(long on, long b, long c)
{
	UNUSED(b, c);
	return venom_shell_lossless(ps, (int)on);
}

long ps_wait(long version, long timeout_ms, long c)
{
	UNUSED(c);
	return venom_shell_wait(ps, (uint64_t)version, pp_ns(timeout_ms));
}

long ps_set_spin(long ns, long b, long c)
{
	UNUSED(b, c);
	return venom_shell_set_spin(ps, ns);
}

long pp_end(long a, long b, long c)
{
	ps_close(a, b, c);
	return pd_destroy(a, b, c);
}

bool vt_end_peers(struct vt_peer *const *peers, unsigned int n)
{
	bool well = true;

	for (unsigned int i = 0; i < n; i++) {
		if (!peers[i]->pid)
			continue;
		well &= !vt_call(peers[i], pp_end);
		well &= !vt_stop(peers[i]);
	}
	return well;
}

long pd_publish_later(long ms, long v, long len)
{
	vt_sleep_ms((int)ms);
	return pd_publish(v, len, 0);
}

long ps_send_later(long ms, long v, long len)
{
	vt_sleep_ms((int)ms);
	return ps_send(v, len, 0);
}
