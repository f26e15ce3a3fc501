/* SPDX-License-Identifier: MIT */
/*
 * Child processes that die with their parent, and a parent that never waits for ever for them.
 */
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tool.h"

/* Run fn in a child, which exits with what it returns. */
pid_t child(int (*fn)(void *), void *arg)
{
	pid_t parent = getpid();
	pid_t pid;

	flush_out(); /* or the child would print our unprinted text a second time */
	pid = fork();
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent) /* it died before the line above */
		_exit(1);
	/* Control-C goes to the whole group; the parent takes it, and ends us in its own order. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	_exit(fn(arg));
}

bool child_gone(pid_t pid, int *status)
{
	return waitpid(pid, status, WNOHANG) == pid;
}

/* Whether it ended as it should; if not, say how it did. */
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

/* Wait for its end, at most so long: then it is killed. */
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
