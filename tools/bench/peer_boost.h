/* SPDX-License-Identifier: MIT */
/*
 * The part of Boost.Interprocess that is used, for C.  `way` is 0 or 1: there are two queues.
 */
#ifndef PEER_BOOST_H
#define PEER_BOOST_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Return NULL, or an error message. */
const char *boost_make(int way, const char *name, size_t slots, size_t size);
/* Return 1, 0 if the queue is full or empty, or -1 on an error. */
int boost_send(int way, const void *msg, size_t size);
int boost_take(int way, void *msg, size_t size);

#ifdef __cplusplus
}
#endif

#endif /* PEER_BOOST_H */
