/* Descriptors that travel: duplicated, renumbered, inherited, passed, re-used. */
#include "common.h"
#include <spawn.h>
#include <sys/resource.h>
#include <sys/socket.h>

extern char **environ;

static int plain_open(const char *path) { return must(open(path, O_RDONLY)); }

static int plain_new(const char *path)
{
	return must(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644));
}

/* IN OUT: read and written through duplicates; the originals are closed */
static void through(int in, int in_copy, int out, int out_copy)
{
	must(in_copy);
	must(out_copy);
	close(in);
	close(out);
	read_some(in_copy);
	write_some(out_copy);
}
static void op_dup(char **a)
{
	int in = plain_open(a[0]), out = plain_new(a[1]);
	through(in, dup(in), out, dup(out));
}
static void op_dup2(char **a)
{
	int in = plain_open(a[0]), out = plain_new(a[1]);
	through(in, dup2(in, 50), out, dup2(out, 51));
}
static void op_dup3(char **a)
{
	int in = plain_open(a[0]), out = plain_new(a[1]);
	through(in, dup3(in, 50, O_CLOEXEC), out, dup3(out, 51, 0));
}
static void op_f_dupfd(char **a)
{
	int in = plain_open(a[0]), out = plain_new(a[1]);
	through(in, fcntl(in, F_DUPFD, 100), out, fcntl(out, F_DUPFD_CLOEXEC, 100));
}

/* IN OUT: the same above 1023 */
static void op_high(char **a)
{
	struct rlimit limit;
	must(getrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_cur = limit.rlim_max;
	must(setrlimit(RLIMIT_NOFILE, &limit));
	int in = plain_open(a[0]), out = plain_new(a[1]);
	through(in, dup2(in, 1024), out, dup2(out, 3001));
}

/* IN OUT IN2: one number stands for one file after the other, closed in between */
static void op_reuse(char **a)
{
	int fd = plain_open(a[0]);
	read_some(fd);
	close(fd);
	expect(plain_new(a[1]) == fd);
	write_some(fd);
	close(fd);
	expect(plain_open(a[2]) == fd);
	read_some(fd);
}

/* IN IN2: dup2 puts another file under a number that has been read before */
static void op_replace(char **a)
{
	int fd = plain_open(a[0]), other = plain_open(a[1]);
	read_some(fd);
	must(dup2(other, fd));
	close(other);
	read_some(fd);
}

/* IN IN2: as `reuse`, with close_range */
static void op_close_range(char **a)
{
	int fd = plain_open(a[0]);
	read_some(fd);
	must(close_range(fd, ~0U, 0));
	expect(plain_open(a[1]) == fd);
	read_some(fd);
}

/* IN OUT: opened by the parent, used by the child alone */
static void op_fork(char **a)
{
	int in = plain_open(a[0]), out = plain_new(a[1]);
	pid_t child = must(fork());
	if (!child) {
		read_some(in);
		write_some(out);
		_exit(0);
	}
	close(in);
	close(out);
	reap(child);
}
static void op_vfork(char **a)
{
	int in = plain_open(a[0]), out = plain_new(a[1]);
	pid_t child = must(vfork());
	if (!child) {
		char bytes[64];
		long n = read(in, bytes, sizeof bytes);
		_exit(n > 0 && write(out, bytes, n) == n ? 0 : 1);
	}
	reap(child);
}

/* IN OUT: opened by posix_spawn's file actions, used by the new program */
static void op_spawn(char **a)
{
	posix_spawn_file_actions_t actions;
	char *arguments[] = {"descriptor", "standard", NULL};
	pid_t child;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, a[0], O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, 1, a[1], O_WRONLY | O_CREAT, 0644);
	expect(!posix_spawn(&child, "/proc/self/exe", &actions, NULL, arguments, environ));
	reap(child);
}

/* IN OUT: opened before exec, used after it under the same numbers */
static void op_exec(char **a)
{
	must(dup2(plain_open(a[0]), 0));
	must(dup2(plain_new(a[1]), 1));
	must(execl("/proc/self/exe", "descriptor", "standard", (char *)NULL));
}

/* Reads from standard input, writes to standard output */
static void op_standard(char **a)
{
	(void)a;
	read_some(0);
	write_some(1);
}

/* IN IN2 UNREAD OUT: numbers that close on exec are re-used by pipes, sockets and files.
 * UNREAD is opened before and after, never read. */
static void op_cloexec(char **a)
{
	read_some(open_read(a[0]));
	open_read(a[2]);
	must(execl("/proc/self/exe", "descriptor", "cloexec-after", a[1], a[3], (char *)NULL));
}
static void op_cloexec_after(char **a)
{
	int pair[2];
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	write_some(pair[0]);
	read_some(pair[1]);
	close(pair[0]);
	close(pair[1]);
	int in = plain_open(a[0]), out = plain_new(a[1]);
	expect(in == pair[0] && out == pair[1]);
	read_some(in);
	write_some(out);
}

static void send_fd(int through, int fd)
{
	char byte = 0, control[CMSG_SPACE(sizeof fd)] = {0};
	struct iovec vector = {&byte, 1};
	struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof control};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(header), &fd, sizeof fd);
	must(sendmsg(through, &message, 0));
}

static int receive_fd(int through)
{
	int fd;
	char byte, control[CMSG_SPACE(sizeof fd)];
	struct iovec vector = {&byte, 1};
	struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof control};
	expect(must(recvmsg(through, &message, 0)) == 1);
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
	return fd;
}

/* IN OUT: opened by one process, used by another that got them over a socket. The receiver's
 * number was that of another, read file before. IN2 is that file. */
static void op_scm_rights(char **a)
{
	int pair[2];
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	pid_t child = must(fork());
	if (!child) {
		int before = plain_open(a[2]);
		read_some(before);
		close(before);
		int in = receive_fd(pair[1]), out = receive_fd(pair[1]);
		expect(in == before);
		read_some(in);
		write_some(out);
		_exit(0);
	}
	send_fd(pair[0], plain_open(a[0]));
	send_fd(pair[0], plain_new(a[1]));
	reap(child);
}

/* IN: opened by the child, taken and read by the parent */
static void op_pidfd_getfd(char **a)
{
	int ready[2], done[2], fd = -1;
	char byte;
	must(pipe(ready));
	must(pipe(done));
	pid_t child = must(fork());
	if (!child) {
		close(done[1]);
		fd = plain_open(a[0]);
		must(write(ready[1], &fd, sizeof fd));
		must(read(done[0], &byte, 1));
		_exit(0);
	}
	must(read(ready[0], &fd, sizeof fd));
	int process = must(syscall(SYS_pidfd_open, child, 0));
	read_some(must(syscall(SYS_pidfd_getfd, process, fd, 0)));
	close(done[1]);
	reap(child);
}

static const struct operation operations[] = {
	{"dup", op_dup}, {"dup2", op_dup2}, {"dup3", op_dup3}, {"f-dupfd", op_f_dupfd},
	{"high", op_high}, {"reuse", op_reuse}, {"replace", op_replace},
	{"close-range", op_close_range}, {"fork", op_fork}, {"vfork", op_vfork},
	{"spawn", op_spawn}, {"exec", op_exec}, {"standard", op_standard},
	{"cloexec", op_cloexec}, {"cloexec-after", op_cloexec_after},
	{"scm-rights", op_scm_rights}, {"pidfd-getfd", op_pidfd_getfd},
};
WORKLOAD(operations)
