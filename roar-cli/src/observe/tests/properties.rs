//! Properties of the fold over event logs that nobody thought of.
//!
//! A small file system is played on at random; it knows by itself what was consumed and
//! produced, and the fold must come to the same from the events alone. The same logs, cut,
//! shuffled and spoiled, must fold to something consistent.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::notation::{fold, on};
use crate::event::{
    Access, EventKind, FileId, FileState, NameChange, PathQuality, ProcessId, TraceEvent,
};
use crate::observe::{FileKind, InputCause, InputFate, Observation};

const DIRECTORIES: [&str; 3] = ["/d", "/e", "/g"];
const NAMES: [&str; 3] = ["x", "y", "z"];

/// One thing that a process tries; what is impossible at the moment does nothing.
#[derive(Clone, Debug)]
enum Action {
    Create(usize),
    Read(usize),
    Rewrite(usize, u64),
    Append(usize, u64),
    Overwrite(usize, u64),
    Truncate(usize, u64),
    MapWrite(usize),
    Rename(usize, usize),
    Exchange(usize, usize),
    Link(usize, usize),
    Unlink(usize),
    RenameDirectory(usize, usize),
    MakeDirectory(usize),
}

fn action() -> impl Strategy<Value = Action> {
    let name = 0..DIRECTORIES.len() * NAMES.len();
    let size = 1..4_u64;
    let directory = 0..DIRECTORIES.len();
    let two = (name.clone(), name.clone());
    prop_oneof![
        3 => name.clone().prop_map(Action::Create),
        3 => name.clone().prop_map(Action::Read),
        1 => (name.clone(), size.clone()).prop_map(|(n, s)| Action::Rewrite(n, s)),
        1 => (name.clone(), size.clone()).prop_map(|(n, s)| Action::Append(n, s)),
        1 => (name.clone(), size.clone()).prop_map(|(n, s)| Action::Overwrite(n, s)),
        1 => (name.clone(), 0..4_u64).prop_map(|(n, s)| Action::Truncate(n, s)),
        1 => name.clone().prop_map(Action::MapWrite),
        3 => two.clone().prop_map(|(a, b)| Action::Rename(a, b)),
        1 => two.clone().prop_map(|(a, b)| Action::Exchange(a, b)),
        1 => two.prop_map(|(a, b)| Action::Link(a, b)),
        2 => name.prop_map(Action::Unlink),
        1 => (directory.clone(), directory.clone()).prop_map(|(a, b)| Action::RenameDirectory(a, b)),
        1 => directory.prop_map(Action::MakeDirectory),
    ]
}

/// A file of the played file system, with the truth about it.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Clone, Debug)]
struct Truth {
    inode: u64,
    size: u64,
    original: Option<String>,
    /// Content from before the job is left in it.
    prior_left: bool,
    modified: bool,
    consumed: bool,
    /// Some event was about this very file.
    seen: bool,
}

/// The played file system.
struct Play {
    files: Vec<Truth>,
    names: BTreeMap<String, usize>,
    directories: BTreeSet<String>,
    free_inodes: Vec<u64>,
    next_inode: u64,
    with_rename_ids: bool,
    with_file_ids: bool,
    events: Vec<TraceEvent>,
}

fn path(at: usize) -> String {
    format!(
        "{}/{}",
        DIRECTORIES[at / NAMES.len()],
        NAMES[at % NAMES.len()]
    )
}

impl Play {
    fn new(existing: &[bool], with_rename_ids: bool, with_file_ids: bool) -> Self {
        let mut play = Self {
            files: Vec::new(),
            names: BTreeMap::new(),
            directories: ["/d", "/e"].map(str::to_owned).into(),
            free_inodes: Vec::new(),
            next_inode: 10,
            with_rename_ids,
            with_file_ids,
            events: Vec::new(),
        };
        for process in 1..4 {
            let parent = (process > 1).then_some(ProcessId(1));
            play.events
                .push(on(ProcessId(process), EventKind::Started { parent }));
        }
        for (at, exists) in existing.iter().enumerate() {
            if *exists {
                let file = play.insert(Some(path(at)), at as u64 % 3);
                play.names.insert(path(at), file);
            }
        }
        play
    }

    fn insert(&mut self, original: Option<String>, size: u64) -> usize {
        let inode = self.free_inodes.pop().unwrap_or_else(|| {
            self.next_inode += 1;
            self.next_inode
        });
        self.files.push(Truth {
            inode,
            size,
            prior_left: original.is_some() && size > 0,
            modified: original.is_none(),
            consumed: false,
            seen: original.is_none(),
            original,
        });
        self.files.len() - 1
    }

    fn id(&self, file: usize) -> FileId {
        FileId {
            device: 1,
            inode: self.files[file].inode,
            generation: 0,
        }
    }

    fn touch(&mut self, process: ProcessId, at: &str, file: usize, access: Access) {
        let state = FileState {
            id: self.with_file_ids.then(|| self.id(file)),
            path: at.into(),
            quality: PathQuality::Full,
            size_bytes: self.files[file].size,
            mtime_ns: 1,
            ctime_ns: 2,
        };
        self.files[file].seen = true;
        self.events.push(on(
            process,
            EventKind::Touched {
                file: state,
                access,
            },
        ));
    }

    /// The file at a name stays without it.
    fn drop_name(&mut self, name: &str) {
        if let Some(file) = self.names.remove(name)
            && !self.names.values().any(|other| *other == file)
        {
            self.free_inodes.push(self.files[file].inode);
        }
    }

    fn renamed(
        &mut self,
        process: ProcessId,
        from: &str,
        to: &str,
        change: NameChange,
        id: Option<FileId>,
    ) {
        let id = id.filter(|_| self.with_rename_ids && self.with_file_ids);
        let kind = EventKind::Renamed {
            from: from.into(),
            to: to.into(),
            change,
            id,
        };
        self.events.push(on(process, kind));
    }

    fn act(&mut self, process: ProcessId, action: &Action) {
        match *action {
            Action::Create(at) => {
                let name = path(at);
                let has_directory = self.directories.contains(DIRECTORIES[at / NAMES.len()]);
                if has_directory && !self.names.contains_key(&name) {
                    let file = self.insert(None, 0);
                    self.names.insert(name.clone(), file);
                    self.touch(process, &name, file, Access::Created);
                }
            }
            Action::Read(at) => self.on_file(at, |play, name, file| {
                play.touch(process, name, file, Access::Read);
                let truth = &mut play.files[file];
                truth.consumed |= !truth.modified || truth.prior_left;
            }),
            Action::Rewrite(at, size) => self.on_file(at, |play, name, file| {
                play.files[file].size = 0;
                play.files[file].prior_left = false;
                play.files[file].modified = true;
                play.touch(process, name, file, Access::Truncated);
                play.files[file].size = size;
                play.touch(process, name, file, Access::Written { bytes: size });
            }),
            Action::Append(at, bytes) => self.on_file(at, |play, name, file| {
                play.touch(process, name, file, Access::OpenedWrite);
                play.files[file].size += bytes;
                play.files[file].modified = true;
                play.touch(process, name, file, Access::Written { bytes });
            }),
            Action::Overwrite(at, bytes) => self.on_file(at, |play, name, file| {
                play.touch(process, name, file, Access::OpenedWrite);
                let truth = &mut play.files[file];
                truth.prior_left &= truth.size > bytes;
                truth.size = truth.size.max(bytes);
                truth.modified = true;
                play.touch(process, name, file, Access::Written { bytes });
            }),
            Action::Truncate(at, size) => self.on_file(at, |play, name, file| {
                play.touch(process, name, file, Access::OpenedWrite);
                let truth = &mut play.files[file];
                truth.size = size;
                truth.prior_left &= size > 0;
                truth.modified = true;
                play.touch(process, name, file, Access::Truncated);
            }),
            Action::MapWrite(at) => self.on_file(at, |play, name, file| {
                play.files[file].modified = true;
                play.touch(process, name, file, Access::MappedWrite);
            }),
            Action::Rename(a, b) => self.on_file(a, |play, from, file| {
                let to = path(b);
                if from == to || !play.directories.contains(DIRECTORIES[b / NAMES.len()]) {
                    return;
                }
                play.files[file].seen = true;
                if play.names.get(&to) != Some(&file) {
                    play.drop_name(&to);
                    play.names.remove(from);
                    play.names.insert(to.clone(), file);
                }
                play.renamed(process, from, &to, NameChange::Rename, Some(play.id(file)));
            }),
            Action::Exchange(a, b) => self.on_file(a, |play, from, file| {
                let to = path(b);
                let Some(&other) = play.names.get(&to) else {
                    return;
                };
                if file == other {
                    return;
                }
                play.names.insert(to.clone(), file);
                play.names.insert(from.to_owned(), other);
                play.files[file].seen = true;
                play.files[other].seen = true;
                play.renamed(
                    process,
                    from,
                    &to,
                    NameChange::Exchange,
                    Some(play.id(file)),
                );
            }),
            Action::Link(a, b) => self.on_file(a, |play, from, file| {
                let to = path(b);
                let has_directory = play.directories.contains(DIRECTORIES[b / NAMES.len()]);
                if has_directory && !play.names.contains_key(&to) {
                    play.names.insert(to.clone(), file);
                    play.files[file].seen = true;
                    play.renamed(process, from, &to, NameChange::Link, Some(play.id(file)));
                }
            }),
            Action::Unlink(at) => self.on_file(at, |play, name, _| {
                play.drop_name(name);
                play.events
                    .push(on(process, EventKind::Removed { path: name.into() }));
            }),
            Action::RenameDirectory(a, b) => {
                let (from, to) = (DIRECTORIES[a], DIRECTORIES[b]);
                let is_empty = !self.names.keys().any(|name| name.starts_with(to));
                if a == b || !self.directories.contains(from) || !is_empty {
                    return;
                }
                self.directories.remove(from);
                self.directories.insert(to.to_owned());
                let names = std::mem::take(&mut self.names);
                let moved = |name: String| match name.strip_prefix(from) {
                    Some(rest) => format!("{to}{rest}"),
                    None => name,
                };
                self.names = names
                    .into_iter()
                    .map(|(name, file)| (moved(name), file))
                    .collect();
                self.renamed(process, from, to, NameChange::Rename, None);
            }
            Action::MakeDirectory(at) => {
                if self.directories.insert(DIRECTORIES[at].to_owned()) {
                    let path = DIRECTORIES[at].into();
                    self.events
                        .push(on(process, EventKind::DirectoryMade { path }));
                }
            }
        }
    }

    fn on_file(&mut self, at: usize, act: impl FnOnce(&mut Self, &str, usize)) {
        let name = path(at);
        if let Some(&file) = self.names.get(&name) {
            act(self, &name, file);
        }
    }

    /// What the record should say of the files it has seen, one line for each.
    fn truth(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut has_temporaries = false;
        for (index, file) in self.files.iter().enumerate().filter(|(_, file)| file.seen) {
            let names: BTreeSet<_> = self
                .names
                .iter()
                .filter(|(_, at)| **at == index)
                .map(|(name, _)| name)
                .collect();
            let Some(original) = &file.original else {
                if names.is_empty() {
                    has_temporaries = true;
                } else {
                    lines.push(line(None, &names));
                }
                continue;
            };
            let places: BTreeSet<_> = names
                .iter()
                .copied()
                .filter(|name| file.modified || *name != original)
                .collect();
            let is_input =
                file.consumed || !places.is_empty() && (file.prior_left || !file.modified);
            let fate = if names.is_empty() {
                "removed"
            } else if file.modified {
                "changed"
            } else if names.contains(original) {
                "intact"
            } else {
                "moved"
            };
            let input = is_input.then(|| (original.clone(), file.consumed, fate));
            if input.is_some() || !places.is_empty() {
                lines.push(line(input.as_ref(), &places));
            }
        }
        lines.extend(has_temporaries.then(|| "temporaries".to_owned()));
        lines.sort();
        lines
    }
}

fn line(input: Option<&(String, bool, &'static str)>, places: &BTreeSet<&String>) -> String {
    format!("{input:?} -> {places:?}")
}

/// What the fold says, in the same form; names that turned out to be directories apart.
fn told(observation: &Observation) -> Vec<String> {
    let is_directory = |path: &str| DIRECTORIES.contains(&path);
    let mut lines = Vec::new();
    for file in &observation.files {
        let places: Vec<String> = file
            .output
            .iter()
            .flat_map(|output| std::iter::once(&output.path).chain(&output.links))
            .map(ToString::to_string)
            .collect();
        if file.kind == FileKind::Unknown && places.iter().any(|place| is_directory(place)) {
            continue;
        }
        let input = file.input.as_ref().map(|input| {
            let fate = match input.fate {
                InputFate::Intact => "intact",
                InputFate::MovedTo(_) => "moved",
                InputFate::Changed => "changed",
                InputFate::Removed => "removed",
            };
            (
                input.path.to_string(),
                matches!(input.cause, InputCause::Consumed(_)),
                fate,
            )
        });
        lines.push(line(input.as_ref(), &places.iter().collect()));
    }
    lines.extend((!observation.temporaries.is_empty()).then(|| "temporaries".to_owned()));
    lines.sort();
    lines
}

/// What holds of every observation, whatever the events. A name of another mount namespace
/// may look like one of `own_names`.
fn assert_consistent(observation: &Observation, own_names: bool) {
    let mut places = BTreeSet::new();
    for file in &observation.files {
        assert!(file.input.is_some() || file.output.is_some(), "{file:?}");
        for process in file.readers.iter().chain(&file.writers) {
            assert!((process.0 as usize) < observation.processes.len());
        }
        if let Some(output) = &file.output {
            assert!(
                !file.writers.is_empty(),
                "an output without a writer: {file:?}"
            );
            for place in std::iter::once(&output.path).chain(&output.links) {
                assert!(places.insert(place) || !own_names, "two files at {place}");
            }
        }
        if let Some(input) = &file.input {
            assert!(!file.created, "an input that the job created: {file:?}");
            if matches!(input.cause, InputCause::Consumed(_)) {
                assert!(
                    !file.readers.is_empty(),
                    "an input without a reader: {file:?}"
                );
            } else {
                assert!(file.output.is_some(), "kept or moved to nowhere: {file:?}");
            }
        }
    }
    for file in &observation.files {
        if let Some(input) = &file.input
            && input.fate == InputFate::Intact
            && file.output.as_ref().is_none_or(|output| {
                output.path != input.path && !output.links.contains(&input.path)
            })
        {
            assert!(
                !places.contains(&input.path) || !own_names,
                "an intact input with another's output"
            );
        }
    }
    let json = serde_json::to_string(observation).expect("serialises");
    let back: Observation = serde_json::from_str(&json).expect("parses");
    assert_eq!(&back, observation);
}

fn play() -> impl Strategy<Value = Play> {
    let existing =
        prop::collection::vec(any::<bool>(), DIRECTORIES.len() * NAMES.len() - NAMES.len());
    let actions = prop::collection::vec((1..4_u32, action()), 0..40);
    (existing, any::<bool>(), prop::bool::weighted(0.8), actions).prop_map(
        |(existing, with_rename_ids, with_file_ids, actions)| {
            let mut play = Play::new(&existing, with_rename_ids, with_file_ids);
            for (process, action) in &actions {
                play.act(ProcessId(*process), action);
            }
            play
        },
    )
}

impl std::fmt::Debug for Play {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for event in &self.events {
            writeln!(f, "{} {:?}", event.process.0, event.kind)?;
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn the_fold_finds_the_truth(play in play()) {
        let observation = fold(&play.events);
        assert_consistent(&observation, true);
        prop_assert_eq!(told(&observation), play.truth());
    }

    #[test]
    fn files_that_came_with_their_directory_can_be_found(play in play()) {
        let observation = fold(&play.events);
        let mut moves: Vec<(String, String)> = observation
            .placed_directories
            .iter()
            .map(|directory| (directory.from.to_string(), directory.to.to_string()))
            .collect();
        for file in observation.files.iter().filter(|file| file.kind == FileKind::Unknown) {
            if let (Some(input), Some(output)) = (&file.input, &file.output) {
                moves.push((input.path.to_string(), output.path.to_string()));
            }
        }
        for (name, file) in &play.names {
            let file = &play.files[*file];
            let Some(original) = file.original.as_ref().filter(|_| !file.seen) else { continue };
            let found = moves.iter().any(|(from, to)| {
                name.strip_prefix(to.as_str()).is_some_and(|rest| format!("{from}{rest}") == *original)
            });
            prop_assert!(found || name == original, "{} from {}: {:?}", name, original, moves);
        }
    }

    #[test]
    fn repetitions_change_nothing(play in play(), again in prop::collection::vec(any::<bool>(), 100)) {
        let mut events = Vec::new();
        for (event, again) in play.events.iter().zip(again.iter().cycle()) {
            events.push(event.clone());
            if *again && matches!(event.kind, EventKind::Touched { .. }) {
                events.push(event.clone());
            }
        }
        prop_assert_eq!(fold(&events), fold(&play.events));
    }

    #[test]
    fn any_part_in_any_order_is_consistent(
        play in play(),
        keep in prop::collection::vec(prop::bool::weighted(0.9), 120),
        swaps in prop::collection::vec((0..120_usize, 1..4_usize), 0..20),
        spoil in prop::collection::vec((0..120_usize, 0..6_u8), 0..6),
        end in 0..200_usize,
    ) {
        let mut events = play.events;
        for (at, distance) in swaps {
            if at + distance < events.len() {
                events.swap(at, at + distance);
            }
        }
        for (at, how) in spoil {
            let Some(event) = events.get_mut(at) else { continue };
            match (&mut event.kind, how) {
                (EventKind::Touched { file, .. }, 0) => file.id = None,
                (EventKind::Touched { file, .. }, 1) => file.quality = PathQuality::Unlinked,
                (EventKind::Touched { file, .. }, 2) => file.quality = PathQuality::Foreign,
                (EventKind::Touched { file, .. }, 3) => file.path = "/d/x/below".into(),
                (EventKind::Touched { file, .. }, 4) => file.path = "".into(),
                (EventKind::Renamed { to, .. }, 0) => *to = "/".into(),
                (EventKind::Renamed { to, .. }, 1) => *to = "/d/x/y".into(),
                (EventKind::Renamed { from, .. }, 2) => *from = "/".into(),
                (EventKind::Renamed { from, .. }, 3) => *from = "".into(),
                (EventKind::Renamed { id, .. }, 4) => *id = None,
                _ => event.process = ProcessId(99),
            }
        }
        let mut keep = keep.iter().cycle();
        events.retain(|_| keep.next() == Some(&true));
        events.truncate(end);
        let own_names = !events.iter().any(|event| {
            matches!(&event.kind, EventKind::Touched { file, .. } if file.quality == PathQuality::Foreign)
        });
        assert_consistent(&fold(&events), own_names);
    }
}
