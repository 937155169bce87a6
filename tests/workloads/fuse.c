/* A file system with one file, served by the process tree that uses it. Before the server
 * answers a look-up it opens a file of another file system: whoever observes opens by looking at
 * files must not wait for itself. Needs /dev/fuse and the right to mount. */
#include "common.h"
#include <linux/fuse.h>
#include <sys/mount.h>

static const char content[] = "served by the command itself\n";
static char request[FUSE_MIN_READ_BUFFER + 4096];

static struct fuse_attr attributes(uint64_t node)
{
	struct fuse_attr attr = {.ino = node, .nlink = 1, .blksize = 4096};
	attr.mode = node == FUSE_ROOT_ID ? S_IFDIR | 0755 : S_IFREG | 0644;
	attr.size = node == FUSE_ROOT_ID ? 0 : sizeof content - 1;
	return attr;
}

static void answer(int fuse, const struct fuse_in_header *to, int error, const void *body, size_t length)
{
	char reply[8192];
	struct fuse_out_header header = {.len = sizeof header + length, .error = error, .unique = to->unique};
	memcpy(reply, &header, sizeof header);
	memcpy(reply + sizeof header, body, length);
	/* ENOENT: nobody waits for it any more. */
	if (write(fuse, reply, header.len) < 0 && errno != ENOENT)
		fail("write to /dev/fuse");
}

/* Serves until the file system is unmounted. */
static void serve(int fuse, const char *other)
{
	for (;;) {
		ssize_t length = read(fuse, request, sizeof request);
		if (length < 0 && errno == ENODEV)
			return;
		if (length < 0 && (errno == EINTR || errno == ENOENT || errno == EAGAIN))
			continue;
		must(length);
		struct fuse_in_header *in = (void *)request;
		void *body = in + 1;
		switch (in->opcode) {
		case FUSE_INIT: {
			struct fuse_init_in *theirs = body;
			struct fuse_init_out out = {.major = 7, .minor = 31, .max_write = 4096};
			out.max_readahead = theirs->max_readahead;
			answer(fuse, in, 0, &out, sizeof out);
			break;
		}
		case FUSE_LOOKUP: {
			struct fuse_entry_out out = {.nodeid = 2, .attr = attributes(2)};
			close(open_read(other));
			if (strcmp(body, "file"))
				answer(fuse, in, -ENOENT, NULL, 0);
			else
				answer(fuse, in, 0, &out, sizeof out);
			break;
		}
		case FUSE_GETATTR: {
			struct fuse_attr_out out = {.attr = attributes(in->nodeid)};
			answer(fuse, in, 0, &out, sizeof out);
			break;
		}
		case FUSE_OPEN: {
			struct fuse_open_out out = {.fh = 1};
			answer(fuse, in, 0, &out, sizeof out);
			break;
		}
		case FUSE_READ: {
			struct fuse_read_in *wanted = body;
			size_t size = sizeof content - 1;
			size_t at = wanted->offset < size ? wanted->offset : size;
			size_t most = size - at < wanted->size ? size - at : wanted->size;
			answer(fuse, in, 0, content + at, most);
			break;
		}
		case FUSE_FLUSH:
		case FUSE_RELEASE:
			answer(fuse, in, 0, NULL, 0);
			break;
		case FUSE_FORGET:
		case FUSE_BATCH_FORGET:
		case FUSE_INTERRUPT:
			break;
		default:
			answer(fuse, in, -ENOSYS, NULL, 0);
		}
	}
}

/* FOLDER OTHER OUT: mounts on FOLDER, copies its file to OUT, unmounts; OTHER is opened by the server */
static void op_serve(char **a)
{
	char options[128], path[4096];
	int fuse = must(open("/dev/fuse", O_RDWR | O_CLOEXEC));
	snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=%d,group_id=%d", fuse, getuid(), getgid());
	must(mount("roar-test", a[0], "fuse", MS_NOSUID | MS_NODEV, options));
	pid_t server = must(fork());
	if (!server) {
		serve(fuse, a[1]);
		_exit(0);
	}
	close(fuse);
	snprintf(path, sizeof path, "%s/file", a[0]);
	char bytes[sizeof content];
	int in = open_read(path);
	ssize_t length = must(read(in, bytes, sizeof bytes));
	close(in);
	int out = open_new(a[2]);
	expect(must(write(out, bytes, length)) == length);
	close(out);
	must(umount2(a[0], MNT_DETACH));
	reap(server);
}

static const struct operation operations[] = {{"serve", op_serve}};
WORKLOAD(operations)
