/* SPDX-License-Identifier: MIT */
/*
 * Child processes that die with their parent, and a parent that waits for them with a time-out.
 */
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tool.h"

/* Run fn in a child process; its return value is the exit status. */
pid_t child(int (*fn)(void *), void *arg)
{
	pid_t parent = getpid();
	pid_t pid;

	flush_out(); /* else the child would print our buffered text a second time */
	pid = fork();
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent) /* the parent died before prctl() */
		_exit(1);
	/* Control-C signals the whole process group.  The parent handles it and ends us in its own order. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	_exit(fn(arg));
}

bool child_gone(pid_t pid, int *status)
{
	return waitpid(pid, status, WNOHANG) == pid;
}

/* Whether the child ended without an error; if not, print how it ended. */
bool child_well(const char *who, int status)
{
	if (WIFSIGNALED(status))
		complain(NULL, "%s was killed by signal %d (%s)", who, WTERMSIG(status), strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status))
		complain(NULL, "%s failed with status %d", who, WEXITSTATUS(status));
	else
		return true;
	return false;
}

/* Wait for the child's end; kill it after the time-out. */
bool child_end(const char *who, pid_t pid, uint64_t within_ns)
{
	uint64_t deadline = now_ns() + within_ns;
	struct timespec ms = {.tv_nsec = 1000000};
	int status;

	while (!child_gone(pid, &status)) {
		if (now_ns() > deadline) {
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			complain(NULL, "%s did not end in time and was killed", who);
			return false;
		}
		nanosleep(&ms, NULL);
	}
	return child_well(who, status);
}

int pin_to_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) ? -errno : 0;
}
