/* SPDX-License-Identifier: MIT */
/*
 * A daemon that lies: it speaks the embedded backend's protocol, hands out valid areas, and spoils what the test asks
 * it to spoil. The functions are calls for vt_call(); each process has one fake.
 */
#ifndef VENOM_TEST_FAKE_H
#define VENOM_TEST_FAKE_H

#include "memfd/proto.h"

#define FAKE_CLIENTS   4
#define FAKE_SLOTS     8
#define FAKE_RESP_SIZE 1000

/* All that the fake hands out; first valid, then spoiled. */
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
	struct proto_head head; /* a field that is not 0 is sent instead of the valid value */
};

extern struct fake fake;

long fake_listen(long name, long b, long c);
/* Accept one shell; spoil() has changed `fake`: 0, or -1 if the shell hung up. */
long fake_serve(long spoil, long b, long c);
long fake_end(long a, long b, long c); /* ends one shell's session */
long fake_close(long name, long b, long c);

#endif /* VENOM_TEST_FAKE_H */
