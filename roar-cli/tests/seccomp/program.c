/* What a test of the seccomp tracer needs of C, by the first argument. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

static void tick(int signal) { (void)signal; }

/* Opens under a timer whose handler does not restart calls. */
static int timer(void) {
    struct sigaction action = {.sa_handler = tick};
    struct itimerval every = {{0, 300}, {0, 300}};
    int interrupted = 0;
    sigaction(SIGALRM, &action, 0);
    setitimer(ITIMER_REAL, &every, 0);
    for (int i = 0; i < 5000; i++) {
        int fd = open("in", O_RDONLY);
        if (fd < 0) interrupted += errno == EINTR; else close(fd);
    }
    /* One more call in peace: what vanished before it shows in its number. */
    every.it_interval.tv_usec = every.it_value.tv_usec = 0;
    setitimer(ITIMER_REAL, &every, 0);
    close(open("in", O_RDONLY));
    printf("%d interrupted\n", interrupted);
    return interrupted != 0;
}

/* The default filter of containers, as far as it concerns a tracer. */
static int outer(char **command) {
    static const int forbidden[] = {
        SYS_bpf, SYS_perf_event_open, SYS_mount, SYS_umount2, SYS_setns, SYS_unshare,
        SYS_pivot_root, SYS_open_by_handle_at, SYS_userfaultfd, SYS_kexec_load,
        SYS_init_module, SYS_io_uring_setup, SYS_io_uring_enter, SYS_move_mount, SYS_fsopen,
        SYS_process_vm_writev, SYS_lookup_dcookie, SYS_acct, SYS_quotactl, SYS_reboot,
    };
    enum { COUNT = sizeof forbidden / sizeof *forbidden };
    struct sock_filter rules[2 * COUNT + 2] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    };
    for (int i = 0; i < COUNT; i++) {
        rules[1 + 2 * i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, forbidden[i], 0, 1);
        rules[2 + 2 * i] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    }
    rules[2 * COUNT + 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {2 * COUNT + 2, rules};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program)) return 1;
    execvp(command[0], command);
    return 2;
}

/* A file that gets its name last. */
static int tmpfile_(void) {
    char path[64];
    int fd = open(".", O_TMPFILE | O_RDWR, 0644);
    if (fd < 0 || write(fd, "x", 1) != 1) return 1;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW) != 0;
}

/* open(2) through the 32-bit interface: the path has to lie below 4 GiB. */
static int compat(void) {
#ifdef __x86_64__
    char *low = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    long result = 5;
    if (low == MAP_FAILED) return 77;
    strcpy(low, "in");
    __asm__ volatile("int $0x80" : "+a"(result) : "b"(low), "c"(O_RDONLY), "d"(0) : "memory", "r8", "r9", "r10", "r11");
    if (result == -ENOSYS) return 77;
    return result < 0;
#else
    return 77;
#endif
}

int main(int count, char **words) {
    if (count < 2) return 9;
    if (!strcmp(words[1], "read")) return open("in", O_RDONLY) < 0;
    if (!strcmp(words[1], "timer")) return timer();
    if (!strcmp(words[1], "tmpfile")) return tmpfile_();
    if (!strcmp(words[1], "compat")) return compat();
    if (!strcmp(words[1], "outer")) return outer(words + 2);
    if (!strcmp(words[1], "uring")) {
        char parameters[256] = {0};
        return !(syscall(SYS_io_uring_setup, 4, parameters) == -1 && errno == ENOSYS);
    }
    return 9;
}
