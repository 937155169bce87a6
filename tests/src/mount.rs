//! A file system of its own, for what only some can do and what is peculiar to some.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::transcript::Transcript;

/// A freshly made file system, unmounted and gone when dropped.
#[derive(Debug)]
pub struct Mount {
    folder: TempDir,
}

impl Mount {
    /// Makes and mounts a file system of that kind: `tmpfs`, `overlay`, or one on a loop device,
    /// for which there must be a `mkfs.KIND`. Needs root.
    pub fn new(kind: &str) -> Self {
        let mount = Self::folder();
        let at = mount.path();
        match kind {
            "tmpfs" => mount_at(&at, &["-t", "tmpfs", "none"]),
            "overlay" => {
                let layers = ["lower", "upper", "work"].map(|name| {
                    let layer = mount.folder.path().join(name);
                    fs::create_dir(&layer).expect("one's own folder can be filled");
                    layer.display().to_string()
                });
                let [lower, upper, work] = layers;
                let options = format!("lowerdir={lower},upperdir={upper},workdir={work}");
                mount_at(&at, &["-t", "overlay", "-o", &options, "none"]);
            }
            kind => {
                let image = mount.folder.path().join("image");
                // The smallest size that all of them take; sparse.
                File::create(&image)
                    .and_then(|file| file.set_len(320 << 20))
                    .expect("a sparse file can be made");
                let image = image.display().to_string();
                run(&format!("mkfs.{kind}"), ["-q".as_ref(), OsStr::new(&image)]);
                mount_at(&at, &["-o", "loop", &image]);
            }
        }
        mount
    }

    /// A tmpfs of a size in bytes.
    pub fn tmpfs(size_bytes: u64) -> Self {
        let mount = Self::folder();
        let options = format!("size={size_bytes}");
        mount_at(&mount.path(), &["-t", "tmpfs", "-o", &options, "none"]);
        mount
    }

    fn folder() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("roar-mount-")
            .tempdir_in("/var/tmp")
            .expect("a temporary folder can be made");
        // Other users' processes are to get in, too.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))
            .expect("one's own folder's mode can be set");
        fs::create_dir(folder.path().join("at")).expect("one's own folder can be filled");
        Self { folder }
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("at")
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        run_unless_panicking("umount", &self.path());
    }
}

/// Something that is mounted over a folder which is there already; unmounted when dropped.
#[derive(Debug)]
pub struct Cover {
    at: PathBuf,
}

impl Cover {
    /// A fresh tmpfs.
    pub fn tmpfs(at: &Path) -> Self {
        Self::made(at, &mut Command::new("mount"), &["-t", "tmpfs", "none"])
    }

    /// Another folder, by a bind mount.
    pub fn bind(folder: &Path, at: &Path) -> Self {
        Self::made(at, Command::new("mount").arg("--bind").arg(folder), &[])
    }

    /// Another folder, by a FUSE file system: bindfs, a program that hands every call on.
    pub fn fuse(folder: &Path, at: &Path) -> Self {
        Self::made(at, Command::new("bindfs").arg(folder), &[])
    }

    /// An overlay whose lower and upper layer are folders of other file systems.
    pub fn overlay(lower: &Path, upper: &Path, at: &Path) -> Self {
        let layers = ["up", "work"].map(|name| upper.join(name));
        for layer in &layers {
            fs::create_dir(layer).expect("the upper layer can be filled");
        }
        let [upper, work] = layers.map(|layer| layer.display().to_string());
        let options = format!(
            "lowerdir={},upperdir={upper},workdir={work}",
            lower.display()
        );
        let arguments = ["-t", "overlay", "-o", &options, "none"];
        Self::made(at, &mut Command::new("mount"), &arguments)
    }

    fn made(at: &Path, command: &mut Command, arguments: &[&str]) -> Self {
        Transcript::of(command.args(arguments).arg(at)).succeeds();
        Self {
            at: at.to_path_buf(),
        }
    }
}

impl Drop for Cover {
    fn drop(&mut self) {
        run_unless_panicking("umount", &self.at);
    }
}

fn mount_at(at: &Path, arguments: &[&str]) {
    let arguments = arguments.iter().map(OsStr::new);
    run("mount", arguments.chain([at.as_os_str()]));
}

fn run<'a>(program: &str, arguments: impl IntoIterator<Item = &'a OsStr>) {
    Transcript::of(Command::new(program).args(arguments)).succeeds();
}

fn run_unless_panicking(program: &str, path: &Path) {
    let mut command = Command::new(program);
    if program == "umount" {
        // A namespace that another test has just copied may hold the mount for a moment.
        command.arg("--lazy");
    }
    let ended = command.arg(path).status();
    assert!(
        std::thread::panicking() || ended.is_ok_and(|status| status.success()),
        "{program} {} failed",
        path.display()
    );
}
