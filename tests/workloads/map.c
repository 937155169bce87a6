/* Files in memory: mmap, mprotect, mremap. */
#include "common.h"
#include <sys/mman.h>

static volatile char sink;

static char *map(int fd, int protection, int flags)
{
	char *at = mmap(NULL, 100, protection, flags, fd, 0);
	if (at == MAP_FAILED)
		fail("mmap");
	close(fd);
	return at;
}

/* IN: read through a mapping */
static void op_private(char **a) { sink = *map(open_read(a[0]), PROT_READ, MAP_PRIVATE); }
static void op_shared_read(char **a) { sink = *map(open_read(a[0]), PROT_READ, MAP_SHARED); }

/* IN: written in a private copy of its pages only: an input */
static void op_private_write(char **a)
{
	*map(open_read(a[0]), PROT_READ | PROT_WRITE, MAP_PRIVATE) = 'x';
}

/* IN: opened for both, mapped shared but not writable: an input */
static void op_rdwr_shared_read(char **a)
{
	sink = *map(must(open(a[0], O_RDWR)), PROT_READ, MAP_SHARED);
}

/* OLD: changed through a shared mapping: input and output */
static void op_shared_write(char **a)
{
	*map(must(open(a[0], O_RDWR)), PROT_READ | PROT_WRITE, MAP_SHARED) = 'x';
}

/* OUT: made, sized and filled through a shared mapping: an output */
static void op_new(char **a)
{
	int fd = must(open(a[0], O_RDWR | O_CREAT | O_EXCL, 0644));
	must(ftruncate(fd, 100));
	memset(map(fd, PROT_READ | PROT_WRITE, MAP_SHARED), 'x', 100);
}

/* OLD: mapped shared and read-only, made writable later, changed: input and output */
static void op_mprotect_write(char **a)
{
	char *at = map(must(open(a[0], O_RDWR)), PROT_READ, MAP_SHARED);
	must(mprotect(at, 100, PROT_READ | PROT_WRITE));
	*at = 'x';
}

/* IN: mapped without rights, made readable later, read: an input */
static void op_mprotect_read(char **a)
{
	char *at = map(open_read(a[0]), PROT_NONE, MAP_PRIVATE);
	must(mprotect(at, 100, PROT_READ));
	sink = *at;
}

static const struct operation operations[] = {
	{"private", op_private}, {"shared-read", op_shared_read},
	{"private-write", op_private_write}, {"rdwr-shared-read", op_rdwr_shared_read},
	{"shared-write", op_shared_write}, {"new", op_new},
	{"mprotect-write", op_mprotect_write}, {"mprotect-read", op_mprotect_read},
};
WORKLOAD(operations)
