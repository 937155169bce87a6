//! What a machine is itself inside of: container, virtual machine, cloud. Hints, told by a few small
//! files; what leaves no such mark is not seen.

use std::path::Path;

use serde::{Deserialize, Serialize};

/// What was made out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Surroundings {
    pub(super) container: Option<String>,
    pub(super) hypervisor: Option<String>,
    pub(super) cloud: Option<String>,
}

/// Texts and marks that tell.
#[expect(clippy::struct_excessive_bools, reason = "one for each mark")]
#[derive(Clone, Copy, Debug, Default)]
struct Signs<'a> {
    /// `/proc/1/cgroup`.
    cgroup: &'a str,
    /// `/run/systemd/container`: named by whoever made it.
    named: &'a str,
    has_dockerenv: bool,
    has_containerenv: bool,
    is_in_kubernetes: bool,
    /// As [`Firmware`].
    firmware: [&'a str; 3],
    /// As [`Firmware`].
    hypervisor: &'a str,
    /// The processor says that it is a virtual one.
    is_virtual: bool,
}

/// Container and file that names it, best first.
const CGROUPS: &[(&str, &str)] = &[
    ("kubepods", "kubernetes"),
    ("libpod", "podman"),
    ("docker", "docker"),
    ("containerd", "containerd"),
    ("lxc", "lxc"),
    ("garden", "garden"),
];

/// What firmware says → hypervisor.
const HYPERVISORS: &[(&str, &str)] = &[
    ("VMware", "vmware"),
    ("VirtualBox", "virtualbox"),
    ("innotek", "virtualbox"),
    ("Virtual Machine", "hyperv"),
    ("Parallels", "parallels"),
    ("Firecracker", "firecracker"),
    ("Xen", "xen"),
    ("KVM", "kvm"),
    ("QEMU", "qemu"),
    ("Amazon EC2", "kvm"),
    ("Google Compute Engine", "kvm"),
];

/// What firmware says → cloud. The number is the asset tag of Azure's machines.
const CLOUDS: &[(&str, &str)] = &[
    ("Amazon EC2", "aws"),
    ("Google Compute Engine", "gcp"),
    ("7783-7084-3265-9085-8269-3286-77", "azure"),
    ("OracleCloud", "oracle"),
    ("Alibaba Cloud", "alibaba"),
    ("DigitalOcean", "digitalocean"),
    ("Hetzner", "hetzner"),
    ("Scaleway", "scaleway"),
    ("OpenStack", "openstack"),
];

/// What the machine says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Firmware {
    /// Maker, product and asset tag (`/sys/class/dmi/id`).
    names: [String; 3],
    /// `/sys/hypervisor/type`.
    hypervisor: String,
}

impl Firmware {
    pub(super) fn read() -> Self {
        let names = ["sys_vendor", "product_name", "chassis_asset_tag"];
        Self {
            names: names.map(|name| read(&format!("/sys/class/dmi/id/{name}"))),
            hypervisor: read("/sys/hypervisor/type"),
        }
    }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// Looks around. `is_virtual`: the processor says so.
pub(super) fn look(is_virtual: bool, firmware: &Firmware) -> Surroundings {
    let Firmware { names, hypervisor } = firmware;
    let (cgroup, named) = (read("/proc/1/cgroup"), read("/run/systemd/container"));
    conclude(Signs {
        cgroup: &cgroup,
        named: named.trim(),
        has_dockerenv: Path::new("/.dockerenv").exists(),
        has_containerenv: Path::new("/run/.containerenv").exists(),
        is_in_kubernetes: std::env::var_os("KUBERNETES_SERVICE_HOST").is_some(),
        firmware: names.each_ref().map(String::as_str),
        hypervisor: hypervisor.trim(),
        is_virtual,
    })
}

fn conclude(signs: Signs<'_>) -> Surroundings {
    let among = |table: &[(&str, &str)], texts: &[&str]| {
        let is_there = |sign: &str| texts.iter().any(|text| text.contains(sign));
        let found = table.iter().find(|(sign, _)| is_there(sign));
        found.map(|(_, name)| (*name).to_owned())
    };
    let flag = |is_set: bool, name: &str| is_set.then(|| name.to_owned());
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Surroundings {
        container: flag(signs.is_in_kubernetes, "kubernetes")
            .or_else(|| among(CGROUPS, &[signs.cgroup]))
            .or_else(|| text(signs.named))
            .or_else(|| flag(signs.has_containerenv, "podman"))
            .or_else(|| flag(signs.has_dockerenv, "docker")),
        hypervisor: text(signs.hypervisor)
            .or_else(|| among(HYPERVISORS, &signs.firmware))
            .or_else(|| flag(signs.is_virtual, "unknown")),
        cloud: among(CLOUDS, &signs.firmware),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_of_containers_and_clouds() {
        let none = Signs::default();
        for (signs, expected) in [
            (none, [None, None, None]),
            (
                Signs {
                    cgroup: "0::/docker/ab12\n",
                    firmware: ["Amazon EC2", "m5.large", "Amazon EC2"],
                    is_virtual: true,
                    ..none
                },
                [Some("docker"), Some("kvm"), Some("aws")],
            ),
            (
                Signs {
                    cgroup: "0::/kubepods/besteffort/docker/ab\n",
                    firmware: ["Google", "Google Compute Engine", ""],
                    ..none
                },
                [Some("kubernetes"), Some("kvm"), Some("gcp")],
            ),
            (
                Signs {
                    firmware: [
                        "Microsoft Corporation\n",
                        "Virtual Machine\n",
                        "7783-7084-3265-9085-8269-3286-77\n",
                    ],
                    ..none
                },
                [None, Some("hyperv"), Some("azure")],
            ),
            (
                Signs {
                    has_dockerenv: true,
                    is_virtual: true,
                    ..none
                },
                [Some("docker"), Some("unknown"), None],
            ),
            (
                Signs {
                    has_containerenv: true,
                    hypervisor: "xen",
                    ..none
                },
                [Some("podman"), Some("xen"), None],
            ),
            (
                Signs {
                    named: "systemd-nspawn",
                    firmware: ["Dell Inc.", "XPS", ""],
                    ..none
                },
                [Some("systemd-nspawn"), None, None],
            ),
        ] {
            let found = conclude(signs);
            let found = [found.container, found.hypervisor, found.cloud];
            assert_eq!(
                found.each_ref().map(Option::as_deref),
                expected,
                "{signs:?}"
            );
        }
    }
}
