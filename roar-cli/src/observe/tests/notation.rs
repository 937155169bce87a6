//! A notation for events and observations, so that a case is two short strings.
//!
//! Events are separated by `;`. Each is `PROCESS VERB …`; a file is `PATH` or `PATH#INODE`
//! (`#INODE.GENERATION`), with `size=`, `q=foreign|unlinked|cut` after it:
//! `1 read /a#10 size=3; 1 write +5 /b#11 size=5; 1 rename /b /c #11; 1 unlink /a`.
//! Where no event starts a process, all start first and end last.

use std::fmt::Write as _;

use crate::event::{
    Access, EventKind, FileId, FileState, NameChange, PathQuality, ProcessId, TraceEvent,
};
use crate::model::{Gap, GapKind, RawString};
use crate::observe::{
    FileKind, Fold, InputCause, InputFate, Observation, ObservedFile, ProcessIndex, WriteEvidence,
};

/// Folds `events` and compares what comes of them with `expected`, line by line.
#[track_caller]
pub(super) fn check(events: &str, expected: &str) {
    let shown = show(&fold(&parse(events)));
    let expected: Vec<_> = expected
        .split('|')
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .collect();
    assert_eq!(shown, expected, "after {events}");
}

/// Folds events.
pub(super) fn fold(events: &[TraceEvent]) -> Observation {
    let mut fold = Fold::new();
    for event in events {
        fold.push(event);
    }
    fold.finish()
}

/// Events from the notation.
pub(super) fn parse(text: &str) -> Vec<TraceEvent> {
    let lines = text
        .split(';')
        .map(str::trim)
        .filter(|line| !line.is_empty());
    let mut events: Vec<_> = lines.map(event).collect();
    if !events
        .iter()
        .any(|event| matches!(event.kind, EventKind::Started { .. }))
    {
        let mut processes: Vec<_> = events.iter().map(|event| event.process).collect();
        processes.sort();
        processes.dedup();
        for (at, process) in processes.iter().enumerate() {
            let parent = (at > 0).then(|| processes[0]);
            events.insert(at, on(*process, EventKind::Started { parent }));
        }
        for process in processes {
            events.push(on(
                process,
                EventKind::Exited {
                    code: Some(0),
                    signal: None,
                },
            ));
        }
    }
    events
}

/// An event of a process.
pub(super) fn on(process: ProcessId, kind: EventKind) -> TraceEvent {
    TraceEvent {
        at_ns: 0,
        process,
        kind,
    }
}

fn event(line: &str) -> TraceEvent {
    let words: Vec<_> = line.split_whitespace().collect();
    let (process, verb, rest) = (words[0].parse().expect("a process"), words[1], &words[2..]);
    let process = ProcessId(process);
    let touched = |access| EventKind::Touched {
        file: file(rest),
        access,
    };
    let kind = match verb {
        "start" => EventKind::Started {
            parent: rest
                .first()
                .map(|parent| ProcessId(parent.parse().expect("a parent"))),
        },
        "exec" => EventKind::Executed {
            image: Some(file(&rest[..1])),
            argv: rest[1..]
                .iter()
                .map(|word| RawString::from(*word))
                .collect(),
            argv_truncated: false,
        },
        "exit" => EventKind::Exited {
            code: Some(rest[0].parse().expect("a code")),
            signal: None,
        },
        "killed" => EventKind::Exited {
            code: None,
            signal: Some(rest[0].parse().expect("a signal")),
        },
        "read" => touched(Access::Read),
        "map" => touched(Access::Mapped),
        "image" => touched(Access::Executed),
        "open_read" => touched(Access::OpenedRead),
        "open_write" => touched(Access::OpenedWrite),
        "infer_write" => touched(Access::InferredWrite),
        "map_write" => touched(Access::MappedWrite),
        "mappable" => touched(Access::Mappable),
        "create" => touched(Access::Created),
        "truncate" => touched(Access::Truncated),
        "write" => {
            let bytes = rest[0].trim_start_matches('+').parse().expect("a length");
            EventKind::Touched {
                file: file(&rest[1..]),
                access: Access::Written { bytes },
            }
        }
        "rename" | "exchange" | "link" => EventKind::Renamed {
            from: rest[0].into(),
            to: rest[1].into(),
            change: match verb {
                "rename" => NameChange::Rename,
                "exchange" => NameChange::Exchange,
                _ => NameChange::Link,
            },
            id: rest.get(2).map(|id| file_id(id.trim_start_matches('#'))),
        },
        "symlink" => EventKind::Symlinked {
            path: rest[0].into(),
            target: rest[1].into(),
        },
        "unlink" | "rmdir" => EventKind::Removed {
            path: rest[0].into(),
        },
        "mkdir" => EventKind::DirectoryMade {
            path: rest[0].into(),
        },
        "gap" => EventKind::Gap(Gap {
            kind: GapKind::IoUring,
            detail: rest[0].to_owned(),
            count: rest[1].parse().expect("a count"),
        }),
        _ => panic!("unknown verb in {line}"),
    };
    on(process, kind)
}

fn file(words: &[&str]) -> FileState {
    let (path, id) = match words[0].split_once('#') {
        Some((path, id)) => (path, Some(file_id(id))),
        None => (words[0], None),
    };
    let mut state = FileState {
        id,
        path: path.into(),
        quality: PathQuality::Full,
        size_bytes: 0,
        mtime_ns: 0,
        ctime_ns: 0,
    };
    for word in &words[1..] {
        match word.split_once('=').expect("key=value") {
            ("size", size) => state.size_bytes = size.parse().expect("a size"),
            ("q", "foreign") => state.quality = PathQuality::Foreign,
            ("q", "unlinked") => state.quality = PathQuality::Unlinked,
            ("q", "cut") => state.quality = PathQuality::Truncated,
            (key, value) => panic!("unknown {key}={value}"),
        }
    }
    state
}

fn file_id(text: &str) -> FileId {
    let (inode, generation) = text.split_once('.').unwrap_or((text, "0"));
    FileId {
        device: 1,
        inode: inode.parse().expect("an inode"),
        generation: generation.parse().expect("a generation"),
    }
}

/// An observation, one line for each file, temporary, directory and gap.
pub(super) fn show(observation: &Observation) -> Vec<String> {
    let mut lines: Vec<_> = observation.files.iter().map(show_file).collect();
    for temporary in &observation.temporaries {
        lines.push(format!("temporary {}", temporary.path));
    }
    for directory in &observation.placed_directories {
        lines.push(format!("directory {} -> {}", directory.from, directory.to));
    }
    for gap in &observation.gaps {
        lines.push(format!("gap {:?} {} x{}", gap.kind, gap.detail, gap.count));
    }
    if observation.truncated_paths > 0 {
        lines.push(format!("cut {}", observation.truncated_paths));
    }
    lines
}

fn show_file(file: &ObservedFile) -> String {
    let mut line = String::new();
    let ok = "writing to a string succeeds";
    if let Some(input) = &file.input {
        let cause = match input.cause {
            InputCause::Consumed(basis) => basis.to_string(),
            InputCause::Kept => "kept".to_owned(),
            InputCause::Moved => "moved".to_owned(),
        };
        write!(line, "in {} {cause}", input.path).expect(ok);
        show_quality(&mut line, input.quality);
        match &input.fate {
            InputFate::Intact => {}
            InputFate::MovedTo(path) => write!(line, " at {path}").expect(ok),
            InputFate::Changed => {
                let size = input
                    .state
                    .map_or("?".to_owned(), |state| state.size_bytes.to_string());
                write!(line, " was {size}").expect(ok);
            }
            InputFate::Removed => line.push_str(" removed"),
        }
    }
    if let Some(output) = &file.output {
        if !line.is_empty() {
            line.push(' ');
        }
        let evidence = match output.evidence {
            WriteEvidence::Seen(basis) => basis.to_string(),
            WriteEvidence::Inferred => "inferred".to_owned(),
            WriteEvidence::Placed => "placed".to_owned(),
        };
        write!(line, "out {} {evidence}", output.path).expect(ok);
        show_quality(&mut line, output.quality);
        for link in &output.links {
            write!(line, " and {link}").expect(ok);
        }
    }
    for path in &file.former_paths {
        write!(line, " formerly {path}").expect(ok);
    }
    if file.kind == FileKind::Unknown {
        line.push_str(" perhaps");
    }
    line
}

fn show_quality(line: &mut String, quality: PathQuality) {
    match quality {
        PathQuality::Full => {}
        PathQuality::Truncated => line.push_str(" (cut)"),
        PathQuality::Unlinked => line.push_str(" (unlinked)"),
        PathQuality::Foreign => line.push_str(" (foreign)"),
    }
}

/// The ids of processes by their indices.
pub(super) fn process_ids(observation: &Observation, indices: &[ProcessIndex]) -> Vec<u32> {
    indices
        .iter()
        .map(|index| observation.processes[index.0 as usize].id.0)
        .collect()
}
