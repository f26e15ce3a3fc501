/* SPDX-License-Identifier: MIT */
/*
 * The kernel's test harness (selftests/get-harness.sh), made fit for the sanitizers: it ends
 * each test by _exit(), where nobody would look for leaks.
 */
#ifndef VENOM_TEST_HARNESS_H
#define VENOM_TEST_HARNESS_H

#include <stdlib.h>
#include <unistd.h>

#include "lib/venom_test.h"

#define _exit(status) vt_exit(status)

/* What its macros do at the places where they are used; for the whole of a test's file. */
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

/* For what the module has not: sockets, messages and folders of its own. */
#define embedded_only()                                                                \
	do {                                                                           \
		if (vt_on_dev())                                                       \
			SKIP(return, "of the embedded backend: no such thing on the module"); \
	} while (0)

/* The sanitizers are slow, and this machine may be: against hangs only. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 120

#endif /* VENOM_TEST_HARNESS_H */
