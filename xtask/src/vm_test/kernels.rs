//! The kernels that roar is tried on.

use super::architecture::Architecture;

/// A kernel of Debian's.
#[derive(Debug)]
pub(super) struct Kernel {
    /// The name by which `--kernel` knows it.
    pub(super) name: &'static str,
    pub(super) series: &'static str,
    pub(super) architecture: Architecture,
    /// What its packages are called: a regular expression for apt.
    pub(super) package: &'static str,
    /// Whether the quick subset tries it.
    pub(super) quick: bool,
}

/// On x86-64 the build for virtual machines: the same kernel with fewer modules, thus a third of
/// the download. On aarch64 the usual one.
pub(super) const KERNELS: [Kernel; 4] = [
    Kernel {
        name: "6.1-x86_64",
        series: "6.1",
        architecture: Architecture::X86_64,
        package: r"^linux-image-6\.1\.0-[0-9]+-cloud-amd64$",
        quick: true,
    },
    Kernel {
        name: "6.12-x86_64",
        series: "6.12",
        architecture: Architecture::X86_64,
        package: r"^linux-image-6\.12\.[0-9]+\+deb[0-9]+-cloud-amd64$",
        quick: false,
    },
    Kernel {
        name: "6.1-aarch64",
        series: "6.1",
        architecture: Architecture::Aarch64,
        package: r"^linux-image-6\.1\.0-[0-9]+-arm64$",
        quick: false,
    },
    Kernel {
        name: "6.12-aarch64",
        series: "6.12",
        architecture: Architecture::Aarch64,
        package: r"^linux-image-6\.12\.[0-9]+\+deb[0-9]+-arm64$",
        quick: false,
    },
];
