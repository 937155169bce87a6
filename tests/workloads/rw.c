/* Reading and writing through descriptors, one system call family an operation. */
#include "common.h"
#include <sys/uio.h>

static char first[8], second[64];
static struct iovec vector[2] = {{first, sizeof first}, {second, sizeof second}};

/* IN: read */
static void op_read(char **a) { read_some(open_read(a[0])); }
static void op_pread(char **a) { expect(must(pread(open_read(a[0]), second, 64, 16)) > 0); }
static void op_readv(char **a) { expect(must(readv(open_read(a[0]), vector, 2)) > 0); }
static void op_preadv(char **a) { expect(must(preadv(open_read(a[0]), vector, 2, 16)) > 0); }
static void op_preadv2(char **a) { expect(must(preadv2(open_read(a[0]), vector, 2, 16, 0)) > 0); }

/* EMPTY: read, which finds its end at once */
static void op_read_empty(char **a) { expect(must(read(open_read(a[0]), second, 64)) == 0); }

/* OUT: made and written */
static void op_write(char **a) { write_some(open_new(a[0])); }
static void op_pwrite(char **a) { expect(must(pwrite(open_new(a[0]), "abc", 3, 5)) == 3); }
static void op_writev(char **a) { expect(must(writev(open_new(a[0]), vector, 2)) == 72); }
static void op_pwritev(char **a) { expect(must(pwritev(open_new(a[0]), vector, 2, 5)) == 72); }
static void op_pwritev2(char **a) { expect(must(pwritev2(open_new(a[0]), vector, 2, 5, 0)) == 72); }

/* OLD: written in place without being emptied: input and output */
static void op_update(char **a)
{
	expect(must(pwrite(must(open(a[0], O_WRONLY)), "abc", 3, 5)) == 3);
}

/* OLD: appended to: input and output */
static void op_append(char **a) { write_some(must(open(a[0], O_WRONLY | O_APPEND))); }

/* OLD: read, then overwritten in place: input and output */
static void op_read_then_update(char **a)
{
	int fd = must(open(a[0], O_RDWR));
	read_some(fd);
	expect(must(pwrite(fd, "abc", 3, 0)) == 3);
}

/* IN: opened for both, only read: an input */
static void op_rdwr_read(char **a) { read_some(must(open(a[0], O_RDWR))); }

/* OUT: written first, read later: an output only */
static void op_write_then_read(char **a)
{
	int fd = open_new(a[0]);
	write_some(fd);
	close(fd);
	read_some(open_read(a[0]));
}

/* IN is copied to OUT byte for byte */
static void op_copy(char **a)
{
	int in = open_read(a[0]), out = open_new(a[1]);
	char bytes[4096];
	long n;
	while ((n = must(read(in, bytes, sizeof bytes))) > 0)
		expect(must(write(out, bytes, n)) == n);
}

/* Standard input is copied to standard output */
static void op_filter(char **a)
{
	(void)a;
	char bytes[65536];
	long n;
	while ((n = must(read(0, bytes, sizeof bytes))) > 0)
		for (long done = 0; done < n;)
			done += must(write(1, bytes + done, n - done));
}

static const struct operation operations[] = {
	{"read", op_read}, {"pread", op_pread}, {"readv", op_readv},
	{"preadv", op_preadv}, {"preadv2", op_preadv2}, {"read-empty", op_read_empty},
	{"write", op_write}, {"pwrite", op_pwrite}, {"writev", op_writev},
	{"pwritev", op_pwritev}, {"pwritev2", op_pwritev2},
	{"update", op_update}, {"append", op_append},
	{"read-then-update", op_read_then_update}, {"rdwr-read", op_rdwr_read},
	{"write-then-read", op_write_then_read}, {"copy", op_copy}, {"filter", op_filter},
};
WORKLOAD(operations)
