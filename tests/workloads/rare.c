/* Ways to touch files that few programs use. */
#include "common.h"
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { PAGE = 4096 };

static volatile char sink;

static char *map_at(char *at, int fd, int protection, int flags)
{
	at = mmap(at, PAGE, protection, flags | (at ? MAP_FIXED : 0), fd, 0);
	if (at == MAP_FAILED)
		fail("mmap");
	close(fd);
	return at;
}

/* Room for two neighbours. */
static char *room(void)
{
	char *at = mmap(NULL, 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED)
		fail("mmap");
	return at;
}

/* IN IN2: two neighbouring mappings, made readable by one call: inputs */
static void op_protect_two(char **a)
{
	char *at = room();
	map_at(at, open_read(a[0]), PROT_NONE, MAP_PRIVATE);
	map_at(at + PAGE, open_read(a[1]), PROT_NONE, MAP_PRIVATE);
	must(mprotect(at, 2 * PAGE, PROT_READ));
	sink = at[0] + at[PAGE];
}

/* OLD OLD2: as before, made writable and changed: inputs and outputs */
static void op_protect_two_writable(char **a)
{
	char *at = room();
	map_at(at, must(open(a[0], O_RDWR)), PROT_NONE, MAP_SHARED);
	map_at(at + PAGE, must(open(a[1], O_RDWR)), PROT_NONE, MAP_SHARED);
	must(mprotect(at, 2 * PAGE, PROT_READ | PROT_WRITE));
	at[0] = at[PAGE] = 'x';
}

/* IN: mapped without rights, moved, made readable: an input */
static void op_remap(char **a)
{
	char *at = map_at(NULL, open_read(a[0]), PROT_NONE, MAP_PRIVATE);
	at = mremap(at, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, room());
	if (at == MAP_FAILED)
		fail("mremap");
	must(mprotect(at, PAGE, PROT_READ));
	sink = *at;
}

/* OLD: mapped before a fork, made writable and changed by the child: input and output */
static void op_protect_in_child(char **a)
{
	char *at = map_at(NULL, must(open(a[0], O_RDWR)), PROT_NONE, MAP_SHARED);
	pid_t child = must(fork());
	if (!child) {
		must(mprotect(at, PAGE, PROT_READ | PROT_WRITE));
		*at = 'x';
		_exit(0);
	}
	reap(child);
}

/* IN: mapped without rights: nothing */
static void op_map_nothing(char **a) { map_at(NULL, open_read(a[0]), PROT_NONE, MAP_PRIVATE); }

/* OLD: changed in the memory of another process that has mapped it: input and output */
static void op_other_memory(char **a)
{
	char *at = map_at(NULL, must(open(a[0], O_RDWR)), PROT_READ | PROT_WRITE, MAP_SHARED);
	struct iovec from = {"xxxx", 4}, to = {at, 4};
	pid_t child = must(fork());
	if (!child)
		for (;;)
			pause();
	expect(must(process_vm_writev(child, &from, 1, &to, 1, 0)) == 4);
	must(kill(child, SIGKILL));
	must(waitpid(child, NULL, 0));
}

/* EMPTY OUT: nothing to copy: an input, whose whole content is known, and an empty output */
static void op_sendfile_empty(char **a)
{
	expect(must(sendfile(open_new(a[1]), open_read(a[0]), NULL, PAGE)) == 0);
}
static void op_copy_empty(char **a)
{
	expect(must(copy_file_range(open_read(a[0]), NULL, open_new(a[1]), NULL, PAGE, 0)) == 0);
}

/* IN IN2: their contents are compared by the file system: inputs */
static void op_dedupe(char **a)
{
	struct { struct file_dedupe_range range; struct file_dedupe_range_info info; } both = {
		{.src_length = PAGE, .dest_count = 1},
		{.dest_fd = must(open(a[1], O_RDWR))},
	};
	must(ioctl(open_read(a[0]), FIDEDUPERANGE, &both));
}

/* OLD: zeroed by the older word for fallocate: input and output */
static void op_zero_range(char **a)
{
	struct { short type, whence; long long start, length; int system; unsigned process;
		 int rest[4]; } range = {.length = 10};
	must(ioctl(must(open(a[0], O_RDWR)), _IOW('X', 57, range), &range));
}

/* OLD: opened for reading alone, and emptied: an output, not an input */
static void op_empty_by_reader(char **a) { must(open(a[0], O_RDONLY | O_TRUNC)); }

/* OLD NEW: cut by its name, which changes at once: OLD is an input, NEW an output */
static void op_cut_then_move(char **a)
{
	must(truncate(a[0], 3));
	must(rename(a[0], a[1]));
}

/* OLD LINK: cut through a symbolic link that is gone at once: input and output */
static void op_cut_by_link(char **a)
{
	must(symlink(a[0], a[1]));
	must(truncate(a[1], 3));
	must(unlink(a[1]));
}

/* TEMPORARY OUT: made by mknod, renamed: OUT is an output */
static void op_make_then_move(char **a)
{
	must(mknod(a[0], S_IFREG | 0644, 0));
	must(rename(a[0], a[1]));
}

/* OLD NEW: renamed over another link of itself, which does nothing: both stay */
static void op_move_to_itself(char **a)
{
	must(link(a[0], a[1]));
	must(rename(a[1], a[0]));
	must(access(a[1], F_OK));
}

/* IN: opened again by way of /proc, after it was removed: an input */
static void op_reopen_removed(char **a)
{
	char path[64];
	int fd = open_read(a[0]);
	must(unlink(a[0]));
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	read_some(open_read(path));
}

/* IN OLD: opened as places, then for real by way of /proc: IN an input, OLD an output */
static void op_places(char **a)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/self/fd/%d", (int)must(open(a[0], O_PATH)));
	read_some(open_read(path));
	snprintf(path, sizeof path, "/proc/self/fd/%d", (int)must(open(a[1], O_PATH)));
	write_some(must(open(path, O_WRONLY | O_TRUNC)));
}

static char stack[1 << 16];
static int shared;

static int opens(void *path) { return (shared = open(path, O_RDONLY)) < 0; }

/* IN: opened by a process that shares its descriptors, read by the other: an input */
static void op_shared_table(char **a)
{
	reap(must(clone(opens, stack + sizeof stack, CLONE_VM | CLONE_FILES | SIGCHLD, a[0])));
	read_some(shared);
}

static int reads(void *path)
{
	read_some(open_read(path));
	return 0;
}

/* IN: read by a grandchild that its parent made a child of this process's: an input */
static void op_adopted(char **a)
{
	pid_t child = must(fork());
	if (!child) {
		must(clone(reads, stack + sizeof stack, CLONE_PARENT | SIGCHLD, a[0]));
		_exit(0);
	}
	must(wait(NULL));
	must(wait(NULL));
}

/* IN OUT OUT2: one pipe's content in two files */
static void op_tee(char **a)
{
	int one[2], two[2];
	must(pipe(one));
	must(pipe(two));
	int length = must(splice(open_read(a[0]), NULL, one[1], NULL, PAGE, 0));
	expect(must(tee(one[0], two[1], length, 0)) == length);
	must(splice(one[0], NULL, open_new(a[1]), NULL, length, 0));
	must(splice(two[0], NULL, open_new(a[2]), NULL, length, 0));
}

/* OUT: memory that is given to a pipe, and the pipe to a file */
static void op_given(char **a)
{
	int ends[2];
	must(pipe(ends));
	struct iovec text = {"given\n", 6};
	must(vmsplice(ends[1], &text, 1, 0));
	expect(must(splice(ends[0], NULL, open_new(a[0]), NULL, 6, 0)) == 6);
}

static char *second;

static void *with_own_descriptors(void *first)
{
	/* The number is that of the other thread's file. */
	must(unshare(CLONE_FILES));
	must(dup2(open_read(second), *(int *)first));
	read_some(*(int *)first);
	return NULL;
}

/* IN IN2: a thread with a table of descriptors of its own, in one process: both */
static void op_own_table(char **a)
{
	int first = open_read(a[0]);
	read_some(first);
	second = a[1];
	pthread_t thread;
	expect(pthread_create(&thread, NULL, with_own_descriptors, &first) == 0);
	expect(pthread_join(thread, NULL) == 0);
}

/* IN OUT: a process that may do nothing but read and write */
static void op_confined(char **a)
{
	char bytes[64];
	int in = open_read(a[0]), out = open_new(a[1]);
	pid_t child = must(fork());
	if (child == 0) {
		must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
		syscall(SYS_exit, write(out, bytes, read(in, bytes, 64)) != 64);
	}
	reap(child);
}

/* IN IN2: whoever watches the calls of a process puts another file under a number of its */
static void op_injected(char **a)
{
	int first = open_read(a[0]), ends[2];
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	pid_t child = must(fork());
	if (child == 0) {
		struct sock_filter steps[] = {
			BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
			BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
			BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
			BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		};
		struct sock_fprog filter = {4, steps};
		read_some(first);
		must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
		int watch = must(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
					 SECCOMP_FILTER_FLAG_NEW_LISTENER, &filter));
		must(write(ends[1], &watch, sizeof watch));
		syscall(SYS_getppid);
		read_some(first);
		_exit(0);
	}
	int watch;
	must(read(ends[0], &watch, sizeof watch));
	watch = must(syscall(SYS_pidfd_getfd, must(syscall(SYS_pidfd_open, child, 0)), watch, 0));
	struct seccomp_notif call = {0};
	must(ioctl(watch, SECCOMP_IOCTL_NOTIF_RECV, &call));
	struct seccomp_notif_addfd add = {.id = call.id, .flags = SECCOMP_ADDFD_FLAG_SETFD,
					  .srcfd = open_read(a[1]), .newfd = first};
	must(ioctl(watch, SECCOMP_IOCTL_NOTIF_ADDFD, &add));
	struct seccomp_notif_resp answer = {.id = call.id};
	must(ioctl(watch, SECCOMP_IOCTL_NOTIF_SEND, &answer));
	reap(child);
}

static const struct operation operations[] = {
	{"protect-two", op_protect_two}, {"protect-two-writable", op_protect_two_writable},
	{"remap", op_remap}, {"protect-in-child", op_protect_in_child},
	{"map-nothing", op_map_nothing}, {"other-memory", op_other_memory},
	{"sendfile-empty", op_sendfile_empty}, {"copy-empty", op_copy_empty},
	{"dedupe", op_dedupe}, {"zero-range", op_zero_range},
	{"empty-by-reader", op_empty_by_reader}, {"cut-then-move", op_cut_then_move},
	{"cut-by-link", op_cut_by_link}, {"make-then-move", op_make_then_move},
	{"move-to-itself", op_move_to_itself}, {"reopen-removed", op_reopen_removed},
	{"places", op_places}, {"shared-table", op_shared_table}, {"adopted", op_adopted},
	{"tee", op_tee}, {"given", op_given},
	{"own-table", op_own_table}, {"confined", op_confined}, {"injected", op_injected},
};
WORKLOAD(operations)
