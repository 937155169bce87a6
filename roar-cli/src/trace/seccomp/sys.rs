//! The system calls of this back-end that rustix does not wrap: the only unsafe code of it.
//!
//! Functions marked "after fork" use no lock and no allocator: they may run in a child
//! forked from a process with threads.

#![expect(
    unsafe_code,
    reason = "seccomp, its ioctls, process_vm_readv and fork have no safe wrapper"
)]

use std::cell::UnsafeCell;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};

use libc::{c_int, c_long, c_ulong, c_void};

/// Ask the kernel to keep other threads' signals from interrupting a call that the
/// supervisor has received (Linux 5.19).
pub(super) const WAIT_KILLABLE_RECV: c_ulong = libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
/// Let a notification run the supervisor on the notifier's CPU (Linux 6.6,
/// `include/uapi/linux/seccomp.h`: SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP).
const SYNC_WAKE_UP: c_ulong = 1;

fn checked(result: c_long) -> io::Result<c_long> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Gives up gaining privileges by exec, for this process and its children. After fork.
pub(super) fn set_no_new_privileges() -> io::Result<()> {
    let (one, zero): (c_ulong, c_ulong) = (1, 0);
    // SAFETY: PR_SET_NO_NEW_PRIVS takes four integers and touches no memory.
    let result = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, one, zero, zero, zero) };
    checked(c_long::from(result)).map(drop)
}

/// Installs a filter on the calling thread and returns its listener. After fork.
pub(super) fn install_filter(program: &[libc::sock_filter], flags: c_ulong) -> io::Result<OwnedFd> {
    let program = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: the kernel copies `len` instructions from `filter`, which outlives the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags | libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
            &raw const program,
        )
    };
    let fd = checked(result)? as RawFd;
    // SAFETY: with NEW_LISTENER the result is a new descriptor, owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Asks for wake-ups on the other side's CPU, or for no such thing; kernels before 6.6 refuse and
/// nothing is lost.
pub(super) fn prefer_same_cpu(listener: BorrowedFd<'_>, prefers: bool) {
    let flags = if prefers { SYNC_WAKE_UP } else { 0 };
    // SAFETY: this ioctl takes an integer.
    let _ = unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS,
            flags,
        )
    };
}

/// A received notification.
#[derive(Clone, Copy, Debug)]
pub(super) struct Notification {
    /// Names the notification in the answer.
    pub(super) id: u64,
    /// The thread that is waiting; 0 where roar's pid namespace does not show it.
    pub(super) thread: u32,
    /// `AUDIT_ARCH_*` of its call.
    pub(super) arch: u32,
    /// Number of its call.
    pub(super) number: i32,
    /// Arguments of its call.
    pub(super) args: [u64; 6],
}

/// How many receivers there are: the supervisor and its stand-in.
pub(super) const RECEIVERS: usize = 2;

/// Memory shared with the guard: what each receiver last took from the listener.
pub(super) struct Slots(*mut Slot);

/// One receiver's slot.
#[repr(C)]
struct Slot {
    /// Written by the kernel in NOTIF_RECV, read by the guard once the writer is dead.
    notification: UnsafeCell<libc::seccomp_notif>,
    /// The id as read after the receive; also read by the watch, in the same process.
    id: AtomicU64,
}

// SAFETY: each slot has one receiver; others read only the atomic, or (the guard) the
// notification after the receiver's death.
unsafe impl Send for Slots {}
// SAFETY: as above.
unsafe impl Sync for Slots {}

impl Slots {
    /// Maps fresh, zeroed memory that forked children share.
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: a new anonymous mapping; no existing memory is touched.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                RECEIVERS * size_of::<Slot>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self(address.cast()))
    }

    fn slot(&self, receiver: usize) -> &Slot {
        assert!(
            receiver < RECEIVERS,
            "receivers are numbered below RECEIVERS"
        );
        // SAFETY: the mapping holds RECEIVERS slots; the assertion keeps the offset inside.
        let slot = unsafe { self.0.add(receiver) };
        // SAFETY: mapped zeroed, and zeroes are a valid Slot; it lives as long as self.
        unsafe { &*slot }
    }

    /// The notification that a receiver holds or last held (0: none). After fork.
    pub(super) fn held(&self, receiver: usize) -> u64 {
        self.slot(receiver).id.load(Ordering::SeqCst)
    }

    /// What the kernel last wrote for a receiver that is dead. After fork.
    pub(super) fn left_by_dead(&self, receiver: usize) -> u64 {
        let notification = self.slot(receiver).notification.get();
        // SAFETY: the receiver is dead, so nobody writes; any bit pattern is valid.
        let left = unsafe { notification.read_volatile() };
        left.id
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        // SAFETY: unmaps exactly what `new` mapped; no reference outlives self.
        unsafe { libc::munmap(self.0.cast::<c_void>(), RECEIVERS * size_of::<Slot>()) };
    }
}

/// Takes the next notification into a receiver's slot; blocks while there is none. After fork.
///
/// # Errors
/// ENOENT: the caller went away while it was taken. EINTR: a signal.
pub(super) fn receive(
    listener: BorrowedFd<'_>,
    slots: &Slots,
    receiver: usize,
) -> io::Result<Notification> {
    let slot = slots.slot(receiver);
    slot.id.store(0, Ordering::SeqCst);
    let memory = slot.notification.get();
    // SAFETY: only this receiver uses its slot; the kernel demands zeroed memory.
    unsafe { memory.write_bytes(0, 1) };
    // SAFETY: the kernel writes one seccomp_notif to memory that is valid for it.
    let result = unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_RECV as _,
            memory,
        )
    };
    checked(c_long::from(result))?;
    // SAFETY: written by the kernel just now, and by nobody else.
    let taken = unsafe { memory.read() };
    slot.id.store(taken.id, Ordering::SeqCst);
    Ok(Notification {
        id: taken.id,
        thread: taken.pid,
        arch: taken.data.arch,
        number: taken.data.nr,
        args: taken.data.args,
    })
}

/// How a notification is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The kernel runs the call as if nothing had been.
    Continue,
    /// The call fails.
    Fail(c_int),
}

/// Answers a notification. After fork.
///
/// # Errors
/// ENOENT: the caller is gone, or somebody answered already.
pub(super) fn answer(listener: BorrowedFd<'_>, id: u64, answer: Answer) -> io::Result<()> {
    let (error, flags) = match answer {
        Answer::Continue => (0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32),
        Answer::Fail(errno) => (-errno, 0),
    };
    let mut response = libc::seccomp_notif_resp {
        id,
        val: 0,
        error,
        flags,
    };
    // SAFETY: the kernel reads one seccomp_notif_resp from valid memory.
    let result = unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_SEND as _,
            &raw mut response,
        )
    };
    checked(c_long::from(result)).map(drop)
}

/// Reads memory of another process; may be short at the end of a mapping.
pub(super) fn read_memory(thread: u32, address: u64, into: &mut [u8]) -> io::Result<usize> {
    let local = libc::iovec {
        iov_base: into.as_mut_ptr().cast(),
        iov_len: into.len(),
    };
    let remote = libc::iovec {
        iov_base: address as *mut c_void,
        iov_len: into.len(),
    };
    // SAFETY: the kernel writes at most `into.len()` bytes to `into`, and checks the remote side.
    let result = unsafe {
        libc::process_vm_readv(thread as i32, &raw const local, 1, &raw const remote, 1, 0)
    };
    checked(result as c_long).map(|length| length as usize)
}

/// Whether roar itself could access the file behind a descriptor (effective ids, access
/// lists and read-only mounts regarded; Linux 5.8).
pub(super) fn may_access(file: BorrowedFd<'_>, mode: c_int) -> io::Result<bool> {
    // SAFETY: the path is a NUL-terminated constant; nothing is written.
    let result = unsafe {
        libc::syscall(
            libc::SYS_faccessat2,
            file.as_raw_fd(),
            c"".as_ptr(),
            mode,
            libc::AT_EMPTY_PATH | libc::AT_EACCESS,
        )
    };
    match checked(result) {
        Ok(_) => Ok(true),
        Err(error) => match error.raw_os_error() {
            Some(libc::EACCES | libc::EPERM | libc::EROFS | libc::ETXTBSY) => Ok(false),
            _ => Err(error),
        },
    }
}

/// What a pidfd tells of its process.
#[derive(Clone, Copy, Debug)]
pub(super) struct PidInfo {
    /// Thread group id.
    pub(super) group: u32,
    /// Parent.
    pub(super) parent: u32,
    /// File-system user.
    pub(super) user: u32,
    /// File-system group.
    pub(super) primary_group: u32,
}

fn pid_info_raw(pidfd: BorrowedFd<'_>, mask: u32) -> io::Result<libc::pidfd_info> {
    // SAFETY: a plain structure of integers; zeroes are valid.
    let mut info: libc::pidfd_info = unsafe { std::mem::zeroed() };
    info.mask = u64::from(mask);
    // SAFETY: the request encodes the structure's size, which bounds what the kernel writes.
    let result =
        unsafe { libc::ioctl(pidfd.as_raw_fd(), libc::PIDFD_GET_INFO as _, &raw mut info) };
    checked(c_long::from(result))?;
    Ok(info)
}

/// Asks a pidfd about a living process (Linux 6.13).
pub(super) fn pid_info(pidfd: BorrowedFd<'_>) -> io::Result<PidInfo> {
    let info = pid_info_raw(pidfd, libc::PIDFD_INFO_PID | libc::PIDFD_INFO_CREDS)?;
    Ok(PidInfo {
        group: info.tgid,
        parent: info.ppid,
        user: info.fsuid,
        primary_group: info.fsgid,
    })
}

/// The number of the mount namespace of a pidfd's process (Linux 6.11).
pub(super) fn mount_namespace(pidfd: BorrowedFd<'_>) -> io::Result<u64> {
    // SAFETY: this request takes no argument and touches no memory.
    let result = unsafe { libc::ioctl(pidfd.as_raw_fd(), libc::PIDFD_GET_MNT_NAMESPACE as _, 0) };
    let fd = checked(c_long::from(result))? as RawFd;
    // SAFETY: the result is a new descriptor, owned by nobody else.
    let namespace = unsafe { OwnedFd::from_raw_fd(fd) };
    Ok(rustix::fs::fstat(namespace)?.st_ino)
}

/// The wait status of a process that was reaped already (Linux 6.15).
pub(super) fn exit_status(pidfd: BorrowedFd<'_>) -> Option<c_int> {
    let info = pid_info_raw(pidfd, libc::PIDFD_INFO_EXIT).ok()?;
    (info.mask & u64::from(libc::PIDFD_INFO_EXIT) != 0).then_some(info.exit_code)
}

/// The calling thread's id.
pub(super) fn own_thread() -> u32 {
    // SAFETY: takes nothing, touches no memory, cannot fail.
    unsafe { libc::gettid() as u32 }
}

/// The signal that ends a blocking call of this process's threads. By default it does nothing,
/// and an exec puts that default back: the command, which is forked before, is not concerned.
const INTERRUPT: c_int = libc::SIGURG;

/// Has [`interrupt`] end blocking calls.
pub(super) fn let_interrupts_through() -> io::Result<()> {
    extern "C" fn nothing(_: c_int) {}
    // SAFETY: a plain structure of integers; zeroes are an empty mask and no flags.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = nothing as extern "C" fn(c_int) as usize;
    // SAFETY: a handler that does nothing may run at any moment.
    let result = unsafe { libc::sigaction(INTERRUPT, &raw const action, std::ptr::null_mut()) };
    checked(c_long::from(result)).map(drop)
}

/// Ends the blocking call that a thread of this process is in, if it is in one.
pub(super) fn interrupt(thread: u32) {
    let process = std::process::id() as i32;
    // SAFETY: sends a signal to a thread of this process; no memory is involved.
    unsafe { libc::syscall(libc::SYS_tgkill, process, thread as i32, INTERRUPT) };
}

/// Monotonic time, nanoseconds.
pub(super) fn monotonic_ns() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: writes one timespec; CLOCK_MONOTONIC always exists.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Sends one descriptor over a socket. After fork.
pub(super) fn send_descriptor(socket: RawFd, descriptor: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the caller keeps the socket open; it was made for this child.
    let socket = unsafe { BorrowedFd::borrow_raw(socket) };
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = rustix::net::SendAncillaryBuffer::new(&mut space);
    let descriptors = [descriptor];
    control.push(rustix::net::SendAncillaryMessage::ScmRights(&descriptors));
    rustix::net::sendmsg(
        socket,
        &[io::IoSlice::new(b"L")],
        &mut control,
        rustix::net::SendFlags::NOSIGNAL,
    )?;
    Ok(())
}

/// Closes the forked child's copy of a descriptor of roar. After fork.
pub(super) fn close_copy(descriptor: RawFd) {
    // SAFETY: closes a number in the child's own table; what owned it there never runs.
    unsafe { libc::close(descriptor) };
}

/// Forks a process that runs `body` and exits with what it returns. `body` may use only what is safe after a
/// fork from a process with threads.
pub(super) fn fork(body: impl FnOnce() -> c_int) -> io::Result<u32> {
    // SAFETY: the child runs only `body`, whose callers keep to functions marked "after fork".
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let status = body();
        // SAFETY: ends the child without running exit handlers of the parent's program.
        unsafe { libc::_exit(status) };
    }
    checked(c_long::from(pid)).map(|pid| pid as u32)
}

/// Waits for a child of this process and returns its wait status.
pub(super) fn reap(pid: u32) -> io::Result<c_int> {
    let mut status = 0;
    loop {
        // SAFETY: writes one integer.
        let result = unsafe { libc::waitpid(pid as i32, &raw mut status, 0) };
        match checked(c_long::from(result)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
            Ok(_) => return Ok(status),
        }
    }
}

/// Kills a child of this process.
pub(super) fn kill(pid: u32) {
    // SAFETY: sends a signal; no memory is involved.
    unsafe { libc::kill(pid as i32, libc::SIGKILL) };
}

/// Blocks every signal for this thread. After fork.
pub(super) fn block_signals() {
    // SAFETY: a plain structure of integers.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: fills the set.
    unsafe { libc::sigfillset(&raw mut set) };
    // SAFETY: reads the set; the old mask is not wanted.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut()) };
}

/// Keeps only two descriptors, as numbers 0 and 1, and closes every other. After fork.
pub(super) fn keep_only(first: RawFd, second: RawFd) -> [BorrowedFd<'static>; 2] {
    // Above both targets first: either may be 0 or 1 itself.
    // SAFETY: duplicates a descriptor; no memory is involved.
    let first = unsafe { libc::fcntl(first, libc::F_DUPFD, 2) };
    // SAFETY: as above.
    let second = unsafe { libc::fcntl(second, libc::F_DUPFD, 2) };
    // SAFETY: the forked child owns its descriptor table; nobody else uses number 0.
    unsafe { libc::dup2(first, 0) };
    // SAFETY: as above, number 1.
    unsafe { libc::dup2(second, 1) };
    // SAFETY: as above, everything from 2 up (Linux 5.9; seccomp CONTINUE needs 5.5).
    unsafe { libc::syscall(libc::SYS_close_range, 2, u32::MAX, 0) };
    // SAFETY: 0 stays open to the end of this process.
    let first = unsafe { BorrowedFd::borrow_raw(0) };
    // SAFETY: 1 stays open to the end of this process.
    let second = unsafe { BorrowedFd::borrow_raw(1) };
    [first, second]
}
