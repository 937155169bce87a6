/* Shared by all workloads: small programs that do one documented set of file
 * operations, print nothing, and exit 0 exactly when every step succeeded.
 *
 * A workload file defines functions `void op(char **arguments)`, lists them in a
 * table, and ends with WORKLOAD(table). Usage: PROGRAM OP [ARGUMENT…]. */
#ifndef ROAR_WORKLOAD_COMMON_H
#define ROAR_WORKLOAD_COMMON_H

#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

struct operation {
	const char *name;
	void (*run)(char **arguments);
};

/* Ends the program loudly: a workload that did not do its work must not pass. */
static void fail(const char *what)
{
	fprintf(stderr, "workload: %s: %s\n", what, strerror(errno));
	_exit(99);
}

/* Passes a system call's result on; fails when it is an error. */
static long must_(long result, const char *what)
{
	if (result < 0)
		fail(what);
	return result;
}
#define must(call) must_((long)(call), #call)

/* Fails when a condition that the operation promises does not hold. */
#define expect(condition)                                                      \
	do {                                                                   \
		if (!(condition)) {                                            \
			errno = 0;                                             \
			fail("expected " #condition);                          \
		}                                                              \
	} while (0)

static inline int open_read(const char *path)
{
	return must(open(path, O_RDONLY | O_CLOEXEC));
}

/* Opens for writing, made or emptied. */
static inline int open_new(const char *path)
{
	return must(open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
}

static inline void read_some(int fd)
{
	char bytes[64];
	expect(must(read(fd, bytes, sizeof bytes)) > 0);
}

static inline void write_some(int fd)
{
	static const char text[] = "written by a workload\n";
	expect(must(write(fd, text, sizeof text - 1)) == sizeof text - 1);
}

/* Waits for a child and passes its failure on. */
static inline void reap(pid_t child)
{
	int status;
	must(waitpid(child, &status, 0));
	expect(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

#define WORKLOAD(table)                                                        \
	int main(int count, char **arguments)                                  \
	{                                                                      \
		for (size_t i = 0; i < sizeof(table) / sizeof *(table); i++)   \
			if (count > 1 && !strcmp((table)[i].name, arguments[1])) { \
				(table)[i].run(arguments + 2);                 \
				return 0;                                      \
			}                                                      \
		fprintf(stderr, "workload: no such operation\n");              \
		return 98;                                                     \
	}

#endif
