//! What is run in each guest: the host's own tests, by their own executables.

/// The test executables that guests get.
pub(super) const TESTS: [&str; 4] = ["bpf", "kernel", "loss", "unprivileged"];

/// One command of a guest; how it ends is the verdict.
#[derive(Debug)]
pub(super) struct Step {
    /// One word.
    pub(super) name: &'static str,
    /// For the shell, in the folder of the test executables.
    pub(super) command: &'static str,
    /// What the quick subset does instead, if anything.
    pub(super) quick: Option<&'static str>,
}

/// In this order: after the last one, nothing else can be tried before the next boot.
pub(super) const STEPS: [Step; 5] = [
    Step {
        name: "workloads",
        // Real tools are not there, nor strace, which is their oracle.
        command: "./bpf --skip tools --skip everyday_lines",
        // Every program of the object is loaded for each row; these rows use all of them.
        quick: Some("./bpf mappings nested_runs && ./bpf --exact rings"),
    },
    Step {
        name: "loss",
        command: "./loss a_tiny_ring",
        quick: None,
    },
    Step {
        name: "ordinary-user",
        command: "./unprivileged",
        quick: Some("./unprivileged an_ordinary_user"),
    },
    Step {
        name: "no-btf",
        command: NO_BTF,
        quick: Some(NO_BTF),
    },
    Step {
        name: "lockdown",
        command: LOCKDOWN,
        quick: Some(LOCKDOWN),
    },
];

const NO_BTF: &str = "./kernel without_type_information";

const LOCKDOWN: &str = "./kernel lockdown && echo confidentiality > /sys/kernel/security/lockdown && ./kernel lockdown";
