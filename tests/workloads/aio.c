/* Linux AIO by raw system calls: files are read and written by requests that are handed over
 * in one call and done later. */
#include "common.h"
#include <linux/aio_abi.h>
#include <sys/uio.h>

static char bytes[64];
static struct iovec vector = {bytes, sizeof bytes};

/* Hands over requests, waits for all of them, checks each. */
static void submit(struct iocb *requests, int count)
{
	aio_context_t context = 0;
	struct iocb *list[4];
	struct io_event events[4];
	must(syscall(SYS_io_setup, 4, &context));
	for (int i = 0; i < count; i++)
		list[i] = &requests[i];
	expect(must(syscall(SYS_io_submit, context, (long)count, list)) == count);
	expect(must(syscall(SYS_io_getevents, context, (long)count, (long)count, events, NULL)) == count);
	for (int i = 0; i < count; i++)
		expect(events[i].res >= 0);
	must(syscall(SYS_io_destroy, context));
}

static struct iocb request(int operation, int fd)
{
	int vectored = operation == IOCB_CMD_PREADV || operation == IOCB_CMD_PWRITEV;
	return (struct iocb){.aio_lio_opcode = operation, .aio_fildes = fd,
		.aio_buf = (unsigned long)(vectored ? (void *)&vector : bytes),
		.aio_nbytes = vectored ? 1 : sizeof bytes};
}

static void one(int operation, int fd)
{
	struct iocb only = request(operation, fd);
	submit(&only, 1);
}

/* IN: read */
static void op_read(char **a) { one(IOCB_CMD_PREAD, open_read(a[0])); }
static void op_readv(char **a) { one(IOCB_CMD_PREADV, open_read(a[0])); }

/* OUT: made and written */
static void op_write(char **a) { one(IOCB_CMD_PWRITE, open_new(a[0])); }
static void op_writev(char **a) { one(IOCB_CMD_PWRITEV, open_new(a[0])); }

/* OLD: written in place without being emptied: input and output */
static void op_update(char **a) { one(IOCB_CMD_PWRITE, must(open(a[0], O_WRONLY))); }

/* IN IN2 OUT OUT2: four requests in one call */
static void op_batch(char **a)
{
	struct iocb requests[] = {
		request(IOCB_CMD_PREAD, open_read(a[0])), request(IOCB_CMD_PREADV, open_read(a[1])),
		request(IOCB_CMD_PWRITE, open_new(a[2])), request(IOCB_CMD_PWRITEV, open_new(a[3])),
	};
	submit(requests, 4);
}

static const struct operation operations[] = {
	{"read", op_read}, {"readv", op_readv}, {"write", op_write}, {"writev", op_writev},
	{"update", op_update}, {"batch", op_batch},
};
WORKLOAD(operations)
