/* Signals that arrive while files are opened. */
#include "common.h"
#include <signal.h>
#include <sys/time.h>

static volatile sig_atomic_t ticks;

static void tick(int signal)
{
	(void)signal;
	ticks++;
}

/* FILE COUNT: opened so many times under a timer whose handler does not restart calls;
 * prints how many opens were interrupted, and how many signals there were */
static void op_opens(char **a)
{
	struct sigaction action = {.sa_handler = tick};
	struct itimerval often = {{0, 500}, {0, 500}}, never = {{0, 0}, {0, 0}};
	int interrupted = 0;
	must(sigaction(SIGALRM, &action, NULL));
	must(setitimer(ITIMER_REAL, &often, NULL));
	for (int left = atoi(a[1]); left > 0;) {
		int fd = open(a[0], O_RDONLY | O_CLOEXEC);
		if (fd >= 0) {
			close(fd);
			left--;
		} else if (errno == EINTR) {
			interrupted++;
		} else {
			fail(a[0]);
		}
	}
	must(setitimer(ITIMER_REAL, &never, NULL));
	expect(ticks > 0);
	printf("%d %d\n", interrupted, (int)ticks);
	fflush(stdout);
}

static const struct operation operations[] = {{"opens", op_opens}};
WORKLOAD(operations)
