//! Packages of Debian for guests, and what runs them: downloaded and unpacked, never installed.
//!
//! apt works on a state of its own under the target folder, for any architecture and without
//! root. It asks the mirror that the machine's own apt asks. What was unpacked once is not asked
//! for again; to have it newer, remove `target/vm-test`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::architecture::Architecture;
use super::kernels::Kernel;
use crate::process;

/// What guests have beside the kernel and what is under test; apt adds what these depend on.
const USERLAND: [&str; 14] = [
    "b3sum",
    "bash",
    "btrfs-progs",
    "bubblewrap",
    "coreutils",
    "dash",
    "e2fsprogs",
    "grep",
    "kmod",
    "libgcc-s1",
    "mount",
    "sed",
    "util-linux",
    "xfsprogs",
];

/// The release whose kernels are taken.
const RELEASE: &str = "bookworm";

/// What Debian signs its packages with.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Folders of the packages that no guest looks into.
const NOT_IN_GUESTS: [&str; 3] = ["./usr/share", "./usr/lib/python3*", "./usr/lib/*/libicu*"];

/// Of a kernel's modules: file systems with what they are made of, and loop devices.
const MODULES: [&str; 5] = ["arch", "crypto", "drivers/block", "fs", "lib"];

/// A kernel's package, unpacked.
pub(super) struct Unpacked {
    pub(super) image: PathBuf,
    pub(super) modules: PathBuf,
}

/// apt with a state of its own.
pub(super) struct Packages {
    architecture: Architecture,
    folder: PathBuf,
    is_updated: bool,
}

impl Packages {
    pub(super) fn of(architecture: Architecture) -> Self {
        Self {
            architecture,
            folder: architecture.folder(),
            is_updated: false,
        }
    }

    /// The root file system of guests: unpacked packages.
    pub(super) fn userland(&mut self) -> Result<PathBuf> {
        self.root("root", &USERLAND, &NOT_IN_GUESTS)
    }

    /// Packages with all that they depend on, unpacked as a root file system of their own.
    pub(super) fn root(
        &mut self,
        name: &str,
        packages: &[&str],
        left_out: &[&str],
    ) -> Result<PathBuf> {
        let root = self.folder.join(name);
        let wanted = packages.join(" ");
        if is_complete(&root, &wanted) {
            return Ok(root);
        }
        self.update()?;
        let mut install = self.apt("apt-get")?;
        install.args(["install", "--download-only", "-y", "-qq"]);
        process::run(install.args(packages).stdout(Stdio::null()))?;
        clear(&root)?;
        // Debian's packages know these as links only.
        for folder in ["bin", "lib", "lib64", "sbin"] {
            let target = Path::new("usr").join(folder);
            fs::create_dir_all(root.join(&target))?;
            std::os::unix::fs::symlink(target, root.join(folder))?;
        }
        for folder in ["dev", "proc", "sys", "tmp", "var/tmp", "root"] {
            fs::create_dir_all(root.join(folder))?;
        }
        let archives = self.folder.join("cache/archives");
        for package in packages_in(&archives)? {
            unpack(&package, &root, left_out)?;
        }
        fs::remove_dir_all(&archives)?;
        complete(&root, &wanted)?;
        Ok(root)
    }

    /// The newest package of a kernel.
    pub(super) fn kernel(&mut self, kernel: &Kernel) -> Result<Unpacked> {
        let folder = self.folder.join("kernels").join(kernel.series);
        if !is_complete(&folder, kernel.package) {
            self.update()?;
            let mut search = self.apt("apt-cache")?;
            search.args(["search", "--names-only", kernel.package]);
            let found = process::output(&mut search)?;
            let package = newest(&found).with_context(|| {
                format!(
                    "the mirror has no package of Linux {} ({})",
                    kernel.series, kernel.package
                )
            })?;
            clear(&folder)?;
            let mut download = self.apt("apt-get")?;
            download.args(["download", "-qq", package]);
            process::run(download.current_dir(&folder))?;
            for package in packages_in(&folder)? {
                unpack(&package, &folder, &NOT_IN_GUESTS)?;
                fs::remove_file(&package)?;
            }
            complete(&folder, kernel.package)?;
        }
        let only = |place: &str, start: &str| {
            fs::read_dir(folder.join(place))
                .ok()
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.path())
                .find(|path| {
                    path.file_name()
                        .is_some_and(|name| name.to_string_lossy().starts_with(start))
                })
                .with_context(|| format!("{} has no {place}/{start}…", folder.display()))
        };
        Ok(Unpacked {
            image: only("boot", "vmlinuz")?,
            modules: only("lib/modules", "")?,
        })
    }

    fn update(&mut self) -> Result<()> {
        if self.is_updated {
            return Ok(());
        }
        for folder in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(self.folder.join(folder))?;
        }
        fs::write(self.folder.join("status"), "")?;
        fs::write(self.folder.join("sources.list"), sources()?)?;
        fs::write(self.folder.join("apt.conf"), self.configuration())?;
        process::run(self.apt("apt-get")?.args(["update", "-qq"]))?;
        self.is_updated = true;
        Ok(())
    }

    fn configuration(&self) -> String {
        let (name, folder) = (self.architecture.debian(), self.folder.display());
        format!(
            "APT::Architecture \"{name}\";\n\
             APT::Architectures {{ \"{name}\"; }};\n\
             APT::Install-Recommends \"false\";\n\
             APT::Sandbox::User \"\";\n\
             Acquire::Languages \"none\";\n\
             Dir::State \"{folder}\";\n\
             Dir::State::status \"{folder}/status\";\n\
             Dir::Cache \"{folder}/cache\";\n\
             Dir::Etc::sourcelist \"{folder}/sources.list\";\n\
             Dir::Etc::sourceparts \"/dev/null\";\n\
             Dir::Etc::preferencesparts \"/dev/null\";\n"
        )
    }

    fn apt(&self, program: &str) -> Result<Command> {
        let folder = self.folder.canonicalize().context("vm-test's folder")?;
        let mut command = Command::new(program);
        command.env("APT_CONFIG", folder.join("apt.conf"));
        Ok(command)
    }
}

/// apt's list of sources: the kernels' release and the machine's own, whose C library is the one
/// that the tests are linked with.
fn sources() -> Result<String> {
    let targets = process::output(Command::new("apt-get").args([
        "indextargets",
        "--format",
        "$(REPO_URI)",
        "Created-By: Packages",
    ]))?;
    let system = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let own = system
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .unwrap_or(RELEASE);
    sources_from(&targets, own).context("apt knows no mirror of Debian: vm-test needs one")
}

fn sources_from(uris: &str, own_release: &str) -> Option<String> {
    let mirror = |end: &str| {
        uris.lines()
            .find(|uri| uri.trim_end_matches('/').ends_with(end))
    };
    let (main, security) = (mirror("/debian")?, mirror("/debian-security")?);
    let mut lines = Vec::new();
    let mut releases = vec![RELEASE];
    releases.extend(Some(own_release).filter(|own| *own != RELEASE));
    for release in releases {
        for (uri, suite) in [(main, ""), (security, "-security")] {
            lines.push(format!(
                "deb [signed-by={KEYRING}] {uri} {release}{suite} main\n"
            ));
        }
    }
    Some(lines.concat())
}

/// Of apt-cache's lines, the package with the highest number.
fn newest(found: &str) -> Option<&str> {
    found
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .max_by_key(|package| {
            package
                .split(|c: char| !c.is_ascii_digit())
                .filter_map(|digits| digits.parse().ok())
                .collect::<Vec<u64>>()
        })
}

/// Copies the modules that guests may want.
pub(super) fn copy_modules(modules: &Path, root: &Path) -> Result<()> {
    let version = modules.file_name().context("modules have a version")?;
    let to = root.join("usr/lib/modules").join(version);
    fs::create_dir_all(to.join("kernel/drivers"))?;
    for name in [
        "modules.builtin",
        "modules.builtin.modinfo",
        "modules.order",
    ] {
        fs::copy(modules.join(name), to.join(name)).with_context(|| name.to_owned())?;
    }
    for part in MODULES {
        let part = Path::new("kernel").join(part);
        if modules.join(&part).is_dir() {
            let mut copy = Command::new("cp");
            copy.arg("-a").args([modules.join(&part), to.join(&part)]);
            process::quietly(&mut copy)?;
        }
    }
    Ok(())
}

fn packages_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = || format!("cannot list {}", folder.display());
    let mut packages = Vec::new();
    for entry in fs::read_dir(folder).with_context(failed)? {
        let path = entry.with_context(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            packages.push(path);
        }
    }
    packages.sort();
    Ok(packages)
}

/// Unpacks a package over what is there, through links to folders as dpkg does.
fn unpack(package: &Path, to: &Path, left_out: &[&str]) -> Result<()> {
    let mut archive = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(package)
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start dpkg-deb")?;
    let contents = archive.stdout.take().context("its output is piped")?;
    let mut tar = Command::new("tar");
    tar.args(["--extract", "--keep-directory-symlink", "--no-same-owner"])
        .args(left_out.iter().map(|folder| format!("--exclude={folder}")))
        .arg("--directory")
        .arg(to)
        .stdin(contents);
    process::quietly(&mut tar)?;
    if !archive.wait()?.success() {
        bail!("{} cannot be unpacked", package.display());
    }
    Ok(())
}

/// Whether a folder was filled to the end with just what is wanted.
fn is_complete(folder: &Path, wanted: &str) -> bool {
    fs::read_to_string(stamp(folder)).is_ok_and(|had| had == wanted)
}

fn complete(folder: &Path, wanted: &str) -> Result<()> {
    fs::write(stamp(folder), wanted).context("cannot write to the target folder")
}

fn stamp(folder: &Path) -> PathBuf {
    let mut path = folder.as_os_str().to_owned();
    path.push(".complete");
    path.into()
}

/// An empty folder.
pub(super) fn clear(folder: &Path) -> Result<()> {
    let failed = || format!("cannot clear {}", folder.display());
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(failed);
        }
        _ => {}
    }
    fs::create_dir_all(folder).with_context(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_kernel_is_the_one_with_the_highest_number() {
        fn check(found: &str, expected: Option<&str>) {
            assert_eq!(newest(found), expected);
        }
        check("", None);
        check(
            "linux-image-6.1.0-9-amd64 - Linux\nlinux-image-6.1.0-56-amd64 - Linux\n",
            Some("linux-image-6.1.0-56-amd64"),
        );
        check(
            "linux-image-6.12.117+deb12-amd64 - x\nlinux-image-6.12.99+deb12-amd64 - x\n",
            Some("linux-image-6.12.117+deb12-amd64"),
        );
    }

    #[test]
    fn the_mirror_is_the_machines_own() {
        fn check(uris: &str, own: &str, expected: Option<usize>) {
            let sources = sources_from(uris, own);
            assert_eq!(sources.map(|text| text.lines().count()), expected);
        }
        let debian = "http://mirror.invalid/other\nhttp://mirror.invalid/debian/\n\
                      http://mirror.invalid/debian-security/\n";
        check(debian, RELEASE, Some(2));
        check(debian, "trixie", Some(4));
        check("http://mirror.invalid/ubuntu/\n", "noble", None);
    }
}
