//! One collection: what it is, and which jobs met it (`roar show`).

use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;

use super::dag::reference;
use super::job::Facts;
use super::table::{Cell, Column, Table};
use super::{Style, Terminal, human, inert, paths, shell};
use crate::model::{Digest, JobKind, RawString};
use crate::store::{CollectionRow, JobSummary};

/// For people; paths below `cwd` are shown relative to it.
pub fn text(collection: &CollectionRow, cwd: &Path, now_ns: i64, terminal: Terminal) -> String {
    let CollectionRow {
        hash,
        name,
        files,
        size_bytes,
        uses,
    } = collection;
    let mut text = format!(
        "{} {}\n",
        Style::Heading.paint("Collection"),
        Style::Reference.paint(hash.short())
    );
    let mut facts = Facts::default();
    facts.add("name", inert(name));
    facts.add("blake3", hash.as_str());
    facts.add("files", human::count(*files as usize, "file"));
    if let Some(bytes) = size_bytes {
        facts.add("size", human::size(*bytes));
    }
    text.push_str(&facts.text);
    for (title, wanted) in [("Produced by", true), ("Consumed by", false)] {
        let _ = writeln!(text, "\n{}", Style::Heading.paint(title));
        let mut table = Table::new(vec![
            Column::new(""),
            Column::new(""),
            Column::new("").expendable(1),
            Column::new("").flexible(),
            Column::new("").expendable(2),
        ])
        .indent(2);
        let of_sort = uses.iter().filter(|(_, _, produced)| *produced == wanted);
        let mut any = false;
        for (job, folder, _) in of_sort {
            any = true;
            table.row(vec![
                Cell::new(job.uid.as_str(), Style::Reference),
                reference(job.step_number, job.kind == JobKind::Build).into(),
                Cell::new(human::ago(job.started_at_ns, now_ns), Style::Dim),
                shell::one_line(&job.argv).into(),
                Cell::new(format!("as {}/", paths::shown(folder, cwd)), Style::Dim),
            ]);
        }
        if any {
            text.push_str(&table.render(terminal));
        } else {
            text.push_str(&Style::Dim.paint("  no recorded job"));
            text.push('\n');
        }
    }
    text
}

/// For machines.
pub fn json(collection: &CollectionRow) -> String {
    let documents = |wanted: bool| {
        let of_sort = collection.uses.iter().filter(|one| one.2 == wanted);
        let document = |(job, folder, _): &(JobSummary, RawString, bool)| UseDocument {
            job_uid: job.uid.to_string(),
            session_id: job.session_id,
            step_number: job.step_number,
            command: shell::join(&job.argv),
            folder: folder.clone(),
        };
        of_sort.map(document).collect()
    };
    super::json(&CollectionDocument {
        hash: &collection.hash,
        name: &collection.name,
        files: collection.files,
        size: collection.size_bytes,
        produced_by: documents(true),
        consumed_by: documents(false),
    })
}

#[derive(Serialize)]
struct CollectionDocument<'a> {
    hash: &'a Digest,
    name: &'a str,
    files: u64,
    size: Option<u64>,
    produced_by: Vec<UseDocument>,
    consumed_by: Vec<UseDocument>,
}

#[derive(Serialize)]
struct UseDocument {
    job_uid: String,
    session_id: i64,
    step_number: u32,
    command: String,
    folder: RawString,
}
