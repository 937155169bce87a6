//! Classes of system calls: what the exit program does with each number.

/// Entries of the class table: 512 numbers of the native interface, then 512 of the
/// 32-bit one.
pub const CLASS_TABLE_LEN: usize = 1024;

/// Where the 32-bit interface's numbers begin in the class table.
pub const COMPAT_OFFSET: usize = 512;

/// What a system call means. Values of the class table.
pub mod class {
    /// Not looked at.
    pub const NONE: u8 = 0;
    /// Descriptor in argument 0 was read; result is a byte count.
    pub const READ: u8 = 1;
    /// Descriptor in argument 0 was written; result is a byte count.
    pub const WRITE: u8 = 2;
    /// Result is a new descriptor; open flags in argument 1.
    pub const OPEN: u8 = 3;
    /// Result is a new descriptor; open flags in argument 2.
    pub const OPENAT: u8 = 4;
    /// Result is a new descriptor; argument 2 points to a `struct open_how`.
    pub const OPENAT2: u8 = 5;
    /// Result is a new descriptor, as of O_CREAT|O_WRONLY|O_TRUNC.
    pub const CREAT: u8 = 6;
    /// `mmap`: prot in argument 2, flags in 3, descriptor in 4.
    pub const MMAP: u8 = 7;
    /// `mprotect`/`pkey_mprotect`: address in argument 0, length in 1, prot in 2.
    pub const MPROTECT: u8 = 8;
    /// `ftruncate`: descriptor in argument 0; result 0.
    pub const FTRUNCATE: u8 = 9;
    /// `fallocate`: descriptor in argument 0; result 0.
    pub const FALLOCATE: u8 = 10;
    /// `sendfile`: out in argument 0, in in 1.
    pub const SENDFILE: u8 = 11;
    /// `splice`, `copy_file_range`: in in argument 0, out in 2.
    pub const COPY: u8 = 12;
    /// `ioctl`: those that copy, change or hand over the contents of files.
    pub const IOCTL: u8 = 13;
    /// `rename(old, new)`.
    pub const RENAME: u8 = 14;
    /// `renameat(dirfd, old, dirfd, new)`.
    pub const RENAMEAT: u8 = 15;
    /// `renameat2(dirfd, old, dirfd, new, flags)`.
    pub const RENAMEAT2: u8 = 16;
    /// `link(old, new)`.
    pub const LINK: u8 = 17;
    /// `linkat(dirfd, old, dirfd, new, flags)`.
    pub const LINKAT: u8 = 18;
    /// `symlink(target, path)`.
    pub const SYMLINK: u8 = 19;
    /// `symlinkat(target, dirfd, path)`.
    pub const SYMLINKAT: u8 = 20;
    /// `unlink(path)`.
    pub const UNLINK: u8 = 21;
    /// `unlinkat(dirfd, path, flags)`.
    pub const UNLINKAT: u8 = 22;
    /// `rmdir(path)`.
    pub const RMDIR: u8 = 23;
    /// `mkdir(path)`.
    pub const MKDIR: u8 = 24;
    /// `mkdirat(dirfd, path)`.
    pub const MKDIRAT: u8 = 25;
    /// `truncate(path, length)`.
    pub const TRUNCATE: u8 = 26;
    /// `mknod(path, mode)`.
    pub const MKNOD: u8 = 27;
    /// `mknodat(dirfd, path, mode)`.
    pub const MKNODAT: u8 = 28;
    /// `mount(source, target, type, flags, data)`.
    pub const MOUNT: u8 = 29;
    /// `umount(target)`, `umount2(target, flags)`.
    pub const UMOUNT: u8 = 30;
    /// `move_mount(dirfd, from, dirfd, to, flags)`.
    pub const MOVE_MOUNT: u8 = 31;
    /// `pivot_root(new, old)`.
    pub const PIVOT_ROOT: u8 = 32;
    /// `io_uring_setup`: a note.
    pub const IO_URING_SETUP: u8 = 33;
    /// `prctl`: the child's registration.
    pub const REGISTER: u8 = 34;
    /// `mmap2`-like old `mmap` of the 32-bit interface: argument 0 points to the arguments.
    pub const OLD_MMAP: u8 = 35;
    /// `io_submit`: argument 2 points to pointers to requests; result is how many were taken.
    pub const IO_SUBMIT: u8 = 36;
    /// As [`IO_SUBMIT`], with pointers of 32 bits.
    pub const COMPAT_IO_SUBMIT: u8 = 37;
    /// `swapon`, `acct`, `finit_module`, `kexec_file_load`: a note.
    pub const KERNEL_FILE: u8 = 38;
    /// `connect`: socket in argument 0; begun is as good as done.
    pub const CONNECT: u8 = 39;
    /// `sendto`: socket in argument 0, address (or none) in 4.
    pub const SENDTO: u8 = 40;
    /// `sendmsg`, `sendmmsg`: socket in argument 0, a `struct msghdr` at 1.
    pub const SENDMSG: u8 = 41;
    /// `recvfrom`: buffer in argument 1, the sender's address (or none) at 4.
    pub const RECVFROM: u8 = 42;
    /// `recvmsg`: a `struct msghdr` at argument 1.
    pub const RECVMSG: u8 = 43;
}
