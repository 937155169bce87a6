//! Hashing what was selected, and saying what could not be hashed.

use std::collections::{HashMap, HashSet};

use crate::capture::hash::{
    Afresh, FoundBeside, HashCache, Hashed, Layered, Unhashed, Watch, hash_files_watched,
};
use crate::capture::select::{Selected, SelectedInput, SelectedOutput};
use crate::event::{FileId, PathQuality};
use crate::model::{Basis, CacheKey, CachedHash, FileRecord, HashAlgorithm, Hashes, RawString};
use crate::observe::{FileStamp, Input, InputCause, InputFate, WriteEvidence};

/// How files are hashed.
pub struct Hashing<'a> {
    /// Hashes of earlier runs.
    pub cache: &'a mut dyn HashCache,
    /// What was hashed while the command ran.
    pub beside: &'a FoundBeside,
    /// What is wanted besides BLAKE3.
    pub algorithms: &'a [HashAlgorithm],
    /// Is told how far it is, and may end it.
    pub watch: &'a dyn Watch,
}

/// Hashes every selected file once, whatever the number of its roles.
pub(super) fn hash_selected(
    selected: &Selected<'_>,
    hashing: Hashing<'_>,
) -> (Vec<FileRecord>, Vec<FileRecord>) {
    let Hashing {
        cache,
        beside,
        algorithms,
        watch,
    } = hashing;
    let mut known = Layered::new(beside, cache);
    // First of all: a mapped file's old hash may stand under the very state that gets a new one.
    let before: Vec<Option<CachedHash>> = selected
        .inputs
        .iter()
        .map(|selected| before(selected, beside, &mut known))
        .collect();
    let inputs = &selected.inputs;
    let outputs = &selected.outputs;
    let mut hashing = Batches {
        known,
        algorithms,
        watch,
    };
    // What an output has taken over from an input is hashed once.
    let places: HashSet<&RawString> = inputs
        .iter()
        .filter_map(|selected| place_of(selected.input))
        .collect();
    let mut answers: Answers<'_> = HashMap::new();
    let mut records = Vec::with_capacity(outputs.len());
    for outputs in outputs.chunks(BATCH) {
        let paths = |doubtful: bool| {
            let outputs = outputs.iter();
            let outputs = outputs.filter(move |selected| is_doubtful(selected) == doubtful);
            outputs.map(|selected| selected.path).collect::<Vec<_>>()
        };
        let mut sound = hashing.hash(&paths(false)).into_iter();
        let mut doubtful = hashing.hash_afresh(&paths(true)).into_iter();
        for selected in outputs {
            let answer = if is_doubtful(selected) {
                doubtful.next()
            } else {
                sound.next()
            };
            if places.contains(selected.path)
                && let Some(answer) = &answer
            {
                answers.insert(selected.path, answer.clone());
            }
            records.push(output_record(selected, answer));
        }
    }
    let mut left: Vec<&RawString> = places.into_iter().collect();
    left.retain(|place| !answers.contains_key(place));
    for places in left.chunks(BATCH) {
        let found = hashing.hash(places);
        answers.extend(places.iter().copied().zip(found));
    }
    hashing.known.keep();
    let inputs = inputs.iter().zip(before).map(|(selected, before)| {
        let answer = place_of(selected.input).and_then(|place| answers.get(place));
        input_record(selected, answer, before)
    });
    (inputs.collect(), records)
}

/// How many files are hashed in one go: enough to keep every thread busy, and few beside a million.
const BATCH: usize = 1 << 16;

/// The state of what was mapped shared and written through the mapping proves nothing: that is read
/// in any case.
fn is_doubtful(selected: &SelectedOutput<'_>) -> bool {
    selected.output.shared_mapping
}

/// What hashing came to, by place.
type Answers<'a> = HashMap<&'a RawString, Answer>;

type Answer = Result<Hashed, Unhashed>;

struct Batches<'a> {
    known: Layered<'a>,
    algorithms: &'a [HashAlgorithm],
    watch: &'a dyn Watch,
}

impl Batches<'_> {
    fn hash(&mut self, places: &[&RawString]) -> Vec<Answer> {
        hash_files_watched(places, self.algorithms, &mut self.known, self.watch)
    }

    /// Whatever is known of the files' states.
    fn hash_afresh(&mut self, places: &[&RawString]) -> Vec<Answer> {
        let mut afresh = Afresh(&mut self.known);
        hash_files_watched(places, self.algorithms, &mut afresh, self.watch)
    }
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
    answer: Option<&Answer>,
    before: Option<CachedHash>,
) -> FileRecord {
    let input = selected.input;
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
    if place_of(input).is_some() {
        match answer {
            Some(Ok(hashed)) => {
                fill(&mut record, hashed.clone());
                let found = (hashed.state.size_bytes, hashed.state.mtime_ns);
                let seen = input.state.map(|state| (state.size_bytes, state.mtime_ns));
                if is_another(selected.file.id, &hashed.state)
                    || seen.is_some_and(|seen| seen != found)
                {
                    add_note(
                        &mut record,
                        "changed by another program after the job had read it",
                    );
                }
            }
            Some(Err(reason)) => add_note(&mut record, &reason.to_string()),
            None => add_note(&mut record, "not hashed"),
        }
        return record;
    }
    if input.quality != PathQuality::Full {
        add_note(&mut record, quality_note(input.quality));
        return record;
    }
    match before {
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

/// The hashes of an input whose content is gone: what was hashed while it was there, or by an
/// earlier run.
fn before(
    selected: &SelectedInput<'_>,
    beside: &FoundBeside,
    known: &mut Layered<'_>,
) -> Option<CachedHash> {
    let SelectedInput { file, input } = *selected;
    if place_of(input).is_some() || input.quality != PathQuality::Full {
        return None;
    }
    let seen = file.id.zip(input.state);
    if let Some(told) = seen.and_then(|(id, state)| beside.told(id, state)) {
        return Some(told);
    }
    let key = seen
        .and_then(|(id, state)| beside.state_of(id, state))
        .or_else(|| prior_key(file.id, input.state))?;
    let output = file.output.as_ref();
    if output.is_some_and(|output| output.shared_mapping) {
        // Hashed beside the command, it may have been hashed too late.
        known.before(&key)
    } else {
        known.of_gone(&key)
    }
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

fn output_record(selected: &SelectedOutput<'_>, answer: Option<Answer>) -> FileRecord {
    let SelectedOutput { file, output, path } = *selected;
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
    if output.quality != PathQuality::Full {
        add_note(&mut record, quality_note(output.quality));
        return record;
    }
    match answer {
        Some(Ok(hashed)) => {
            let is_other = is_another(file.id, &hashed.state);
            fill(&mut record, hashed);
            if is_other {
                add_note(&mut record, "another file is in its place");
            }
        }
        Some(Err(reason)) => add_note(&mut record, &reason.to_string()),
        None => add_note(&mut record, "not hashed"),
    }
    record
}

/// Whether what was hashed is another file than the one that was seen: it was replaced by another
/// program, or covered or uncovered by a mount. A note and no more: there are file systems whose
/// numbers do not last.
fn is_another(seen: Option<FileId>, hashed: &CacheKey) -> bool {
    seen.is_some_and(|id| (user_device(id.device), id.inode) != (hashed.device, hashed.inode))
}

fn fill(record: &mut FileRecord, hashed: Hashed) {
    record.hashes = hashed.hashes;
    record.size_bytes = Some(hashed.size_bytes);
    if hashed.changed_during {
        add_note(record, "changed while it was hashed");
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::Digest;
    use crate::observe::{FileKind, ObservedFile, Output};

    #[derive(Default)]
    struct Cache(BTreeMap<CacheKey, CachedHash>);

    impl HashCache for Cache {
        fn get(&mut self, keys: &[CacheKey]) -> Vec<Option<CachedHash>> {
            keys.iter().map(|key| self.0.get(key).cloned()).collect()
        }

        fn put(&mut self, entries: &[(CacheKey, CachedHash)]) {
            self.0.extend(entries.iter().cloned());
        }
    }

    fn digest_of(content: &[u8]) -> Digest {
        Digest::from_bytes(blake3::hash(content).as_bytes())
    }

    fn cached(content: &[u8]) -> CachedHash {
        CachedHash {
            hashes: Hashes::from([(HashAlgorithm::Blake3, digest_of(content))]),
        }
    }

    /// What a job leaves that read a file of five bytes and then changed it in place, and what is
    /// recorded of the content from before; `beside` and `cache` know a hash or do not.
    fn check(shared_mapping: bool, beside: bool, cache: bool, expected: Option<&[u8]>) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = RawString::from_path(&folder.path().join("f"));
        std::fs::write(path.as_path(), "after").expect("written");
        let stamp = FileStamp {
            size_bytes: 5,
            mtime_ns: 17,
            ctime_ns: 19,
        };
        let id = FileId {
            device: 8 << 20 | 1,
            inode: 4711,
            generation: 3,
        };
        let key = prior_key(Some(id), Some(stamp)).expect("both are known");
        let file = ObservedFile {
            id: Some(id),
            kind: FileKind::Regular,
            input: Some(Box::new(Input {
                path: path.clone(),
                quality: PathQuality::Full,
                cause: InputCause::Consumed(Basis::Read),
                state: Some(stamp),
                fate: InputFate::Changed,
            })),
            output: Some(Output {
                path: path.clone(),
                quality: PathQuality::Full,
                evidence: WriteEvidence::Seen(Basis::Written),
                shared_mapping,
                links: Vec::new(),
            }),
            created: false,
            former_paths: Vec::new(),
            readers: Vec::new(),
            writers: Vec::new(),
        };
        let selected = Selected {
            inputs: vec![SelectedInput {
                file: &file,
                input: file.input.as_ref().expect("made above"),
            }],
            outputs: vec![SelectedOutput {
                file: &file,
                output: file.output.as_ref().expect("made above"),
                path: &path,
            }],
            filtered: Vec::new(),
        };
        let mut found = FoundBeside::default();
        if beside {
            found.remember(id, stamp, key, cached(b"beside").hashes);
        }
        let mut known = Cache::default();
        if cache {
            known.0.insert(key, cached(b"cache"));
        }
        let hashing = Hashing {
            cache: &mut known,
            beside: &found,
            algorithms: &[],
            watch: &(),
        };
        let (inputs, outputs) = hash_selected(&selected, hashing);
        let what = format!("{shared_mapping} {beside} {cache}");
        assert_eq!(inputs[0].hash(), expected.map(digest_of).as_ref(), "{what}");
        let late = Some("changed by the job before it could be hashed".to_owned());
        assert_eq!(
            inputs[0].note,
            late.filter(|_| expected.is_none()),
            "{what}"
        );
        assert_eq!(outputs[0].hash(), Some(&digest_of(b"after")), "{what}");
    }

    #[test]
    fn the_content_from_before_an_update_in_place() {
        check(false, false, false, None);
        check(false, false, true, Some(b"cache"));
        check(false, true, false, Some(b"beside"));
        check(false, true, true, Some(b"beside"));
        // It may have been stored to before it was hashed, and its state would not tell.
        check(true, true, false, None);
        check(true, true, true, Some(b"cache"));
    }
}
