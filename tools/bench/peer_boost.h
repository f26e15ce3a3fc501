/* SPDX-License-Identifier: MIT */
/*
 * What of Boost.Interprocess is used, for C.  `way` is 0 or 1: there are two queues.
 */
#ifndef PEER_BOOST_H
#define PEER_BOOST_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* NULL, or what went wrong. */
const char *boost_make(int way, const char *name, size_t slots, size_t size);
/* 1, 0 when it is full or empty, or -1 */
int boost_send(int way, const void *msg, size_t size);
int boost_take(int way, void *msg, size_t size);

#ifdef __cplusplus
}
#endif

#endif /* PEER_BOOST_H */
