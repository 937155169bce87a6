//! Recorded event logs: everything above a tracer runs on them without a kernel.
//!
//! The format is JSON lines: a header `{"roar_event_log":1}`, then one [`TraceEvent`] a line.
//! A log is written while the job runs (`ROAR_EVENT_LOG=FILE roar run …`) and may be cut
//! short at any line; the last line may be incomplete.

use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};

use crate::event::TraceEvent;

/// The version of the format that this program writes.
pub const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Header {
    roar_event_log: u32,
}

/// Why a log could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// Reading failed.
    #[error("cannot read the event log")]
    Io(#[from] io::Error),
    /// The first line is not the header of a log.
    #[error("not an event log: the first line is not its header")]
    NotALog,
    /// Written by a newer roar.
    #[error("the event log has version {0}, this roar knows {VERSION}")]
    Newer(u32),
    /// A line is no event.
    #[error("line {line} of the event log is not an event")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// Why.
        source: serde_json::Error,
    },
}

/// Writes a log, event by event.
pub struct Recorder<W: Write> {
    out: W,
    failed: Option<io::Error>,
}

impl<W: Write> Recorder<W> {
    /// Starts a log.
    ///
    /// # Errors
    /// The header cannot be written.
    pub fn new(mut out: W) -> io::Result<Self> {
        serde_json::to_writer(
            &mut out,
            &Header {
                roar_event_log: VERSION,
            },
        )?;
        out.write_all(b"\n")?;
        Ok(Self { out, failed: None })
    }

    /// Appends an event. The first failure is kept for [`Self::finish`]; nothing is written
    /// after it.
    pub fn record(&mut self, event: &TraceEvent) {
        if self.failed.is_none() {
            let written = serde_json::to_writer(&mut self.out, event)
                .map_err(io::Error::from)
                .and_then(|()| self.out.write_all(b"\n"));
            self.failed = written.err();
        }
    }

    /// Completes the log.
    ///
    /// # Errors
    /// An event could not be written.
    pub fn finish(mut self) -> io::Result<()> {
        match self.failed {
            Some(error) => Err(error),
            None => self.out.flush(),
        }
    }
}

/// Reads a log; every event goes to `sink`.
///
/// # Errors
/// The input is not a log, is of a newer version, or has a line that is no event.
pub fn replay(input: impl BufRead, mut sink: impl FnMut(TraceEvent)) -> Result<(), ReplayError> {
    let mut lines = input.lines();
    let first = lines.next().ok_or(ReplayError::NotALog)??;
    let header: Header = serde_json::from_str(&first).map_err(|_| ReplayError::NotALog)?;
    if header.roar_event_log > VERSION {
        return Err(ReplayError::Newer(header.roar_event_log));
    }
    for (index, line) in lines.enumerate() {
        let event = serde_json::from_str(&line?).map_err(|source| ReplayError::Line {
            line: index + 2,
            source,
        })?;
        sink(event);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Access, EventKind, FileState, PathQuality, ProcessId};
    use crate::model::RawString;

    #[test]
    fn a_log_reads_back_as_it_was() {
        let events = [
            TraceEvent {
                at_ns: 1,
                process: ProcessId(10),
                kind: EventKind::Started { parent: None },
            },
            TraceEvent {
                at_ns: 2,
                process: ProcessId(10),
                kind: EventKind::Touched {
                    file: FileState {
                        id: None,
                        path: RawString::new(&b"/a\xff\n"[..]),
                        quality: PathQuality::Full,
                        size_bytes: 3,
                        mtime_ns: -1,
                        ctime_ns: 5,
                    },
                    access: Access::Written { bytes: 3 },
                },
            },
        ];
        let mut log = Vec::new();
        let mut recorder = Recorder::new(&mut log).expect("header");
        for event in &events {
            recorder.record(event);
        }
        recorder.finish().expect("flush");
        let mut read = Vec::new();
        replay(log.as_slice(), |event| read.push(event)).expect("reads back");
        assert_eq!(read, events);
    }

    #[test]
    fn what_is_no_log_is_refused() {
        let refused = |text: &str| replay(text.as_bytes(), |_| ()).expect_err(text).to_string();
        assert!(refused("").contains("not an event log"));
        assert!(refused("hello\n").contains("not an event log"));
        assert!(refused("{\"roar_event_log\":2}\n").contains("version 2"));
        assert!(refused("{\"roar_event_log\":1}\n{}\n").contains("line 2"));
    }
}
