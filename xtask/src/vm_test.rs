//! `cargo xtask vm-test`: roar on other kernels than this machine's.
//!
//! Boots Debian's kernels under qemu with roar, its tests and the workload programs in an
//! initramfs. The tests are the host's own: in each guest they load and attach every program,
//! compare what roar records with the table of workloads, and see that roar falls back to
//! seccomp for an ordinary user, without type information and under lockdown. Needs no root, and
//! changes nothing outside the target folder.

mod architecture;
mod emulator;
mod guest;
mod kernels;
mod machine;
mod packages;
mod steps;

use std::path::PathBuf;

use anyhow::{Result, bail};

use self::architecture::Architecture;
use self::guest::Guest;
use self::kernels::{KERNELS, Kernel};
use self::packages::Packages;
use self::steps::STEPS;
use crate::{console, setup, workspace};

/// Try roar on other kernels, in virtual machines
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Only this kernel (may be repeated); all kernels when left out
    #[arg(long, value_name = "NAME", value_parser = names())]
    kernel: Vec<String>,

    /// Only the subset that CI runs: one kernel, the steps of a few seconds
    #[arg(long)]
    quick: bool,
}

impl Args {
    /// What CI asks for.
    pub(crate) fn quick() -> Self {
        Self {
            quick: true,
            ..Self::default()
        }
    }

    fn wants(&self, kernel: &Kernel) -> bool {
        if self.kernel.is_empty() {
            kernel.quick || !self.quick
        } else {
            self.kernel.iter().any(|name| name == kernel.name)
        }
    }
}

fn names() -> [&'static str; KERNELS.len()] {
    KERNELS.map(|kernel| kernel.name)
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let steps: Vec<(&str, &str)> = STEPS
        .iter()
        .filter_map(|step| {
            let quick = step.quick.filter(|_| args.quick);
            Some((step.name, if args.quick { quick? } else { step.command }))
        })
        .collect();
    let mut failed = Vec::new();
    for architecture in [Architecture::X86_64, Architecture::Aarch64] {
        let kernels = KERNELS.iter();
        let kernels: Vec<_> = kernels
            .filter(|kernel| kernel.architecture == architecture && args.wants(kernel))
            .collect();
        if kernels.is_empty() {
            continue;
        }
        let missing = setup::ensure(architecture.parts())?;
        if !missing.is_empty() {
            console::line(&format!(
                "skipped: guests of {} cannot be run without {}",
                architecture.debian(),
                missing.join(", ")
            ));
            continue;
        }
        console::heading(&format!("programs for {}", architecture.triple()));
        let guest = Guest::build(architecture)?;
        let mut packages = Packages::of(architecture);
        for kernel in kernels {
            console::heading(&format!("Linux {}", kernel.name));
            let unpacked = packages.kernel(kernel)?;
            let initramfs = guest.pack(&mut packages, &unpacked.modules, &steps)?;
            let log = folder().join(format!("{}.log", kernel.name));
            let wrong = machine::run(architecture, &unpacked.image, &initramfs, &steps, &log)?;
            if !wrong.is_empty() {
                console::line(&format!("FAILED: {}", wrong.join("; ")));
                console::line(&format!("everything it said is in {}", log.display()));
                failed.push(kernel.name);
            }
        }
    }
    if !failed.is_empty() {
        bail!("roar is not right on Linux {}", failed.join(", "));
    }
    Ok(())
}

/// Where downloads, guests and their logs are kept.
fn folder() -> PathBuf {
    workspace::target().join("vm-test")
}
