//! A PostgreSQL of a test's own, which can be ended and started again.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// What the socket is called after, where nothing is listened on.
pub const PORT: u16 = 5432;

/// A cluster in a folder, reached through a socket in it. Needs [`crate::require::Need::Postgres`].
#[derive(Debug)]
pub struct Postgres {
    folder: TempDir,
    data: PathBuf,
    options: Vec<String>,
    port: u16,
    child: Option<Child>,
}

/// Debian keeps the programs beside the path, one folder a version.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is installed");
    versions
        .flatten()
        .map(|version| version.path().join("bin"))
        .find(|bin| bin.join("initdb").exists())
        .expect("PostgreSQL is installed")
}

impl Postgres {
    /// Starts one, and waits until it answers.
    pub fn start() -> Self {
        Self::start_with(None, PORT, |_| Vec::new())
    }

    /// A cluster whose files lie in `place` (its journal beside them), with more options, for which
    /// the folder is ready.
    pub fn start_with(
        place: Option<&Path>,
        port: u16,
        options: impl FnOnce(&Path) -> Vec<String>,
    ) -> Self {
        let folder = tempfile::tempdir_in("/tmp").expect("a folder");
        // The engine refuses to run as root.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("ours");
        let data = place.unwrap_or(folder.path()).join("data");
        let made = as_nobody(&programs().join("initdb"))
            .args(["-A", "trust", "-U", "glaas", "--no-sync", "-D"])
            .arg(&data)
            .arg("--waldir")
            .arg(folder.path().join("journal"))
            .stdout(Stdio::null())
            .status();
        assert!(made.expect("initdb runs").success());
        let options = options(folder.path());
        let mut made = Self {
            folder,
            data,
            options,
            port,
            child: None,
        };
        made.start_again();
        made
    }

    /// Starts it after [`Self::stop`].
    pub fn start_again(&mut self) {
        let child = as_nobody(&programs().join("postgres"))
            .arg("-D")
            .arg(&self.data)
            .arg("-k")
            .arg(self.folder.path())
            .args(["-c", "listen_addresses=", "-p", &self.port.to_string()])
            .args(&self.options)
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        self.child = Some(child.expect("postgres starts"));
        let started = Instant::now();
        while !Command::new(programs().join("pg_isready"))
            .args(["-q", "-p", &self.port.to_string(), "-h"])
            .arg(self.folder.path())
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
    }

    /// Ends it as an operator does who does not wait for clients (SIGINT).
    pub fn stop(&mut self) {
        let mut child = self.child.take().expect("it runs");
        let pid = child.id().to_string();
        let sent = Command::new("kill").args(["-INT", &pid]).status();
        assert!(sent.expect("kill runs").success());
        child.wait().expect("it is a child");
    }

    /// Its address.
    pub fn url(&self) -> String {
        let socket = self.folder.path().to_string_lossy().replace('/', "%2F");
        format!("postgres://glaas@{socket}/postgres")
    }

    /// What `psql` prints.
    pub fn ask(&self, sql: &str) -> String {
        let output = Command::new(programs().join("psql"))
            .args(["-X", "-q", "-A", "-t", "-U", "glaas"])
            .args(["-p", &self.port.to_string(), "-h"])
            .arg(self.folder.path())
            .args(["-v", "ON_ERROR_STOP=1", "-c", sql, "postgres"])
            .output()
            .expect("psql runs");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A program as the user whom the engine takes.
pub fn as_nobody(program: &Path) -> Command {
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
