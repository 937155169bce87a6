//! Basic facts about the machine, without starting a process: a handful of small reads.
//!
//! What stays the same from one start of the machine to the next is noted: with many processors, and on
//! older kernels, `/proc/cpuinfo` takes tens of milliseconds.
//!
//! Nothing here fails: what cannot be found out is empty or zero.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::notes::Notes;
use super::select::Facts;
use super::surroundings::{self, Firmware};
use crate::model::{HostFacts, RawString};
use crate::project::Project;

/// The machine as it is now.
pub fn facts(notes: &Notes) -> HostFacts {
    let names = system::names();
    let Hardware {
        cpu_model,
        cpu_flags,
        firmware,
    } = Hardware::of_this_boot(notes);
    let is_virtual = cpu_flags.iter().any(|flag| flag == "hypervisor");
    let around = surroundings::look(is_virtual, &firmware);
    HostFacts {
        hostname: names.hostname,
        os: os_release("/etc/os-release")
            .or_else(|| os_release("/usr/lib/os-release"))
            .unwrap_or_else(|| std::env::consts::OS.to_owned()),
        kernel: names.kernel,
        arch: names.arch,
        cpu_model,
        cpu_flags,
        cpu_count: read("/sys/devices/system/cpu/online")
            .and_then(|text| count_of_list(&text))
            .or_else(|| Some(std::thread::available_parallelism().ok()?.get() as u32))
            .unwrap_or_default(),
        memory_bytes: read("/proc/meminfo")
            .and_then(|text| memory_bytes(&text))
            .unwrap_or_default(),
        user: system::user(),
        container: around.container,
        hypervisor: around.hypervisor,
        cloud: around.cloud,
        // Found out beside the command.
        gpus: Vec::new(),
        nvidia_driver: None,
        cuda: None,
    }
}

/// What does not change while a machine runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Hardware {
    cpu_model: String,
    cpu_flags: Vec<String>,
    firmware: Firmware,
}

/// Where the processor is described.
const CPUINFO: &str = "/proc/cpuinfo";

impl Hardware {
    /// As it was noted since the machine was started, else as it is looked up now.
    fn of_this_boot(notes: &Notes) -> Self {
        let Some(boot) = read("/proc/sys/kernel/random/boot_id") else {
            return Self::now();
        };
        let (source, boot) = (Path::new(CPUINFO), boot.trim());
        let noted = notes.recall(source, boot);
        if let Some(known) = noted.and_then(|text| serde_json::from_slice(&text).ok()) {
            return known;
        }
        let now = Self::now();
        if let Ok(text) = serde_json::to_vec(&now) {
            notes.learn(source, boot, &text);
        }
        now
    }

    fn now() -> Self {
        let cpuinfo = read(CPUINFO).unwrap_or_default();
        Self {
            cpu_model: cpu_model(&cpuinfo).unwrap_or_default(),
            cpu_flags: cpu_flags(&cpuinfo),
            firmware: Firmware::read(),
        }
    }
}

/// What selection has to know of this machine and user; `tracked` is for the caller to fill in.
/// Paths are made real, as the tracer's are.
pub fn selection_facts(project: &Project) -> Facts {
    let real = |path: PathBuf| RawString::from_path(&path.canonicalize().unwrap_or(path));
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let fixed = ["/tmp", "/var/tmp", "/dev/shm"].map(PathBuf::from);
    let named = ["TMPDIR", "TMP", "TEMP"]
        .iter()
        .filter_map(|name| absolute(name));
    let mut temporary_folders: Vec<RawString> = fixed.into_iter().chain(named).map(real).collect();
    temporary_folders.sort();
    temporary_folders.dedup();
    Facts {
        project_root: RawString::from_path(&project.root),
        home: absolute("HOME")
            .or_else(|| absolute("USERPROFILE"))
            .map(real)
            // A service without a home has `/`; then every path would be in it.
            .filter(|home| home.as_bytes() != b"/"),
        temporary_folders,
        redirects: redirects(),
        tracked: std::collections::HashSet::new(),
    }
}

/// The regular files that roar's stdout and stderr are, by their present paths.
fn redirects() -> Vec<RawString> {
    ["/proc/self/fd/1", "/proc/self/fd/2"]
        .iter()
        .filter_map(|stream| std::fs::read_link(stream).ok())
        .filter(|path| path.is_file())
        .map(|path| RawString::from_path(&path))
        .collect()
}

fn read(path: &str) -> Option<String> {
    let bytes = std::fs::read(path).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn os_release(path: &str) -> Option<String> {
    pretty_name(&read(path)?)
}

/// `PRETTY_NAME` of an os-release file, unquoted (os-release(5)).
fn pretty_name(text: &str) -> Option<String> {
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    let value = value.trim();
    let unquoted = ['"', '\'']
        .iter()
        .find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
    let name = unquoted.unwrap_or(value).replace('\\', "");
    (!name.is_empty()).then_some(name)
}

/// The model of the first processor. On aarch64 there is no name, only the maker's numbers.
fn cpu_model(cpuinfo: &str) -> Option<String> {
    let field = |name: &str| {
        cpuinfo.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            (key.trim() == name).then(|| value.trim().to_owned())
        })
    };
    field("model name").or_else(|| field("Model")).or_else(|| {
        let maker = field("CPU implementer")?;
        Some(format!("implementer {maker} part {}", field("CPU part")?))
    })
}

/// What the first processor can do.
fn cpu_flags(cpuinfo: &str) -> Vec<String> {
    let flags = cpuinfo.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        matches!(key.trim(), "flags" | "Features").then_some(value)
    });
    let words = flags.unwrap_or_default().split_whitespace();
    words.map(str::to_owned).collect()
}

/// The length of a list like `0-3,8,10-11`.
fn count_of_list(text: &str) -> Option<u32> {
    text.trim().split(',').try_fold(0, |count: u32, range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        count.checked_add(last.checked_sub(first)?.checked_add(1)?)
    })
}

fn memory_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

struct Names {
    hostname: String,
    kernel: String,
    arch: String,
}

#[cfg(unix)]
mod system {
    use super::{Names, read};

    pub(super) fn names() -> Names {
        let names = rustix::system::uname();
        Names {
            hostname: names.nodename().to_string_lossy().into_owned(),
            kernel: names.release().to_string_lossy().into_owned(),
            arch: names.machine().to_string_lossy().into_owned(),
        }
    }

    /// The login name of the real user: from the password file, else the environment, else the
    /// number. Users of a directory service are not in the file.
    pub(super) fn user() -> String {
        let uid = rustix::process::getuid().as_raw();
        read("/etc/passwd")
            .and_then(|text| super::name_of_user(&text, uid))
            .or_else(|| std::env::var("USER").ok().filter(|name| !name.is_empty()))
            .unwrap_or_else(|| uid.to_string())
    }
}

#[cfg(not(unix))]
mod system {
    use super::Names;

    pub(super) fn names() -> Names {
        Names {
            hostname: std::env::var("COMPUTERNAME").unwrap_or_default(),
            kernel: String::new(),
            arch: std::env::consts::ARCH.to_owned(),
        }
    }

    pub(super) fn user() -> String {
        std::env::var("USERNAME").unwrap_or_default()
    }
}

#[cfg(unix)]
fn name_of_user(passwd: &str, uid: u32) -> Option<String> {
    let uid = uid.to_string();
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_the_system() {
        let os = [
            (
                "NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n",
                Some("Debian GNU/Linux 12 (bookworm)"),
            ),
            ("PRETTY_NAME='A \\$ B'", Some("A $ B")),
            ("PRETTY_NAME=Plain", Some("Plain")),
            ("PRETTY_NAME=\"\"", None),
            ("PRETTY_NAME=\"", Some("\"")),
            ("NAME=x", None),
        ];
        for (text, expected) in os {
            assert_eq!(pretty_name(text).as_deref(), expected, "{text}");
        }
        let cpus = [
            (
                "processor\t: 0\nmodel name\t: Xeon @ 2GHz\nprocessor : 1\nmodel name : Other\n",
                Some("Xeon @ 2GHz"),
            ),
            (
                "processor : 0\nCPU implementer : 0x41\nCPU part : 0xd0c\n",
                Some("implementer 0x41 part 0xd0c"),
            ),
            (
                "Hardware : x\nModel : Raspberry Pi 5",
                Some("Raspberry Pi 5"),
            ),
            ("", None),
        ];
        for (text, expected) in cpus {
            assert_eq!(cpu_model(text).as_deref(), expected, "{text}");
        }
        assert_eq!(
            cpu_flags("flags : fpu avx2\nflags : other\n"),
            ["fpu", "avx2"]
        );
        assert!(cpu_flags("").is_empty());
        let lists = [
            ("0\n", Some(1)),
            ("0-3,8,10-11\n", Some(7)),
            ("", None),
            ("3-0", None),
            ("0-x", None),
        ];
        for (text, expected) in lists {
            assert_eq!(count_of_list(text), expected, "{text}");
        }
        assert_eq!(
            memory_bytes("MemTotal:   16 kB\nMemFree: 1 kB"),
            Some(16384)
        );
        assert_eq!(memory_bytes("MemTotal: 99999999999999999999 kB"), None);
    }

    #[cfg(unix)]
    #[test]
    fn users() {
        let text = "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\nbroken\n";
        assert_eq!(name_of_user(text, 1000).as_deref(), Some("ann"));
        assert_eq!(name_of_user(text, 1), None);
    }

    /// The same as other programs say.
    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine() {
        let notes = Notes::default();
        let facts = facts(&notes);
        // From the notes, as the next run has it.
        assert_eq!(super::facts(&notes), facts);
        let boot = read("/proc/sys/kernel/random/boot_id").expect("a boot has a name");
        assert!(notes.knows(Path::new(CPUINFO), boot.trim()));
        for (program, option, found) in [
            ("uname", "-n", &facts.hostname),
            ("uname", "-r", &facts.kernel),
            ("uname", "-m", &facts.arch),
            ("getconf", "_NPROCESSORS_ONLN", &facts.cpu_count.to_string()),
            ("id", "-run", &facts.user),
        ] {
            let output = std::process::Command::new(program).arg(option).output();
            let output = output.expect("a standard program");
            assert_eq!(
                String::from_utf8_lossy(&output.stdout).trim(),
                found,
                "{program} {option}"
            );
        }
        assert!(facts.memory_bytes > 1 << 20 && !facts.os.is_empty());
    }
}
