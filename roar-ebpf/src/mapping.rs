//! Memory mappings of the current process, by address.

use core::ffi::{c_long, c_void};
use core::mem::MaybeUninit;

use aya_ebpf::helpers::generated::{bpf_find_vma, bpf_get_current_task_btf, bpf_loop};
use roar_common::{access, lost};

use crate::emit::count;
use crate::file::roar_touch;
use crate::kernel::field;
use crate::maps::layout;

const PROT_READ: u64 = 1;
pub(crate) const PROT_WRITE: u64 = 2;
const PROT_EXEC: u64 = 4;
const VM_SHARED: u64 = 8;

/// The most steps over one range: mappings, and attempts while the address space is locked.
const STEPS: u32 = 1 << 10;

/// What is mapped at an address.
#[repr(C)]
pub(crate) struct Mapping {
    /// The `struct file`; 0 for anonymous memory.
    pub(crate) file: u64,
    flags: u64,
    end: u64,
}

/// Looks an address up. None when nothing is there, or when another thread holds the lock.
#[inline(always)]
pub(crate) fn at(address: u64) -> Option<Mapping> {
    let mut found = MaybeUninit::<Mapping>::uninit();
    let fields = found.as_mut_ptr();
    // Field by field: at once it would be done byte by byte.
    // SAFETY: the fields of what is being made.
    unsafe {
        (&raw mut (*fields).file).write_volatile(0);
        (&raw mut (*fields).flags).write_volatile(0);
        (&raw mut (*fields).end).write_volatile(0);
    }
    // SAFETY: the callback has the helper's signature and the context outlives the call.
    let result = unsafe {
        bpf_find_vma(
            bpf_get_current_task_btf(),
            address,
            on_vma as *mut c_void,
            fields.cast(),
            0,
        )
    };
    // SAFETY: every field was written.
    (result == 0).then_some(unsafe { found.assume_init() })
}

#[inline(never)]
extern "C" fn on_vma(_task: *const u8, vma: *const u8, found: *mut Mapping) -> c_long {
    // Read as plain numbers: a typed pointer cannot be handed to a global function.
    let vma = vma as u64;
    // SAFETY: the helper passes the context of `at`.
    let found = unsafe { &mut *found };
    found.file = field(vma, layout!(vma_file));
    found.flags = field(vma, layout!(vma_flags));
    found.end = field(vma, layout!(vma_end));
    0
}

/// A range of addresses whose protection changed.
#[repr(C)]
struct Range {
    address: u64,
    end: u64,
    protection: u64,
}

/// Reports what a new protection means for the files that a range maps, of which there may be
/// several.
#[inline(always)]
pub(crate) fn protected(address: u64, length: u64, protection: u64) {
    let mut range = Range {
        address,
        end: address.wrapping_add(length),
        protection,
    };
    // SAFETY: the callback has the helper's signature and the context outlives the call.
    unsafe { bpf_loop(STEPS, on_range as *mut c_void, (&raw mut range).cast(), 0) };
    if range.address < range.end {
        count(lost::UNREADABLE_KERNEL);
    }
}

/// One mapping of the range. Returns 1 to stop.
#[inline(never)]
extern "C" fn on_range(_index: u32, range: *mut Range) -> c_long {
    // SAFETY: the helper passes the context of `protected`.
    let range = unsafe { &mut *range };
    let Some(found) = at(range.address) else {
        // Another thread holds the address space's lock: again. Should the range be gone
        // meanwhile, the attempts run out.
        return 0;
    };
    let is_shared = found.flags & VM_SHARED != 0;
    if found.file != 0 {
        if is_readable(range.protection, is_shared) {
            roar_touch(found.file, u64::from(access::MAPPED), 0);
        }
        if is_shared && range.protection & PROT_WRITE != 0 {
            roar_touch(found.file, u64::from(access::MAPPED_WRITE), 0);
        }
    }
    range.address = found.end;
    c_long::from(range.address >= range.end)
}

/// Whether a mapping shows what is in its file. A private writable one is readable on every
/// architecture that roar supports.
#[inline(always)]
pub(crate) fn is_readable(protection: u64, is_shared: bool) -> bool {
    protection & (PROT_READ | PROT_EXEC) != 0 || (!is_shared && protection & PROT_WRITE != 0)
}
