/* SPDX-License-Identifier: MIT */
/*
 * The part of iceoryx that is used, for C: one publisher and one subscriber for each process.
 */
#ifndef PEER_ICEORYX_H
#define PEER_ICEORYX_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Run as RouDi, iceoryx's daemon, with a pool of `chunks` chunks of `size` bytes; does not return. */
void iceoryx_daemon(size_t size, unsigned int chunks);
/*
 * Register this process as `name`.  It publishes to topic `out` and subscribes to topic `in`; NULL for none.  The
 * subscriber's queue holds `queue` chunks.  When it is full, the publisher waits; with `discard`, the oldest is
 * discarded.
 */
void iceoryx_open(const char *name, const char *out, const char *in, unsigned int queue, bool discard);
void iceoryx_close(void);
bool iceoryx_connected(void); /* both ends of `out` and of `in` are there */
bool iceoryx_send(const void *msg, size_t size); /* copies into a chunk and publishes it; false: no chunk is free */
const void *iceoryx_take(void); /* the next chunk, or NULL: none is there */
void iceoryx_release(const void *chunk);

#ifdef __cplusplus
}
#endif

#endif /* PEER_ICEORYX_H */
