//! One content: where it was met, what made it, what used it.

use std::collections::HashSet;
use std::path::Path;

use serde::Serialize;

use super::dag::reference;
use super::job::Facts;
use super::table::{Cell, Column, Table};
use super::{Style, Terminal, human, paths, shell};
use crate::model::{Digest, Hashes, JobKind, RawString};
use crate::store::{ArtifactRow, ArtifactUse};

/// A content as it is shown.
#[derive(Clone, Copy, Debug)]
pub struct ArtifactView<'a> {
    /// The content.
    pub artifact: &'a ArtifactRow,
    /// Where it was met, newest job first; for people, the newest of each sort do.
    pub uses: &'a [ArtifactUse],
    /// How many times jobs produced and consumed it in all.
    pub counts: (usize, usize),
    /// The path that was asked for, where it was a path.
    pub asked: Option<&'a AskedPath>,
}

/// A path that was asked for.
#[derive(Clone, Debug)]
pub struct AskedPath {
    /// Absolute path.
    pub path: RawString,
    /// What is there now; none when nothing is, or nothing readable.
    pub content: Option<Digest>,
}

/// At most so many uses of one sort are listed for people.
pub const USES_SHOWN: usize = 20;
/// At most so many of its places are listed for people.
const PLACES_SHOWN: usize = 8;

impl ArtifactView<'_> {
    /// For people.
    pub fn text(&self, cwd: &Path, now_ns: i64, terminal: Terminal) -> String {
        let mut text = format!(
            "{} {}\n",
            Style::Heading.paint("Artifact"),
            Style::Reference.paint(self.artifact.hash.short())
        );
        let mut facts = Facts::default();
        if let Some(AskedPath { path, content }) = self.asked {
            facts.add("path", paths::shown(path, cwd));
            match content {
                Some(content) if *content == self.artifact.hash => {}
                Some(content) => {
                    let now = format!("changed since, to {}", content.short());
                    facts.styled("now", now, Style::Warning);
                }
                None => facts.styled("now", "no such file any more", Style::Warning),
            }
        }
        for (algorithm, digest) in &self.artifact.hashes {
            facts.add(algorithm.name(), digest.as_str());
        }
        if let Some(bytes) = self.artifact.size_bytes {
            facts.add("size", human::size(bytes));
        }
        facts.add("met first", human::moment(self.artifact.first_seen_ns));
        let known = self.known_paths();
        for path in known.iter().take(PLACES_SHOWN) {
            facts.add("known as", paths::shown(path, cwd));
        }
        if known.len() > PLACES_SHOWN {
            facts.styled("", "and more places", Style::Dim);
        }
        text.push_str(&facts.text);
        let none = "  no recorded job: it came from outside\n";
        text.push_str(&self.list("Produced by", true, none, cwd, now_ns, terminal));
        text.push_str(&self.list(
            "Consumed by",
            false,
            "  no recorded job\n",
            cwd,
            now_ns,
            terminal,
        ));
        text
    }

    /// For machines.
    pub fn json(&self) -> String {
        super::json(&ArtifactDocument {
            path: self.asked.map(|asked| &asked.path),
            current_hash: self.asked.and_then(|asked| asked.content.as_ref()),
            hash: &self.artifact.hash,
            hashes: &self.artifact.hashes,
            size: self.artifact.size_bytes,
            first_seen: human::rfc3339(self.artifact.first_seen_ns),
            known_paths: self.known_paths(),
            produced_by: self.documents(true),
            consumed_by: self.documents(false),
        })
    }

    /// The places where it was met, each once, newest first.
    fn known_paths(&self) -> Vec<&RawString> {
        let mut seen = HashSet::new();
        let paths = self.uses.iter().map(|one| &one.path);
        paths.filter(|path| seen.insert(*path)).collect()
    }

    fn of(&self, produced: bool) -> impl Iterator<Item = &ArtifactUse> {
        self.uses.iter().filter(move |one| one.produced == produced)
    }

    fn list(
        &self,
        title: &str,
        produced: bool,
        none: &str,
        cwd: &Path,
        now_ns: i64,
        terminal: Terminal,
    ) -> String {
        let mut text = format!("\n{}\n", Style::Heading.paint(title));
        let count = if produced {
            self.counts.0
        } else {
            self.counts.1
        };
        if count == 0 {
            text.push_str(&Style::Dim.paint(none.trim_end_matches('\n')));
            text.push('\n');
            return text;
        }
        let mut table = Table::new(vec![
            Column::new(""),
            Column::new(""),
            Column::new("").expendable(1),
            Column::new("").flexible(),
            Column::new("").expendable(2),
        ])
        .indent(2);
        for one in self.of(produced).take(USES_SHOWN) {
            table.row(vec![
                Cell::new(one.job.uid.as_str(), Style::Reference),
                reference(one.job.step_number, one.job.kind == JobKind::Build).into(),
                Cell::new(human::ago(one.job.started_at_ns, now_ns), Style::Dim),
                shell::one_line(&one.job.argv).into(),
                Cell::new(format!("as {}", paths::shown(&one.path, cwd)), Style::Dim),
            ]);
        }
        text.push_str(&table.render(terminal));
        if let Some(more @ 1..) = count.checked_sub(USES_SHOWN) {
            text.push_str("  ");
            text.push_str(&Style::Dim.paint(&format!("and {more} more")));
            text.push('\n');
        }
        text
    }

    fn documents(&self, produced: bool) -> Vec<UseDocument<'_>> {
        self.of(produced)
            .map(|one| UseDocument {
                job_uid: one.job.uid.as_str(),
                session_id: one.job.session_id,
                step_number: one.job.step_number,
                job_type: one.job.kind,
                command: shell::join(&one.job.argv),
                started_at: human::rfc3339(one.job.started_at_ns),
                path: &one.path,
            })
            .collect()
    }
}

#[derive(Serialize)]
struct ArtifactDocument<'a> {
    path: Option<&'a RawString>,
    current_hash: Option<&'a Digest>,
    hash: &'a Digest,
    hashes: &'a Hashes,
    size: Option<u64>,
    first_seen: String,
    known_paths: Vec<&'a RawString>,
    produced_by: Vec<UseDocument<'a>>,
    consumed_by: Vec<UseDocument<'a>>,
}

#[derive(Serialize)]
struct UseDocument<'a> {
    job_uid: &'a str,
    session_id: i64,
    step_number: u32,
    job_type: JobKind,
    command: String,
    started_at: String,
    path: &'a RawString,
}
