/* SPDX-License-Identifier: MIT */
/*
 * What the tests of the module share: a daemon and shells without the library, a crowd of shells in a few processes,
 * eventfds, and what /proc says of memory.
 */
#ifndef VENOM_TEST_KMOD_COMMON_H
#define VENOM_TEST_KMOD_COMMON_H

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/dev.h"
#include "lib/venom_test.h"
#include "lib/watch.h"

/* Rounds of a long test: n, fewer on a slow machine, but never less than `least`. */
static inline uint64_t km_rounds(uint64_t n, uint64_t least)
{
	return vt_scaled(n) > least ? vt_scaled(n) : least;
}

/* ---- a daemon and a shell of this process ---- */

struct km_daemon {
	int fd;
	struct venom_ioc_create c;
	const struct venom_status *status;
	struct venom_state *state;
};

struct km_shell {
	int fd;
	struct venom_ioc_connect c;
	const struct venom_status *status;
	const struct venom_state *state;
	struct venom_commands *commands;
	const struct venom_responses *responses;
};

static inline void km_unmap(const void *p, size_t size)
{
	if (p && p != MAP_FAILED)
		munmap((void *)(uintptr_t)p, size);
}

static inline void km_daemon_unmap(struct km_daemon *d)
{
	km_unmap(d->status, d->c.status_size);
	km_unmap(d->state, d->c.state_size);
	d->status = NULL;
	d->state = NULL;
}

static inline void km_daemon_close(struct km_daemon *d)
{
	km_daemon_unmap(d);
	if (d->fd >= 0)
		close(d->fd);
	d->fd = -1;
}

/* Return 0, or negative errno with nothing left. */
static inline int km_daemon_make(struct km_daemon *d, const struct venom_ioc_create *want)
{
	int rc;

	*d = (struct km_daemon){.fd = dev_open(), .c = *want};
	if (d->fd < 0)
		return -errno;
	rc = dev_call(d->fd, VENOM_IOC_CREATE, &d->c);
	if (!rc) {
		d->status = dev_map(d->fd, VENOM_AREA_STATUS, 0, d->c.status_size, PROT_READ);
		d->state = dev_map(d->fd, VENOM_AREA_STATE, 0, d->c.state_size, PROT_READ | PROT_WRITE);
		if (d->status == MAP_FAILED || d->state == MAP_FAILED)
			rc = -errno;
	}
	if (rc)
		km_daemon_close(d);
	return rc;
}

static inline void km_shell_unmap(struct km_shell *s)
{
	km_unmap(s->status, s->c.status_size);
	km_unmap(s->state, s->c.state_size);
	km_unmap(s->commands, s->c.commands_size);
	km_unmap(s->responses, s->c.responses_size);
	s->status = NULL;
	s->state = NULL;
	s->commands = NULL;
	s->responses = NULL;
}

static inline void km_shell_close(struct km_shell *s)
{
	km_shell_unmap(s);
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

static inline int km_shell_make(struct km_shell *s, const char *name)
{
	int rc;

	*s = (struct km_shell){.fd = dev_open(), .c = dev_connect_init(name)};
	if (s->fd < 0)
		return -errno;
	rc = dev_call(s->fd, VENOM_IOC_CONNECT, &s->c);
	if (!rc) {
		s->status = dev_map(s->fd, VENOM_AREA_STATUS, 0, s->c.status_size, PROT_READ);
		s->state = dev_map(s->fd, VENOM_AREA_STATE, 0, s->c.state_size, PROT_READ);
		s->commands = dev_map(s->fd, VENOM_AREA_COMMANDS, s->c.id, s->c.commands_size, PROT_READ | PROT_WRITE);
		s->responses = dev_map(s->fd, VENOM_AREA_RESPONSES, s->c.id, s->c.responses_size, PROT_READ);
		if (s->status == MAP_FAILED || s->state == MAP_FAILED || s->commands == MAP_FAILED ||
		    s->responses == MAP_FAILED)
			rc = -errno;
	}
	if (rc)
		km_shell_close(s);
	return rc;
}

/* The status page's words, which the kernel changes meanwhile. */
#define km_daemon_life(status)	  vt_load(&(status)->daemon)
#define km_shell_life(status, id) vt_load(&(status)->shell[id].life)

/* ---- what there is ---- */

static inline struct venom_ioc_info km_info_init(const char *name)
{
	struct venom_ioc_info info = {.size = sizeof(info)};

	snprintf(info.name, sizeof(info.name), "%s", name);
	return info;
}

/* INFO of one channel: 0 or negative errno. */
static inline int km_info(const char *name, struct venom_ioc_info *info)
{
	int fd = dev_open(), rc;

	*info = km_info_init(name);
	rc = fd < 0 ? -errno : dev_call(fd, VENOM_IOC_INFO, info);
	close(fd);
	return rc;
}

/* The number of channels that this process can see. */
static inline int km_channels(void)
{
	struct venom_ioc_info info = km_info_init("");
	int fd = dev_open(), n = 0;

	while (!dev_call(fd, VENOM_IOC_INFO, &info)) {
		n++;
		memset(info.name, 0, sizeof(info.name));
	}
	close(fd);
	return n;
}

/* ---- eventfds ---- */

/* A non-blocking eventfd, to poll. */
static inline int km_efd(void)
{
	return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

/* How often the eventfd has been signalled since the last call. */
static inline uint64_t km_signals(int efd)
{
	uint64_t n;

	return read(efd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

/* Sleep on a blocking eventfd. */
static inline void km_sleep_on(int efd)
{
	uint64_t n;

	VT_CHECK(read(efd, &n, sizeof(n)) == sizeof(n) && n);
}

/* ---- /proc and /sys ---- */

static inline bool km_write(const char *path, const char *what)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, what, strlen(what)) == (ssize_t)strlen(what);

	if (fd >= 0)
		close(fd);
	return ok;
}

static inline bool km_write_long(const char *path, long n)
{
	char buf[32];

	snprintf(buf, sizeof(buf), "%ld", n);
	return km_write(path, buf);
}

/* Read the first line of a file, without its newline; NULL if that fails. */
static inline char *km_read(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

	if (fd >= 0)
		close(fd);
	if (n < 0)
		return NULL;
	buf[n] = 0;
	buf[strcspn(buf, "\n")] = 0;
	return buf;
}

/* Read a file that holds a number, or return -1. */
static inline long km_read_long(const char *path)
{
	char buf[64], *end;
	long n;

	if (!km_read(path, buf, sizeof(buf)))
		return -1;
	n = strtol(buf, &end, 0);
	return end == buf ? -1 : n;
}

/* Read the number after `key` in a file of such lines, or return -1. */
static inline long km_key(const char *path, const char *key)
{
	FILE *f = fopen(path, "re");
	char line[256];
	long n = -1;

	while (f && n < 0 && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)) && (line[strlen(key)] == ':' || line[strlen(key)] == ' '))
			n = strtol(line + strlen(key) + 1, NULL, 10);
	if (f)
		fclose(f);
	return n;
}

static inline long km_meminfo(const char *key)
{
	return km_key("/proc/meminfo", key);
}

#define KM_NR_HUGE "/proc/sys/vm/nr_hugepages"

static inline bool km_set_pool(long n)
{
	int i;

	for (i = 0; i < 10 && km_read_long(KM_NR_HUGE) != n; i++) {
		if (i)
			km_write("/proc/sys/vm/compact_memory", "1");
		km_write_long(KM_NR_HUGE, n);
	}
	return km_read_long(KM_NR_HUGE) == n;
}

static inline long km_huge_free(void)
{
	return km_meminfo("HugePages_Free");
}

/* ---- a crowd ---- */

/*
 * Many shells in a few processes, each shell with an eventfd; they map nothing. The functions are calls for vt_call(),
 * and return the number of shells that succeeded.
 */
#define KM_CROWD_EACH 250
static struct {
	int fd, efd;
} km_seat[KM_CROWD_EACH];
static long km_seats;

static inline long km_crowd_connect(long name, long n, long c)
{
	struct venom_ioc_connect con;

	(void)c;
	for (; km_seats < n; km_seats++) {
		con = dev_connect_init((const char *)name);
		km_seat[km_seats].fd = dev_open();
		km_seat[km_seats].efd = km_efd();
		if (dev_call(km_seat[km_seats].fd, VENOM_IOC_CONNECT, &con) ||
		    dev_bell(km_seat[km_seats].fd, VENOM_BELL_WAKE, km_seat[km_seats].efd))
			break;
	}
	return km_seats;
}

static inline long km_crowd_sleep(long what, long b, long c)
{
	long i, n = 0;

	(void)b;
	(void)c;
	for (i = 0; i < km_seats; i++)
		n += !dev_sleep(km_seat[i].fd, (unsigned int)what);
	return n;
}

/* How many shells were signalled exactly once since the last call. */
static inline long km_crowd_rung(long a, long b, long c)
{
	long i, n = 0;

	(void)a;
	(void)b;
	(void)c;
	for (i = 0; i < km_seats; i++)
		n += km_signals(km_seat[i].efd) == 1;
	return n;
}

struct km_crowd {
	struct vt_peer p[(VENOM_CLIENTS_MAX + KM_CROWD_EACH - 1) / KM_CROWD_EACH];
	unsigned int peers;
};

static inline long km_crowd_call(struct km_crowd *cr, vt_fn fn, long a)
{
	unsigned int i;
	long n = 0, r;

	for (i = 0; i < cr->peers; i++) {
		r = vt_call(&cr->p[i], fn, a);
		if (r < 0)
			return r;
		n += r;
	}
	return n;
}

/* Start n shells at `name`; return false if one failed. */
static inline bool km_crowd_start(struct km_crowd *cr, const char *name, unsigned int n)
{
	unsigned int each;

	for (cr->peers = 0; n; cr->peers++, n -= each) {
		each = n < KM_CROWD_EACH ? n : KM_CROWD_EACH;
		vt_start(&cr->p[cr->peers]);
		if (vt_call(&cr->p[cr->peers], km_crowd_connect, name, each) != each) {
			cr->peers++;
			return false;
		}
	}
	return true;
}

static inline void km_crowd_end(struct km_crowd *cr)
{
	while (cr->peers)
		vt_kill(&cr->p[--cr->peers], SIGKILL);
}

#endif /* VENOM_TEST_KMOD_COMMON_H */
