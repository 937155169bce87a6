//! What `roar pop` would take away, or has taken away.

use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;

use super::{dag, human, paths, shell};
use crate::model::{Digest, FileRecord, JobKind, RawString, StoredJob};

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
    /// Its earlier content, of which a copy was kept, takes its place.
    Restore(Digest),
    /// It stays, and why.
    Keep(String),
}

/// What `roar pop --json` prints.
#[derive(Serialize)]
struct Document<'a> {
    job_uid: &'a str,
    step_number: u32,
    job_type: JobKind,
    command: String,
    /// Whether it was taken back, or only might be.
    removed: bool,
    outputs: Vec<OutputDocument<'a>>,
}

#[derive(Serialize)]
struct OutputDocument<'a> {
    path: &'a RawString,
    hash: Option<&'a Digest>,
    /// `delete`, `restore` or `keep`.
    fate: &'static str,
    /// The content that takes its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    restored: Option<&'a Digest>,
    /// Why it stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

impl PopView<'_> {
    /// For machines.
    pub fn json(&self, removed: bool) -> String {
        let record = &self.job.record;
        let outputs = self.outputs.iter().map(|(output, fate)| {
            let (fate, restored, reason) = match fate {
                Fate::Delete => ("delete", None, None),
                Fate::Restore(earlier) => ("restore", Some(earlier), None),
                Fate::Keep(why) => ("keep", None, Some(why.as_str())),
            };
            OutputDocument {
                path: &output.path,
                hash: output.hash(),
                fate,
                restored,
                reason,
            }
        });
        super::json(&Document {
            job_uid: record.uid.as_str(),
            step_number: self.job.step_number,
            job_type: record.kind,
            command: shell::join(&record.argv),
            removed,
            outputs: outputs.collect(),
        })
    }

    /// What would happen.
    pub fn plan(&self, cwd: &Path) -> String {
        self.lines(cwd, ["remove", "delete", "restore", "keep"])
    }

    /// What happened.
    pub fn done(&self, cwd: &Path) -> String {
        self.lines(cwd, ["removed", "deleted", "restored", "kept"])
    }

    /// The question before it happens.
    pub fn question(&self) -> String {
        let count = |is: fn(&Fate) -> bool| {
            let files = self.outputs.iter().filter(|(_, fate)| is(fate)).count();
            human::count(files, "file")
        };
        let restored = count(|fate| matches!(fate, Fate::Restore(_)));
        let uid = &self.job.record.uid;
        let deleted = count(|fate| *fate == Fate::Delete);
        if restored.starts_with('0') {
            format!("Remove job {uid} and delete {deleted}?")
        } else {
            format!("Remove job {uid}, delete {deleted} and restore {restored}?")
        }
    }

    fn lines(&self, cwd: &Path, [remove, delete, restore, keep]: [&str; 4]) -> String {
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
                Fate::Restore(earlier) => writeln!(
                    text,
                    "  {restore:7}  {path}  (as it was before: {})",
                    earlier.short()
                ),
                Fate::Keep(why) => writeln!(text, "  {keep:7}  {path}  ({why})"),
            };
        }
        text
    }
}
