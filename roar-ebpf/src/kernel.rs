//! Reading kernel memory: with plain loads, through typed pointers or a window; what is too large
//! for one, and everything on kernels before 6.2 (the feature `probe`), through the probe helper.

use aya_ebpf::helpers::generated::{
    bpf_get_current_task_btf, bpf_probe_read_kernel, bpf_probe_read_user, bpf_task_pt_regs,
};

use crate::maps::layout;

/// A pointer that the verifier knows the type of: fields are read with plain loads.
#[derive(Clone, Copy)]
pub(crate) struct Typed(pub(crate) *const u8);

impl Typed {
    /// The field at `offset`.
    #[inline(always)]
    pub(crate) fn get<T: Copy>(self, offset: u64) -> T {
        // SAFETY: the verifier checks type, offset and size; a fault reads as zero.
        unsafe { core::ptr::read_volatile(self.0.add(offset as usize).cast()) }
    }

    /// The typed pointer at `offset`. Costly to verify: see `roar_hot_file_of`.
    #[cfg(feature = "probe")]
    #[inline(always)]
    fn follow(self, offset: u64) -> Typed {
        Typed(self.get(offset))
    }
}

/// The running task.
#[inline(always)]
pub(crate) fn current() -> Typed {
    // SAFETY: a helper without arguments.
    Typed(unsafe { bpf_get_current_task_btf() }.cast_const().cast())
}

/// The registers with which the running task came into the kernel.
#[inline(always)]
pub(crate) fn registers() -> Typed {
    // SAFETY: a helper that takes the current task.
    Typed(unsafe { bpf_task_pt_regs(bpf_get_current_task_btf()) } as *const u8)
}

/// Any kernel address as the beginning of eight bytes of integer: reading through it is a plain
/// load, which gives zero where nothing is mapped. The call is `bpf_rdonly_cast` once the loader
/// has been at it, and the kernel puts a move in its place.
#[cfg(not(feature = "probe"))]
#[inline(always)]
fn window(address: u64) -> Typed {
    // SAFETY: a call by number is how programs call the kernel.
    let cast: unsafe extern "C" fn(u64, u64) -> *const u8 =
        unsafe { core::mem::transmute(roar_common::CAST_CALL as usize) };
    let of = layout!(window);
    // SAFETY: the result is only read from, which the kernel guards.
    Typed(unsafe { cast(address, of) })
}

/// A value at a kernel address; zero when it cannot be read.
///
/// Without a branch on the result: every branch doubles what the verifier has to walk.
#[inline(always)]
pub(crate) fn peek<T: Copy>(address: u64) -> T {
    #[cfg(not(feature = "probe"))]
    if size_of::<T>() <= size_of::<u64>() {
        return window(address).get(0);
    }
    let mut value = core::mem::MaybeUninit::<T>::zeroed();
    // SAFETY: the helper writes size_of::<T>() bytes.
    unsafe {
        bpf_probe_read_kernel(
            value.as_mut_ptr().cast(),
            size_of::<T>() as u32,
            address as *const _,
        )
    };
    // SAFETY: filled above; T is a plain integer wherever this is called.
    unsafe { value.assume_init() }
}

/// A field of the structure at a kernel address.
#[inline(always)]
pub(crate) fn field<T: Copy>(address: u64, offset: u64) -> T {
    peek(address.wrapping_add(offset))
}

/// A value at a user address of the current process; zero when it cannot be read.
#[inline(always)]
pub(crate) fn peek_user<T: Copy>(address: u64) -> T {
    let mut value = core::mem::MaybeUninit::<T>::zeroed();
    // SAFETY: the helper writes size_of::<T>() bytes.
    unsafe {
        bpf_probe_read_user(
            value.as_mut_ptr().cast(),
            size_of::<T>() as u32,
            address as *const _,
        )
    };
    // SAFETY: filled above; T is a plain integer wherever this is called.
    unsafe { value.assume_init() }
}

/// The `struct file` behind a descriptor of the current process; 0 when there is none.
#[inline(always)]
pub(crate) fn file_of(descriptor: i32) -> u64 {
    #[cfg(feature = "probe")]
    return roar_hot_file_of(descriptor as u64);
    #[cfg(not(feature = "probe"))]
    seldom_file_of(descriptor)
}

/// With typed pointers, which save the probe helper. For every one that is followed the verifier
/// searches the kernel's type information by name, at 1 ms and more a time.
#[cfg(feature = "probe")]
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn roar_hot_file_of(descriptor: u64) -> u64 {
    let table = current()
        .follow(layout!(task_files))
        .follow(layout!(files_fdt));
    let max: u32 = table.get(layout!(fdt_max_fds));
    let descriptor = u64::from(descriptor as u32);
    if descriptor >= u64::from(max) {
        return 0;
    }
    let array: u64 = table.get(layout!(fdt_fd));
    peek(array + descriptor * 8)
}

/// As [`file_of`], for whoever is seldom asked: before Linux 6.2 every step goes through the probe
/// helper, which costs some 15 ns each.
#[inline(always)]
pub(crate) fn seldom_file_of(descriptor: i32) -> u64 {
    roar_file_of(descriptor as u64)
}

/// A global function, so that the verifier walks it once.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn roar_file_of(descriptor: u64) -> u64 {
    let files: u64 = field(current_address(), layout!(task_files));
    let table: u64 = field(files, layout!(files_fdt));
    let max: u32 = field(table, layout!(fdt_max_fds));
    let descriptor = u64::from(descriptor as u32);
    if descriptor >= u64::from(max) {
        return 0;
    }
    let array: u64 = field(table, layout!(fdt_fd));
    peek(array + descriptor * 8)
}

/// The address of the running task, as a plain number: fields are then read through the helper.
#[inline(always)]
pub(crate) fn current_address() -> u64 {
    current().0 as u64
}
