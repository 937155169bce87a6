//! The exit of a system call: its class, and what it did to files.

use aya_ebpf::programs::RawTracePointContext;
use roar_common::{COMPAT_OFFSET, REGISTER_PRCTL, access, class, handler};

use crate::effects::{Effects, is_of_file, opened, read, through};
use crate::handler::{Next, go, task};
use crate::kernel::{Typed, current, file_of, peek_user, registers};
use crate::maps::{class_of, config, layout};
use crate::process;

const O_WRONLY: u64 = 0o1;
const O_CREAT: u64 = 0o100;
const O_TRUNC: u64 = 0o1000;

/// What a connect that does not wait returns.
const EINPROGRESS: i64 = -115;

/// Arguments of a system call.
pub(crate) struct Arguments {
    pub(crate) a: u64,
    pub(crate) b: u64,
    pub(crate) c: u64,
    pub(crate) d: u64,
    pub(crate) e: u64,
}

impl Arguments {
    #[inline(always)]
    fn read(regs: Typed, compat: bool) -> Self {
        if compat {
            // The upper halves of the registers are not the caller's.
            Self {
                a: u64::from(regs.get::<u64>(layout!(compat.arguments[0])) as u32),
                b: u64::from(regs.get::<u64>(layout!(compat.arguments[1])) as u32),
                c: u64::from(regs.get::<u64>(layout!(compat.arguments[2])) as u32),
                d: u64::from(regs.get::<u64>(layout!(compat.arguments[3])) as u32),
                e: u64::from(regs.get::<u64>(layout!(compat.arguments[4])) as u32),
            }
        } else {
            Self {
                a: regs.get(layout!(native.arguments[0])),
                b: regs.get(layout!(native.arguments[1])),
                c: regs.get(layout!(native.arguments[2])),
                d: regs.get(layout!(native.arguments[3])),
                e: regs.get(layout!(native.arguments[4])),
            }
        }
    }
}

/// Entry: the class first, because every system call of every process of the machine comes by.
#[inline(always)]
pub(crate) fn exit(ctx: &RawTracePointContext) {
    // Not the tracepoint's own argument, which is a plain number to the verifier: the same.
    let regs = registers();
    let number: i32 = regs.get(layout!(regs_number));
    if number as u32 >= COMPAT_OFFSET as u32 {
        return;
    }
    let mask = layout!(task_compat_mask);
    let compat = mask != 0 && current().get::<u32>(layout!(task_compat_word)) & mask as u32 != 0;
    let index = number as usize + if compat { COMPAT_OFFSET } else { 0 };
    let class = class_of(index);
    if class == class::NONE {
        return;
    }
    let bits = match process::traced() {
        Some(bits) => bits,
        None if class == class::REGISTER => {
            let arguments = Arguments::read(regs, compat);
            if arguments.a == u64::from(REGISTER_PRCTL) && arguments.b == config!(cookie) {
                process::register(arguments.c);
            }
            return;
        }
        None => match process::adopted() {
            Some(bits) => bits,
            None => return,
        },
    };
    let result: i64 = ctx.arg(1);
    let is_under_way = class == class::CONNECT && result == EINPROGRESS;
    if bits & process::state::LIVE == 0 || (result < 0 && !is_under_way) {
        return;
    }
    let arguments = Arguments::read(regs, compat);
    if let Some(next) = handle(class, bits, &arguments, result as u64) {
        go(ctx, next.program, next.task, next.with);
    }
}

#[inline(always)]
fn handle(class: u8, bits: u32, arguments: &Arguments, result: u64) -> Option<Next> {
    let Arguments { a, b, c, d, e } = *arguments;
    // Which descriptor, and for opens their flags: one place then looks the file up.
    let (descriptor, open_flags) = match class {
        class::READ => (a, 0),
        class::WRITE if result > 0 => (a, 0),
        class::OPEN => (result, b),
        class::OPENAT => (result, c),
        class::OPENAT2 => (result, peek_user(c)),
        class::CREAT => (result, O_CREAT | O_WRONLY | O_TRUNC),
        class::MMAP if is_of_file(d) => (e, 0),
        // Resolvers ask who sent an answer, for their own safety; others only receive it.
        class::RECVFROM if e == 0 => (a, 0),
        class::MPROTECT => {
            // Nearly always it is memory of the process's own.
            return (bits & process::state::LATENT != 0).then_some(Next {
                program: handler::FILES,
                task: task::PROTECTED,
                with: [a, b, c, 0, 0, 0],
            });
        }
        class::WRITE | class::MMAP | class::REGISTER => return None,
        _ => {
            // Whoever looks after that class: they are numbered in this order.
            let program = match class {
                class::RENAME..=class::PIVOT_ROOT => handler::NAMES,
                class::CONNECT.. => handler::NETWORK,
                _ => handler::FILES,
            };
            return Some(Next {
                program,
                task: u32::from(class),
                with: [a, b, c, d, e, result],
            });
        }
    };
    let file = file_of(descriptor as i32);
    let mut effects = Effects::none();
    match class {
        class::READ | class::RECVFROM => effects.first = read(file, result),
        class::WRITE => effects.first = through(file, access::WRITTEN, result),
        class::MMAP => effects.mapped(c, d, through(file, 0, 0).file),
        _ => effects.first = opened(file, open_flags),
    }
    effects.news(b)
}
