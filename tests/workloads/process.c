/* Many processes, threads, and programs that are not plain files. */
#include "common.h"
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/sendfile.h>

static void use(const char *in, const char *out)
{
	int from = open_read(in), to = open_new(out);
	read_some(from);
	write_some(to);
	close(from);
	close(to);
}

static char **names;

static void *thread(void *argument)
{
	char out[4096];
	snprintf(out, sizeof out, "%s.%ld", names[1], (long)argument);
	use(names[0], out);
	return NULL;
}

/* IN OUT: seven threads at once read IN and make OUT.0 … OUT.6 */
static void op_threads(char **a)
{
	pthread_t threads[7];
	names = a;
	for (long i = 0; i < 7; i++)
		expect(!pthread_create(&threads[i], NULL, thread, (void *)i));
	for (int i = 0; i < 7; i++)
		expect(!pthread_join(threads[i], NULL));
}

/* COUNT IN FOLDER: COUNT processes, at most 16 at a time, each makes FOLDER/NUMBER */
static void op_many(char **a)
{
	int count = atoi(a[0]), running = 0;
	char out[4096];
	for (int i = 0; i < count; i++) {
		pid_t child = must(fork());
		if (!child) {
			snprintf(out, sizeof out, "%s/%d", a[2], i);
			use(a[1], out);
			_exit(0);
		}
		if (++running == 16) {
			reap(-1);
			running--;
		}
	}
	while (running--)
		reap(-1);
}

/* WRITERS COUNT FOLDER: so many processes at once, each makes COUNT files FOLDER/WRITER/NUMBER */
static void op_storm(char **a)
{
	int writers = atoi(a[0]), count = atoi(a[1]);
	char path[4096];
	must(mkdir(a[2], 0755));
	for (int writer = 0; writer < writers; writer++) {
		if (must(fork()))
			continue;
		snprintf(path, sizeof path, "%s/%d", a[2], writer);
		must(mkdir(path, 0755));
		must(chdir(path));
		for (int i = 0; i < count; i++) {
			snprintf(path, sizeof path, "%d", i);
			int fd = open_new(path);
			expect(must(write(fd, &i, sizeof i)) == sizeof i);
			close(fd);
		}
		_exit(0);
	}
	while (writers--)
		reap(-1);
}

/* IN OUT: a daemon, forked twice, does the work; the command waits until it has */
static void op_daemon(char **a)
{
	int ends[2];
	char byte;
	must(pipe(ends));
	pid_t child = must(fork());
	if (!child) {
		must(setsid());
		if (must(fork()))
			_exit(0);
		close(ends[0]);
		use(a[0], a[1]);
		_exit(0);
	}
	close(ends[1]);
	reap(child);
	expect(must(read(ends[0], &byte, 1)) == 0);
}

/* IN OUT STOP: a daemon makes OUT, perhaps after its command has ended, and lives until STOP
 * exists, 30 s at most */
static void op_late_daemon(char **a)
{
	int ends[2];
	char byte;
	must(pipe(ends));
	pid_t child = must(fork());
	if (!child) {
		must(setsid());
		if (must(fork()))
			_exit(0);
		for (int fd = 0; fd < 3; fd++)
			must(dup2(must(open("/dev/null", O_RDWR)), fd));
		close(ends[0]);
		close(ends[1]);
		use(a[0], a[1]);
		struct stat status;
		for (int tries = 0; tries < 3000 && stat(a[2], &status) < 0; tries++)
			usleep(10000);
		_exit(0);
	}
	close(ends[1]);
	reap(child);
	expect(must(read(ends[0], &byte, 1)) == 0);
}

/* IN OUT: this program, copied into memory and executed from there */
static void op_memfd(char **a)
{
	int program = must(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
	int memory = must(memfd_create("image", MFD_CLOEXEC));
	while (must(sendfile(memory, program, NULL, 1 << 20)) > 0)
		;
	char *arguments[] = {"process", "use", a[0], a[1], NULL};
	extern char **environ;
	must(syscall(SYS_execveat, memory, "", arguments, environ, AT_EMPTY_PATH));
}

/* IN OUT: read and made */
static void op_use(char **a) { use(a[0], a[1]); }

static void *exec_thread(void *argument)
{
	char **a = argument;
	must(execl("/proc/self/exe", "process", "use", a[0], a[1], (char *)NULL));
	return NULL;
}

/* IN OUT: a thread that is not the first replaces the program */
static void op_thread_exec(char **a)
{
	pthread_t other;
	expect(!pthread_create(&other, NULL, exec_thread, a));
	pause();
}

/* IN OUT: a thread does the work after the first thread has ended */
static void *late_thread(void *argument)
{
	char **a = argument;
	char path[64], text[256];
	snprintf(path, sizeof path, "/proc/%d/stat", getpid());
	/* wait until the leader is a zombie */
	for (;;) {
		FILE *stat_file = fopen(path, "r");
		if (!stat_file || !fgets(text, sizeof text, stat_file))
			fail("stat");
		fclose(stat_file);
		if (strstr(text, ") Z"))
			break;
		sched_yield();
	}
	use(a[0], a[1]);
	exit(0);
}
static void op_leader_gone(char **a)
{
	pthread_t other;
	expect(!pthread_create(&other, NULL, late_thread, a));
	pthread_exit(NULL);
}

/* PROGRAM ARGUMENT…: vfork and exec */
static void op_vfork_exec(char **a)
{
	pid_t child = must(vfork());
	if (!child) {
		execv(a[0], a);
		_exit(1);
	}
	reap(child);
}

/* SIGNAL: dies of it */
static void op_die(char **a)
{
	must(kill(getpid(), atoi(a[0])));
	pause();
}

static const struct operation operations[] = {
	{"threads", op_threads}, {"many", op_many}, {"storm", op_storm}, {"daemon", op_daemon},
	{"late-daemon", op_late_daemon}, {"memfd", op_memfd}, {"use", op_use},
	{"thread-exec", op_thread_exec}, {"leader-gone", op_leader_gone},
	{"vfork-exec", op_vfork_exec}, {"die", op_die},
};
WORKLOAD(operations)
