//! A project of its own for each test: nothing of the user's home, configuration or
//! environment reaches it, and it is gone when the test ends.

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::binary;
use crate::redact::Redactor;
use crate::transcript::Transcript;

/// The one search path of everything that a test starts: the system's own folders.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A temporary folder with a home, a folder for temporary files and a project in it.
#[derive(Debug)]
pub struct Project {
    // Dropped last: removes everything.
    base: TempDir,
    root: PathBuf,
}

impl Project {
    /// A new empty folder under `/var/tmp`, not yet a roar project.
    pub fn empty() -> Self {
        Self::under(Path::new("/var/tmp"))
    }

    /// A new empty folder under the one that is named, which may be on any file system.
    pub fn under(parent: &Path) -> Self {
        let base = tempfile::Builder::new()
            .prefix("roar-test-")
            .tempdir_in(parent)
            .expect("a temporary folder can be made");
        // Other users' processes are to get in, too.
        fs::set_permissions(base.path(), fs::Permissions::from_mode(0o755))
            .expect("one's own folder's mode can be set");
        let base_path = base.path().canonicalize().expect("it was just made");
        for name in ["home", "tmp", "project"] {
            fs::create_dir(base_path.join(name)).expect("one's own folder can be filled");
        }
        let root = base_path.join("project");
        Self { base, root }
    }

    /// A new roar project: [`Project::empty`], then `roar init`.
    pub fn new() -> Self {
        let project = Self::empty();
        project.init();
        project
    }

    /// `roar init`, which must succeed.
    pub fn init(&self) {
        self.roar(["init", "-n"]).succeeds();
    }

    /// The project's folder, symbolic links resolved.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The home folder of everything that is started here.
    pub fn home(&self) -> PathBuf {
        self.base().join("home")
    }

    /// The folder around project, home and temporary files.
    pub fn base(&self) -> PathBuf {
        self.root
            .parent()
            .expect("the project is in a folder")
            .to_path_buf()
    }

    /// A path in the project.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.root.join(name)
    }

    /// Writes a file of the project, making the folders it needs.
    pub fn write(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).expect("the project's folders can be made");
        }
        fs::write(&path, content).expect("the project's files can be written");
        path
    }

    /// Writes an executable file of the project.
    pub fn write_program(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.write(name, content);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
            .expect("one's own file's mode can be set");
        path
    }

    /// Reads a file of the project.
    pub fn read(&self, name: impl AsRef<Path>) -> Vec<u8> {
        let path = self.path(name);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// A command in the project's folder and in the hermetic environment, without stdin.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root).stdin(Stdio::null());
        self.make_hermetic(&mut command);
        command
    }

    /// `roar` as a command of the project.
    pub fn roar_command(&self) -> Command {
        self.command(binary::roar())
    }

    /// Runs roar in the project's folder and tells all it said.
    pub fn roar(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Transcript {
        Transcript::of(self.roar_command().args(arguments)).redacted_by(self.redactor())
    }

    /// Runs roar with bytes on its standard input.
    pub fn roar_with_input(
        &self,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
        input: &[u8],
    ) -> Transcript {
        let mut child = self
            .roar_command()
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("roar can be started");
        let mut stdin = child.stdin.take().expect("stdin is piped");
        std::thread::scope(|scope| {
            // A program that does not read its input closes the pipe: no error of the test.
            scope.spawn(move || drop(stdin.write_all(input)));
            let output = child.wait_with_output().expect("a child can be waited for");
            Transcript::from(output).redacted_by(self.redactor())
        })
    }

    /// Runs any program in the project's folder; it must succeed.
    pub fn run<A: AsRef<OsStr>>(&self, program: &str, arguments: impl IntoIterator<Item = A>) {
        Transcript::of(self.command(program).args(arguments)).succeeds();
    }

    /// Makes the project a git repository with everything in it committed.
    pub fn commit_all(&self) {
        if !self.path(".git").exists() {
            self.run("git", ["init", "--quiet", "--initial-branch=main"]);
        }
        self.run("git", ["add", "--all"]);
        self.run("git", ["commit", "--quiet", "--allow-empty", "-m", "all"]);
    }

    /// Commits everything, and has it on a new remote.
    pub fn publish(&self) {
        self.commit_all();
        let remote = self.base().join("remote.git");
        let remote = remote.to_str().expect("a test's paths are text");
        self.run("git", ["clone", "--quiet", "--bare", ".", remote]);
        self.run("git", ["remote", "add", "origin", remote]);
        self.run("git", ["fetch", "--quiet", "origin"]);
    }

    /// Knows what differs from run to run in this project's output.
    pub fn redactor(&self) -> Redactor {
        Redactor::new(&self.base())
    }

    fn make_hermetic(&self, command: &mut Command) {
        let (home, base) = (self.home(), self.base());
        command
            .env_clear()
            .env("PATH", PATH)
            .env("HOME", &home)
            .env("TMPDIR", base.join("tmp"))
            .env("LANG", "C.UTF-8")
            .env("TZ", "UTC")
            .env("TERM", "xterm-256color")
            .env("XDG_CONFIG_HOME", home.join(".config"))
            .env("XDG_CACHE_HOME", home.join(".cache"))
            .env("XDG_DATA_HOME", home.join(".local/share"))
            .env("XDG_STATE_HOME", home.join(".local/state"))
            .env("GIT_CONFIG_GLOBAL", home.join(".gitconfig"))
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .env("GIT_TERMINAL_PROMPT", "0")
            // Not the one that this machine may have installed.
            .env("ROAR_LOADER", "/no/such/loader")
            .env("GIT_AUTHOR_NAME", "A Tester")
            .env("GIT_AUTHOR_EMAIL", "tester@example.org")
            .env("GIT_AUTHOR_DATE", "2026-01-02T03:04:05Z")
            .env("GIT_COMMITTER_NAME", "A Tester")
            .env("GIT_COMMITTER_EMAIL", "tester@example.org")
            .env("GIT_COMMITTER_DATE", "2026-01-02T03:04:05Z");
    }

    /// Keeps the folder after the test, to look at it.
    pub fn keep(&mut self) -> PathBuf {
        self.base.disable_cleanup(true);
        self.base()
    }
}

impl Default for Project {
    fn default() -> Self {
        Self::new()
    }
}
