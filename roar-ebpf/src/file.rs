//! A file was touched: report it once per process, file and kind of access.

use aya_ebpf::helpers::generated::bpf_get_current_pid_tgid;
use roar_common::{FileBody, RecordHeader, access, flags, kind, lost};

use crate::emit::{scratch, send};
use crate::kernel::{field, peek};
use crate::maps::{SEEN, SEEN_SLOTS, layout};
use crate::network;
use crate::walk::write_path;

const S_IFMT: u16 = 0o170_000;
const S_IFREG: u16 = 0o100_000;
const S_IFSOCK: u16 = 0o140_000;

/// `ANON_INODE_FS_MAGIC`: eventfd, epoll and the like, which newer kernels call regular.
const ANON_INODE_FS_MAGIC: u64 = 0x0904_1934;

/// Where the path of a file record begins.
pub(crate) const PATH_OFFSET: usize = size_of::<RecordHeader>() + size_of::<FileBody>();

/// An access to a file.
#[derive(Clone, Copy)]
pub(crate) struct Touch {
    /// The `struct file`.
    pub(crate) file: u64,
    /// One of `roar_common::access`.
    pub(crate) access: u8,
    /// Result of the call.
    pub(crate) result: u64,
}

/// What an access may be news for; 0 when there is nothing to report. This is what every read and
/// write of a traced process costs; whoever has news calls a handler.
///
/// A global function with plain numbers for arguments: the verifier walks it once, by itself,
/// and not again for each of the classes that lead here.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn roar_news(file: u64, access: u64) -> u64 {
    let inode: u64 = field(file, layout!(file_inode));
    let target = Target::of(file, inode);
    if !is_fresh(access as u8) && seen(target.fingerprint(access as u8)) {
        return 0;
    }
    let mode: u16 = field(inode, layout!(inode_mode));
    match mode & S_IFMT {
        S_IFREG => FOR_FILES,
        S_IFSOCK => network::news(file, access as u8),
        _ => 0,
    }
}

/// News for the handler of files.
pub(crate) const FOR_FILES: u64 = 1;
/// News for the handler of the network: something was sent through a connected socket.
pub(crate) const SENT: u64 = 2;
/// News for the handler of the network: something came from a name server.
pub(crate) const ANSWERED: u64 = 3;

/// Reports an access, unless this process has reported the same before.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn roar_touch(file: u64, access: u64, result: u64) -> u64 {
    touch(file, access as u8, result);
    0
}

#[inline(always)]
fn touch(file: u64, access: u8, result: u64) {
    let inode: u64 = field(file, layout!(file_inode));
    let mode: u16 = field(inode, layout!(inode_mode));
    if mode & S_IFMT != S_IFREG {
        return;
    }
    let target = Target::of(file, inode);
    let fingerprint = target.fingerprint(if is_fresh(access) {
        access::WRITTEN
    } else {
        access
    });
    let Some(slot) = SEEN.get_ptr_mut(fingerprint as u32 & (SEEN_SLOTS - 1)) else {
        return;
    };
    // SAFETY: a slot of the array; a torn or lost update only repeats a record.
    if !is_fresh(access) && unsafe { *slot } == fingerprint {
        return;
    }
    // A library is read, then mapped: the second says nothing new.
    if access == access::MAPPED && seen(target.fingerprint(access::READ)) {
        return;
    }
    if emit(file, access, result) {
        // SAFETY: as above.
        unsafe { *slot = fingerprint };
    }
}

/// Once a process has emptied or made a file, its later writes add nothing; but each time
/// it does so is an event of its own.
#[inline(always)]
fn is_fresh(access: u8) -> bool {
    access == access::CREATED || access == access::TRUNCATED
}

/// Whether a fingerprint is in the cache.
#[inline(always)]
fn seen(fingerprint: u64) -> bool {
    match SEEN.get_ptr(fingerprint as u32 & (SEEN_SLOTS - 1)) {
        // SAFETY: a slot of the array.
        Some(slot) => unsafe { *slot == fingerprint },
        None => false,
    }
}

/// What identifies a regular file.
///
/// The dentry is part of it, so that another name of the same file is reported too; number and
/// generation are, because kernel memory is re-used for other files.
struct Target {
    dentry: u64,
    number: u64,
    generation: u32,
}

impl Target {
    #[inline(always)]
    fn of(file: u64, inode: u64) -> Self {
        Self {
            dentry: field(file, layout!(file_dentry)),
            number: field(inode, layout!(inode_ino)),
            generation: field(inode, layout!(inode_generation)),
        }
    }

    /// One number for process, file and access.
    #[inline(always)]
    fn fingerprint(&self, access: u8) -> u64 {
        // SAFETY: a helper without arguments.
        let process = unsafe { bpf_get_current_pid_tgid() } >> 32;
        let mut hash = mix(self.dentry ^ (process << 40) ^ (u64::from(access) << 32));
        hash = mix(hash ^ self.number);
        mix(hash ^ process ^ (u64::from(self.generation) << 32))
    }
}

/// A round of the SplitMix64 finaliser.
#[inline(always)]
pub(crate) fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Builds and sends a file record. True also for what is deliberately not reported.
#[inline(always)]
fn emit(file: u64, access: u8, result: u64) -> bool {
    let Some((len, record_flags)) = build(file, access, result) else {
        return true;
    };
    send(kind::FILE, record_flags, len, lost::FILE)
}

/// Fills body and path of a record that begins with a [`FileBody`]; returns the offset after
/// the path and the flags. None for files without a place in any file system.
#[inline(always)]
pub(crate) fn build(file: u64, access: u8, result: u64) -> Option<(usize, u16)> {
    let built = roar_build(file, u64::from(access), result);
    let flags = if built & CUT != 0 { flags::PATH_CUT } else { 0 };
    // The verifier knows nothing of what was returned: whoever sends looks at the length.
    (built != 0).then_some(((built & !CUT) as usize, flags))
}

/// Beside the offset that [`roar_build`] returns: names near the root are missing.
const CUT: u64 = 1 << 32;

/// As [`roar_touch`]: walked once by the verifier. Returns 0 for none.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn roar_build(file: u64, access: u64, result: u64) -> u64 {
    let Some((end, cut)) = fill(file, access as u8, result) else {
        return 0;
    };
    end as u64 | if cut { CUT } else { 0 }
}

#[inline(always)]
fn fill(file: u64, access: u8, result: u64) -> Option<(usize, bool)> {
    let buffer = scratch()?;
    let inode: u64 = field(file, layout!(file_inode));
    let superblock: u64 = field(inode, layout!(inode_sb));
    let magic: u64 = field(superblock, layout!(sb_magic));
    if magic == ANON_INODE_FS_MAGIC {
        return None;
    }
    let mount: u64 = field(file, layout!(file_mnt));
    let (end, cut) = write_path(field(file, layout!(file_dentry)), PATH_OFFSET)?;
    // Field by field, and not a structure on the stack, of which all functions together have 512
    // bytes before Linux 6.13.
    let body = buffer
        .wrapping_add(size_of::<RecordHeader>())
        .cast::<FileBody>();
    macro_rules! set {
        ($($field:ident: $value:expr,)+) => {$(
            let value = $value;
            // SAFETY: the body's place in the buffer, which is aligned and far longer.
            unsafe { (&raw mut (*body).$field).write_volatile(value) };
        )+};
    }
    set! {
        inode: field(inode, layout!(inode_ino)),
        size: field(inode, layout!(inode_size)),
        mtime_sec: field(inode, layout!(inode_mtime_sec)),
        ctime_sec: field(inode, layout!(inode_ctime_sec)),
        mtime_nsec: field(inode, layout!(inode_mtime_nsec)),
        ctime_nsec: field(inode, layout!(inode_ctime_nsec)),
        result: result,
        device: field(superblock, layout!(sb_dev)),
        generation: field(inode, layout!(inode_generation)),
        mount_id: mount_id(mount),
        nlink: field(inode, layout!(inode_nlink)),
        path_len: (end - PATH_OFFSET) as u32,
        fs_magic: magic as u32,
    }
    // The access and its padding, at once: an array of bytes would be set byte by byte.
    const _: () = assert!(core::mem::offset_of!(FileBody, access) % 8 == 0);
    const _: () = assert!(core::mem::offset_of!(FileBody, access) + 8 == size_of::<FileBody>());
    // SAFETY: as above.
    unsafe {
        let access_word = (&raw mut (*body).access).cast::<u64>();
        access_word.write_volatile(u64::from(access));
    }
    Some((end, cut))
}

/// The id of the mount that a `vfsmount` belongs to.
#[inline(always)]
pub(crate) fn mount_id(vfsmount: u64) -> u32 {
    // The offset is negative.
    peek(vfsmount.wrapping_add(layout!(mnt_to_id)))
}
