//! The process tree of a job: who started whom, what each ran, how it ended.

use hashbrown::HashMap;

use super::observation::{ObservedProcess, ProcessIndex};
use crate::event::ProcessId;
use crate::model::{Gap, GapKind, RawString};

/// How many characters of a command a gap's detail shows.
const DETAIL_CHARS: usize = 200;

/// The processes seen so far.
#[derive(Default)]
pub(super) struct Processes {
    list: Vec<ObservedProcess>,
    /// Whether the start of the process at the same index was seen.
    started: Vec<bool>,
    /// The newest process of each id.
    by_id: HashMap<ProcessId, ProcessIndex>,
}

impl Processes {
    /// The process an event is about; one whose start was not seen (yet) is made up.
    pub(super) fn of(&mut self, id: ProcessId) -> ProcessIndex {
        match self.by_id.get(&id) {
            Some(index) => *index,
            None => self.insert(id, None, false),
        }
    }

    /// A process came into being.
    pub(super) fn start(&mut self, id: ProcessId, parent: Option<ProcessId>) {
        // A parent that is not of the job (yet) is made up: its own events will follow.
        let parent = parent
            .filter(|parent| *parent != id)
            .map(|parent| self.of(parent));
        if let Some(&index) = self.by_id.get(&id) {
            let at = index.0 as usize;
            let process = &mut self.list[at];
            if !self.started[at] {
                // Its own events overtook this one.
                process.parent = parent;
                self.started[at] = true;
                return;
            }
            if !process.ended && process.parent == parent {
                return;
            }
            // The id is in use again, so the old process has ended, seen or not.
            process.ended = true;
        }
        self.insert(id, parent, true);
    }

    /// A process replaced its image.
    pub(super) fn exec(
        &mut self,
        index: ProcessIndex,
        image: Option<RawString>,
        argv: &[RawString],
    ) {
        let process = &mut self.list[index.0 as usize];
        process.argv = argv.to_vec();
        process.image = image;
    }

    /// A process ended.
    pub(super) fn exit(&mut self, index: ProcessIndex, code: Option<i32>, signal: Option<i32>) {
        let process = &mut self.list[index.0 as usize];
        process.code = code;
        process.signal = signal;
        process.ended = true;
    }

    /// The list, and gaps for what was still alive and for what never started.
    pub(super) fn finish(self) -> (Vec<ObservedProcess>, Vec<Gap>) {
        let mut gaps = Vec::new();
        for (process, started) in self.list.iter().zip(&self.started) {
            if !started {
                gaps.push(Gap {
                    kind: GapKind::Inconsistent,
                    detail: "a process acted whose start was not seen".to_owned(),
                    count: 1,
                });
            }
            if *started && !process.ended {
                gaps.push(Gap {
                    kind: GapKind::LateProcess,
                    detail: self.command(process),
                    count: 1,
                });
            }
        }
        (self.list, gaps)
    }

    /// What a process ran, in words: its arguments, or those of the nearest ancestor that
    /// has some (a fork that never exec'd runs its parent's program).
    fn command(&self, process: &ObservedProcess) -> String {
        let mut at = process;
        // Odd input can make the ancestry a ring: no chain is longer than the list.
        for _ in 0..self.list.len() {
            match at.parent {
                Some(parent) if at.argv.is_empty() => at = &self.list[parent.0 as usize],
                _ => break,
            }
        }
        if at.argv.is_empty() {
            return "a process whose command was not seen".to_owned();
        }
        let mut command = String::new();
        for argument in &at.argv {
            if !command.is_empty() {
                command.push(' ');
            }
            command.push_str(&argument.to_string());
            if let Some((cut, _)) = command.char_indices().nth(DETAIL_CHARS) {
                command.truncate(cut);
                command.push('…');
                break;
            }
        }
        command
    }

    fn insert(
        &mut self,
        id: ProcessId,
        parent: Option<ProcessIndex>,
        started: bool,
    ) -> ProcessIndex {
        let index = u32::try_from(self.list.len()).expect("2^32 processes exceed memory");
        let index = ProcessIndex(index);
        self.list.push(ObservedProcess {
            id,
            parent,
            argv: Vec::new(),
            image: None,
            code: None,
            signal: None,
            ended: false,
        });
        self.started.push(started);
        self.by_id.insert(id, index);
        index
    }
}
