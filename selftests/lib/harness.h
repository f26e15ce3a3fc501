/* SPDX-License-Identifier: MIT */
/*
 * The kernel's test harness (selftests/get-harness.sh), adapted to the sanitizers: it ends each test by _exit(), which
 * would skip the leak check.
 */
#ifndef VENOM_TEST_HARNESS_H
#define VENOM_TEST_HARNESS_H

#include <stdlib.h>
#include <unistd.h>

#include "lib/venom_test.h"

#define _exit(status) vt_exit(status)

/* The harness's macros cause these warnings where they are used; so they are off for the whole of a test's file. */
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wempty-body"
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wclobbered"
#endif
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#include "kselftest_harness.h"
#pragma GCC diagnostic pop

/* For what the module does not have: sockets, messages and folders of its own. */
#define embedded_only()                                                                \
	do {                                                                           \
		if (vt_on_dev())                                                       \
			SKIP(return, "of the embedded backend: no such thing on the module"); \
	} while (0)

/* The time-out only catches hangs: the sanitizers are slow, and so may this machine be. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 120

#endif /* VENOM_TEST_HARNESS_H */
