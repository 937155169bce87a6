//! The class of every system call, for the native and the 32-bit interface of this machine.

use roar_common::{CLASS_TABLE_LEN, COMPAT_OFFSET, class};

/// The table that the exit program dispatches on.
pub(crate) fn class_table() -> [u8; CLASS_TABLE_LEN] {
    let mut table = [class::NONE; CLASS_TABLE_LEN];
    for (number, class) in NATIVE {
        set(&mut table, 0, *number as usize, *class);
    }
    for (number, class) in COMPAT {
        set(&mut table, COMPAT_OFFSET, *number as usize, *class);
    }
    table
}

fn set(table: &mut [u8; CLASS_TABLE_LEN], base: usize, number: usize, class: u8) {
    debug_assert!(
        number < COMPAT_OFFSET,
        "system call {number} is outside the table"
    );
    table[base + number] = class;
}

/// Calls that both 64-bit architectures have.
macro_rules! common {
    ($($extra:tt)*) => {
        &[
            (libc::SYS_read, class::READ),
            (libc::SYS_pread64, class::READ),
            (libc::SYS_readv, class::READ),
            (libc::SYS_preadv, class::READ),
            (libc::SYS_preadv2, class::READ),
            (libc::SYS_write, class::WRITE),
            (libc::SYS_pwrite64, class::WRITE),
            (libc::SYS_writev, class::WRITE),
            (libc::SYS_pwritev, class::WRITE),
            (libc::SYS_pwritev2, class::WRITE),
            (libc::SYS_openat, class::OPENAT),
            (libc::SYS_openat2, class::OPENAT2),
            (libc::SYS_open_by_handle_at, class::OPENAT),
            (libc::SYS_mmap, class::MMAP),
            (libc::SYS_mprotect, class::MPROTECT),
            (libc::SYS_pkey_mprotect, class::MPROTECT),
            (libc::SYS_ftruncate, class::FTRUNCATE),
            (libc::SYS_fallocate, class::FALLOCATE),
            (libc::SYS_sendfile, class::SENDFILE),
            (libc::SYS_splice, class::COPY),
            (libc::SYS_copy_file_range, class::COPY),
            (libc::SYS_ioctl, class::IOCTL),
            (libc::SYS_renameat2, class::RENAMEAT2),
            (libc::SYS_linkat, class::LINKAT),
            (libc::SYS_symlinkat, class::SYMLINKAT),
            (libc::SYS_unlinkat, class::UNLINKAT),
            (libc::SYS_mkdirat, class::MKDIRAT),
            (libc::SYS_truncate, class::TRUNCATE),
            (libc::SYS_mknodat, class::MKNODAT),
            (libc::SYS_mount, class::MOUNT),
            (libc::SYS_umount2, class::UMOUNT),
            (libc::SYS_move_mount, class::MOVE_MOUNT),
            (libc::SYS_pivot_root, class::PIVOT_ROOT),
            (libc::SYS_io_uring_setup, class::IO_URING_SETUP),
            (libc::SYS_io_submit, class::IO_SUBMIT),
            (libc::SYS_swapon, class::KERNEL_FILE),
            (libc::SYS_acct, class::KERNEL_FILE),
            (libc::SYS_finit_module, class::KERNEL_FILE),
            (libc::SYS_kexec_file_load, class::KERNEL_FILE),
            (libc::SYS_connect, class::CONNECT),
            (libc::SYS_sendto, class::SENDTO),
            (libc::SYS_sendmsg, class::SENDMSG),
            (libc::SYS_sendmmsg, class::SENDMSG),
            (libc::SYS_recvfrom, class::RECVFROM),
            (libc::SYS_recvmsg, class::RECVMSG),
            (libc::SYS_prctl, class::REGISTER),
            $($extra)*
        ]
    };
}

#[cfg(target_arch = "x86_64")]
const NATIVE: &[(libc::c_long, u8)] = common! {
    (libc::SYS_open, class::OPEN),
    (libc::SYS_creat, class::CREAT),
    (libc::SYS_rename, class::RENAME),
    (libc::SYS_renameat, class::RENAMEAT),
    (libc::SYS_link, class::LINK),
    (libc::SYS_symlink, class::SYMLINK),
    (libc::SYS_unlink, class::UNLINK),
    (libc::SYS_rmdir, class::RMDIR),
    (libc::SYS_mkdir, class::MKDIR),
    (libc::SYS_mknod, class::MKNOD),
};

#[cfg(target_arch = "aarch64")]
const NATIVE: &[(libc::c_long, u8)] = common! {
    (libc::SYS_renameat, class::RENAMEAT),
};

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const NATIVE: &[(libc::c_long, u8)] = &[];

/// Numbers that i386 and 32-bit Arm share, then those that differ. From the kernel's
/// `arch/x86/entry/syscalls/syscall_32.tbl` and `arch/arm/tools/syscall.tbl`.
macro_rules! compat {
    ($($extra:tt)*) => {
        &[
            (3, class::READ),
            (4, class::WRITE),
            (5, class::OPEN),
            (8, class::CREAT),
            (9, class::LINK),
            (10, class::UNLINK),
            (14, class::MKNOD),
            (21, class::MOUNT),
            (38, class::RENAME),
            (39, class::MKDIR),
            (40, class::RMDIR),
            (52, class::UMOUNT),
            (54, class::IOCTL),
            (83, class::SYMLINK),
            (92, class::TRUNCATE),
            (93, class::FTRUNCATE),
            (125, class::MPROTECT),
            (145, class::READ),
            (146, class::WRITE),
            (172, class::REGISTER),
            (180, class::READ),
            (181, class::WRITE),
            (187, class::SENDFILE),
            (192, class::MMAP),
            (193, class::TRUNCATE),
            (194, class::FTRUNCATE),
            (239, class::SENDFILE),
            (425, class::IO_URING_SETUP),
            (429, class::MOVE_MOUNT),
            (437, class::OPENAT2),
            $($extra)*
        ]
    };
}

#[cfg(target_arch = "x86_64")]
const COMPAT: &[(u32, u8)] = compat! {
    (22, class::UMOUNT),
    (90, class::OLD_MMAP),
    (217, class::PIVOT_ROOT),
    (248, class::COMPAT_IO_SUBMIT),
    (295, class::OPENAT),
    (296, class::MKDIRAT),
    (297, class::MKNODAT),
    (301, class::UNLINKAT),
    (302, class::RENAMEAT),
    (303, class::LINKAT),
    (304, class::SYMLINKAT),
    (313, class::COPY),
    (324, class::FALLOCATE),
    (333, class::READ),
    (334, class::WRITE),
    (342, class::OPENAT),
    (353, class::RENAMEAT2),
    (362, class::CONNECT),
    (369, class::SENDTO),
    (371, class::RECVFROM),
    (377, class::COPY),
    (378, class::READ),
    (379, class::WRITE),
    (380, class::MPROTECT),
};

#[cfg(not(target_arch = "x86_64"))]
const COMPAT: &[(u32, u8)] = compat! {
    (218, class::PIVOT_ROOT),
    (246, class::COMPAT_IO_SUBMIT),
    (322, class::OPENAT),
    (323, class::MKDIRAT),
    (324, class::MKNODAT),
    (283, class::CONNECT),
    (290, class::SENDTO),
    (292, class::RECVFROM),
    (328, class::UNLINKAT),
    (329, class::RENAMEAT),
    (330, class::LINKAT),
    (331, class::SYMLINKAT),
    (340, class::COPY),
    (352, class::FALLOCATE),
    (361, class::READ),
    (362, class::WRITE),
    (371, class::OPENAT),
    (382, class::RENAMEAT2),
    (391, class::COPY),
    (392, class::READ),
    (393, class::WRITE),
    (394, class::MPROTECT),
};
