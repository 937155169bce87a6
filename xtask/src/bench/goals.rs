//! What roar aims at: the goal, and the floor below which it must not fall.

/// What a row is about.
#[derive(Clone, Copy, Debug)]
pub(super) enum Of {
    /// Processor time of a workload under eBPF, tracing only, to bare.
    Ebpf(&'static str),
    /// Their geometric mean.
    EbpfMean,
    /// The geometric mean of the processor time under seccomp.
    SeccompMean,
    /// Nanoseconds that another process's calls take longer; the worst call.
    Untraced,
    /// Milliseconds from the end of an empty command to roar's.
    Return,
    /// Milliseconds that roar adds to an empty command.
    EmptyRun,
    /// Mebibytes of memory, the most of any workload of no more than a thousand files.
    Memory,
    /// Wall clock of reading and hashing a large file, to that of `b3sum`.
    HashingLarge,
    /// The same of many small files.
    HashingSmall,
}

/// A row of the table.
pub(super) struct Goal {
    pub(super) area: &'static str,
    pub(super) of: Of,
    pub(super) aim: f64,
    pub(super) floor: f64,
}

const fn ratio(area: &'static str, of: Of, aim: f64, floor: f64) -> Goal {
    Goal {
        area,
        of,
        aim,
        floor,
    }
}

/// All of them.
pub(super) const ALL: [Goal; 16] = [
    ratio(
        "eBPF, machine-learning pipeline",
        Of::Ebpf("ml"),
        1.01,
        1.04,
    ),
    ratio(
        "eBPF, compile (`make -j2`, 100 files)",
        Of::Ebpf("make"),
        1.02,
        1.05,
    ),
    ratio("eBPF, 1,000 × /bin/true", Of::Ebpf("spawn"), 1.03, 1.07),
    ratio("eBPF, git clone and status", Of::Ebpf("git"), 1.03, 1.06),
    ratio(
        "eBPF, 8 workers reading 4,000 files",
        Of::Ebpf("workers"),
        1.03,
        1.08,
    ),
    ratio("eBPF, untar of 20,000 files", Of::Ebpf("untar"), 1.08, 1.13),
    ratio("eBPF, `dd bs=64`", Of::Ebpf("dd"), 1.12, 1.18),
    ratio(
        "eBPF, checkpoint of 1 GiB",
        Of::Ebpf("checkpoint"),
        1.01,
        1.04,
    ),
    ratio("eBPF, geometric mean of these", Of::EbpfMean, 1.03, 1.05),
    ratio("seccomp, geometric mean", Of::SeccompMean, 1.15, 1.25),
    ratio(
        "untraced processes meanwhile, worst call (ns)",
        Of::Untraced,
        100.0,
        140.0,
    ),
    ratio("command's end → prompt, `true` (ms)", Of::Return, 5.0, 10.0),
    ratio("`roar run true` above `true` (ms)", Of::EmptyRun, 8.0, 15.0),
    ratio(
        "memory of roar, up to 1,000 files (MiB)",
        Of::Memory,
        24.0,
        32.0,
    ),
    ratio("hashing 1 GiB, to `b3sum`", Of::HashingLarge, 1.05, 1.11),
    ratio(
        "hashing 20,000 small files, to `b3sum`",
        Of::HashingSmall,
        0.77,
        1.0,
    ),
];
