/* What looks like a use of a file and is none: no input, no output. */
#include "common.h"
#include <dirent.h>
#include <sys/mman.h>
#include <sys/xattr.h>

/* FILE: asked about, not read */
static void op_stat(char **a)
{
	struct stat status;
	struct statx more;
	char bytes[64];
	must(stat(a[0], &status));
	must(lstat(a[0], &status));
	must(statx(AT_FDCWD, a[0], 0, STATX_ALL, &more));
	must(access(a[0], R_OK));
	must(fstat(open_read(a[0]), &status));
	getxattr(a[0], "user.none", bytes, sizeof bytes);
}

/* FOLDER: listed */
static void op_list(char **a)
{
	DIR *folder = opendir(a[0]);
	int count = 0;
	expect(folder);
	while (readdir(folder))
		count++;
	expect(count > 2);
	closedir(folder);
}

/* FILE: opened with O_PATH, and its status read through that */
static void op_path(char **a)
{
	struct stat status;
	char byte;
	int fd = must(open(a[0], O_PATH));
	must(fstat(fd, &status));
	expect(read(fd, &byte, 1) < 0 && errno == EBADF);
}

/* FILE: opened and closed */
static void op_open_read(char **a) { close(open_read(a[0])); }
static void op_open_write(char **a) { close(must(open(a[0], O_WRONLY | O_APPEND))); }
static void op_open_both(char **a) { close(must(open(a[0], O_RDWR))); }

/* FILE: opened, sought in, locked, its times and mode changed */
static void op_metadata(char **a)
{
	int fd = must(open(a[0], O_RDWR));
	struct flock lock = {.l_type = F_WRLCK};
	must(lseek(fd, 10, SEEK_SET));
	must(fcntl(fd, F_SETLK, &lock));
	must(futimens(fd, NULL));
	must(fchmod(fd, 0640));
	must(fsync(fd));
}

/* ABSENT: opened in vain, in every way */
static void op_absent(char **a)
{
	expect(open(a[0], O_RDONLY) < 0 && errno == ENOENT);
	expect(open(a[0], O_WRONLY) < 0 && errno == ENOENT);
	expect(truncate(a[0], 0) < 0 && errno == ENOENT);
	expect(rename(a[0], "new") < 0 && errno == ENOENT);
	expect(unlink(a[0]) < 0 && errno == ENOENT);
}

/* TAKEN: opened with O_EXCL in vain */
static void op_taken(char **a)
{
	expect(open(a[0], O_WRONLY | O_CREAT | O_EXCL, 0644) < 0 && errno == EEXIST);
	expect(link("in2", a[0]) < 0 && errno == EEXIST);
}

/* FILE: every transfer fails: wrong direction, wrong address */
static void op_failing(char **a)
{
	int in = open_read(a[0]);
	char byte = 'x';
	expect(syscall(SYS_read, in, 8L, 64L) < 0 && errno == EFAULT);
	expect(write(in, &byte, 1) < 0 && errno == EBADF);
	expect(mmap(NULL, 100, PROT_READ | PROT_WRITE, MAP_SHARED, in, 0) == MAP_FAILED);
	expect(ftruncate(in, 0) < 0);
	int out = must(open(a[0], O_WRONLY));
	expect(read(out, &byte, 1) < 0 && errno == EBADF);
	expect(mmap(NULL, 100, PROT_READ, MAP_SHARED, out, 0) == MAP_FAILED);
}

/* LINK: read as a link, not through it */
static void op_readlink(char **a)
{
	char target[4096];
	must(readlink(a[0], target, sizeof target));
}

static const struct operation operations[] = {
	{"stat", op_stat}, {"list", op_list}, {"path", op_path},
	{"open-read", op_open_read}, {"open-write", op_open_write}, {"open-both", op_open_both},
	{"metadata", op_metadata}, {"absent", op_absent}, {"taken", op_taken},
	{"failing", op_failing}, {"readlink", op_readlink},
};
WORKLOAD(operations)
