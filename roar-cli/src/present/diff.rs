//! Two jobs side by side (`roar diff`).

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;

use super::dag::reference;
use super::diff_code;
use super::members::{self, CollectionDocument, Group, collection_of, grouped};
use super::table::{Cell, Column, Table, truncate};
use super::{Style, Terminal, human, inert, paths, shell};
use crate::lineage::diff::{Change, Layer, LayerName, likely_cause};
use crate::model::{Digest, JobKind, JobUid, RawString, StoredJob};
use crate::store::CollectionPlace;

/// What is compared.
#[derive(Debug)]
pub struct DiffView {
    /// The first side.
    pub a: Side,
    /// The second side.
    pub b: Side,
    /// The layers of the two jobs; none where a side has no job.
    pub layers: Vec<Layer>,
    /// Who made the inputs that differ.
    pub producers: Vec<Producers>,
    /// The files of code that differ; none where that cannot be told.
    pub code: Option<Vec<CodeLine>>,
    /// For people: every difference by its name.
    pub all: bool,
}

/// A side of the comparison.
#[derive(Debug)]
pub struct Side {
    /// The job; none for a content that no recorded job made.
    pub job: Option<StoredJob>,
    /// The job's collections.
    pub collections: Vec<CollectionPlace>,
    /// The content that was asked for; none when a job was.
    pub content: Option<Content>,
}

/// A content that was asked for.
#[derive(Debug, Serialize)]
pub struct Content {
    /// BLAKE3.
    pub hash: Digest,
    /// Size in bytes, where known.
    pub size_bytes: Option<u64>,
    /// Where it was met last.
    pub path: Option<RawString>,
}

/// The jobs that made the two contents of an input.
#[derive(Debug, Serialize)]
pub struct Producers {
    /// The input.
    pub path: RawString,
    /// Of the first content.
    pub a: Option<JobUid>,
    /// Of the second content.
    pub b: Option<JobUid>,
}

/// A file of the code that differs.
#[derive(Debug, Serialize)]
pub struct CodeLine {
    /// Path below the top of the work tree.
    pub path: RawString,
    /// `added`, `deleted`, `modified`, …
    pub what: &'static str,
    /// Lines that only the second side has.
    pub lines_added: Option<usize>,
    /// Lines that only the first side has.
    pub lines_removed: Option<usize>,
    /// The lines that differ with those around them, in the form of `git diff`.
    pub patch: RawString,
}

/// At most so many differences of a layer are listed for people.
const LISTED: usize = 20;

impl DiffView {
    /// For people; paths below `cwd` are shown relative to it.
    pub fn text(&self, cwd: &Path, terminal: Terminal) -> String {
        let mut text = String::new();
        for (name, side) in [("a", &self.a), ("b", &self.b)] {
            let _ = writeln!(text, "{}  {}", Style::Dim.paint(name), side.line(cwd));
        }
        let _ = writeln!(text, "\n{}", self.verdict());
        let cause = likely_cause(&self.layers);
        let first = self
            .layers
            .iter()
            .filter(|layer| Some(layer.layer) == cause);
        let rest = self
            .layers
            .iter()
            .filter(|layer| Some(layer.layer) != cause);
        for layer in first.chain(rest).filter(|layer| !layer.changes.is_empty()) {
            self.layer(&mut text, layer, cwd, terminal);
            if Some(layer.layer) == self.layer_of_code() {
                let code = self.code.as_deref().unwrap_or_default();
                text.push_str(&diff_code::lines(code, self.all, terminal));
            }
        }
        let alike: Vec<String> = self
            .layers
            .iter()
            .filter(|layer| layer.changes.is_empty())
            .map(|layer| {
                let words = layer.layer.words();
                if layer.incomplete {
                    format!("{words} (but for uncommitted changes, which were not kept)")
                } else {
                    words.to_owned()
                }
            })
            .collect();
        if !alike.is_empty() {
            let line = format!("alike: {}", alike.join(", "));
            let _ = writeln!(text, "\n{}", Style::Dim.paint(&line));
        }
        text
    }

    /// For machines.
    pub fn json(&self) -> String {
        super::json(&Document {
            a: self.a.document(),
            b: self.b.document(),
            identical: self.outputs_are_alike(),
            likely_cause: likely_cause(&self.layers).filter(|_| !self.outputs_are_alike()),
            layers: &self.layers,
            input_producers: &self.producers,
            code: self.code.as_deref(),
        })
    }

    /// Whether both sides gave the same: the contents that were asked for, else all outputs.
    fn outputs_are_alike(&self) -> bool {
        match (&self.a.content, &self.b.content) {
            (Some(a), Some(b)) => a.hash == b.hash,
            _ => self
                .layers
                .iter()
                .any(|layer| layer.layer == LayerName::Outputs && layer.changes.is_empty()),
        }
    }

    fn verdict(&self) -> String {
        if self.a.job.is_none() || self.b.job.is_none() {
            let alike = if self.outputs_are_alike() {
                "The contents are identical."
            } else {
                "The contents differ."
            };
            return format!("{alike} No recorded job made both: there is nothing to compare.");
        }
        if self.outputs_are_alike() {
            return "The outputs are identical.".to_owned();
        }
        match likely_cause(&self.layers) {
            Some(layer) => format!(
                "The outputs differ. Likely cause: {}.",
                Style::Warning.paint(layer.words())
            ),
            None if self.layers.iter().any(|layer| layer.incomplete) => {
                "The outputs differ, and nothing recorded explains it; both ran with uncommitted \
                 changes, which were not kept."
                    .to_owned()
            }
            None => "The outputs differ, and nothing recorded explains it: the command may not \
                     give the same twice."
                .to_owned(),
        }
    }

    fn layer(&self, text: &mut String, layer: &Layer, cwd: &Path, terminal: Terminal) {
        let Layer {
            layer: name,
            changes,
            incomplete: _,
        } = layer;
        let _ = writeln!(text, "\n{}", Style::Heading.paint(name.words()));
        let are_files = matches!(name, LayerName::Inputs | LayerName::Outputs);
        let mut table = Table::new(vec![
            Column::new(""),
            Column::new("a"),
            Column::new("b").flexible(),
        ])
        .indent(2);
        let widest = (terminal.width / 3).max(8);
        let shown = if self.all { usize::MAX } else { LISTED };
        let groups = self.grouped(*name, changes);
        for group in groups.iter().take(shown) {
            let (label, a, b) = match (group.collection, &group.files[..]) {
                (Some(met), members) => self.whole(met, members.len(), *name, cwd),
                (None, [Change { what, a, b }, ..]) => {
                    let label = if are_files {
                        paths::shown(what, cwd)
                    } else {
                        what.to_string()
                    };
                    let cell = |side: &Option<RawString>| match side {
                        None => Cell::new("-", Style::Dim),
                        Some(value) if are_files => short(value).into(),
                        Some(value) if is_digest(value) => short(value).into(),
                        Some(value) if value.as_bytes().is_empty() => "(given)".into(),
                        Some(value) => truncate(&value.to_string(), widest, terminal).into(),
                    };
                    (label, cell(a), cell(b))
                }
                (None, []) => continue,
            };
            let label = truncate(&label, widest, terminal);
            table.row(vec![Cell::new(label, Style::Reference), a, b]);
        }
        text.push_str(&table.render(terminal));
        if let Some(more @ 1..) = groups.len().checked_sub(shown) {
            let _ = writeln!(text, "  and {more} more");
        }
        if *name == LayerName::Inputs {
            self.upstream(text, cwd);
        }
    }

    /// The layer whose differences are those of the code: git's, or the inputs, to which files
    /// that git does not track belong.
    fn layer_of_code(&self) -> Option<LayerName> {
        let differs = |name: &LayerName| {
            let mut of_name = self.layers.iter().filter(|layer| layer.layer == *name);
            of_name.any(|layer| !layer.changes.is_empty())
        };
        [LayerName::Git, LayerName::Inputs]
            .into_iter()
            .find(differs)
    }

    /// The differences of a layer line by line: those of a collection's members are one.
    fn grouped<'a>(
        &'a self,
        layer: LayerName,
        changes: &'a [Change],
    ) -> Vec<Group<'a, &'a Change>> {
        grouped(changes, |change| {
            let produced = match layer {
                LayerName::Inputs => false,
                LayerName::Outputs => true,
                _ => return None,
            };
            let of = |side: &'a Side, value: &Option<RawString>| {
                value.as_ref()?;
                collection_of(&side.collections, produced, &change.what)
            };
            let met = of(&self.a, &change.a).or_else(|| of(&self.b, &change.b));
            met.filter(|_| !self.all)
        })
    }

    /// A collection whose members differ: its folder, and its hash on either side.
    fn whole(
        &self,
        met: &CollectionPlace,
        members: usize,
        layer: LayerName,
        cwd: &Path,
    ) -> (String, Cell, Cell) {
        let cell = |side: &Side, more: &str| {
            let same = |other: &&CollectionPlace| {
                other.folder == met.folder && other.produced == (layer == LayerName::Outputs)
            };
            match side.collections.iter().find(same) {
                Some(met) => Cell::from(format!("{}{more}", met.hash.short())),
                None => Cell::new(format!("-{more}"), Style::Dim),
            }
        };
        let verb = if members == 1 { "differs" } else { "differ" };
        let differ = format!("  {} {verb}", human::count(members, "file"));
        (
            members::folder(met, cwd),
            cell(&self.a, ""),
            cell(&self.b, &differ),
        )
    }

    /// Where the inputs that differ came from.
    fn upstream(&self, text: &mut String, cwd: &Path) {
        let groups = grouped(&self.producers, |producers| {
            let mut sides = [&self.a, &self.b].into_iter();
            let met =
                sides.find_map(|side| collection_of(&side.collections, false, &producers.path));
            met.filter(|_| !self.all)
        });
        let shown = if self.all { usize::MAX } else { LISTED };
        for group in groups.iter().take(shown) {
            let mut pairs = BTreeSet::new();
            for Producers { path, a, b } in &group.files {
                if let (Some(a), Some(b)) = (a, b)
                    && a != b
                    && pairs.insert((a, b))
                {
                    let what = match group.collection {
                        Some(met) => members::folder(met, cwd),
                        None => paths::shown(path, cwd),
                    };
                    let line = format!("why {what} differs: roar diff {a} {b}");
                    let _ = writeln!(text, "  {}", Style::Dim.paint(&line));
                }
            }
        }
    }
}

/// A digest or a commit, of which the beginning tells enough.
fn is_digest(value: &RawString) -> bool {
    let bytes = value.as_bytes();
    bytes.len() >= 40 && bytes.iter().all(u8::is_ascii_hexdigit)
}

fn short(value: &RawString) -> String {
    let text = value.to_string();
    match text.get(..8) {
        Some(short) if text.len() >= 40 => short.to_owned(),
        _ => text,
    }
}

impl Side {
    fn line(&self, cwd: &Path) -> String {
        let mut parts = Vec::new();
        if let Some(Content {
            hash,
            size_bytes,
            path,
        }) = &self.content
        {
            let path = path.as_ref().map(|path| paths::shown(path, cwd));
            parts.push(format!(
                "{} {} {}",
                Style::Reference.paint(hash.short()),
                path.unwrap_or_default(),
                size_bytes.map(human::size).unwrap_or_default()
            ));
        }
        match &self.job {
            Some(job) => {
                let record = &job.record;
                let step = reference(job.step_number, record.kind == JobKind::Build);
                let name = record
                    .name
                    .as_ref()
                    .map(|name| format!("[{}] ", inert(name)));
                parts.push(format!(
                    "{} {} {}{}",
                    Style::Reference.paint(&step),
                    record.uid,
                    name.unwrap_or_default(),
                    shell::one_line(&record.argv)
                ));
            }
            None => parts.push("made by no recorded job".to_owned()),
        }
        parts.join("  ")
    }

    fn document(&self) -> SideDocument<'_> {
        SideDocument {
            artifact: self.content.as_ref(),
            collections: self
                .collections
                .iter()
                .map(CollectionDocument::from)
                .collect(),
            job_uid: self.job.as_ref().map(|job| &job.record.uid),
            step_number: self.job.as_ref().map(|job| job.step_number),
            command: self.job.as_ref().map(|job| shell::join(&job.record.argv)),
            duration_seconds: self
                .job
                .as_ref()
                .and_then(|job| job.record.duration_ns)
                .map(human::seconds),
        }
    }
}

#[derive(Serialize)]
struct Document<'a> {
    a: SideDocument<'a>,
    b: SideDocument<'a>,
    /// The same came out.
    identical: bool,
    likely_cause: Option<LayerName>,
    layers: &'a [Layer],
    input_producers: &'a [Producers],
    code: Option<&'a [CodeLine]>,
}

#[derive(Serialize)]
struct SideDocument<'a> {
    artifact: Option<&'a Content>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    collections: Vec<CollectionDocument<'a>>,
    job_uid: Option<&'a JobUid>,
    step_number: Option<u32>,
    command: Option<String>,
    duration_seconds: Option<f64>,
}
