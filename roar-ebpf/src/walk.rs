//! From a dentry to its path inside the file system.

use core::ffi::{c_long, c_void};

use aya_ebpf::helpers::generated::{bpf_loop, bpf_probe_read_kernel_str};
use roar_common::{DIRECTORY_MAX, NAME_MAX_COMPONENTS};

use crate::emit::scratch;
use crate::kernel::field;
use crate::maps::{SCRATCH_LEN, WALK, layout};

/// State of a walk. It lives in a map, not on the stack: the verifier would follow the growing
/// offset of a stack slot from step to step, and a value from a map is any number to it.
#[repr(C)]
pub(crate) struct Walk {
    dentry: u64,
    offset: u64,
    end: u64,
    cut: u64,
}

/// The most bytes of one name, zero byte included (NAME_MAX + 1).
const NAME_BYTES: u32 = 256;

/// Writes the names from `dentry` up to the root of its file system, each ended by a zero
/// byte, at `offset` of the scratch buffer. Returns the offset after the last one and whether
/// names near the root are missing. None when the map has no slot, which it always has: `offset`
/// handed back instead would be unbounded to the verifier of Linux 6.1, which forgets what a
/// caller checked of a value that lay on the stack meanwhile.
#[inline(always)]
pub(crate) fn write_path(dentry: u64, offset: usize) -> Option<(usize, bool)> {
    let walk = WALK.get_ptr_mut(0)?;
    // SAFETY: a per-CPU slot, and preemption is off.
    let walk = unsafe { &mut *walk };
    *walk = Walk {
        dentry,
        offset: offset as u64,
        end: (offset + DIRECTORY_MAX) as u64,
        cut: 1,
    };
    // SAFETY: the callback has the helper's signature; it needs no context.
    unsafe {
        bpf_loop(
            NAME_MAX_COMPONENTS,
            step as *mut c_void,
            core::ptr::null_mut(),
            0,
        )
    };
    Some((walk.offset as usize, walk.cut != 0))
}

/// One name. Returns 1 to stop.
#[inline(never)]
extern "C" fn step(_index: u32, _context: *mut c_void) -> c_long {
    let Some(walk) = WALK.get_ptr_mut(0) else {
        return 1;
    };
    // SAFETY: a per-CPU slot, and preemption is off.
    let walk = unsafe { &mut *walk };
    let dentry = walk.dentry;
    let parent: u64 = field(dentry, layout!(dentry_parent));
    if parent == dentry {
        walk.cut = 0;
        return 1;
    }
    let name: u64 = field(dentry, layout!(dentry_name));
    let offset = walk.offset;
    if offset + u64::from(NAME_BYTES) > walk.end
        || offset > (SCRATCH_LEN - NAME_BYTES as usize) as u64
    {
        return 1;
    }
    let Some(buffer) = scratch() else { return 1 };
    // SAFETY: the offset was checked; the helper writes at most NAME_BYTES.
    let written = unsafe {
        bpf_probe_read_kernel_str(
            buffer.add(offset as usize).cast(),
            NAME_BYTES,
            name as *const c_void,
        )
    };
    if written <= 0 {
        return 1;
    }
    walk.offset = offset + written as u64;
    walk.dentry = parent;
    0
}
