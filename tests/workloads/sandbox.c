/* Runs a command under a seccomp filter of an outer world: SANDBOX KIND COMMAND [ARGUMENT…]. */
#include "common.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

#define FIELD(name) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, name))
#define RETURN(what) BPF_STMT(BPF_RET | BPF_K, what)
#define UNLESS(value, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skip)
#define UNLESS_SET(value, skip) BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, value, 0, skip)
#define REFUSE(error) RETURN(SECCOMP_RET_ERRNO | (error))

static void become(struct sock_filter *filter, size_t length, char **command)
{
	struct sock_fprog program = {.len = length, .filter = filter};
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	must(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
	execvp(command[0], command);
	fail(command[0]);
}

/* What Docker's default profile lets a container without capabilities call, on x86-64. Beside
 * these, clone without new namespaces is allowed, and clone3 does not exist. */
static const short docker[] = {
	SYS_accept, SYS_accept4, SYS_access, SYS_adjtimex, SYS_alarm, SYS_arch_prctl, SYS_bind, SYS_brk,
	SYS_capget, SYS_capset, SYS_chdir, SYS_chmod, SYS_chown, SYS_clock_adjtime, SYS_clock_getres,
	SYS_clock_gettime, SYS_clock_nanosleep, SYS_close, SYS_close_range, SYS_connect,
	SYS_copy_file_range, SYS_creat, SYS_dup, SYS_dup2, SYS_dup3, SYS_epoll_create,
	SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_pwait, SYS_epoll_pwait2, SYS_epoll_wait,
	SYS_eventfd, SYS_eventfd2, SYS_execve, SYS_execveat, SYS_exit, SYS_exit_group, SYS_faccessat,
	SYS_faccessat2, SYS_fadvise64, SYS_fallocate, SYS_fanotify_mark, SYS_fchdir, SYS_fchmod,
	SYS_fchmodat, SYS_fchown, SYS_fchownat, SYS_fcntl, SYS_fdatasync, SYS_fgetxattr,
	SYS_flistxattr, SYS_flock, SYS_fork, SYS_fremovexattr, SYS_fsetxattr, SYS_fstat, SYS_fstatfs,
	SYS_fsync, SYS_ftruncate, SYS_futex, SYS_futimesat, SYS_getcpu, SYS_getcwd, SYS_getdents,
	SYS_getdents64, SYS_getegid, SYS_geteuid, SYS_getgid, SYS_getgroups, SYS_getitimer,
	SYS_getpeername, SYS_getpgid, SYS_getpgrp, SYS_getpid, SYS_getppid, SYS_getpriority,
	SYS_getrandom, SYS_getresgid, SYS_getresuid, SYS_getrlimit, SYS_get_robust_list,
	SYS_getrusage, SYS_getsid, SYS_getsockname, SYS_getsockopt, SYS_get_thread_area, SYS_gettid,
	SYS_gettimeofday, SYS_getuid, SYS_getxattr, SYS_inotify_add_watch, SYS_inotify_init,
	SYS_inotify_init1, SYS_inotify_rm_watch, SYS_io_cancel, SYS_ioctl, SYS_io_destroy,
	SYS_io_getevents, SYS_io_pgetevents, SYS_ioprio_get, SYS_ioprio_set, SYS_io_setup,
	SYS_io_submit, SYS_kill, SYS_lchown, SYS_lgetxattr, SYS_link, SYS_linkat, SYS_listen,
	SYS_listxattr, SYS_llistxattr, SYS_lremovexattr, SYS_lseek, SYS_lsetxattr, SYS_lstat,
	SYS_madvise, SYS_membarrier, SYS_memfd_create, SYS_mincore, SYS_mkdir, SYS_mkdirat, SYS_mknod,
	SYS_mknodat, SYS_mlock, SYS_mlock2, SYS_mlockall, SYS_mmap, SYS_modify_ldt, SYS_mprotect,
	SYS_mq_getsetattr, SYS_mq_notify, SYS_mq_open, SYS_mq_timedreceive, SYS_mq_timedsend,
	SYS_mq_unlink, SYS_mremap, SYS_msgctl, SYS_msgget, SYS_msgrcv, SYS_msgsnd, SYS_msync,
	SYS_munlock, SYS_munlockall, SYS_munmap, SYS_name_to_handle_at, SYS_nanosleep, SYS_newfstatat,
	SYS_open, SYS_openat, SYS_openat2, SYS_pause, SYS_pidfd_open, SYS_pidfd_send_signal, SYS_pipe,
	SYS_pipe2, SYS_pkey_alloc, SYS_pkey_free, SYS_pkey_mprotect, SYS_poll, SYS_ppoll, SYS_prctl,
	SYS_pread64, SYS_preadv, SYS_preadv2, SYS_prlimit64, SYS_process_vm_readv,
	SYS_process_vm_writev, SYS_pselect6, SYS_ptrace, SYS_pwrite64, SYS_pwritev, SYS_pwritev2,
	SYS_read, SYS_readahead, SYS_readlink, SYS_readlinkat, SYS_readv, SYS_recvfrom, SYS_recvmmsg,
	SYS_recvmsg, SYS_remap_file_pages, SYS_removexattr, SYS_rename, SYS_renameat, SYS_renameat2,
	SYS_restart_syscall, SYS_rmdir, SYS_rseq, SYS_rt_sigaction, SYS_rt_sigpending,
	SYS_rt_sigprocmask, SYS_rt_sigqueueinfo, SYS_rt_sigreturn, SYS_rt_sigsuspend,
	SYS_rt_sigtimedwait, SYS_rt_tgsigqueueinfo, SYS_sched_getaffinity, SYS_sched_getattr,
	SYS_sched_getparam, SYS_sched_get_priority_max, SYS_sched_get_priority_min,
	SYS_sched_getscheduler, SYS_sched_rr_get_interval, SYS_sched_setaffinity, SYS_sched_setattr,
	SYS_sched_setparam, SYS_sched_setscheduler, SYS_sched_yield, SYS_seccomp, SYS_select,
	SYS_semctl, SYS_semget, SYS_semop, SYS_semtimedop, SYS_sendfile, SYS_sendmmsg, SYS_sendmsg,
	SYS_sendto, SYS_setfsgid, SYS_setfsuid, SYS_setgid, SYS_setgroups, SYS_setitimer, SYS_setpgid,
	SYS_setpriority, SYS_setregid, SYS_setresgid, SYS_setresuid, SYS_setreuid, SYS_setrlimit,
	SYS_set_robust_list, SYS_setsid, SYS_setsockopt, SYS_set_thread_area, SYS_set_tid_address,
	SYS_setuid, SYS_setxattr, SYS_shmat, SYS_shmctl, SYS_shmdt, SYS_shmget, SYS_shutdown,
	SYS_sigaltstack, SYS_signalfd, SYS_signalfd4, SYS_socket, SYS_socketpair, SYS_splice, SYS_stat,
	SYS_statfs, SYS_statx, SYS_symlink, SYS_symlinkat, SYS_sync, SYS_sync_file_range, SYS_syncfs,
	SYS_sysinfo, SYS_tee, SYS_tgkill, SYS_time, SYS_timer_create, SYS_timer_delete,
	SYS_timer_getoverrun, SYS_timer_gettime, SYS_timer_settime, SYS_timerfd_create,
	SYS_timerfd_gettime, SYS_timerfd_settime, SYS_times, SYS_tkill, SYS_truncate, SYS_umask,
	SYS_uname, SYS_unlink, SYS_unlinkat, SYS_utime, SYS_utimensat, SYS_utimes, SYS_vfork,
	SYS_vmsplice, SYS_wait4, SYS_waitid, SYS_write, SYS_writev,
};

static void op_docker(char **command)
{
	enum { count = sizeof docker / sizeof *docker };
	static struct sock_filter filter[2 * count + 16];
	const struct sock_filter first[] = {
		FIELD(arch),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
		REFUSE(EPERM),
		FIELD(nr),
		UNLESS(SYS_clone3, 1),
		REFUSE(ENOSYS),
		UNLESS(SYS_clone, 4),
		FIELD(args[0]),
		UNLESS_SET(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |
			   CLONE_NEWPID | CLONE_NEWNET, 1),
		REFUSE(EPERM),
		RETURN(SECCOMP_RET_ALLOW),
	};
	size_t length = sizeof first / sizeof *first;
	memcpy(filter, first, sizeof first);
	for (size_t i = 0; i < count; i++) {
		filter[length++] = (struct sock_filter)UNLESS(docker[i], 1);
		filter[length++] = (struct sock_filter)RETURN(SECCOMP_RET_ALLOW);
	}
	filter[length++] = (struct sock_filter)REFUSE(EPERM);
	become(filter, length, command);
}

/* One call does not exist, or is forbidden. */
static void without(int call, int error, char **command)
{
	struct sock_filter filter[] = {FIELD(nr), UNLESS(call, 1), REFUSE(error), RETURN(SECCOMP_RET_ALLOW)};
	become(filter, sizeof filter / sizeof *filter, command);
}

/* A flag of seccomp(2) is not known. */
static void without_flag(unsigned flag, char **command)
{
	struct sock_filter filter[] = {
		FIELD(nr), UNLESS(SYS_seccomp, 3), FIELD(args[1]), UNLESS_SET(flag, 1), REFUSE(EINVAL),
		RETURN(SECCOMP_RET_ALLOW),
	};
	become(filter, sizeof filter / sizeof *filter, command);
}

static void op_no_listener(char **a) { without_flag(SECCOMP_FILTER_FLAG_NEW_LISTENER, a); }
static void op_no_wait_killable(char **a) { without_flag(SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, a); }
static void op_no_seccomp(char **a) { without(SYS_seccomp, EPERM, a); }
static void op_no_vm_readv(char **a) { without(SYS_process_vm_readv, EPERM, a); }
static void op_no_openat2(char **a) { without(SYS_openat2, ENOSYS, a); }
static void op_no_bpf(char **a) { without(SYS_bpf, EPERM, a); }
static void op_no_pidfd(char **a) { without(SYS_pidfd_open, ENOSYS, a); }

static const struct operation operations[] = {
	{"docker", op_docker}, {"no-listener", op_no_listener},
	{"no-wait-killable", op_no_wait_killable}, {"no-seccomp", op_no_seccomp},
	{"no-vm-readv", op_no_vm_readv}, {"no-openat2", op_no_openat2}, {"no-pidfd", op_no_pidfd},
	{"no-bpf", op_no_bpf},
};
WORKLOAD(operations)
