//! roar's eBPF programs: thin entry points; the handlers are in the modules by family.
//!
//! One program on the exit of every system call sees which files a traced process touches;
//! three on fork, exec and exit keep the set of traced processes. Everything is decided at
//! the moment of access, in the kernel: which file a descriptor stands for, its identity and
//! its path. Debug messages go through aya-log; the loader sets their level to nothing unless
//! asked, and the verifier then removes them. Minimum kernel: 5.17 (`bpf_loop`, `bpf_find_vma`), with BTF.
#![no_std]
#![no_main]
// Numbers that the loader fills in: see `maps`.
#![feature(asm_experimental_arch)]

mod aio;
mod effects;
mod emit;
mod file;
mod handler;
mod ioctl;
mod kernel;
mod mapping;
mod maps;
mod name;
mod network;
mod process;
mod seldom;
mod syscall;
mod uring;
mod walk;

use aya_ebpf::EbpfContext as _;
use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use aya_log_ebpf::debug;
use roar_common::handler::FILES;

/// Every system call's return. Arguments are still in the registers.
#[raw_tracepoint(tracepoint = "sys_exit")]
fn roar_sys_exit(ctx: RawTracePointContext) -> i32 {
    syscall::exit(&ctx);
    0
}

/// A task was made; it has not run yet.
#[raw_tracepoint(tracepoint = "task_newtask")]
fn roar_newtask(ctx: RawTracePointContext) -> i32 {
    if let Some(child) = process::forked(ctx.arg(0), ctx.arg(1)) {
        debug!(&ctx, "process {} started", child);
    }
    0
}

/// The current process has a new program image.
#[raw_tracepoint(tracepoint = "sched_process_exec")]
fn roar_exec(ctx: RawTracePointContext) -> i32 {
    if let Some(flags) = process::executed() {
        debug!(&ctx, "process {} executed a program", ctx.tgid());
        let with = [ctx.arg(2), u64::from(flags), 0, 0, 0, 0];
        handler::go(&ctx, FILES, handler::task::EXECUTED, with);
    }
    0
}

/// A task is ending.
#[raw_tracepoint(tracepoint = "sched_process_exit")]
fn roar_exit(ctx: RawTracePointContext) -> i32 {
    if process::exited(ctx.arg(0)) {
        debug!(&ctx, "process {} ended", ctx.tgid());
    }
    0
}

/// A request was taken from an io_uring.
#[raw_tracepoint(tracepoint = "io_uring_submit_req")]
fn roar_uring_submit(ctx: RawTracePointContext) -> i32 {
    uring::submitted(&ctx, ctx.arg(0));
    0
}

/// A request of an io_uring is done.
#[raw_tracepoint(tracepoint = "io_uring_complete")]
fn roar_uring_done(ctx: RawTracePointContext) -> i32 {
    uring::completed(&ctx, ctx.arg(1));
    0
}

/// Reports accesses to files; attached to nothing, see [`handler`].
#[raw_tracepoint(tracepoint = "sys_exit")]
fn roar_files(ctx: RawTracePointContext) -> i32 {
    handler::files(&ctx);
    0
}

/// Reports changes of names.
#[raw_tracepoint(tracepoint = "sys_exit")]
fn roar_names(_ctx: RawTracePointContext) -> i32 {
    handler::names();
    0
}

/// Reports network endpoints.
#[raw_tracepoint(tracepoint = "sys_exit")]
fn roar_network(_ctx: RawTracePointContext) -> i32 {
    handler::network();
    0
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
