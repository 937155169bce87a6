//! What a traced command told, in a form that tests can ask.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use roar_cli::event::{Access, EventKind, FileState, TraceEvent};

/// Who runs the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum User {
    /// Whoever runs the tests.
    Own,
    /// A user without any right, by setpriv.
    Ordinary,
}

/// A place for one test, and who acts in it.
#[derive(Debug)]
pub(crate) struct Place {
    folder: tempfile::TempDir,
    user: User,
}

/// The result of a traced command.
#[derive(Debug)]
pub(crate) struct Record {
    /// Exit status of the tracer, which is that of the command.
    pub(crate) status: i32,
    /// Both outputs of the command.
    pub(crate) output: Output,
    /// Everything that was told.
    pub(crate) events: Vec<TraceEvent>,
    /// The summary.
    pub(crate) summary: serde_json::Value,
    root: PathBuf,
}

impl Place {
    /// A fresh folder below `parent` that the user may write.
    pub(crate) fn new(user: User, parent: &Path) -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir_in(parent).expect("makes a folder");
        let open = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(folder.path(), open).expect("opens the folder");
        Self { folder, user }
    }

    /// The folder, real path.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().canonicalize().expect("exists")
    }

    /// Writes a file that everybody may change.
    pub(crate) fn write(&self, name: &str, content: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.path().join(name);
        std::fs::write(&path, content).expect("writes");
        let open = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(&path, open).expect("opens the file");
    }

    /// A command as the user of this place, in its folder.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let ordinary = [
            "setpriv",
            "--reuid=12345",
            "--regid=12345",
            "--clear-groups",
            "--",
        ];
        let mut all: Vec<&str> = match self.user {
            User::Own => Vec::new(),
            User::Ordinary => ordinary.to_vec(),
        };
        all.extend(words);
        let mut command = Command::new(all[0]);
        command
            .args(&all[1..])
            .current_dir(self.path())
            .stdin(Stdio::null());
        command
    }

    /// A copy of this binary that the user may run: the tracer.
    pub(crate) fn tracer(&self) -> String {
        let copy = self.path().join(".tracer");
        if !copy.exists() {
            let own = std::env::current_exe().expect("knows itself");
            std::fs::copy(own, &copy).expect("copies the tracer");
        }
        copy.into_os_string().into_string().expect("is UTF-8")
    }

    /// Traces a shell command after starting the tracer itself through `wrapper`.
    pub(crate) fn trace_in(&self, wrapper: &[&str], script: &str) -> Record {
        let (tracer, log) = (self.tracer(), self.path().join(".log"));
        let mut words = wrapper.to_vec();
        words.extend([&tracer, "--trace", ".log", "sh", "-c", script]);
        let output = self.command(&words).output().expect("runs");
        let text = std::fs::read_to_string(log).unwrap_or_default();
        let mut lines: Vec<&str> = text.lines().collect();
        let summary = lines.pop().unwrap_or("null");
        Record {
            status: output.status.code().unwrap_or(-1),
            output,
            summary: serde_json::from_str(summary).expect("a summary"),
            events: lines
                .iter()
                .map(|line| serde_json::from_str(line).expect("an event"))
                .collect(),
            root: self.path(),
        }
    }

    /// Traces a shell command.
    pub(crate) fn trace(&self, script: &str) -> Record {
        self.trace_in(&[], script)
    }
}

impl Record {
    /// What was told of the place, as `what name` lines in order, repetitions left out.
    pub(crate) fn told(&self) -> Vec<String> {
        let mut result: Vec<String> = Vec::new();
        for event in &self.events {
            let line = match &event.kind {
                // Beside what it says of the same open.
                EventKind::Touched {
                    access: Access::Mappable,
                    ..
                } => continue,
                EventKind::Touched { file, access } => {
                    let Some(name) = self.name(&file.path.to_path_buf()) else {
                        continue;
                    };
                    format!("{} {name}", verb(*access))
                }
                EventKind::Renamed {
                    from, to, change, ..
                } => {
                    let names = self
                        .name(&from.to_path_buf())
                        .zip(self.name(&to.to_path_buf()));
                    let Some((from, to)) = names else { continue };
                    format!("{} {from} {to}", format!("{change:?}").to_lowercase())
                }
                EventKind::Symlinked { path, target } => {
                    let Some(name) = self.name(&path.to_path_buf()) else {
                        continue;
                    };
                    format!("symlink {name} {target}")
                }
                EventKind::Removed { path } => {
                    let Some(name) = self.name(&path.to_path_buf()) else {
                        continue;
                    };
                    format!("remove {name}")
                }
                EventKind::DirectoryMade { path } => {
                    let Some(name) = self.name(&path.to_path_buf()) else {
                        continue;
                    };
                    format!("mkdir {name}")
                }
                _ => continue,
            };
            if !result.contains(&line) {
                result.push(line);
            }
        }
        result
    }

    fn name(&self, path: &Path) -> Option<String> {
        let name = path.strip_prefix(&self.root).ok()?.to_str()?;
        (!name.starts_with('.')).then(|| name.to_owned())
    }

    /// Everything that was opened for reading, by real path.
    pub(crate) fn read(&self) -> BTreeSet<PathBuf> {
        self.files(|access| access == Access::OpenedRead)
    }

    /// Everything that was touched in a way.
    pub(crate) fn files(&self, wanted: impl Fn(Access) -> bool) -> BTreeSet<PathBuf> {
        self.touched()
            .filter(|(_, access)| wanted(*access))
            .map(|(file, _)| file.path.to_path_buf())
            .collect()
    }

    fn touched(&self) -> impl Iterator<Item = (&FileState, Access)> {
        self.events.iter().filter_map(|event| match &event.kind {
            EventKind::Touched { file, access } => Some((file, *access)),
            _ => None,
        })
    }

    /// The gaps, as one text.
    pub(crate) fn gaps(&self) -> String {
        self.summary["gaps"].to_string()
    }
}

fn verb(access: Access) -> &'static str {
    match access {
        Access::OpenedRead => "read",
        Access::OpenedWrite => "write",
        Access::InferredWrite => "wrote",
        Access::Created => "create",
        Access::Truncated => "empty",
        Access::Executed => "execute",
        Access::Read
        | Access::Mapped
        | Access::Written { .. }
        | Access::MappedWrite
        | Access::Mappable => "other",
    }
}
