/* Names that come, go and change. */
#include "common.h"
#include <linux/fs.h>

static void make(const char *path)
{
	int fd = open_new(path);
	write_some(fd);
	close(fd);
}

static void consume(const char *path)
{
	int fd = open_read(path);
	read_some(fd);
	close(fd);
}

/* TEMPORARY is made, written and renamed to FINAL: FINAL is the one output */
static void op_save(char **a)
{
	make(a[0]);
	must(rename(a[0], a[1]));
}
static void op_save_at(char **a)
{
	int here = must(open(".", O_PATH | O_DIRECTORY));
	make(a[0]);
	must(renameat(here, a[0], here, a[1]));
}
static void op_save_noreplace(char **a)
{
	make(a[0]);
	must(renameat2(AT_FDCWD, a[0], AT_FDCWD, a[1], RENAME_NOREPLACE));
}
static void op_save_link(char **a)
{
	make(a[0]);
	must(link(a[0], a[1]));
	must(unlink(a[0]));
}

/* FINAL is read, its next version made as TEMPORARY and renamed over it: input and output */
static void op_replace(char **a)
{
	consume(a[1]);
	op_save(a);
}

/* TEMPORARY is made, exchanged with FINAL, and what FINAL was is removed: an output */
static void op_save_exchange(char **a)
{
	make(a[0]);
	must(renameat2(AT_FDCWD, a[0], AT_FDCWD, a[1], RENAME_EXCHANGE));
	must(unlink(a[0]));
}

/* OLD, a file or a folder of files, becomes NEW, unread: OLD is an input, since its content is
 * NEW's, and NEW an output by its place */
static void op_move(char **a) { must(rename(a[0], a[1])); }

/* A and B, both there before, change places: both inputs, both outputs by their places */
static void op_exchange(char **a)
{
	must(renameat2(AT_FDCWD, a[0], AT_FDCWD, a[1], RENAME_EXCHANGE));
}

/* A name that is taken: nothing happens */
static void op_noreplace_taken(char **a)
{
	expect(renameat2(AT_FDCWD, a[0], AT_FDCWD, a[1], RENAME_NOREPLACE) < 0 && errno == EEXIST);
}

/* IN is read, then moved to NEW: an input by its first name */
static void op_read_then_move(char **a)
{
	consume(a[0]);
	must(rename(a[0], a[1]));
}

/* IN is moved to NEW, then read there: an input by the name it had before */
static void op_move_then_read(char **a)
{
	must(rename(a[0], a[1]));
	consume(a[1]);
}

/* OLD is moved away and back: nothing */
static void op_move_back(char **a)
{
	must(rename(a[0], a[1]));
	must(rename(a[1], a[0]));
}

/* ONE is made and gets the second name TWO: both are outputs */
static void op_make_linked(char **a)
{
	make(a[0]);
	must(link(a[0], a[1]));
}

/* OLD, an input, gets the second name NEW: an output by its place */
static void op_link(char **a) { must(link(a[0], a[1])); }

/* A symbolic link is made: no file is touched */
static void op_symlink(char **a) { must(symlink(a[0], a[1])); }

/* IN is read through a new symbolic link: IN is the input, by its real name */
static void op_symlink_read(char **a)
{
	must(symlink(a[0], a[1]));
	consume(a[1]);
}

/* OUT is made through a dangling symbolic link: OUT is the output, by its real name */
static void op_symlink_write(char **a)
{
	must(symlink(a[0], a[1]));
	make(a[1]);
}

/* OLD is removed unread: nothing */
static void op_unlink(char **a) { must(unlink(a[0])); }

/* IN is read, then removed: it stays an input */
static void op_read_then_unlink(char **a)
{
	consume(a[0]);
	must(unlink(a[0]));
}

/* TEMPORARY is made, written, read and removed: nothing */
static void op_temporary(char **a)
{
	make(a[0]);
	consume(a[0]);
	must(unlink(a[0]));
}

/* OLD is removed and made anew under the same name: an output, not an input */
static void op_remake(char **a)
{
	must(unlink(a[0]));
	make(a[0]);
}

/* OUT is made, removed and made again: an output */
static void op_make_twice(char **a)
{
	make(a[0]);
	must(unlink(a[0]));
	make(a[0]);
}

/* A folder is filled, then renamed: the file in it is the output, by its final name.
 * TEMPORARY-FOLDER FINAL-FOLDER */
static void op_save_folder(char **a)
{
	char path[4096];
	must(mkdir(a[0], 0755));
	snprintf(path, sizeof path, "%s/file", a[0]);
	make(path);
	must(rename(a[0], a[1]));
}

/* TEMPORARY passes through two more names: the last is the output */
static void op_save_chain(char **a)
{
	make(a[0]);
	must(rename(a[0], a[1]));
	must(rename(a[1], a[2]));
}

static const struct operation operations[] = {
	{"save", op_save}, {"save-at", op_save_at}, {"save-noreplace", op_save_noreplace},
	{"save-link", op_save_link}, {"save-exchange", op_save_exchange},
	{"save-folder", op_save_folder}, {"save-chain", op_save_chain},
	{"replace", op_replace}, {"move", op_move}, {"exchange", op_exchange},
	{"noreplace-taken", op_noreplace_taken}, {"read-then-move", op_read_then_move},
	{"link", op_link}, {"move-then-read", op_move_then_read},
	{"move-back", op_move_back}, {"make-linked", op_make_linked}, {"symlink", op_symlink}, {"symlink-read", op_symlink_read},
	{"symlink-write", op_symlink_write}, {"unlink", op_unlink},
	{"read-then-unlink", op_read_then_unlink}, {"temporary", op_temporary},
	{"remake", op_remake}, {"make-twice", op_make_twice},
};
WORKLOAD(operations)
