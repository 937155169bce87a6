//! Assembly of the seccomp filter: which calls are sent to the supervisor. Pure.
//!
//! The filter decides on the call number alone wherever it can: only then the kernel's
//! bitmap of constant actions lets every other call through without running it
//! (measured: +40 ns a call that is not notified). Only `open`, `openat`, `sendto`, `seccomp`
//! and `prctl`, which are never constant, have their flags looked at.

use libc::sock_filter;

use super::calls::{Abi, Flags, NATIVE_ARCH};

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const FIRST_ARGUMENT: u32 = 16;

/// Calls at and above this number belong to the x32 interface, which is refused as a
/// kernel without it would.
#[cfg(target_arch = "x86_64")]
const X32_BIT: u32 = 0x4000_0000;

/// The whole filter.
pub(super) fn assemble() -> Vec<sock_filter> {
    let mut program = vec![load(ARCH)];
    #[cfg(target_arch = "x86_64")]
    {
        let compat = section(Abi::I386);
        program.push(jump(
            libc::BPF_JEQ,
            super::calls::I386_ARCH,
            0,
            compat.len(),
        ));
        program.extend(compat);
    }
    // A foreign interface cannot be decoded: let it run; the exec of such a program is a named gap.
    program.push(jump(libc::BPF_JEQ, NATIVE_ARCH, 1, 0));
    program.push(answer(libc::SECCOMP_RET_ALLOW));
    program.extend(section(Abi::Native));
    program
}

/// The rules of one interface; ends in a return on every way.
fn section(abi: Abi) -> Vec<sock_filter> {
    let table = abi.table();
    let mut program = vec![load(NUMBER)];
    #[cfg(target_arch = "x86_64")]
    if abi == Abi::Native {
        program.push(jump(libc::BPF_JGE, X32_BIT, 0, 1));
        program.push(answer(libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32));
    }
    for row in table {
        let Some((argument, flags)) = row.operation.flags_argument() else {
            continue;
        };
        let check = flags_check(argument, flags);
        program.push(jump(libc::BPF_JEQ, row.number as u32, 0, check.len()));
        program.extend(check);
    }
    let rest: Vec<_> = table
        .iter()
        .filter(|row| row.operation.flags_argument().is_none())
        .collect();
    for (index, row) in rest.iter().enumerate() {
        // Over the remaining comparisons and the "allow" to the "notify" behind it.
        program.push(jump(
            libc::BPF_JEQ,
            row.number as u32,
            rest.len() - index,
            0,
        ));
    }
    program.push(answer(libc::SECCOMP_RET_ALLOW));
    program.push(answer(libc::SECCOMP_RET_USER_NOTIF));
    program
}

/// Lets calls through that their flags make harmless.
fn flags_check(argument: u32, flags: Flags) -> Vec<sock_filter> {
    let mut check = vec![load(FIRST_ARGUMENT + 8 * argument)];
    match flags {
        // Opens that cannot touch a file's bytes: O_PATH, and O_DIRECTORY without O_TMPFILE's
        // own bit.
        Flags::Open => check.extend([
            jump(libc::BPF_JSET, libc::O_PATH as u32, 2, 0),
            and((libc::O_DIRECTORY | libc::O_TMPFILE) as u32),
            jump(libc::BPF_JEQ, libc::O_DIRECTORY as u32, 0, 1),
        ]),
        // Nothing, or a pointer to an address: either half of it.
        Flags::Address => check.extend([
            jump(libc::BPF_JEQ, 0, 0, 3),
            load(FIRST_ARGUMENT + 8 * argument + 4),
            jump(libc::BPF_JEQ, 0, 0, 1),
        ]),
        Flags::Is(operation) => check.push(jump(libc::BPF_JEQ, operation, 1, 0)),
    }
    check.extend([
        answer(libc::SECCOMP_RET_ALLOW),
        answer(libc::SECCOMP_RET_USER_NOTIF),
    ]);
    check
}

fn load(offset: u32) -> sock_filter {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, offset)
}

fn and(value: u32) -> sock_filter {
    instruction(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0, 0, value)
}

fn answer(value: u32) -> sock_filter {
    instruction(libc::BPF_RET | libc::BPF_K, 0, 0, value)
}

fn jump(test: u32, value: u32, when_true: usize, when_false: usize) -> sock_filter {
    let short = |distance: usize| u8::try_from(distance).expect("tables are far below 256 rows");
    instruction(
        libc::BPF_JMP | test | libc::BPF_K,
        short(when_true),
        short(when_false),
        value,
    )
}

fn instruction(code: u32, jt: u8, jf: u8, k: u32) -> sock_filter {
    sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
    const NOTIFY: u32 = libc::SECCOMP_RET_USER_NOTIF;

    /// Runs the filter as the kernel would; the number of instructions that ran comes with it.
    fn run(program: &[sock_filter], arch: u32, number: u32, args: [u64; 6]) -> u32 {
        let word = |offset: u32| match offset {
            NUMBER => number,
            ARCH => arch,
            offset => {
                let argument = args[((offset - FIRST_ARGUMENT) / 8) as usize];
                if (offset - FIRST_ARGUMENT).is_multiple_of(8) {
                    argument as u32
                } else {
                    (argument >> 32) as u32
                }
            }
        };
        let (mut at, mut accumulator) = (0, 0u32);
        loop {
            let step = program[at];
            let code = u32::from(step.code);
            at += 1;
            let branch = |taken: bool| usize::from(if taken { step.jt } else { step.jf });
            if code == libc::BPF_LD | libc::BPF_W | libc::BPF_ABS {
                accumulator = word(step.k);
            } else if code == libc::BPF_ALU | libc::BPF_AND | libc::BPF_K {
                accumulator &= step.k;
            } else if code == libc::BPF_RET | libc::BPF_K {
                return step.k;
            } else if code == libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K {
                at += branch(accumulator == step.k);
            } else if code == libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K {
                at += branch(accumulator >= step.k);
            } else if code == libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K {
                at += branch(accumulator & step.k != 0);
            } else {
                panic!("an instruction that the assembler never makes: {code:#x}");
            }
        }
    }

    #[test]
    fn every_number_gets_the_verdict_of_the_table() {
        let program = assemble();
        for number in 0..1000u32 {
            let watched = Abi::Native
                .table()
                .iter()
                .any(|row| row.number == libc::c_long::from(number));
            let by_flags = [libc::SYS_seccomp, libc::SYS_sendto, libc::SYS_prctl];
            let is_plain = !by_flags.contains(&libc::c_long::from(number));
            let expected = if watched && is_plain { NOTIFY } else { ALLOW };
            assert_eq!(
                run(&program, NATIVE_ARCH, number, [0; 6]),
                expected,
                "native {number}"
            );
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn compat_and_x32_calls_are_told_apart() {
        let program = assemble();
        let i386 = super::super::calls::I386_ARCH;
        for number in 0..1000u32 {
            let watched = Abi::I386
                .table()
                .iter()
                .any(|row| row.number == libc::c_long::from(number));
            // seccomp, sendto, prctl
            let is_plain = ![354, 369, 172].contains(&number);
            let expected = if watched && is_plain { NOTIFY } else { ALLOW };
            assert_eq!(
                run(&program, i386, number, [0; 6]),
                expected,
                "i386 {number}"
            );
        }
        let refused = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
        assert_eq!(run(&program, NATIVE_ARCH, X32_BIT | 2, [0; 6]), refused);
        assert_eq!(run(&program, NATIVE_ARCH, u32::MAX, [0; 6]), refused);
        // AUDIT_ARCH_AARCH64: an interface that this build cannot decode.
        assert_eq!(run(&program, 0xC000_00B7, 2, [0; 6]), ALLOW);
    }

    #[test]
    fn opens_without_access_to_bytes_are_let_through() {
        let program = assemble();
        let cases = [
            (libc::O_RDONLY, NOTIFY),
            (libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC, ALLOW),
            (libc::O_PATH, ALLOW),
            (libc::O_PATH | libc::O_DIRECTORY, ALLOW),
            (libc::O_TMPFILE | libc::O_RDWR, NOTIFY),
            (libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC, NOTIFY),
        ];
        for (flags, expected) in cases {
            // The upper half of the register is no part of an int argument.
            for high in [0, 0xffff_ffff_0000_0000] {
                let args = [0, 0, high | flags as u64, 0, 0, 0];
                let verdict = run(&program, NATIVE_ARCH, libc::SYS_openat as u32, args);
                assert_eq!(verdict, expected, "{flags:#o}");
            }
        }
    }

    #[test]
    fn only_new_filters_are_watched() {
        let program = assemble();
        for (number, operation, expected) in [
            (libc::SYS_seccomp, libc::SECCOMP_SET_MODE_STRICT, ALLOW),
            (libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, NOTIFY),
            (libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, ALLOW),
            (libc::SYS_prctl, libc::PR_SET_SECCOMP as u32, NOTIFY),
            (libc::SYS_prctl, libc::PR_SET_NAME as u32, ALLOW),
        ] {
            let args = [operation.into(), 0, 0, 0, 0, 0];
            let verdict = run(&program, NATIVE_ARCH, number as u32, args);
            assert_eq!(verdict, expected, "{number} {operation}");
        }
    }

    #[test]
    fn only_sending_to_an_address_is_watched() {
        let program = assemble();
        for (address, expected) in [
            (0, ALLOW),
            (0x7ffd_0000_1000, NOTIFY),
            (1 << 32, NOTIFY),
            (8, NOTIFY),
        ] {
            let args = [3, 0x1000, 10, 0, address, 16];
            let verdict = run(&program, NATIVE_ARCH, libc::SYS_sendto as u32, args);
            assert_eq!(verdict, expected, "{address:#x}");
        }
    }

    #[test]
    fn the_program_stays_small() {
        assert!(assemble().len() < 160, "{}", assemble().len());
    }
}
