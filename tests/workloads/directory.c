/* Names that depend on where the process stands. */
#include "common.h"

/* IN OUT FOLDER: IN is read and OUT made from inside FOLDER, by names relative to it */
static void use(char **a)
{
	read_some(open_read(a[0]));
	write_some(open_new(a[1]));
}
static void op_chdir(char **a)
{
	must(chdir(a[2]));
	use(a);
}
static void op_fchdir(char **a)
{
	must(fchdir(must(open(a[2], O_PATH | O_DIRECTORY))));
	use(a);
}

/* IN OUT FOLDER: relative to FOLDER's descriptor, while the process stands elsewhere */
static void op_dirfd(char **a)
{
	int folder = must(open(a[2], O_RDONLY | O_DIRECTORY));
	must(chdir("/"));
	read_some(must(openat(folder, a[0], O_RDONLY)));
	write_some(must(openat(folder, a[1], O_WRONLY | O_CREAT, 0644)));
}

/* IN OUT FOLDER: TEMPORARY and OUT are named relative to FOLDER's descriptor */
static void op_dirfd_rename(char **a)
{
	int folder = must(open(a[2], O_PATH | O_DIRECTORY));
	must(chdir("/"));
	read_some(must(openat(folder, a[0], O_RDONLY)));
	write_some(must(openat(folder, "temporary", O_WRONLY | O_CREAT, 0644)));
	must(renameat(folder, "temporary", folder, a[1]));
}

/* IN FOLDER: the process stands in a folder that is gone; IN is the real name of what
 * `../IN` is from there */
static void op_deleted(char **a)
{
	char path[4096];
	must(mkdir("gone", 0755));
	must(chdir("gone"));
	must(rmdir("../gone"));
	snprintf(path, sizeof path, "../%s", a[0]);
	read_some(open_read(path));
}

/* DEPTH NAME IN: DEPTH folders called NAME, one in the other; there a copy of IN (given absolutely)
 * is made as `made`, renamed to `leaf` and read by that name */
static void op_deep(char **a)
{
	int in = open_read(a[2]);
	for (int depth = atoi(a[0]); depth > 0; depth--) {
		if (mkdir(a[1], 0755) < 0 && errno != EEXIST)
			fail("mkdir");
		must(chdir(a[1]));
	}
	int out = open_new("made");
	read_some(in);
	write_some(out);
	close(out);
	must(rename("made", "leaf"));
	read_some(open_read("leaf"));
}

/* FOLDER: the process's own folder is renamed under its feet, then OUT is made in it.
 * FROM TO OUT */
static void op_moved(char **a)
{
	must(mkdir(a[0], 0755));
	must(chdir(a[0]));
	char from[4096], to[4096];
	snprintf(from, sizeof from, "../%s", a[0]);
	snprintf(to, sizeof to, "../%s", a[1]);
	must(rename(from, to));
	write_some(open_new(a[2]));
}

static const struct operation operations[] = {
	{"chdir", op_chdir}, {"fchdir", op_fchdir}, {"dirfd", op_dirfd},
	{"dirfd-rename", op_dirfd_rename}, {"deleted", op_deleted}, {"deep", op_deep},
	{"moved", op_moved},
};
WORKLOAD(operations)
