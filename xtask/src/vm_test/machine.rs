//! Running a guest, and the verdict from what it says on its serial port.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result};

use super::architecture::Architecture;
use super::emulator::Emulator;
use crate::{console, process};

/// The longest that a guest may take, in seconds: then it is killed. Emulation on a machine that
/// does other work, too, takes many times as long as on an idle one.
pub(super) const LIMIT: &str = "7200";

/// Boots a guest, shows what its steps say, keeps everything in `log`, and returns what is wrong.
pub(super) fn run(
    architecture: Architecture,
    image: &Path,
    initramfs: &Path,
    steps: &[(&str, &str)],
    log: &Path,
) -> Result<Vec<String>> {
    let mut qemu = Emulator::of(architecture)?.command()?;
    let line = format!("console={} quiet panic=-1", architecture.console());
    qemu.args(["-accel", "tcg,thread=multi", "-smp", "2", "-m", "2048"])
        .args(["-nodefaults", "-no-reboot", "-display", "none"])
        .args(["-serial", "stdio", "-append", &line])
        .arg("-kernel")
        .arg(image)
        .arg("-initrd")
        .arg(initramfs)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    process::show(&qemu);
    let mut child = qemu.spawn().context("cannot start qemu")?;
    let output = child.stdout.take().context("its output is piped")?;
    let mut file = File::create(log).with_context(|| log.display().to_string())?;
    let mut said = String::new();
    for line in BufReader::new(output).split(b'\n') {
        let line = line.context("cannot follow the guest")?;
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end_matches('\r');
        writeln!(file, "{line}").context("cannot keep the guest's words")?;
        if is_of_a_step(line) {
            console::line(&format!("  {line}"));
        }
        said.push_str(line);
        said.push('\n');
    }
    let ended = child.wait().context("cannot wait for qemu")?;
    let mut wrong = verdict(&said, steps);
    if !ended.success() {
        wrong.push(format!("the machine: {ended} (124: not done in {LIMIT} s)"));
    }
    Ok(wrong)
}

/// Whether a line is a step's, not the kernel's.
fn is_of_a_step(line: &str) -> bool {
    !line.is_empty() && !line.starts_with('[') && !line.contains('\u{1b}')
}

/// What is wrong with what a guest said.
fn verdict(said: &str, steps: &[(&str, &str)]) -> Vec<String> {
    let words = |line: &str| {
        let words = line.strip_prefix("vm-test: ")?.split(' ');
        Some(words.map(str::to_owned).collect::<Vec<_>>())
    };
    let lines: Vec<_> = said.lines().filter_map(words).collect();
    let mut wrong = Vec::new();
    for (name, _) in steps {
        match lines
            .iter()
            .find(|line| line[0] == "end" && line[1] == *name)
        {
            Some(line) if line[2] == "0" => {}
            Some(line) => wrong.push(format!("{name}: status {}", line[2])),
            None => wrong.push(format!("{name}: not run to its end")),
        }
    }
    if !lines.iter().any(|line| line[0] == "done") {
        wrong.push("the guest did not come to its end".to_owned());
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_guest_that_did_everything_passes() {
        fn check(said: &str, expected: &[&str]) {
            let steps = [("one", "true"), ("two", "true")];
            assert_eq!(verdict(said, &steps), expected);
        }
        check(
            "[ 1.0] x\nvm-test: end one 0 3\ntest result: ok.\nvm-test: end two 0 1\nvm-test: done\n",
            &[],
        );
        check(
            "vm-test: end one 101 3\nvm-test: end two 0 1\nvm-test: done\n",
            &["one: status 101"],
        );
        check(
            "vm-test: end one 0 3\nKernel panic\n",
            &[
                "two: not run to its end",
                "the guest did not come to its end",
            ],
        );
    }
}
