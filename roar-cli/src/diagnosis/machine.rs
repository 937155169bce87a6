//! The kernel, the rights of this process, and what it runs inside of.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{Check, State};
use crate::trace::ebpf::{is_user_namespace, loader};

/// Where the kernel keeps its type information.
const BTF: &str = "/sys/kernel/btf/vmlinux";

/// The oldest kernel whose verifier takes the programs (`bpf_loop`).
const MINIMUM: (u32, u32) = (5, 17);

/// Numbers of capabilities(7).
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// What the tracers' verdicts are explained with.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    release: String,
    pub(super) has_types: bool,
    lockdown: Option<String>,
    effective: Option<u64>,
    no_new_privileges: bool,
    /// Not the initial user namespace: capabilities there mean nothing to bpf(2).
    is_user_namespace: bool,
    container: Option<String>,
}

impl Facts {
    pub(super) fn read() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let set = |name: &str| u64::from_str_radix(field(&status, name)?, 16).ok();
        Self {
            release: rustix::system::uname()
                .release()
                .to_string_lossy()
                .into_owned(),
            has_types: fs::File::open(BTF).is_ok(),
            lockdown: fs::read_to_string("/sys/kernel/security/lockdown")
                .ok()
                .and_then(|text| chosen(&text)),
            effective: set("CapEff"),
            no_new_privileges: field(&status, "NoNewPrivs") == Some("1"),
            is_user_namespace: is_user_namespace(),
            container: container(),
        }
    }

    /// Whether the kernel is older than the programs need; false when its name tells nothing.
    pub(super) fn is_too_old(&self) -> bool {
        version(&self.release).is_some_and(|found| found < MINIMUM)
    }

    /// Whether the kernel keeps its memory from every program.
    pub(super) fn is_confidential(&self) -> bool {
        self.lockdown.as_deref() == Some("confidentiality")
    }

    /// All that was found out about the machine.
    pub(super) fn checks(&self) -> Vec<Check> {
        vec![
            self.kernel(),
            self.types(),
            self.locked_down(),
            self.capabilities(),
            installed_loader(),
            sysctls(),
            tracefs(),
            cgroup(),
            seccomp(),
            self.surroundings(),
        ]
    }

    fn kernel(&self) -> Check {
        let check = Check::ok("kernel", self.release.clone(), json!(self.release));
        if self.is_too_old() {
            return Check {
                state: State::Note,
                ..check
            }
            .mended_by("eBPF tracing needs Linux 5.17 or newer");
        }
        check
    }

    fn types(&self) -> Check {
        if self.has_types {
            return Check::ok("BTF", BTF, json!(true));
        }
        Check::new(
            "BTF",
            State::Note,
            format!("{BTF} cannot be read"),
            json!(false),
        )
        .mended_by(TYPES_MEND)
    }

    fn locked_down(&self) -> Check {
        match self.lockdown.as_deref() {
            None => Check::ok(
                "lockdown",
                "unknown (no securityfs mounted, or not built in)",
                Value::Null,
            ),
            Some(mode) if self.is_confidential() => {
                Check::new("lockdown", State::Note, mode, json!(mode)).mended_by(LOCKDOWN_MEND)
            }
            Some(mode) => Check::ok("lockdown", mode, json!(mode)),
        }
    }

    fn capabilities(&self) -> Check {
        let Some(effective) = self.effective else {
            return Check::new(
                "capabilities",
                State::Note,
                "unknown (no /proc)",
                Value::Null,
            );
        };
        let held = |number| has(effective, number) || has(effective, CAP_SYS_ADMIN);
        let (bpf, perfmon) = (held(CAP_BPF), held(CAP_PERFMON));
        let mut found = match (bpf, perfmon) {
            (true, true) => "CAP_BPF and CAP_PERFMON".to_owned(),
            (true, false) => "CAP_BPF, not CAP_PERFMON".to_owned(),
            (false, true) => "CAP_PERFMON, not CAP_BPF".to_owned(),
            (false, false) => "neither CAP_BPF nor CAP_PERFMON".to_owned(),
        };
        if self.is_user_namespace {
            found.push_str("; in a user namespace, where they do not count for eBPF");
        }
        if self.no_new_privileges {
            found.push_str("; no_new_privs is set, so no program can bring them");
        }
        let value = json!({
            "effective": format!("{effective:016x}"),
            "bpf": bpf,
            "perfmon": perfmon,
            "no_new_privileges": self.no_new_privileges,
            "user_namespace": self.is_user_namespace,
        });
        Check::ok("capabilities", found, value)
    }

    fn surroundings(&self) -> Check {
        match &self.container {
            Some(kind) => Check::ok("container", kind.clone(), json!(kind)),
            None => Check::ok("container", "none found", Value::Null),
        }
    }
}

/// What mends a kernel without type information.
pub(super) const TYPES_MEND: &str =
    "a kernel with CONFIG_DEBUG_INFO_BTF=y (in a container: let it see the host's /sys)";

/// What mends a kernel that is locked down too far.
pub(super) const LOCKDOWN_MEND: &str =
    "boot with lockdown=integrity: confidentiality keeps eBPF from reading kernel memory";

/// Whether it works is the tracer's to say.
fn installed_loader() -> Check {
    match loader::installed() {
        Some(path) => {
            let path = path.to_string_lossy();
            Check::ok("loader", path.clone(), json!(path))
        }
        None => Check::ok("loader", "not installed", Value::Null),
    }
}

/// Settings of the kernel that other tools depend on; listed because readers ask.
fn sysctls() -> Check {
    let read = |name: &str| {
        let text = fs::read_to_string(format!("/proc/sys/kernel/{name}")).ok()?;
        text.trim().parse::<i64>().ok()
    };
    let names = ["unprivileged_bpf_disabled", "perf_event_paranoid"];
    let values = names.map(read);
    let found: Vec<String> = names
        .iter()
        .zip(values)
        .filter_map(|(name, value)| Some(format!("{name}={}", value?)))
        .collect();
    Check::ok(
        "sysctl",
        format!("{} (not in roar's way)", found.join(", ")),
        json!({names[0]: values[0], names[1]: values[1]}),
    )
}

fn tracefs() -> Check {
    match mount_of("tracefs") {
        Some(point) => Check::ok(
            "tracefs",
            format!("{point} (not needed)"),
            json!({"mounted": point}),
        ),
        None => Check::ok(
            "tracefs",
            "not mounted (not needed)",
            json!({"mounted": null}),
        ),
    }
}

fn cgroup() -> Check {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let path = own.lines().find_map(|line| line.strip_prefix("0::"));
    match (mount_of("cgroup2"), path) {
        (Some(point), Some(path)) => Check::ok(
            "cgroup",
            format!("version 2 at {point}, this process in {path}"),
            json!({"version": 2, "mounted": point, "path": path}),
        ),
        (_, path) => Check::ok(
            "cgroup",
            "no version 2 mounted (not needed)",
            json!({"version": null, "mounted": null, "path": path}),
        ),
    }
}

fn seccomp() -> Check {
    let actions = fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail").unwrap_or_default();
    let actions: Vec<&str> = actions.split_whitespace().collect();
    if actions.is_empty() {
        return Check::new("seccomp", State::Note, "not built in", Value::Null);
    }
    let found = if actions.contains(&"user_notif") {
        "with user notification"
    } else {
        "without user notification (Linux 5.0)"
    };
    Check::ok("seccomp", found, json!({"actions": actions}))
}

/// Where the first file system of a kind is mounted, in this namespace.
fn mount_of(kind: &str) -> Option<String> {
    let table = fs::read_to_string("/proc/self/mounts").ok()?;
    table.lines().find_map(|line| {
        let mut words = line.split(' ').skip(1);
        let point = words.next()?;
        (words.next()? == kind).then(|| point.to_owned())
    })
}

/// What kind of container this is, as far as it leaves a mark.
fn container() -> Option<String> {
    if Path::new("/.dockerenv").exists() {
        return Some("docker".to_owned());
    }
    if Path::new("/run/.containerenv").exists() {
        return Some("podman".to_owned());
    }
    if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
        return Some("kubernetes".to_owned());
    }
    // systemd's container interface.
    let named = fs::read_to_string("/run/systemd/container").ok();
    let named = named.or_else(|| std::env::var("container").ok());
    named
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
}

/// The value of a field of /proc/PID/status.
fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key == name).then(|| value.trim())
    })
}

/// The word in brackets.
fn chosen(text: &str) -> Option<String> {
    let (_, rest) = text.split_once('[')?;
    Some(rest.split_once(']')?.0.to_owned())
}

/// Major and minor of a kernel release.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn has(set: u64, number: u32) -> bool {
    set >> number & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_the_kernel() {
        for (release, expected) in [
            ("6.18.44-fc-v769", Some((6, 18))),
            ("5.4.0", Some((5, 4))),
            ("5.17-rc1", Some((5, 17))),
            ("4", None),
            ("", None),
        ] {
            assert_eq!(version(release), expected, "{release}");
        }
        for (text, expected) in [
            ("[none] integrity confidentiality\n", Some("none")),
            ("none integrity [confidentiality]", Some("confidentiality")),
            ("none", None),
        ] {
            assert_eq!(chosen(text).as_deref(), expected, "{text}");
        }
        let status = "Name:\troar\nCapEff:\t000000c000000000\nNoNewPrivs:\t1\n";
        assert_eq!(field(status, "CapEff"), Some("000000c000000000"));
        assert_eq!(field(status, "Cap"), None);
    }
}
