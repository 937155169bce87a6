//! What `roar run` says on stderr when the command has ended.

use std::path::Path;

use super::ui::Ui;
use super::{dag, human, job, paths};
use crate::lineage::StaleRead;
use crate::model::{Completeness, FileRecord, GapKind, JobKind, RawString, StoredJob};
use crate::store::running::Swept;

/// The most files that are listed of each side.
const LISTED: usize = 12;

/// Jobs whose roar was killed before it could record them.
pub fn lost_jobs(ui: &Ui, swept: &Swept) {
    for lost in &swept.lost {
        ui.warning(&format!(
            "job {} was lost: its roar was killed before it could record what the command did",
            lost.uid
        ));
    }
    for path in &swept.unreadable {
        ui.warning(&format!(
            "cannot read the leftover marker '{}'",
            path.display()
        ));
    }
}

/// Settings that the user may have, in a folder that this process may not enter.
pub fn hidden_settings(ui: &Ui, file: &RawString) {
    ui.warning(&format!(
        "'{file}' is not used: its folder is closed to this user"
    ));
}

/// The report of a job. When `quiet`, only what the user must know: an incomplete record.
pub fn finished(ui: &Ui, stored: &StoredJob, cwd: &Path, quiet: bool, verbose: bool) {
    let record = &stored.record;
    if !quiet {
        side(ui, "read", &record.inputs, cwd);
        side(ui, "wrote", &record.outputs, cwd);
        if verbose {
            for filtered in &record.filtered {
                let path = paths::shown(&filtered.path, cwd);
                ui.note(&format!(
                    "  filtered {} {path} ({})",
                    filtered.access, filtered.by
                ));
            }
        } else if !record.filtered.is_empty() {
            let count = human::count(record.filtered.len(), "file");
            ui.note(&format!(
                "filtered {count} (roar show --all {})",
                dag::reference(stored.step_number, record.kind == JobKind::Build)
            ));
        }
        let (ending, _) = job::ending(record.state, record.outcome);
        let duration = record.duration_ns.map(human::duration).unwrap_or_default();
        ui.note(&format!(
            "job {} · step @{}{} · {ending} · {duration} · {}",
            record.uid,
            if record.kind == crate::model::JobKind::Build {
                "B"
            } else {
                ""
            },
            stored.step_number,
            if record.completeness.complete {
                "complete"
            } else {
                "INCOMPLETE"
            },
        ));
        for note in &record.completeness.notes {
            ui.note(note);
        }
    }
    incomplete(ui, &record.completeness);
}

/// Inputs that stale steps made; `verb` is what the step does with them: `read`, `reads`.
pub fn stale_reads(ui: &Ui, reads: &[StaleRead], cwd: &Path, verb: &str) {
    for StaleRead { path, by_step } in reads.iter().take(LISTED) {
        let path = paths::shown(path, cwd);
        ui.warning(&format!(
            "{verb} {path}, which the stale step @{by_step} made"
        ));
    }
    if let Some(more @ 1..) = reads.len().checked_sub(LISTED) {
        ui.warning(&format!("and {more} more that stale steps made"));
    }
}

/// Steps, by reference, that are stale since this run.
pub fn made_stale(ui: &Ui, steps: &[String]) {
    let shown = steps[..steps.len().min(LISTED)].join(" ");
    let more = match steps.len().checked_sub(LISTED) {
        Some(more @ 1..) => format!(" and {more} more"),
        _ => String::new(),
    };
    ui.note(&format!("now stale: {shown}{more} (roar rerun --stale)"));
}

fn side(ui: &Ui, verb: &str, files: &[FileRecord], cwd: &Path) {
    if files.is_empty() {
        return;
    }
    let mut listed: Vec<&FileRecord> = files.iter().collect();
    if files.len() > LISTED {
        // Of many, those that are one's own are to be seen: a program may read a dozen of its own first.
        let here = RawString::from_path(cwd);
        listed.sort_by_key(|file| !file.path.is_below(&here));
    }
    let total: u64 = files.iter().filter_map(|file| file.size_bytes).sum();
    let count = human::count(files.len(), "file");
    ui.note(&format!("{verb} {count}, {}", human::size(total)));
    for file in listed.into_iter().take(LISTED) {
        let hash = file.hash().map_or("--------", |hash| hash.short());
        let size = file.size_bytes.map_or_else(|| "?".to_owned(), human::size);
        let note = file
            .note
            .as_ref()
            .map(|note| format!("  ({note})"))
            .unwrap_or_default();
        ui.note(&format!(
            "  {hash}  {size:>9}  {}{note}",
            paths::shown(&file.path, cwd)
        ));
    }
    if files.len() > LISTED {
        ui.note(&format!("  … and {} more", files.len() - LISTED));
    }
}

/// What the record lacks.
fn incomplete(ui: &Ui, completeness: &Completeness) {
    if completeness.complete {
        return;
    }
    let lost = completeness.lost_total();
    if lost > 0 {
        let classes: Vec<String> = completeness
            .lost_events
            .iter()
            .map(|(class, count)| format!("{count} {class}"))
            .collect();
        ui.warning(&format!(
            "{lost} events were lost ({}); files may be missing from the record",
            classes.join(", ")
        ));
    }
    if completeness.truncated_paths > 0 {
        ui.warning(&format!(
            "{} paths were too long to be recorded whole",
            completeness.truncated_paths
        ));
    }
    // What could not be hashed stands beside its file, with the reason.
    for gap in completeness
        .gaps
        .iter()
        .filter(|gap| gap.kind != GapKind::Unhashed)
    {
        let times = if gap.count > 1 {
            format!(" ({} times)", gap.count)
        } else {
            String::new()
        };
        ui.warning(&format!("{}{times}", gap.detail));
    }
}
