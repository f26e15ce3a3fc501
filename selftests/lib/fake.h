/* SPDX-License-Identifier: MIT */
/*
 * A daemon that lies: it speaks the embedded backend's protocol, hands out areas that are as they should be, and
 * spoils what one tells it to.  Calls for vt_call(); each process has one fake.
 */
#ifndef VENOM_TEST_FAKE_H
#define VENOM_TEST_FAKE_H

#include "proto.h"

#define FAKE_CLIENTS   4
#define FAKE_SLOTS     8
#define FAKE_RESP_SIZE 1000

/* All that it hands out; made well, then spoiled. */
struct fake {
	struct venom_config cfg;
	struct venom_geometry geo;
	struct venom_map status_map, state_map, rsp_map;
	struct venom_status *status;
	struct venom_state *state;
	struct venom_responses *rsp;
	struct proto_welcome w;
	size_t size; /* bytes of w that are sent */
	int type;
	int fds[PROTO_FDS], nfds;
	struct proto_head head; /* what is not 0 here is sent in its stead */
};

extern struct fake fake;

long fake_listen(long name, long b, long c);
/* Let one shell in, with what spoil() makes of `fake`: 0, or -1 if it did not want to. */
long fake_serve(long spoil, long b, long c);
long fake_end(long a, long b, long c); /* of one shell */
long fake_close(long name, long b, long c);

#endif /* VENOM_TEST_FAKE_H */
