//! What differs between the machines that guests are made for.

use std::path::PathBuf;
use std::process::Command;

use crate::setup::Part;

/// A kind of machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Architecture {
    X86_64,
    Aarch64,
}

impl Architecture {
    /// The machine that xtask runs on, when it is one of them.
    pub(super) fn host() -> Option<Self> {
        [Self::X86_64, Self::Aarch64]
            .into_iter()
            .find(|architecture| architecture.triple().starts_with(std::env::consts::ARCH))
    }

    /// What must be installed to make and to run its guests.
    pub(super) fn parts(self) -> &'static [Part] {
        match self {
            Self::X86_64 => &[Part::Vm],
            Self::Aarch64 => &[Part::Vm, Part::VmAarch64],
        }
    }

    /// Rust's name of it.
    pub(super) fn triple(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-unknown-linux-gnu",
            Self::Aarch64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// Debian's name of it.
    pub(super) fn debian(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
        }
    }

    /// A program of the GNU tool chain that makes programs for it.
    pub(super) fn tool(self, name: &str) -> String {
        match self {
            _ if Self::host() == Some(self) => name.to_owned(),
            Self::X86_64 => format!("x86_64-linux-gnu-{name}"),
            Self::Aarch64 => format!("aarch64-linux-gnu-{name}"),
        }
    }

    /// Has cargo build for it. On a machine of the kind, what is built anyway is used.
    pub(super) fn choose(self, cargo: &mut Command) {
        if Self::host() == Some(self) {
            return;
        }
        let variable = self.triple().to_uppercase().replace('-', "_");
        let variable = format!("CARGO_TARGET_{variable}_LINKER");
        cargo
            .args(["--target", self.triple()])
            .env(variable, self.tool("gcc"));
    }

    /// The emulator of such machines, the package that has it, and the machine.
    pub(super) fn emulated(self) -> (&'static str, &'static str, [&'static str; 4]) {
        match self {
            Self::X86_64 => (
                "qemu-system-x86_64",
                "qemu-system-x86",
                ["-machine", "q35", "-cpu", "max"],
            ),
            Self::Aarch64 => (
                "qemu-system-aarch64",
                "qemu-system-arm",
                ["-machine", "virt", "-cpu", "cortex-a72"],
            ),
        }
    }

    /// The kernel's name of the first serial port.
    pub(super) fn console(self) -> &'static str {
        match self {
            Self::X86_64 => "ttyS0",
            Self::Aarch64 => "ttyAMA0",
        }
    }

    /// Where everything for such guests is kept.
    pub(super) fn folder(self) -> PathBuf {
        super::folder().join(self.debian())
    }
}
