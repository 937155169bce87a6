/* Process ids that come again. */
#include "common.h"
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <time.h>

extern char **environ;

/* PID PROGRAM ARGUMENT…: runs PROGRAM under a process id that was another's before, as soon as
 * that is free, ten seconds at most */
static void op_take(char **a)
{
	pid_t wanted = atoi(a[0]);
	struct clone_args arguments = {.exit_signal = SIGCHLD,
		.set_tid = (unsigned long)&wanted, .set_tid_size = 1};
	time_t patience = time(NULL) + 10;
	long child;
	while ((child = syscall(SYS_clone3, &arguments, sizeof arguments)) < 0) {
		expect(errno == EEXIST && time(NULL) < patience);
		sched_yield();
	}
	if (!child) {
		must(execvp(a[1], a + 1));
	}
	expect(child == wanted);
	reap(child);
}

static const struct operation operations[] = {{"take", op_take}};
WORKLOAD(operations)
