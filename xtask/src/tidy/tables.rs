//! Who may do what: the tables behind the rules. ARCHITECTURE.md has the reasons in words.

/// The modules of roar-cli and what each may import from the crate. `*` is everything.
///
/// A new module gets a line here and one in the map of ARCHITECTURE.md.
pub(super) const LAYERS: &[(&str, &[&str])] = &[
    ("clock", &[]),
    ("timings", &["clock"]),
    ("model", &[]),
    ("event", &["model"]),
    ("observe", &["event", "model"]),
    ("lineage", &["model"]),
    ("redact", &["model"]),
    ("error", &[]),
    ("project", &["error"]),
    ("settings", &["error", "model", "project"]),
    ("trace", &["clock", "event", "model", "settings", "timings"]),
    ("privilege", &[]),
    ("installation", &["trace"]),
    (
        "capture",
        &["clock", "event", "model", "observe", "project", "settings"],
    ),
    ("discard", &["capture", "model", "project"]),
    ("store", &["clock", "error", "model", "project"]),
    (
        "recording",
        &[
            "capture", "clock", "error", "event", "lineage", "model", "observe", "project",
            "redact", "settings", "store", "trace",
        ],
    ),
    (
        "diagnosis",
        &["capture", "error", "project", "settings", "store", "trace"],
    ),
    (
        "reproduce",
        &[
            "capture", "clock", "error", "lineage", "model", "project", "settings", "store",
        ],
    ),
    (
        "present",
        &[
            "diagnosis",
            "error",
            "lineage",
            "model",
            "recording",
            "reproduce",
            "settings",
            "store",
            "timings",
        ],
    ),
    (
        "register",
        &[
            "clock",
            "lineage",
            "model",
            "present",
            "redact",
            "reproduce",
            "store",
        ],
    ),
    ("commands", &["*"]),
    ("main", &["*"]),
    ("loader", &["trace"]),
];

/// Imports that the layers would let through, and why they are wrong all the same.
pub(super) const BANNED_IMPORTS: &[(&str, &str, &str)] = &[(
    "present",
    "crate::store::Store",
    "present shows rows that it is given; commands open the store",
)];

/// Modules without input, output, clock and environment: the same input gives the same value.
pub(super) const PURE: &[&str] = &["event", "lineage", "model", "observe", "redact"];

/// What makes a module impure.
pub(super) const IMPURE: &[&str] = &[
    "std::env",
    "std::fs",
    "std::io",
    "std::net",
    "std::os::fd",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "anstream",
    "aya",
    "git2",
    "jiff::tz",
    "libc",
    "rayon",
    "rusqlite",
    "rustix",
    "tempfile",
    "tokio",
];

/// Libraries that have one home in roar-cli, so that they can be exchanged there.
pub(super) const HOMES: &[(&str, &[&str])] = &[
    ("anstream", &["present"]),
    ("aho_corasick", &["redact"]),
    ("aya", &["trace::ebpf"]),
    ("aya_log", &["trace::ebpf"]),
    ("aya_obj", &["trace::ebpf"]),
    ("clap", &["commands"]),
    ("clap_complete", &["commands"]),
    ("clap_mangen", &["commands"]),
    ("comfy_table", &["present"]),
    ("git2", &["capture::git"]),
    ("indicatif", &["present"]),
    ("nvml_wrapper", &["capture::gpu"]),
    ("owo_colors", &["present"]),
    ("regex", &["redact"]),
    ("reqwest", &["register"]),
    ("rsa", &["register"]),
    (
        "rusqlite",
        &[
            "store",
            "capture::sqlite",
            "capture::packages::rpm",
            "capture::trackers",
        ],
    ),
    ("rusqlite_migration", &["store"]),
    ("simple_dns", &["trace::ebpf"]),
    ("rustls", &["register"]),
    ("ssh_agent_lib", &["register"]),
    ("ssh_key", &["register"]),
    ("tokio", &["trace"]),
    ("toml", &["settings"]),
    ("toml_edit", &["settings"]),
];

/// Calls that belong in one place. A path counts when it ends with the one named here.
pub(super) const CALLS: &[Call] = &[
    Call {
        path: &["SystemTime", "now"],
        homes: &[
            ("roar-cli", "clock"),
            ("glaas/server", "clock"),
            // Where the kernel's own clock for file times cannot be asked.
            ("roar-cli", "capture::hash::settled"),
        ],
        instead: "take the time from crate::clock",
    },
    Call {
        path: &["Timestamp", "now"],
        homes: &[("roar-cli", "clock")],
        instead: "take the time from crate::clock",
    },
    Call {
        path: &["Zoned", "now"],
        homes: &[("roar-cli", "clock")],
        instead: "take the time from crate::clock",
    },
    Call {
        path: &["Instant", "now"],
        // The supervisor times the command and its own patience.
        homes: &[
            ("roar-cli", "clock"),
            ("glaas/server", "clock"),
            ("roar-cli", "trace"),
            ("tests", ""),
            ("xtask", "storm"),
            ("xtask", "queries"),
            ("xtask", "server_bench"),
        ],
        instead: "take a duration from crate::clock or from the caller",
    },
    Call {
        path: &["process", "exit"],
        homes: &[],
        instead: "return the ExitCode to main: destructors must run",
    },
    Call {
        path: &["io", "stdout"],
        homes: PRINTERS,
        instead: "print through present::ui (in xtask: console)",
    },
    Call {
        path: &["io", "stderr"],
        homes: PRINTERS,
        instead: "print through present::ui (in xtask: console)",
    },
    Call {
        path: &["anstream", "stdout"],
        homes: PRINTERS,
        instead: "print through present::ui",
    },
    Call {
        path: &["anstream", "stderr"],
        homes: PRINTERS,
        instead: "print through present::ui",
    },
];

/// A call and the modules (package, module with everything below it) that may make it.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) path: &'static [&'static str],
    pub(super) homes: &'static [(&'static str, &'static str)],
    pub(super) instead: &'static str,
}

const PRINTERS: &[(&str, &str)] = &[
    ("roar-cli", "present::ui"),
    ("roar-cli", "present::terminal"),
    ("xtask", "console"),
    ("glaas/server", "main"),
    ("glaas/server", "telemetry"),
    ("tests", ""),
];

/// Macros that print without asking anyone.
pub(super) const PRINTING_MACROS: &[&str] = &["dbg", "eprint", "eprintln", "print", "println"];

/// Modules that may hold unsafe code: system calls, and the shared memory layout.
pub(super) const UNSAFE: &[(&str, &str)] = &[
    ("roar-cli", "privilege"),
    ("roar-cli", "trace::sys"),
    ("roar-cli", "trace::ebpf::ring"),
    ("roar-cli", "trace::ebpf::sys"),
    ("roar-cli", "trace::seccomp::sys"),
    ("roar-ebpf", ""),
];

/// Lines that a file outside tests may have.
pub(super) const LINES_CEILING: usize = 600;

/// Lines from which a file should be thought about.
pub(super) const LINES_COMFORTABLE: usize = 400;
