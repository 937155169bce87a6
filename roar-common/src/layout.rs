//! Field offsets of the running kernel, found in its BTF by the loader.
//!
//! The loader puts them in the place of numbers that stand for them, so that each is a constant:
//! portable field access without CO-RE relocations, one object for every kernel and both
//! architectures. All offsets are in bytes.

/// Where system-call arguments are in `struct pt_regs`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct SyscallAbi {
    /// Offset of each of the six arguments.
    pub arguments: [u32; 6],
}

/// Offsets into the kernel's structures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct KernelLayout {
    /// `pt_regs`: the system call's number.
    pub regs_number: u32,
    /// `pt_regs`: the next instruction.
    pub regs_instruction: u32,
    /// Arguments of native calls.
    pub native: SyscallAbi,
    /// Arguments of 32-bit calls.
    pub compat: SyscallAbi,
    /// `task_struct`: the word that tells a 32-bit call.
    pub task_compat_word: u32,
    /// The bit in that word; 0 where the architecture has no 32-bit interface.
    pub task_compat_mask: u32,
    /// `task_struct::tgid`.
    pub task_tgid: u32,
    /// `task_struct::files`.
    pub task_files: u32,
    /// `task_struct::fs`.
    pub task_fs: u32,
    /// `task_struct::mm`.
    pub task_mm: u32,
    /// `task_struct::real_cred`.
    pub task_cred: u32,
    /// `cred::uid`; `gid`, `suid`, `sgid`, `euid`, `egid`, `fsuid` and `fsgid` follow it.
    pub cred_ids: u32,
    /// `task_struct::signal`.
    pub task_signal: u32,
    /// `task_struct::exit_code`.
    pub task_exit_code: u32,
    /// `signal_struct::live`.
    pub signal_live: u32,
    /// `mm_struct::flags`; 0 where it is not known.
    pub mm_flags: u32,
    /// `mm_struct::arg_start`.
    pub mm_arg_start: u32,
    /// `mm_struct::arg_end`.
    pub mm_arg_end: u32,
    /// `files_struct::fdt`.
    pub files_fdt: u32,
    /// `fdtable::max_fds`.
    pub fdt_max_fds: u32,
    /// `fdtable::fd`.
    pub fdt_fd: u32,
    /// `file::f_inode`.
    pub file_inode: u32,
    /// `file::f_mode`.
    pub file_mode: u32,
    /// `file::f_path.mnt`.
    pub file_mnt: u32,
    /// `file::f_path.dentry`.
    pub file_dentry: u32,
    /// `fs_struct::root.mnt`.
    pub fs_root_mnt: u32,
    /// `fs_struct::root.dentry`.
    pub fs_root_dentry: u32,
    /// `fs_struct::pwd.mnt`.
    pub fs_pwd_mnt: u32,
    /// `fs_struct::pwd.dentry`.
    pub fs_pwd_dentry: u32,
    /// From a `vfsmount` inside a `mount` to `mount::mnt_id`, modulo 2³².
    pub mnt_to_id: u32,
    /// `dentry::d_parent`.
    pub dentry_parent: u32,
    /// `dentry::d_name.name`.
    pub dentry_name: u32,
    /// `dentry::d_inode`.
    pub dentry_inode: u32,
    /// `inode::i_mode`.
    pub inode_mode: u32,
    /// `inode::i_ino`.
    pub inode_ino: u32,
    /// `inode::i_generation`.
    pub inode_generation: u32,
    /// `inode::i_nlink`.
    pub inode_nlink: u32,
    /// `inode::i_size`.
    pub inode_size: u32,
    /// `inode::i_sb`.
    pub inode_sb: u32,
    /// Modification time, seconds.
    pub inode_mtime_sec: u32,
    /// Modification time, nanoseconds.
    pub inode_mtime_nsec: u32,
    /// Change time, seconds.
    pub inode_ctime_sec: u32,
    /// Change time, nanoseconds.
    pub inode_ctime_nsec: u32,
    /// `super_block::s_dev`.
    pub sb_dev: u32,
    /// `super_block::s_magic`.
    pub sb_magic: u32,
    /// The id of a structure that begins with eight bytes of integer, through which any memory is
    /// read with plain loads.
    pub window: u32,
    /// `linux_binprm::file`.
    pub bprm_file: u32,
    /// `linux_binprm::filename`: what was asked for.
    pub bprm_filename: u32,
    /// `linux_binprm::interp`: what is executed; the same string unless it is an interpreter.
    pub bprm_interp: u32,
    /// `vm_area_struct::vm_end`.
    pub vma_end: u32,
    /// `vm_area_struct::vm_file`.
    pub vma_file: u32,
    /// `vm_area_struct::vm_flags`.
    pub vma_flags: u32,
    /// Offsets for io_uring; all zero where the kernel cannot be followed there.
    pub uring: UringLayout,
    /// Offsets for sockets; all zero in a kernel without a network.
    pub network: NetworkLayout,
}

/// Offsets from a file to the other end of its socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct NetworkLayout {
    /// `file::private_data`: a socket's `struct socket`.
    pub file_private: u32,
    /// `socket::type`.
    pub socket_type: u32,
    /// `socket::sk`.
    pub socket_sock: u32,
    /// `sock_common::skc_family`.
    pub sock_family: u32,
    /// `sock_common::skc_dport`, in network order.
    pub sock_port: u32,
    /// `sock_common::skc_daddr`.
    pub sock_ipv4: u32,
    /// `sock_common::skc_v6_daddr`.
    pub sock_ipv6: u32,
}

/// Offsets into io_uring's structures. A request begins with its command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct UringLayout {
    /// `io_kiocb::opcode`.
    pub opcode: u32,
    /// `io_kiocb::flags`; the lowest eight bits are those of the submission.
    pub flags: u32,
    /// `io_kiocb::cqe.res`.
    pub result: u32,
    /// `io_kiocb::cqe.fd`, until the request is done.
    pub descriptor: u32,
    /// `io_kiocb::ctx`.
    pub context: u32,
    /// In the context, the pointer to the table of registered files.
    pub registered: u32,
    /// `io_rsrc_node::file_ptr`, where the table has pointers to nodes (since Linux 6.13);
    /// `u32::MAX` where it has the files themselves.
    pub node_file: u32,
    /// `io_open::how.flags`.
    pub open_flags: u32,
    /// `io_open::file_slot`.
    pub open_slot: u32,
    /// `io_splice::splice_fd_in`.
    pub splice_in: u32,
    /// `io_splice::flags`.
    pub splice_flags: u32,
    /// `io_rename::old_dfd`; `new_dfd` follows it.
    pub rename_directories: u32,
    /// `io_rename::oldpath`; `newpath` follows it.
    pub rename_paths: u32,
    /// `io_rename::flags`.
    pub rename_flags: u32,
    /// `io_link::old_dfd`; `new_dfd` follows it.
    pub link_directories: u32,
    /// `io_link::oldpath`; `newpath` follows it.
    pub link_paths: u32,
    /// `io_unlink::dfd`.
    pub unlink_directory: u32,
    /// `io_unlink::filename`.
    pub unlink_path: u32,
    /// `io_unlink::flags`.
    pub unlink_flags: u32,
    /// `io_mkdir::dfd`.
    pub mkdir_directory: u32,
    /// `io_mkdir::filename`.
    pub mkdir_path: u32,
    /// `filename::name`.
    pub filename_name: u32,
}

const _: () = {
    assert!(size_of::<SyscallAbi>() == 24);
    assert!(size_of::<KernelLayout>() == (62 + 22 + 7) * 4);
};
