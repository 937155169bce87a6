//! Linux AIO (io_submit(2)): reads and writes that are told to the kernel in memory.
//!
//! A request counts from its submission on: the completion goes through memory shared with the
//! process, and no hook sees its result. A request that the kernel took has a valid descriptor.

use core::ffi::{c_long, c_void};

use aya_ebpf::helpers::generated::bpf_loop;
use roar_common::{access, lost};

use crate::emit::count;
use crate::file::roar_touch;
use crate::kernel::{peek_user, seldom_file_of};

/// Opcodes of linux/aio_abi.h.
const PREAD: u16 = 0;
const PWRITE: u16 = 1;
const PREADV: u16 = 7;
const PWRITEV: u16 = 8;

/// Offsets in `struct iocb`, the same for 32-bit callers.
const OPCODE: u64 = 16;
const DESCRIPTOR: u64 = 20;

/// The most requests that one call may submit here; the kernel's own limit for a context is
/// `/proc/sys/fs/aio-max-nr`, 65,536 by default.
const MOST: u64 = 1 << 20;

/// The array of pointers that the process passed.
#[repr(C)]
struct Submitted {
    pointers: u64,
    pointer_bytes: u64,
}

/// `taken` requests were taken, from an array of pointers of `pointer_bytes` each.
#[inline(always)]
pub(crate) fn submitted(pointers: u64, pointer_bytes: u64, taken: u64) {
    if taken > MOST {
        count(lost::FILE);
    }
    let mut submitted = Submitted {
        pointers,
        pointer_bytes,
    };
    // SAFETY: the callback has the helper's signature and the context outlives the call.
    unsafe {
        bpf_loop(
            taken.min(MOST) as u32,
            on_request as *mut c_void,
            (&raw mut submitted).cast(),
            0,
        )
    };
}

#[inline(never)]
extern "C" fn on_request(index: u32, submitted: *mut Submitted) -> c_long {
    // SAFETY: the helper passes the context of `submitted`.
    let submitted = unsafe { &*submitted };
    let pointer = submitted.pointers + u64::from(index) * submitted.pointer_bytes;
    let request: u64 = if submitted.pointer_bytes == 4 {
        u64::from(peek_user::<u32>(pointer))
    } else {
        peek_user(pointer)
    };
    let what = match peek_user(request + OPCODE) {
        PREAD | PREADV => access::READ,
        PWRITE | PWRITEV => access::WRITTEN,
        _ => return 0,
    };
    let file = seldom_file_of(peek_user(request + DESCRIPTOR));
    if file == 0 {
        count(lost::VANISHED_DESCRIPTOR);
    } else {
        roar_touch(file, u64::from(what), 0);
    }
    0
}
