/* Copies that never pass through the program's memory: IN is an input, OUT an output. */
#include "common.h"
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>

static void op_sendfile(char **a)
{
	expect(must(sendfile(open_new(a[1]), open_read(a[0]), NULL, 4096)) > 0);
}

static void op_splice(char **a)
{
	int in = open_read(a[0]), out = open_new(a[1]), ends[2];
	must(pipe(ends));
	long n = must(splice(in, NULL, ends[1], NULL, 4096, 0));
	expect(n > 0 && must(splice(ends[0], NULL, out, NULL, n, 0)) == n);
}

static void op_copy_file_range(char **a)
{
	expect(must(copy_file_range(open_read(a[0]), NULL, open_new(a[1]), NULL, 4096, 0)) > 0);
}

static void op_ficlone(char **a) { must(ioctl(open_new(a[1]), FICLONE, open_read(a[0]))); }

static void op_ficlonerange(char **a)
{
	struct file_clone_range range = {.src_fd = open_read(a[0])};
	must(ioctl(open_new(a[1]), FICLONERANGE, &range));
}

/* IN goes to a pipe: an input, and no output */
static void op_splice_read(char **a)
{
	int ends[2];
	must(pipe(ends));
	expect(must(splice(open_read(a[0]), NULL, ends[1], NULL, 4096, 0)) > 0);
}

/* Bytes of a pipe go to OUT: an output, and no input */
static void op_splice_write(char **a)
{
	int ends[2];
	must(pipe(ends));
	write_some(ends[1]);
	expect(must(splice(ends[0], NULL, open_new(a[0]), NULL, 4096, 0)) > 0);
}

static const struct operation operations[] = {
	{"sendfile", op_sendfile}, {"splice", op_splice},
	{"copy_file_range", op_copy_file_range}, {"ficlone", op_ficlone},
	{"ficlonerange", op_ficlonerange}, {"splice-read", op_splice_read},
	{"splice-write", op_splice_write},
};
WORKLOAD(operations)
