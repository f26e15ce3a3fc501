/* SPDX-License-Identifier: MIT */
/*
 * The messages between the two sides of the embedded backend, over the daemon's SOCK_SEQPACKET socket.
 * One packet is one message; both ends are on one machine, so words are in its byte order.
 *
 *	shell				manager (a thread in the daemon's process)
 *	HELLO		->		checks the user (SO_PEERCRED) and its right to read; takes a free id
 *			<-		WELCOME + status, state, responses[i], an epoll of the shell's bell, the daemon's bell
 *	maps and checks the state, which has all sizes; makes, maps and seals commands[i]
 *	ATTACH + commands[i]	->	checks and maps it; serves the lane
 *	maps and checks the rest meanwhile
 *			<-		READY
 *	WATCH		->		the publisher checks this shell's sleeping word from now on
 *			<-		READY
 *	ROLES		->		reads the shell's wants, and answers in responses[i].granted
 *	hang-up		->		the shell has left or died
 *
 *	OBSERVE		->		instead of HELLO: asks for the channel's data and its shells
 *			<-		OBSERVED
 *
 * A message with an error (negative errno) is a refusal; the manager then hangs up.
 */
#ifndef VENOM_PROTO_H
#define VENOM_PROTO_H

#include "internal.h"

#define PROTO_MAGIC	0x6f746f72U
#define PROTO_FDS	5

enum proto_type {
	PROTO_HELLO = 1,
	PROTO_WELCOME,
	PROTO_ATTACH,
	PROTO_READY,
	PROTO_WATCH,
	PROTO_OBSERVE,
	PROTO_OBSERVED,
	PROTO_ROLES,
};

/* HELLO, ATTACH, READY, WATCH, ROLES are just this. */
struct proto_head {
	uint32_t magic;
	uint32_t abi;
	uint32_t type;
	int32_t  error;
};

enum { FD_STATUS, FD_STATE, FD_RESPONSES, FD_SLEEP, FD_DAEMON_BELL };

struct proto_welcome {
	struct proto_head head;
	uint32_t id, generation;
	uint32_t may_command;
	uint32_t reserved;
	uint64_t epoch;
};

struct proto_observe {
	struct proto_head head;
	uint32_t first;		/* peers with this id and above */
	uint32_t reserved;
};

/* The manager sends structs of the layout, and no struct of the library's API, which may grow. */
struct proto_peer {
	uint32_t id, generation;
	uint32_t pid, uid, gid;
	uint32_t reserved;
	struct venom_shell_counts counts;
	uint64_t received, responses;
};

#define PROTO_PEERS 16
struct proto_observed {
	struct proto_head head;
	struct venom_geometry geo;
	struct venom_schema_block schema;
	uint64_t epoch;
	uint64_t versions, commands, responses, stale, wakes, sleeps, refused, evicted, passed, held_up, full, cut;
	uint32_t clients;
	uint32_t reserved;
	uint32_t npeers;
	uint32_t next;		/* `first` of the next OBSERVE; 0: no more peers */
	struct proto_peer peers[PROTO_PEERS];
};

union proto_any {
	struct proto_head head;
	struct proto_welcome welcome;
	struct proto_observe observe;
	struct proto_observed observed;
};

/* ---- memfd/area.c -------------------------------------------------------------- */

/* Make an area of `size` bytes, map it for writing, then seal it: no process can map it so again, or resize it. */
int area_make(struct venom_map *map, int *fd, const char *what, uint64_t size, uint64_t huge_size);
/*
 * Check that fd is such an area, of exactly this size (0: any size, which map->size then has), without holes, and with
 * huge pages only if may_be_huge; then map it for reading.
 */
int area_open(struct venom_map *map, int fd, const char *what, uint64_t size, bool may_be_huge);
void area_unmap(struct venom_map *map);

/* ---- memfd/sock.c -------------------------------------------------------------- */

int proto_send(int sock, void *msg, size_t size, enum proto_type type, int error, const int *fds, int nfds);
/*
 * Receive one message of exactly `size` bytes and `type` with nfds descriptors.  -EAGAIN: none there;
 * -EPIPE: hung up; -EPROTO: another message came.  An error in the message is returned, too.
 */
int proto_recv(int sock, void *msg, size_t size, enum proto_type type, int *fds, int nfds);
ssize_t proto_recv_any(int sock, union proto_any *msg, int *fds, int *nfds);
void proto_close(int *fds, int *nfds);
/* The error that the manager sends for this errno of its own. */
int proto_refusal(int err);
int peer_cred(int sock, struct venom_cred *cred);
/* A pidfd of the other end's process, or -1 if that fails (then only the socket shows its end). */
int peer_pidfd(int sock, const struct venom_cred *cred);

/* ---- memfd/path.c -------------------------------------------------------------- */

#define VENOM_PATH_MAX 108	/* sockaddr_un.sun_path */

/* Where one user's channels are; see memfd/path.c. */
struct place {
	char path[VENOM_PATH_MAX];
	uid_t owner;
	int fd;			/* place_make()'s: the open folder; else -1 */
};

/* Open this user's place for a new channel (shared: one that others may see); make it if it is missing. */
int place_make(struct place *p, bool shared);
/*
 * Call fn for all places where channels may be, in the order of the search.  If fn returns other than 0, stop and
 * return that.  After the last place, return an errno if not all places could be read.
 */
typedef int (*place_fn)(const struct place *p, void *user);
int place_each(place_fn fn, void *user);
/* Whether one folder has all channels, private and shared. */
bool place_forced(void);
int path_join(char *path, const struct place *p, const char *name);

/* ---- memfd/name.c -------------------------------------------------------------- */

struct name {
	struct place place;
	bool shared;
	uint64_t epoch;
	int lock_fd;		/* -1: not taken */
	ino_t lock_ino, sock_ino;	/* of our files in the place */
	gid_t gid;		/* the socket's: the group that the mode's group bits are for */
	char name[VENOM_NAME_MAX + 1];
	char lock[VENOM_NAME_MAX + 8], fresh[VENOM_NAME_MAX + 8];
};

bool memfd_lives(const char *name);
int name_take(struct name *n, const char *name, uint32_t mode, uint64_t *epoch);
void name_hide(struct name *n);	/* no shell finds it any more; the name is still taken */
void name_give_back(struct name *n);
int name_listen(struct name *n, uint32_t mode, int *listener);
/* Whether this entry of the place is one that we need. */
bool name_is_ours(const struct name *n, const char *entry);
/* Put back our files that were removed: 0 if the socket was there, 1 with a new listener, or why the name is lost. */
int name_restore(struct name *n, uint32_t mode, int *listener);

/* ---- memfd/link.c -------------------------------------------------------------- */

struct link {
	int sock, pidfd;
	struct venom_cred daemon;
};

/* Connect to the channel of this name, in any place; or in one: -ENOENT, or -EAGAIN if it did not accept in time. */
int link_dial(struct link *k, const char *name);
int link_dial_place(struct link *k, const struct place *p, const char *name, int64_t patience_ns);
void link_close(struct link *k);
/* Whether the other end is alive. */
bool link_alive(int sock, int pidfd);
/* Wait for the manager's next message: 1, or 0 when the time is up. */
int link_wait(int sock, int pidfd, int64_t timeout_ns);
int link_send(int sock, void *msg, size_t size, enum proto_type type, int fd);
int link_receive(int sock, int pidfd, void *msg, size_t size, enum proto_type type, int *fds, int nfds);
/* Whether a living process listens under this name in the place; its user is in *uid. */
bool name_lives(const struct place *p, const char *name, uid_t *uid);

/* ---- memfd/observe.c -------------------------------------------------------------- */

int memfd_list(int (*fn)(const struct venom_info *info, void *user), void *user, int *count);
int memfd_stat(const char *name, struct venom_info *info, struct venom_daemon_stats *st,
	       int (*fn)(const struct venom_peer *peer, void *user), void *user);

/* ---- memfd/shell.c ------------------------------------------------------------- */

int memfd_connect(struct venom_shell *s);
void memfd_close(struct venom_shell *s);
void memfd_wake_daemon(struct venom_shell *s);
int memfd_watch(struct venom_shell *s, int64_t timeout_ns);
bool memfd_alive(struct venom_shell *s);
int memfd_ask(struct venom_shell *s);

#endif /* VENOM_PROTO_H */
