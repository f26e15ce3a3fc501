/* SPDX-License-Identifier: MIT */
/* The library's own threads. */
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/syscall.h>
#include "internal.h"

struct start {
	void *(*fn)(void *);
	void *arg;
	sem_t up;
};

/*
 * The user's thread may be pinned, of a real-time class, and never sleep: a thread that inherits this would never run,
 * and no shell could connect.  So it drops both before its maker goes on.  If the kernel refuses, both stay.
 */
static void *run(void *p)
{
	struct start *st = p;
	void *(*fn)(void *) = st->fn;
	void *arg = st->arg;
	struct sched_param none = {0};
	cpu_set_t all;

	syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, &none); /* musl's function for it is a stub */
	memset(&all, 0xff, sizeof(all));
	sched_setaffinity(0, sizeof(all), &all); /* all CPUs that the cpuset allows */
	sem_post(&st->up);
	return fn(arg);
}

int venom_thread_start(pthread_t *thread, void *(*fn)(void *), void *arg)
{
	struct start st = {.fn = fn, .arg = arg};
	sigset_t all, old;
	int rc;

	sem_init(&st.up, 0, 0);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = -pthread_create(thread, NULL, run, &st);
	while (!rc && sem_wait(&st.up))
		; /* interrupted by a debugger's stop only */
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	sem_destroy(&st.up);
	if (rc)
		return venom_fail(rc == -EAGAIN ? -ENOMEM : rc, "a thread can't be started: %s; limits: ulimit -u, -v",
				  strerror(-rc));
	return 0;
}
