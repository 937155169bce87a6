//! Hashing what was selected, and saying what could not be hashed.

use std::collections::HashMap;
use std::path::PathBuf;

use crate::capture::hash::{HashCache, Hashed, Unhashed, hash_files};
use crate::capture::select::{Selected, SelectedInput, SelectedOutput};
use crate::event::{FileId, PathQuality};
use crate::model::{Basis, CacheKey, FileRecord, HashAlgorithm, Hashes, RawString};
use crate::observe::{FileStamp, Input, InputCause, InputFate, WriteEvidence};

type Answers = HashMap<RawString, Result<Hashed, Unhashed>>;

/// Hashes every selected file once, whatever the number of its roles.
pub(super) fn hash_selected(
    selected: &Selected<'_>,
    cache: &mut dyn HashCache,
    algorithms: &[HashAlgorithm],
) -> (Vec<FileRecord>, Vec<FileRecord>) {
    let mut wanted: Vec<RawString> = Vec::new();
    wanted.extend(
        selected
            .inputs
            .iter()
            .filter_map(|selected| place_of(selected.input).cloned()),
    );
    wanted.extend(
        selected
            .outputs
            .iter()
            .map(|selected| selected.path.clone()),
    );
    wanted.sort_unstable();
    wanted.dedup();
    let paths: Vec<PathBuf> = wanted.iter().map(RawString::to_path_buf).collect();
    let answers: Answers = wanted
        .into_iter()
        .zip(hash_files(&paths, algorithms, cache))
        .collect();
    let inputs = selected
        .inputs
        .iter()
        .map(|selected| input_record(selected, &answers, cache));
    let outputs = selected
        .outputs
        .iter()
        .map(|selected| output_record(selected, &answers));
    (inputs.collect(), outputs.collect())
}

/// Where an input's content can still be read; none when the job changed or removed it.
fn place_of(input: &Input) -> Option<&RawString> {
    if !matches!(input.quality, PathQuality::Full) {
        return None;
    }
    match &input.fate {
        InputFate::Intact => Some(&input.path),
        InputFate::MovedTo(path) => Some(path),
        InputFate::Changed | InputFate::Removed => None,
    }
}

fn input_record(
    selected: &SelectedInput<'_>,
    answers: &Answers,
    cache: &mut dyn HashCache,
) -> FileRecord {
    let SelectedInput { file, input } = *selected;
    let mut record = FileRecord {
        path: input.path.clone(),
        hashes: Hashes::new(),
        size_bytes: input.state.map(|state| state.size_bytes),
        basis: input.basis(),
        note: None,
    };
    match input.cause {
        InputCause::Consumed(_) => {}
        InputCause::Kept => record.note = Some("earlier content was kept in the output".into()),
        InputCause::Moved => record.note = Some("moved or linked to an output".into()),
    }
    if let Some(place) = place_of(input) {
        fill(&mut record, answers.get(place));
        if let (Some(Ok(hashed)), Some(state)) = (answers.get(place), input.state)
            && (hashed.state.size_bytes, hashed.state.mtime_ns)
                != (state.size_bytes, state.mtime_ns)
        {
            add_note(
                &mut record,
                "changed by another program after the job had read it",
            );
        }
        return record;
    }
    if input.quality != PathQuality::Full {
        add_note(&mut record, quality_note(input.quality));
        return record;
    }
    // The content is gone. The cache may know the state that was seen before.
    let known = prior_key(file.id, input.state).and_then(|key| cache.get(&[key]).pop().flatten());
    match known {
        Some(cached) => record.hashes = cached.hashes,
        None => add_note(
            &mut record,
            match input.fate {
                InputFate::Removed => "removed by the job before it could be hashed",
                _ => "changed by the job before it could be hashed",
            },
        ),
    }
    record
}

/// The cache key of a file as the tracer saw it before the job changed it.
pub fn prior_key(id: Option<FileId>, state: Option<FileStamp>) -> Option<CacheKey> {
    let (id, state) = (id?, state?);
    Some(CacheKey {
        device: user_device(id.device),
        inode: id.inode,
        size_bytes: state.size_bytes,
        mtime_ns: state.mtime_ns,
        ctime_ns: state.ctime_ns,
    })
}

/// The kernel's internal device number (major << 20 | minor) as stat(2) shows it.
fn user_device(device: u64) -> u64 {
    let (major, minor) = (device >> 20, device & 0xf_ffff);
    #[cfg(target_os = "linux")]
    {
        rustix::fs::makedev(major as u32, minor as u32)
    }
    #[cfg(not(target_os = "linux"))]
    {
        major << 8 | minor
    }
}

fn output_record(selected: &SelectedOutput<'_>, answers: &Answers) -> FileRecord {
    let SelectedOutput { output, path } = *selected;
    let mut record = FileRecord {
        path: path.clone(),
        hashes: Hashes::new(),
        size_bytes: None,
        basis: match output.evidence {
            WriteEvidence::Seen(basis) => basis,
            WriteEvidence::Inferred => Basis::Opened,
            WriteEvidence::Placed => Basis::Written,
        },
        note: None,
    };
    if output.quality == PathQuality::Full {
        fill(&mut record, answers.get(path));
    } else {
        add_note(&mut record, quality_note(output.quality));
    }
    record
}

fn fill(record: &mut FileRecord, answer: Option<&Result<Hashed, Unhashed>>) {
    match answer {
        Some(Ok(hashed)) => {
            record.hashes = hashed.hashes.clone();
            record.size_bytes = Some(hashed.size_bytes);
            if hashed.changed_during {
                add_note(record, "changed while it was hashed");
            }
        }
        Some(Err(reason)) => add_note(record, &reason.to_string()),
        None => add_note(record, "not hashed"),
    }
}

fn quality_note(quality: PathQuality) -> &'static str {
    match quality {
        PathQuality::Full => "",
        PathQuality::Truncated => "the path is longer than a record holds; only its end is known",
        PathQuality::Unlinked => "the file had no name any more",
        PathQuality::Foreign => "the file is not visible outside the namespace of the command",
    }
}

fn add_note(record: &mut FileRecord, note: &str) {
    record.note = Some(match record.note.take() {
        Some(earlier) => format!("{earlier}; {note}"),
        None => note.to_owned(),
    });
}
