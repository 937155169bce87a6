//! What `roar pop` would take away, or has taken away.

use std::fmt::Write as _;
use std::path::Path;

use super::{dag, human, paths, shell};
use crate::model::{FileRecord, JobKind, StoredJob};

/// A job that is taken back, and its outputs.
#[derive(Debug)]
pub struct PopView<'a> {
    /// The job.
    pub job: &'a StoredJob,
    /// Each output and what becomes of it.
    pub outputs: Vec<(FileRecord, Fate)>,
}

/// What becomes of an output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes.
    Delete,
    /// It stays, and why.
    Keep(String),
}

impl PopView<'_> {
    /// What would happen.
    pub fn plan(&self, cwd: &Path) -> String {
        self.lines(cwd, "remove", "delete", "keep")
    }

    /// What happened.
    pub fn done(&self, cwd: &Path) -> String {
        self.lines(cwd, "removed", "deleted", "kept")
    }

    /// The question before it happens.
    pub fn question(&self) -> String {
        let files = self
            .outputs
            .iter()
            .filter(|(_, fate)| *fate == Fate::Delete)
            .count();
        format!(
            "Remove job {} and delete {}?",
            self.job.record.uid,
            human::count(files, "file")
        )
    }

    fn lines(&self, cwd: &Path, remove: &str, delete: &str, keep: &str) -> String {
        let record = &self.job.record;
        let step = dag::reference(self.job.step_number, record.kind == JobKind::Build);
        let mut text = format!(
            "{remove} job {} of {step}: {}\n",
            record.uid,
            shell::one_line(&record.argv)
        );
        for (output, fate) in &self.outputs {
            let path = paths::shown(&output.path, cwd);
            let _ = match fate {
                Fate::Delete => writeln!(text, "  {delete:7}  {path}"),
                Fate::Keep(why) => writeln!(text, "  {keep:7}  {path}  ({why})"),
            };
        }
        text
    }
}
