//! Why bpf(2) says no, as far as a process can tell of itself.

use std::fs;

use rustix::thread::CapabilitySet;

/// What stands in the way of bpf(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A user namespace: capabilities inside mean nothing to bpf(2).
    UserNamespace,
    /// The capabilities are missing.
    Capabilities,
    /// They are missing, and no program that is started from here can have them.
    Bounded,
    /// They are missing, and under no_new_privs no program can gain them.
    NoNewPrivileges,
    /// They are there: a seccomp profile or a security module refuses.
    Filter,
}

impl Refusal {
    /// Of this process, to whom bpf(2) said EPERM.
    pub fn of_this_process() -> Self {
        if is_user_namespace() {
            Self::UserNamespace
        } else if has_capabilities() {
            Self::Filter
        } else if is_bounded() {
            Self::Bounded
        } else if rustix::thread::no_new_privs().unwrap_or(false) {
            Self::NoNewPrivileges
        } else {
            Self::Capabilities
        }
    }

    /// What mends it, in one line.
    pub fn mend(self) -> &'static str {
        match self {
            Self::UserNamespace => {
                "eBPF is not to be had inside of a user namespace (rootless container, unshare -U): \
                 run roar outside of it"
            }
            Self::Capabilities => {
                "eBPF needs CAP_BPF and CAP_PERFMON: `sudo roar setup` once gives them to a small \
                 loader, or use `sudo roar run …`"
            }
            Self::Bounded => {
                "eBPF needs CAP_BPF and CAP_PERFMON, which nothing that runs here can have: start the \
                 container with `--cap-add BPF --cap-add PERFMON`"
            }
            Self::NoNewPrivileges => {
                "eBPF needs CAP_BPF and CAP_PERFMON, which no program can gain under no_new_privs: \
                 start roar without it"
            }
            Self::Filter => {
                "bpf(2) is refused although CAP_BPF and CAP_PERFMON are there: a container's seccomp \
                 profile does that (start it with `--security-opt seccomp=unconfined` or a profile \
                 that allows bpf), or a security module"
            }
        }
    }
}

/// Whether this is not the initial user namespace.
pub fn is_user_namespace() -> bool {
    fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| !is_whole_map(&map))
}

/// Whether a uid_map maps every user to itself, as the initial namespace's does.
fn is_whole_map(map: &str) -> bool {
    map.split_whitespace().eq(["0", "0", "4294967295"])
}

/// Whether no program that this process starts can gain the capabilities.
fn is_bounded() -> bool {
    let may = |capability| rustix::thread::capability_is_in_bounding_set(capability);
    [CapabilitySet::BPF, CapabilitySet::PERFMON]
        .into_iter()
        .any(|capability| may(capability) == Ok(false))
}

/// Whether this process has what bpf(2) asks for.
pub(super) fn has_capabilities() -> bool {
    rustix::thread::capabilities(None).is_ok_and(|sets| {
        let wanted = CapabilitySet::BPF | CapabilitySet::PERFMON;
        sets.effective.contains(wanted) || sets.effective.contains(CapabilitySet::SYS_ADMIN)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_of_users() {
        for (map, expected) in [
            ("         0          0 4294967295\n", true),
            ("0 1000 1\n", false),
            ("0 0 1000\n1000 1000 5\n", false),
        ] {
            assert_eq!(is_whole_map(map), expected, "{map}");
        }
    }
}
