/* Mounts that are made and removed at once. Needs root. */
#include "common.h"
#include <sched.h>
#include <sys/mount.h>

static void copy(const char *from, const char *to)
{
	char bytes[4096];
	int in = open_read(from), out = open_new(to);
	for (ssize_t count; (count = must(read(in, bytes, sizeof bytes))) > 0;)
		expect(must(write(out, bytes, count)) == count);
	close(in);
	close(out);
}

static void fill(const char *path)
{
	int fd = open_new(path);
	write_some(fd);
	close(fd);
}

static void tmpfs(const char *at)
{
	must(mount("none", at, "tmpfs", 0, ""));
}

static void bind_folder(const char *from, const char *at)
{
	must(mount(from, at, NULL, MS_BIND, NULL));
}

static void unmount(const char *at)
{
	must(umount2(at, 0));
}

/* AT FILE: a file made on a tmpfs that is gone again */
static void op_write_tmpfs(char **a)
{
	tmpfs(a[0]);
	fill(a[1]);
	unmount(a[0]);
}

/* AT FILE AT2 FILE2: as before; another tmpfs, which may get the numbers of the first, stays */
static void op_write_two(char **a)
{
	op_write_tmpfs(a);
	tmpfs(a[2]);
	fill(a[3]);
}

/* AT AT2 FILE2: AT, which was mounted before, makes room for AT2, which stays */
static void op_replace(char **a)
{
	unmount(a[0]);
	tmpfs(a[1]);
	fill(a[2]);
}

/* FOLDER AT FROM TO: a copy through a bind mount of a folder */
static void op_copy_bound(char **a)
{
	bind_folder(a[0], a[1]);
	copy(a[2], a[3]);
	unmount(a[1]);
}

/* FOLDER AT FILE TO: a file made through a bind mount, and renamed */
static void op_rename_bound(char **a)
{
	bind_folder(a[0], a[1]);
	fill(a[2]);
	must(rename(a[2], a[3]));
	unmount(a[1]);
}

/* FOLDER AT FILE TO: an old file renamed through a bind mount */
static void op_move_bound(char **a)
{
	bind_folder(a[0], a[1]);
	must(rename(a[2], a[3]));
	unmount(a[1]);
}

/* FOLDER AT FILE: an old file removed through a bind mount */
static void op_remove_bound(char **a)
{
	bind_folder(a[0], a[1]);
	must(unlink(a[2]));
	unmount(a[1]);
}

/* FOLDER AT FILE: an old file cut by name through a bind mount */
static void op_cut_bound(char **a)
{
	bind_folder(a[0], a[1]);
	must(truncate(a[2], 2));
	unmount(a[1]);
}

/* AT FILE TO: a file made and renamed on a tmpfs that is gone again */
static void op_rename_tmpfs(char **a)
{
	tmpfs(a[0]);
	fill(a[1]);
	must(rename(a[1], a[2]));
	unmount(a[0]);
}

/* AT FILE TO: copied from a tmpfs's new file to TO outside */
static void op_from_tmpfs(char **a)
{
	tmpfs(a[0]);
	fill(a[1]);
	copy(a[1], a[2]);
	unmount(a[0]);
}

static void op_apart(char **a);

static const struct operation operations[] = {
	{ "apart", op_apart },
	{ "write-tmpfs", op_write_tmpfs },
	{ "write-two", op_write_two },
	{ "replace", op_replace },
	{ "copy-bound", op_copy_bound },
	{ "rename-bound", op_rename_bound },
	{ "move-bound", op_move_bound },
	{ "remove-bound", op_remove_bound },
	{ "cut-bound", op_cut_bound },
	{ "rename-tmpfs", op_rename_tmpfs },
	{ "from-tmpfs", op_from_tmpfs },
};

/* OP ARGUMENT…: in a mount namespace of the program's own */
static void op_apart(char **a)
{
	must(unshare(CLONE_NEWNS));
	must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
		if (!strcmp(operations[i].name, a[0]))
			return operations[i].run(a + 1);
	fail("no such operation");
}

WORKLOAD(operations)
