/* Every way to come by a descriptor from a name, and to size a file. */
#include "common.h"
#include <linux/openat2.h>

static long openat2(int dirfd, const char *path, int flags, int mode)
{
	struct open_how how = {.flags = flags, .mode = mode};
	return syscall(SYS_openat2, dirfd, path, &how, sizeof how);
}

static struct file_handle *handle_of(const char *path, int *mount_fd)
{
	struct file_handle *handle = calloc(1, sizeof *handle + MAX_HANDLE_SZ);
	int mount_id;
	handle->handle_bytes = MAX_HANDLE_SZ;
	must(name_to_handle_at(AT_FDCWD, path, handle, &mount_id, 0));
	*mount_fd = must(open(".", O_RDONLY | O_DIRECTORY));
	return handle;
}

/* IN: opened this way, then read */
#ifdef SYS_open
static void op_open(char **a) { read_some(must(syscall(SYS_open, a[0], O_RDONLY))); }
#endif
static void op_openat(char **a)
{
	read_some(must(openat(must(open(a[0], O_PATH | O_DIRECTORY)), a[1], O_RDONLY)));
}
static void op_openat2(char **a) { read_some(must(openat2(AT_FDCWD, a[0], O_RDONLY, 0))); }
static void op_by_handle(char **a)
{
	int mount_fd;
	struct file_handle *handle = handle_of(a[0], &mount_fd);
	read_some(must(open_by_handle_at(mount_fd, handle, O_RDONLY)));
}

/* OUT: made this way, then written */
#ifdef SYS_creat
static void op_creat(char **a) { write_some(must(syscall(SYS_creat, a[0], 0644))); }
#endif
static void op_openat2_write(char **a)
{
	write_some(must(openat2(AT_FDCWD, a[0], O_WRONLY | O_CREAT | O_EXCL, 0644)));
}

/* OLD: emptied and written through a handle: an output */
static void op_by_handle_write(char **a)
{
	int mount_fd;
	struct file_handle *handle = handle_of(a[0], &mount_fd);
	write_some(must(open_by_handle_at(mount_fd, handle, O_WRONLY | O_TRUNC)));
}

/* OUT: an unnamed file that gets its name at the end */
static void op_tmpfile_link(char **a)
{
	int fd = must(open(".", O_TMPFILE | O_RDWR, 0644));
	char name[64];
	write_some(fd);
	snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	must(linkat(AT_FDCWD, name, AT_FDCWD, a[0], AT_SYMLINK_FOLLOW));
}

/* An unnamed file that never gets one: nothing */
static void op_tmpfile(char **a)
{
	(void)a;
	write_some(must(open(".", O_TMPFILE | O_RDWR, 0644)));
}

/* OUT: made, never written: an (empty) output */
static void op_create_empty(char **a) { open_new(a[0]); }

/* OLD: emptied by the open, never written: an output, not an input */
static void op_trunc_empty(char **a) { must(open(a[0], O_WRONLY | O_TRUNC)); }

/* OLD: cut to 10 bytes: what is left was there before, so input and output */
static void op_truncate(char **a) { must(truncate(a[0], 10)); }
static void op_ftruncate(char **a) { must(ftruncate(must(open(a[0], O_WRONLY)), 10)); }

/* OLD: emptied: an output, not an input */
static void op_truncate_empty(char **a) { must(truncate(a[0], 0)); }
static void op_ftruncate_empty(char **a) { must(ftruncate(must(open(a[0], O_WRONLY)), 0)); }

/* OLD: made longer by allocation alone: input and output */
static void op_fallocate(char **a) { must(fallocate(must(open(a[0], O_WRONLY)), 0, 0, 1 << 20)); }

/* OUT: made, then allocated: an output */
static void op_fallocate_new(char **a) { must(fallocate(open_new(a[0]), 0, 0, 1 << 16)); }

/* OLD: opened with O_CREAT, which changes nothing, then read: an input */
static void op_creat_existing_read(char **a) { read_some(must(open(a[0], O_RDWR | O_CREAT, 0644))); }

static const struct operation operations[] = {
#ifdef SYS_open
	{"open", op_open}, {"creat", op_creat},
#endif
	{"openat", op_openat}, {"openat2", op_openat2}, {"by-handle", op_by_handle},
	{"openat2-write", op_openat2_write}, {"by-handle-write", op_by_handle_write},
	{"tmpfile-link", op_tmpfile_link}, {"tmpfile", op_tmpfile},
	{"create-empty", op_create_empty}, {"trunc-empty", op_trunc_empty},
	{"truncate", op_truncate}, {"ftruncate", op_ftruncate},
	{"truncate-empty", op_truncate_empty}, {"ftruncate-empty", op_ftruncate_empty},
	{"fallocate", op_fallocate}, {"fallocate-new", op_fallocate_new},
	{"creat-existing-read", op_creat_existing_read},
};
WORKLOAD(operations)
