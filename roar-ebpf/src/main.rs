//! roar's eBPF programs: thin entry points; the handlers are in the modules by family.
//!
//! One program on the exit of every system call sees which files a traced process touches;
//! three on fork, exec and exit keep the set of traced processes. Everything is decided at
//! the moment of access, in the kernel: which file a descriptor stands for, its identity and
//! its path. Debug messages go through aya-log; the loader sets their level to nothing unless
//! asked, and the verifier then removes them. Minimum kernel: 5.17 (`bpf_loop`, `bpf_find_vma`), with BTF.
#![no_std]
#![no_main]

mod aio;
mod emit;
mod file;
mod ioctl;
mod kernel;
mod mapping;
mod maps;
mod name;
mod network;
mod process;
mod syscall;
mod uring;
mod walk;

use aya_ebpf::EbpfContext as _;
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use aya_log_ebpf::debug;

/// Every system call's return. Arguments are still in the registers.
#[btf_tracepoint(function = "sys_exit")]
fn roar_sys_exit(ctx: BtfTracePointContext) -> i32 {
    syscall::exit(ctx.arg(0), ctx.arg(1));
    0
}

/// A task was made; it has not run yet.
#[btf_tracepoint(function = "task_newtask")]
fn roar_newtask(ctx: BtfTracePointContext) -> i32 {
    if let Some(child) = process::forked(ctx.arg(0), ctx.arg(1)) {
        debug!(&ctx, "process {} started", child);
    }
    0
}

/// The current process has a new program image.
#[btf_tracepoint(function = "sched_process_exec")]
fn roar_exec(ctx: BtfTracePointContext) -> i32 {
    if process::executed(ctx.arg(2)) {
        debug!(&ctx, "process {} executed a program", ctx.tgid());
    }
    0
}

/// A task is ending.
#[btf_tracepoint(function = "sched_process_exit")]
fn roar_exit(ctx: BtfTracePointContext) -> i32 {
    if process::exited(ctx.arg(0)) {
        debug!(&ctx, "process {} ended", ctx.tgid());
    }
    0
}

/// A request was taken from an io_uring.
#[btf_tracepoint(function = "io_uring_submit_req")]
fn roar_uring_submit(ctx: BtfTracePointContext) -> i32 {
    uring::submitted(argument(&ctx, 0));
    0
}

/// A request of an io_uring is done.
#[btf_tracepoint(function = "io_uring_complete")]
fn roar_uring_done(ctx: BtfTracePointContext) -> i32 {
    uring::completed(argument(&ctx, 1));
    0
}

/// An argument as a plain number: read from the context's memory, where the verifier would
/// take it for a typed pointer, which cannot be handed to a global function.
#[inline(always)]
fn argument(ctx: &BtfTracePointContext, index: u64) -> u64 {
    kernel::peek(ctx.as_ptr() as u64 + index * 8)
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
