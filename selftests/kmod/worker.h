/* SPDX-License-Identifier: MIT */
/*
 * A worker of stress.c: the files, maps and eventfds that it has, and its operations: each call of the device, and what
 * else a process can do, with arguments at random, valid and invalid.
 */
#ifndef VENOM_TEST_KMOD_WORKER_H
#define VENOM_TEST_KMOD_WORKER_H

#include <poll.h>
#include <signal.h>

#include "lib/harness.h"
#include "kmod/common.h"

#define WORKERS 6
#define FILES	6
#define MAPS	12
#define NAMES	3
#define NOBODY	65534

enum op {
	OPEN,
	CLOSE,
	CREATE,
	CONNECT,
	BELL,
	WAKE,
	SLEEP,
	LANE,
	PEER,
	INFO,
	END,
	GARBAGE,
	MAP,
	TOUCH,
	ADVISE,
	UNMAP,
	POLL,
	FORK,
	KILL,
	OPS
};

static const struct {
	const char *name;
	unsigned int often; /* relative weight */
} ops[OPS] = {
	[OPEN] = {"open", 12},	  [CLOSE] = {"close", 6},  [CREATE] = {"create", 20},  [CONNECT] = {"connect", 25},
	[BELL] = {"eventfd", 20}, [WAKE] = {"wake", 40},   [SLEEP] = {"sleep", 30},    [LANE] = {"lane", 20},
	[PEER] = {"peer", 8},	  [INFO] = {"info", 8},	   [END] = {"end", 2},	       [GARBAGE] = {"garbage", 20},
	[MAP] = {"mmap", 40},	  [TOUCH] = {"touch", 80}, [ADVISE] = {"madvise", 10}, [UNMAP] = {"munmap", 25},
	[POLL] = {"poll", 8},	  [FORK] = {"fork", 2},	   [KILL] = {"kill", 1},
};

static struct shared {
	uint64_t done[OPS], well[OPS]; /* calls made; calls that did not fail */
	uint64_t seed, end, deaths, bad;
	uint64_t at[WORKERS]; /* the op in progress */
	pid_t pid[WORKERS];
	char name[NAMES][VENOM_NAME_LEN];
} * sh;

/* ---- what it has ---- */

enum role { FRESH = 1, DAEMON = 2, SHELL = 4, OBSERVER = 8, ANY = 15 };

struct file {
	int fd; /* -1: none */
	enum role role;
	uint64_t state, status, commands, responses; /* bytes */
	uint32_t id, generation;
};

struct map {
	char *p; /* NULL: none */
	size_t size;
	bool writable;
};

struct worker {
	int who;
	uint64_t rng;
	struct file file[FILES];
	struct map map[MAPS];
	int efd[2];
};

static inline uint64_t up_to(struct worker *w, uint64_t n)
{
	return vt_rand(&w->rng) % n;
}

static inline bool one_in(struct worker *w, uint64_t n)
{
	return up_to(w, n) == 0;
}

static inline const char *some_name(struct worker *w)
{
	return sh->name[up_to(w, NAMES)];
}

/* A file with one of these roles; now and then one with another role, or a closed one. */
static inline struct file *some_file(struct worker *w, unsigned int roles)
{
	unsigned int first = (unsigned int)up_to(w, FILES), i;
	struct file *f;

	for (i = 0; i < FILES && !one_in(w, 8); i++) {
		f = &w->file[(first + i) % FILES];
		if (f->fd >= 0 && (f->role & roles))
			return f;
	}
	return &w->file[first];
}

/* Whether the errno is one that a call, or mmap, may give. */
static inline bool in_order(int rc)
{
	static const int all[] = {EINVAL, E2BIG,  EFAULT, ENOTTY, EPERM,  EBADFD, ENOENT, EBUSY,    EACCES,
				  EEXIST, EAGAIN, EUSERS, EDQUOT, ENOMEM, EBADF,  EPIPE,  EOVERFLOW, EPROTO};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(all); i++)
		if (rc == -all[i])
			return true;
	return rc >= 0;
}

/* ---- its operations ---- */

static inline int do_open(struct worker *w)
{
	struct file *f = &w->file[up_to(w, FILES)];

	if (f->fd >= 0)
		return 0;
	*f = (struct file){.fd = dev_open(), .role = FRESH};
	return f->fd < 0 ? -errno : 0;
}

static inline int do_close(struct worker *w)
{
	struct file *f = some_file(w, ANY);
	int fd = f->fd;

	f->fd = -1;
	return fd >= 0 && close(fd) ? -errno : 0;
}

static inline int do_create(struct worker *w)
{
	static const __u64 sizes[] = {1, 8, 1000, 100000, 3 << 20};
	struct venom_ioc_create c = dev_create_init(some_name(w));
	struct file *f = some_file(w, FRESH);
	int rc;

	c.flags = (__u32)up_to(w, 4);
	c.huge = (__u32)up_to(w, 3);
	c.geo.mode = one_in(w, 4) ? 0600 : 0666;
	/* Often the same geometry, so that a channel is resumed. */
	if (one_in(w, 3)) {
		c.geo.versions = 1 + (__u32)up_to(w, 4);
		c.geo.data_size = sizes[up_to(w, ARRAY_SIZE(sizes))];
		c.geo.cmd_slots = 1 + (__u32)up_to(w, 64);
		c.geo.cmd_size = 1 + (__u32)up_to(w, 5000);
		c.geo.max_clients = 1 + (__u32)up_to(w, 8);
	}
	rc = dev_call(f->fd, VENOM_IOC_CREATE, &c);
	if (!rc)
		*f = (struct file){.fd = f->fd,
				   .role = DAEMON,
				   .state = c.state_size,
				   .status = c.status_size,
				   .commands = venom_commands_bytes(&c.geo),
				   .responses = venom_responses_bytes(&c.geo)};
	return rc;
}

static inline int do_connect(struct worker *w)
{
	struct venom_ioc_connect c = dev_connect_init(some_name(w));
	struct file *f = some_file(w, FRESH);
	int rc;

	c.flags = one_in(w, 6) ? VENOM_CONNECT_OBSERVE : 0;
	rc = dev_call(f->fd, VENOM_IOC_CONNECT, &c);
	if (!rc)
		*f = (struct file){.fd = f->fd,
				   .role = c.flags ? OBSERVER : SHELL,
				   .state = c.state_size,
				   .status = c.status_size,
				   .commands = c.commands_size,
				   .responses = c.responses_size,
				   .id = c.id,
				   .generation = c.generation};
	return rc;
}

static inline int do_bell(struct worker *w)
{
	int *efd = &w->efd[up_to(w, 2)];

	if (one_in(w, 4)) {
		close(*efd);
		*efd = km_efd();
	}
	return dev_bell(some_file(w, DAEMON | SHELL)->fd, (int)up_to(w, 2),
			one_in(w, 8) ? (int)up_to(w, 30) - 1 : *efd);
}

static inline int do_wake(struct worker *w)
{
	struct file *f = some_file(w, DAEMON | SHELL);
	unsigned int what = f->role == SHELL ? VENOM_WAKE_DAEMON : 1 + (unsigned int)up_to(w, 2);

	if (one_in(w, 8))
		what = (unsigned int)up_to(w, 4);
	return dev_wake(f->fd, what, what == VENOM_WAKE_SHELL ? (unsigned int)up_to(w, 5) : 0);
}

static inline int do_sleep(struct worker *w)
{
	return dev_sleep(some_file(w, SHELL)->fd, (unsigned int)up_to(w, 3));
}

/* With the shell's current generation. */
static inline int do_lane(struct worker *w)
{
	struct venom_ioc_peer p = {.size = sizeof(p), .id = (__u32)up_to(w, 4)};
	struct file *f = some_file(w, DAEMON);
	int rc = dev_call(f->fd, VENOM_IOC_PEER, &p);

	if (rc)
		return rc;
	return dev_lane(f->fd, p.id, p.generation, one_in(w, 8) ? VENOM_LANE_EVICT : (unsigned int)up_to(w, 2));
}

static inline int do_peer(struct worker *w)
{
	struct venom_ioc_peer p = {.size = sizeof(p), .id = (__u32)up_to(w, 4)};

	return dev_call(some_file(w, ANY)->fd, VENOM_IOC_PEER, &p);
}

static inline int do_info(struct worker *w)
{
	struct venom_ioc_info i = km_info_init(one_in(w, 2) ? some_name(w) : "");
	int rc;

	do {
		rc = dev_call(some_file(w, ANY)->fd, VENOM_IOC_INFO, &i);
	} while (!rc && one_in(w, 2));
	return rc;
}

static inline int do_end(struct worker *w)
{
	return dev_end(some_file(w, DAEMON)->fd);
}

static inline int do_garbage(struct worker *w)
{
	static const unsigned long cmds[] = {VENOM_IOC_CREATE, VENOM_IOC_CONNECT, VENOM_IOC_EVENTFD,
					     VENOM_IOC_WAKE,   VENOM_IOC_SLEEP,	  VENOM_IOC_LANE,
					     VENOM_IOC_PEER,   VENOM_IOC_INFO,	  VENOM_IOC_END};
	unsigned long cmd = one_in(w, 8) ? (unsigned long)up_to(w, 1ull << 32) : cmds[up_to(w, ARRAY_SIZE(cmds))];
	void *bad[] = {NULL, (void *)(uintptr_t)cmds, (void *)1, (void *)~0xfffull, w->map[up_to(w, MAPS)].p};
	uint32_t arg[64];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(arg); i++)
		arg[i] = one_in(w, 3) ? (uint32_t)vt_rand(&w->rng) : (uint32_t)up_to(w, 3);
	arg[0] = one_in(w, 4) ? (uint32_t)up_to(w, 5000) : (cmd >> 16) & 0x3fff;
	if (arg[0] > sizeof(arg))
		arg[0] = sizeof(arg);
	return dev_call(some_file(w, ANY)->fd, cmd, one_in(w, 6) ? bad[up_to(w, ARRAY_SIZE(bad))] : arg);
}

static inline int do_map(struct worker *w)
{
	static const int prots[] = {
		PROT_READ, PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE, PROT_NONE, PROT_READ | PROT_EXEC};
	struct file *f = some_file(w, DAEMON | SHELL | OBSERVER);
	struct map *m = &w->map[up_to(w, MAPS)];
	uint64_t kind = one_in(w, 16) ? up_to(w, 8) : 1 + up_to(w, 4), id = one_in(w, 2) ? f->id : up_to(w, 4), size;
	int prot = prots[up_to(w, ARRAY_SIZE(prots))];
	void *p;

	if (m->p)
		return 0;
	size = kind == VENOM_AREA_STATE	     ? f->state
	       : kind == VENOM_AREA_COMMANDS ? f->commands
	       : kind == VENOM_AREA_STATUS   ? f->status
					     : f->responses;
	if (one_in(w, 8))
		size = up_to(w, 8 << 20);
	if (kind <= VENOM_AREA_STATE && !one_in(w, 16))
		id = 0;
	p = mmap(NULL, size, prot, one_in(w, 16) ? MAP_PRIVATE : MAP_SHARED | (one_in(w, 4) ? MAP_POPULATE : 0), f->fd,
		 (off_t)VENOM_MMAP_OFFSET(kind & 7, id) + (one_in(w, 32) ? VENOM_PAGE : 0));
	if (p == MAP_FAILED)
		return -errno;
	*m = (struct map){p, size, prot & PROT_WRITE};
	if (prot == PROT_NONE && mprotect(p, size, PROT_READ)) {
		munmap(p, size);
		m->p = NULL;
		return -errno;
	}
	return 0;
}

static inline int do_touch(struct worker *w)
{
	struct map *m = &w->map[up_to(w, MAPS)];
	volatile char *at;

	if (!m->p)
		return -ENOENT;
	at = m->p + up_to(w, m->size);
	(void)*at;
	if (m->writable)
		*at = (char)vt_rand(&w->rng);
	if (m->writable && one_in(w, 4))
		memset(m->p, (int)up_to(w, 256), m->size > 65536 ? 65536 : m->size);
	/* A read-only map must not become writable. */
	if (!m->writable && !mprotect(m->p, m->size, PROT_READ | PROT_WRITE)) {
		fprintf(stderr, "# a map to read only turned writable\n");
		return -EUCLEAN;
	}
	return 0;
}

static inline int do_advise(struct worker *w)
{
	static const int advice[] = {MADV_DONTNEED, MADV_REMOVE,   MADV_FREE,	   MADV_WILLNEED, MADV_COLD,
				     MADV_PAGEOUT,  MADV_HUGEPAGE, MADV_MERGEABLE, MADV_RANDOM};
	struct map *m = &w->map[up_to(w, MAPS)];

	if (!m->p)
		return -ENOENT;
	/* Not every kernel knows every advice. */
	return madvise(m->p, m->size, advice[up_to(w, ARRAY_SIZE(advice))]) ? -EINVAL : 0;
}

/* Unmap all of it, or its second half. */
static inline int do_unmap(struct worker *w)
{
	struct map *m = &w->map[up_to(w, MAPS)];
	size_t keep = one_in(w, 4) ? m->size / 2 / VENOM_PAGE * VENOM_PAGE : 0;

	if (!m->p)
		return -ENOENT;
	if (munmap(m->p + keep, m->size - keep))
		return keep && errno == EINVAL ? -EINVAL : -EUCLEAN; /* the half must be aligned to huge pages */
	m->size = keep;
	if (!keep)
		m->p = NULL;
	return 0;
}

static inline int do_poll(struct worker *w)
{
	struct pollfd p[FILES + 2];
	int i;

	for (i = 0; i < FILES; i++)
		p[i] = (struct pollfd){.fd = w->file[i].fd, .events = POLLIN};
	for (i = 0; i < 2; i++)
		p[FILES + i] = (struct pollfd){.fd = w->efd[i], .events = POLLIN};
	if (poll(p, FILES + 2, (int)up_to(w, 3)) < 0)
		return -errno;
	for (i = 0; i < 2; i++)
		if (p[FILES + i].revents & POLLIN)
			km_signals(w->efd[i]);
	return 0;
}

static const struct {
	int (*fn)(struct worker *w);
} calls_of_a_child[] = {{do_close}, {do_create}, {do_bell}, {do_wake}, {do_sleep}, {do_info}, {do_map}, {do_poll}};

/* The child has the files of this process, and none of its maps. */
static inline int do_fork(struct worker *w)
{
	pid_t child = fork();
	int i, n, rc;

	if (child)
		return child < 0 ? -errno : 0;
	memset(w->map, 0, sizeof(w->map));
	w->rng += 99;
	n = (int)up_to(w, 20);
	for (i = 0; i < n; i++) {
		rc = calls_of_a_child[up_to(w, ARRAY_SIZE(calls_of_a_child))].fn(w);
		if (!in_order(rc))
			vt_add(&sh->bad, 1);
	}
	vt_sleep_ms((int)up_to(w, 20));
	(_exit)(0);
}

static inline int do_kill(struct worker *w)
{
	pid_t pid = vt_load(&sh->pid[up_to(w, WORKERS)]);

	return pid > 0 && kill(pid, SIGKILL) ? -EPERM : 0; /* or it is dead already */
}

static int (*const fns[OPS])(struct worker *w) = {
	[OPEN] = do_open,   [CLOSE] = do_close,	    [CREATE] = do_create, [CONNECT] = do_connect, [BELL] = do_bell,
	[WAKE] = do_wake,   [SLEEP] = do_sleep,	    [LANE] = do_lane,	  [PEER] = do_peer,	  [INFO] = do_info,
	[END] = do_end,	    [GARBAGE] = do_garbage, [MAP] = do_map,	  [TOUCH] = do_touch,	  [ADVISE] = do_advise,
	[UNMAP] = do_unmap, [POLL] = do_poll,	    [FORK] = do_fork,	  [KILL] = do_kill,
};

#endif /* VENOM_TEST_KMOD_WORKER_H */
