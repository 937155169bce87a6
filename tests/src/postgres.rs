//! A PostgreSQL of a test's own.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A PostgreSQL of a test's own: a cluster in a folder, reached through a socket in it. Needs
/// [`crate::require::Need::Postgres`].
#[derive(Debug)]
pub struct Postgres {
    folder: TempDir,
    child: Child,
}

impl Postgres {
    /// Debian keeps the programs beside the path, one folder a version.
    fn programs() -> Option<PathBuf> {
        let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
        versions
            .flatten()
            .map(|version| version.path().join("bin"))
            .find(|bin| bin.join("initdb").exists())
    }

    /// Starts one, and waits until it answers.
    pub fn start() -> Self {
        let bin = Self::programs().expect("PostgreSQL is installed");
        let folder = tempfile::tempdir_in("/tmp").expect("a folder");
        // The engine refuses to run as root.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("ours");
        let data = folder.path().join("data");
        let made = as_nobody(&bin.join("initdb"))
            .args(["-A", "trust", "-U", "glaas", "--no-sync", "-D"])
            .arg(&data)
            .stdout(Stdio::null())
            .status();
        assert!(made.expect("initdb runs").success());
        let child = as_nobody(&bin.join("postgres"))
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(folder.path())
            .args(["-c", "listen_addresses="])
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("postgres starts");
        let started = Instant::now();
        while !Command::new(bin.join("pg_isready"))
            .arg("-q")
            .arg("-h")
            .arg(folder.path())
            .status()
            .expect("pg_isready runs")
            .success()
        {
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "PostgreSQL starts"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        Self { folder, child }
    }

    /// Its address.
    pub fn url(&self) -> String {
        let socket = self.folder.path().to_string_lossy().replace('/', "%2F");
        format!("postgres://glaas@{socket}/postgres")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn as_nobody(program: &Path) -> Command {
    if !rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args([
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "--pdeathsig=KILL",
        ])
        .arg(program)
        .current_dir("/tmp");
    command
}
