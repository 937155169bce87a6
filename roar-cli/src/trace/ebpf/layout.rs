//! Which fields of the kernel's structures the programs read, and where they are.

use roar_common::{KernelLayout, NetworkLayout, SyscallAbi, UringLayout};

use super::btf::{BtfError, KernelTypes};

/// Finds every offset for the running kernel.
pub(crate) fn kernel_layout(types: &KernelTypes) -> Result<KernelLayout, BtfError> {
    let at = |name: &str, path: &str| types.offset(name, path);
    let (mtime, ctime) = (inode_time(types, "mtime")?, inode_time(types, "ctime")?);
    let architecture = architecture(types)?;
    Ok(KernelLayout {
        regs_number: architecture.number,
        regs_instruction: architecture.instruction,
        native: architecture.native,
        compat: architecture.compat,
        task_compat_word: architecture.compat_word,
        task_compat_mask: architecture.compat_mask,
        task_tgid: at("task_struct", "tgid")?,
        task_files: at("task_struct", "files")?,
        task_fs: at("task_struct", "fs")?,
        task_mm: at("task_struct", "mm")?,
        task_cred: at("task_struct", "real_cred")?,
        cred_ids: credentials(types)?,
        task_signal: at("task_struct", "signal")?,
        task_exit_code: at("task_struct", "exit_code")?,
        signal_live: at("signal_struct", "live")?,
        mm_flags: types.try_offset("mm_struct", "flags").unwrap_or(0),
        mm_arg_start: at("mm_struct", "arg_start")?,
        mm_arg_end: at("mm_struct", "arg_end")?,
        files_fdt: at("files_struct", "fdt")?,
        fdt_max_fds: at("fdtable", "max_fds")?,
        fdt_fd: at("fdtable", "fd")?,
        file_inode: at("file", "f_inode")?,
        file_mode: at("file", "f_mode")?,
        file_mnt: at("file", "f_path.mnt")?,
        file_dentry: at("file", "f_path.dentry")?,
        fs_root_mnt: at("fs_struct", "root.mnt")?,
        fs_root_dentry: at("fs_struct", "root.dentry")?,
        fs_pwd_mnt: at("fs_struct", "pwd.mnt")?,
        fs_pwd_dentry: at("fs_struct", "pwd.dentry")?,
        mnt_to_id: at("mount", "mnt_id")?.wrapping_sub(at("mount", "mnt")?),
        dentry_parent: at("dentry", "d_parent")?,
        dentry_name: at("dentry", "d_name.name")?,
        dentry_inode: at("dentry", "d_inode")?,
        inode_mode: at("inode", "i_mode")?,
        inode_ino: at("inode", "i_ino")?,
        inode_generation: at("inode", "i_generation")?,
        inode_nlink: at("inode", "i_nlink")?,
        inode_size: at("inode", "i_size")?,
        inode_sb: at("inode", "i_sb")?,
        inode_mtime_sec: mtime.0,
        inode_mtime_nsec: mtime.1,
        inode_ctime_sec: ctime.0,
        inode_ctime_nsec: ctime.1,
        sb_dev: at("super_block", "s_dev")?,
        sb_magic: at("super_block", "s_magic")?,
        window: window(types)?,
        bprm_file: at("linux_binprm", "file")?,
        bprm_filename: at("linux_binprm", "filename")?,
        bprm_interp: at("linux_binprm", "interp")?,
        vma_end: at("vm_area_struct", "vm_end")?,
        vma_file: at("vm_area_struct", "vm_file")?,
        vma_flags: at("vm_area_struct", "vm_flags")?,
        uring: uring_layout(types).unwrap_or_default(),
        network: network_layout(types).unwrap_or_default(),
    })
}

/// A structure that begins with eight bytes of integer.
fn window(types: &KernelTypes) -> Result<u32, BtfError> {
    let (name, first) = ("timespec64", "tv_sec");
    let found = types.structure(name);
    let found = found.filter(|_| types.try_offset(name, first) == Some(0));
    found.ok_or_else(|| BtfError::Missing(format!("struct {name} that begins with {first}")))
}

/// Where a process's eight user and group ids begin.
fn credentials(types: &KernelTypes) -> Result<u32, BtfError> {
    let first = types.offset("cred", "uid")?;
    let names = [
        "uid", "gid", "suid", "sgid", "euid", "egid", "fsuid", "fsgid",
    ];
    for (index, name) in names.iter().enumerate() {
        if types.offset("cred", name)? != first + index as u32 * 4 {
            return Err(BtfError::Missing(format!("struct cred's {name} in order")));
        }
    }
    Ok(first)
}

/// Offsets for io_uring; an error where this kernel is not one that can be followed there.
fn uring_layout(types: &KernelTypes) -> Result<UringLayout, BtfError> {
    let at = |name: &str, path: &str| types.offset(name, path);
    let (registered, node_file) = match types.try_offset("io_ring_ctx", "file_table.data.nodes") {
        Some(nodes) => (nodes, at("io_rsrc_node", "file_ptr")?),
        None => (at("io_ring_ctx", "file_table.files")?, u32::MAX),
    };
    Ok(UringLayout {
        opcode: at("io_kiocb", "opcode")?,
        flags: at("io_kiocb", "flags")?,
        result: at("io_kiocb", "cqe.res")?,
        descriptor: at("io_kiocb", "cqe.fd")?,
        context: at("io_kiocb", "ctx")?,
        registered,
        node_file,
        open_flags: at("io_open", "how.flags")?,
        open_slot: at("io_open", "file_slot")?,
        splice_in: at("io_splice", "splice_fd_in")?,
        splice_flags: at("io_splice", "flags")?,
        rename_directories: at("io_rename", "old_dfd")?,
        rename_paths: at("io_rename", "oldpath")?,
        rename_flags: at("io_rename", "flags")?,
        link_directories: at("io_link", "old_dfd")?,
        link_paths: at("io_link", "oldpath")?,
        unlink_directory: at("io_unlink", "dfd")?,
        unlink_path: at("io_unlink", "filename")?,
        unlink_flags: at("io_unlink", "flags")?,
        mkdir_directory: at("io_mkdir", "dfd")?,
        mkdir_path: at("io_mkdir", "filename")?,
        filename_name: at("filename", "name")?,
    })
}

/// Offsets for sockets; an error where the kernel has no network.
fn network_layout(types: &KernelTypes) -> Result<NetworkLayout, BtfError> {
    let at = |name: &str, path: &str| types.offset(name, path);
    Ok(NetworkLayout {
        file_private: at("file", "private_data")?,
        socket_type: at("socket", "type")?,
        socket_sock: at("socket", "sk")?,
        sock_family: at("sock_common", "skc_family")?,
        sock_port: at("sock_common", "skc_dport")?,
        sock_ipv4: at("sock_common", "skc_daddr")?,
        // A kernel without IPv6 has no socket of that family to ask.
        sock_ipv6: types.try_offset("sock_common", "skc_v6_daddr").unwrap_or(0),
    })
}

/// Seconds and nanoseconds of an inode's time: separate fields since Linux 6.11, a
/// `timespec64` before, named with two underscores for a while.
fn inode_time(types: &KernelTypes, name: &str) -> Result<(u32, u32), BtfError> {
    if let Some(seconds) = types.try_offset("inode", &format!("i_{name}_sec")) {
        return Ok((seconds, types.offset("inode", &format!("i_{name}_nsec"))?));
    }
    for prefix in ["i_", "__i_"] {
        if let Some(seconds) = types.try_offset("inode", &format!("{prefix}{name}.tv_sec")) {
            return Ok((
                seconds,
                types.offset("inode", &format!("{prefix}{name}.tv_nsec"))?,
            ));
        }
    }
    Err(BtfError::Missing(format!("struct inode's {name}")))
}

/// Where a system call's number and arguments are.
struct Architecture {
    number: u32,
    instruction: u32,
    native: SyscallAbi,
    compat: SyscallAbi,
    compat_word: u32,
    compat_mask: u32,
}

#[cfg(target_arch = "x86_64")]
fn architecture(types: &KernelTypes) -> Result<Architecture, BtfError> {
    /// `TS_COMPAT` of `thread_info::status`.
    const TS_COMPAT: u32 = 0x2;
    let registers = |names: [&str; 6]| -> Result<SyscallAbi, BtfError> {
        let mut arguments = [0; 6];
        for (slot, name) in arguments.iter_mut().zip(names) {
            *slot = types.offset("pt_regs", name)?;
        }
        Ok(SyscallAbi { arguments })
    };
    let compat_word = types.try_offset("task_struct", "thread_info.status");
    Ok(Architecture {
        number: types.offset("pt_regs", "orig_ax")?,
        instruction: types.offset("pt_regs", "ip")?,
        native: registers(["di", "si", "dx", "r10", "r8", "r9"])?,
        compat: registers(["bx", "cx", "dx", "si", "di", "bp"])?,
        compat_word: compat_word.unwrap_or(0),
        compat_mask: if compat_word.is_some() { TS_COMPAT } else { 0 },
    })
}

#[cfg(target_arch = "aarch64")]
fn architecture(types: &KernelTypes) -> Result<Architecture, BtfError> {
    /// `TIF_32BIT` of `thread_info::flags`.
    const TIF_32BIT: u32 = 1 << 22;
    let registers = types.offset("pt_regs", "regs")?;
    // The first argument's register holds the result at the exit; the kernel keeps a copy.
    let mut arguments = [types.offset("pt_regs", "orig_x0")?; 6];
    for (index, slot) in arguments.iter_mut().enumerate().skip(1) {
        *slot = registers + index as u32 * 8;
    }
    let compat_word = types.try_offset("task_struct", "thread_info.flags");
    Ok(Architecture {
        number: types.offset("pt_regs", "syscallno")?,
        instruction: types.offset("pt_regs", "pc")?,
        native: SyscallAbi { arguments },
        compat: SyscallAbi { arguments },
        compat_word: compat_word.unwrap_or(0),
        compat_mask: if compat_word.is_some() { TIF_32BIT } else { 0 },
    })
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn architecture(_types: &KernelTypes) -> Result<Architecture, BtfError> {
    Err(BtfError::Missing(
        "register names of this architecture".into(),
    ))
}
