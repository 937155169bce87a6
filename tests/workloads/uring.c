/* io_uring by raw system calls: no call of the reading kind is ever made.
 * Usage: uring OP sync|async [ARGUMENT…]; `async` has the kernel's worker threads do it. */
#include "common.h"
#include <arpa/inet.h>
#include <linux/io_uring.h>
#include <sys/mman.h>

static struct {
	int fd;
	unsigned *tail, *mask, *array, *completed_head, *completed_tail, *completed_mask;
	struct io_uring_sqe *entries;
	struct io_uring_cqe *completions;
} ring;

static unsigned char entry_flags;

static void *map_ring(size_t size, off_t what)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring.fd, what);
	if (at == MAP_FAILED)
		fail("mmap of the ring");
	return at;
}

static void set_up(const char *mode)
{
	struct io_uring_params p = {0};
	entry_flags = strcmp(mode, "async") ? 0 : IOSQE_ASYNC;
	ring.fd = must(syscall(SYS_io_uring_setup, 8, &p));
	char *sq = map_ring(p.sq_off.array + p.sq_entries * 4, IORING_OFF_SQ_RING);
	char *cq = map_ring(p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe),
			    IORING_OFF_CQ_RING);
	ring.entries = map_ring(p.sq_entries * sizeof(struct io_uring_sqe), IORING_OFF_SQES);
	ring.tail = (unsigned *)(sq + p.sq_off.tail);
	ring.mask = (unsigned *)(sq + p.sq_off.ring_mask);
	ring.array = (unsigned *)(sq + p.sq_off.array);
	ring.completed_head = (unsigned *)(cq + p.cq_off.head);
	ring.completed_tail = (unsigned *)(cq + p.cq_off.tail);
	ring.completed_mask = (unsigned *)(cq + p.cq_off.ring_mask);
	ring.completions = (struct io_uring_cqe *)(cq + p.cq_off.cqes);
}

/* Submits one entry, waits for it, returns its result. */
static int submit(struct io_uring_sqe entry)
{
	unsigned tail = *ring.tail, slot = tail & *ring.mask;
	entry.flags |= entry_flags;
	ring.entries[slot] = entry;
	ring.array[slot] = slot;
	__atomic_store_n(ring.tail, tail + 1, __ATOMIC_RELEASE);
	expect(must(syscall(SYS_io_uring_enter, ring.fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0)) == 1);
	unsigned head = *ring.completed_head;
	expect(head != __atomic_load_n(ring.completed_tail, __ATOMIC_ACQUIRE));
	int result = ring.completions[head & *ring.completed_mask].res;
	__atomic_store_n(ring.completed_head, head + 1, __ATOMIC_RELEASE);
	if (result < 0) {
		errno = -result;
		fail("completion");
	}
	return result;
}

static char bytes[64];

static struct io_uring_sqe transfer(int opcode, int fd)
{
	return (struct io_uring_sqe){.opcode = opcode, .fd = fd, .addr = (unsigned long)bytes,
				     .len = sizeof bytes};
}

static int ring_open(const char *path, int flags)
{
	return submit((struct io_uring_sqe){.opcode = IORING_OP_OPENAT, .fd = AT_FDCWD,
		.addr = (unsigned long)path, .len = 0644, .open_flags = flags});
}

/* IN: opened by a call, read through the ring */
static void op_read(char **a)
{
	set_up(a[0]);
	expect(submit(transfer(IORING_OP_READ, open_read(a[1]))) > 0);
}
static void op_readv(char **a)
{
	struct { void *base; size_t length; } vector = {bytes, sizeof bytes};
	set_up(a[0]);
	struct io_uring_sqe entry = transfer(IORING_OP_READV, open_read(a[1]));
	entry.addr = (unsigned long)&vector;
	entry.len = 1;
	expect(submit(entry) > 0);
}

/* IN: as `read`, through a registered file and a registered buffer */
static void op_read_fixed(char **a)
{
	struct { void *base; size_t length; } vector = {bytes, sizeof bytes};
	set_up(a[0]);
	int fd = open_read(a[1]);
	must(syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_FILES, &fd, 1));
	must(syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_BUFFERS, &vector, 1));
	close(fd);
	struct io_uring_sqe entry = transfer(IORING_OP_READ_FIXED, 0);
	entry.flags = IOSQE_FIXED_FILE;
	expect(submit(entry) > 0);
}

/* OUT: made by a call, written through the ring */
static void op_write(char **a)
{
	set_up(a[0]);
	expect(submit(transfer(IORING_OP_WRITE, open_new(a[1]))) == sizeof bytes);
}

/* IN OUT: opened, read, made, written and closed, all through the ring */
static void op_copy(char **a)
{
	set_up(a[0]);
	int in = ring_open(a[1], O_RDONLY), out = ring_open(a[2], O_WRONLY | O_CREAT | O_TRUNC);
	expect(submit(transfer(IORING_OP_READ, in)) > 0);
	expect(submit(transfer(IORING_OP_WRITE, out)) == sizeof bytes);
	submit((struct io_uring_sqe){.opcode = IORING_OP_CLOSE, .fd = in});
	submit((struct io_uring_sqe){.opcode = IORING_OP_CLOSE, .fd = out});
}

/* OUT: made through the ring, never written: an empty output */
static void op_create(char **a)
{
	set_up(a[0]);
	ring_open(a[1], O_WRONLY | O_CREAT | O_EXCL);
}

/* IN: opened through the ring, never read: nothing */
static void op_open_only(char **a)
{
	set_up(a[0]);
	ring_open(a[1], O_RDONLY);
}

/* TEMPORARY FINAL: written by a call, renamed through the ring */
static void op_rename(char **a)
{
	set_up(a[0]);
	write_some(open_new(a[1]));
	submit((struct io_uring_sqe){.opcode = IORING_OP_RENAMEAT, .fd = AT_FDCWD,
		.addr = (unsigned long)a[1], .len = AT_FDCWD, .off = (unsigned long)a[2]});
}

/* TEMPORARY: written by a call, removed through the ring: nothing */
static void op_unlink(char **a)
{
	set_up(a[0]);
	write_some(open_new(a[1]));
	submit((struct io_uring_sqe){.opcode = IORING_OP_UNLINKAT, .fd = AT_FDCWD,
		.addr = (unsigned long)a[1]});
}

/* OLD NEW: a second name through the ring */
static void op_link(char **a)
{
	set_up(a[0]);
	submit((struct io_uring_sqe){.opcode = IORING_OP_LINKAT, .fd = AT_FDCWD,
		.addr = (unsigned long)a[1], .len = AT_FDCWD, .off = (unsigned long)a[2]});
}

/* OUT: made by a call, allocated through the ring */
static void op_fallocate(char **a)
{
	set_up(a[0]);
	submit((struct io_uring_sqe){.opcode = IORING_OP_FALLOCATE, .fd = open_new(a[1]), .addr = 4096});
}

/* IN OUT: spliced through the ring by way of a pipe */
static void op_splice(char **a)
{
	int ends[2];
	set_up(a[0]);
	must(pipe(ends));
	struct io_uring_sqe entry = {.opcode = IORING_OP_SPLICE, .fd = ends[1], .len = 64,
		.off = -1, .splice_fd_in = open_read(a[1]), .splice_off_in = -1};
	expect(submit(entry) == 64);
	entry.fd = open_new(a[2]);
	entry.splice_fd_in = ends[0];
	expect(submit(entry) == 64);
}

/* Registers a table of eight free slots. */
static void free_slots(void)
{
	int slots[8] = {-1, -1, -1, -1, -1, -1, -1, -1};
	must(syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_FILES, slots, 8));
}

/* Opens into a slot, counted from 1, of the ring's table. */
static void open_into(unsigned slot, const char *path, int flags)
{
	submit((struct io_uring_sqe){.opcode = IORING_OP_OPENAT, .fd = AT_FDCWD, .len = 0644,
		.addr = (unsigned long)path, .open_flags = flags, .file_index = slot});
}

static void use_slot(int opcode, int slot)
{
	struct io_uring_sqe entry = transfer(opcode, slot);
	entry.flags = IOSQE_FIXED_FILE;
	expect(submit(entry) > 0);
}

/* OUT: made in a slot, never written: an empty output */
static void op_direct_create(char **a)
{
	set_up(a[0]);
	free_slots();
	open_into(3, a[1], O_WRONLY | O_CREAT);
}
static void op_direct_create_anywhere(char **a)
{
	set_up(a[0]);
	free_slots();
	open_into(IORING_FILE_INDEX_ALLOC, a[1], O_WRONLY | O_CREAT);
}

/* OLD: emptied by the open: an output, not an input */
static void op_direct_empty(char **a)
{
	set_up(a[0]);
	free_slots();
	open_into(1, a[1], O_WRONLY | O_TRUNC);
}

/* IN OUT: without a descriptor */
static void op_direct_copy(char **a)
{
	set_up(a[0]);
	free_slots();
	open_into(3, a[1], O_RDONLY);
	open_into(4, a[2], O_WRONLY | O_CREAT | O_TRUNC);
	use_slot(IORING_OP_READ, 2);
	use_slot(IORING_OP_WRITE, 3);
}

static void registers(const char *path)
{
	int fd = open_read(path);
	must(syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_FILES, &fd, 1));
	close(fd);
}

/* IN: spliced from a slot to a pipe */
static void op_splice_registered(char **a)
{
	int ends[2];
	set_up(a[0]);
	registers(a[1]);
	must(pipe(ends));
	struct io_uring_sqe entry = {.opcode = IORING_OP_SPLICE, .fd = ends[1], .len = 64,
		.off = -1, .splice_fd_in = 0, .splice_off_in = -1,
		.splice_flags = 1u << 31 /* SPLICE_F_FD_IN_FIXED */};
	expect(submit(entry) == 64);
}

/* Submits an entry that says nothing of its success, then one that does, in this order. */
static void submit_silently(struct io_uring_sqe entry)
{
	unsigned tail = *ring.tail, slot = tail & *ring.mask;
	entry.flags |= IOSQE_CQE_SKIP_SUCCESS | IOSQE_IO_LINK;
	ring.entries[slot] = entry;
	ring.array[slot] = slot;
	tail++;
	slot = tail & *ring.mask;
	ring.entries[slot] = (struct io_uring_sqe){.opcode = IORING_OP_NOP};
	ring.array[slot] = slot;
	__atomic_store_n(ring.tail, tail + 1, __ATOMIC_RELEASE);
	expect(must(syscall(SYS_io_uring_enter, ring.fd, 2, 1, IORING_ENTER_GETEVENTS, NULL, 0)) == 2);
	expect(ring.completions[*ring.completed_head & *ring.completed_mask].res == 0);
}

/* IN: read in silence */
static void op_silent_read(char **a)
{
	set_up(a[0]);
	submit_silently(transfer(IORING_OP_READ, open_read(a[1])));
}
static void op_silent_read_registered(char **a)
{
	set_up(a[0]);
	registers(a[1]);
	struct io_uring_sqe entry = transfer(IORING_OP_READ, 0);
	entry.flags = IOSQE_FIXED_FILE;
	submit_silently(entry);
}

/* OLD: partly overwritten in silence: input and output */
static void op_silent_write(char **a)
{
	set_up(a[0]);
	submit_silently(transfer(IORING_OP_WRITE, must(open(a[1], O_WRONLY))));
}

/* OLD NEW: renamed in silence */
static void op_silent_rename(char **a)
{
	set_up(a[0]);
	submit_silently((struct io_uring_sqe){.opcode = IORING_OP_RENAMEAT, .fd = AT_FDCWD,
		.addr = (unsigned long)a[1], .len = AT_FDCWD, .off = (unsigned long)a[2]});
	must(access(a[2], F_OK));
}

static struct sockaddr_in end(char **a)
{
	struct sockaddr_in end = {.sin_family = AF_INET, .sin_port = htons(atoi(a[1]))};
	expect(inet_pton(AF_INET, a[0], &end.sin_addr) == 1);
	return end;
}

/* ADDRESS PORT: a stream connected by the ring */
static void op_connect(char **a)
{
	set_up(a[0]);
	struct sockaddr_in to = end(a + 1);
	submit((struct io_uring_sqe){.opcode = IORING_OP_CONNECT,
		.fd = must(socket(AF_INET, SOCK_STREAM, 0)), .addr = (unsigned long)&to, .off = sizeof to});
}

/* ADDRESS PORT: a datagram sent by the ring */
static void op_send(char **a)
{
	set_up(a[0]);
	struct sockaddr_in to = end(a + 1);
	int fd = must(socket(AF_INET, SOCK_DGRAM, 0));
	must(connect(fd, (struct sockaddr *)&to, sizeof to));
	expect(submit(transfer(IORING_OP_SEND, fd)) == sizeof bytes);
}

static const struct operation operations[] = {
	{"read", op_read}, {"readv", op_readv}, {"read-fixed", op_read_fixed},
	{"write", op_write}, {"copy", op_copy}, {"create", op_create},
	{"open-only", op_open_only}, {"rename", op_rename}, {"unlink", op_unlink},
	{"link", op_link}, {"fallocate", op_fallocate}, {"splice", op_splice},
	{"direct-create", op_direct_create}, {"direct-empty", op_direct_empty},
	{"direct-create-anywhere", op_direct_create_anywhere},
	{"direct-copy", op_direct_copy}, {"splice-registered", op_splice_registered},
	{"silent-read", op_silent_read}, {"silent-write", op_silent_write},
	{"silent-read-registered", op_silent_read_registered},
	{"silent-rename", op_silent_rename}, {"connect", op_connect}, {"send", op_send},
};
WORKLOAD(operations)
