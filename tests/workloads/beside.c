/* Files that somebody else looks at while the program runs. */
#include "common.h"
#include <poll.h>
#include <sys/inotify.h>
#include <sys/mman.h>

/* Waits until a file was closed `count` times by those who only read it. */
static void closed_by_readers(int watch, int count)
{
	char events[4096] __attribute__((aligned(8)));
	while (count > 0) {
		struct pollfd poll_watch = {.fd = watch, .events = POLLIN};
		expect(must(poll(&poll_watch, 1, 100000)) == 1);
		ssize_t length = must(read(watch, events, sizeof events));
		for (char *at = events; at < events + length;) {
			struct inotify_event *event = (struct inotify_event *)at;
			count -= !!(event->mask & IN_CLOSE_NOWRITE);
			at += sizeof *event + event->len;
		}
	}
}

static void read_all(const char *path)
{
	static char block[1 << 16];
	int fd = open_read(path);
	while (must(read(fd, block, sizeof block)) > 0)
		;
	close(fd);
}

static void write_over(const char *path)
{
	int fd = must(open(path, O_WRONLY | O_CLOEXEC));
	write_some(fd);
	close(fd);
}

/* Reads a file, waits until another process has read it, too, and writes over its beginning. */
static void op_read_wait_write(char **a)
{
	int watch = must(inotify_init1(IN_CLOEXEC));
	must(inotify_add_watch(watch, a[0], IN_CLOSE_NOWRITE));
	read_all(a[0]);
	closed_by_readers(watch, 2);
	write_over(a[0]);
}

/* Reads a file and writes over its beginning at once. */
static void op_read_write(char **a)
{
	read_all(a[0]);
	write_over(a[0]);
}

/* Makes a file and waits until another process has read it. */
static void op_write_wait(char **a)
{
	int fd = open_new(a[0]);
	int watch = must(inotify_init1(IN_CLOEXEC));
	must(inotify_add_watch(watch, a[0], IN_CLOSE_NOWRITE));
	write_some(fd);
	close(fd);
	closed_by_readers(watch, 1);
}

/* Changes a file through a shared mapping. In a file system in memory, a page that was read before
 * is stored to without a new time for the file. */
static void op_read_store(char **a)
{
	int fd = must(open(a[0], O_RDWR | O_CLOEXEC));
	volatile char *at = mmap(NULL, 100, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		fail("mmap");
	char before = *at;
	*at = before + 1;
}

static const struct operation operations[] = {
	{"read-wait-write", op_read_wait_write}, {"read-write", op_read_write},
	{"write-wait", op_write_wait}, {"read-store", op_read_store},
};
WORKLOAD(operations)
