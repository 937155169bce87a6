//! How far the hashing at the end of a run is, on a terminal, where it takes more than a second;
//! and the way out of it: Ctrl-C ends the hashing, not the record.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::human;
use crate::recording::Watch;

/// How often it is drawn, and signals are looked for.
const TICK: Duration = Duration::from_millis(100);
const TICKS_A_SECOND: u64 = 10;

/// Ticks before the speed is believed.
const FIRST_TICKS: u64 = 3;

/// Work below these limits is done before anybody could look.
const FEW_BYTES: u64 = 64 << 20;
const FEW_FILES: u64 = 1000;

/// What opening a file costs, in bytes hashed meanwhile.
const FILE_BYTES: u64 = 16 << 10;

/// Shows the progress of one hashing and ends it when a signal asks for that.
pub struct Progress {
    state: Arc<State>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct State {
    is_shown: bool,
    asked_to_end: fn() -> bool,
    expected_bytes: AtomicU64,
    done_bytes: AtomicU64,
    /// Files that were begun, or are still to be.
    expected_files: AtomicU64,
    done_files: AtomicU64,
    stop: AtomicBool,
    over: AtomicBool,
}

impl Progress {
    /// One that is drawn, on a terminal, where `is_shown`.
    pub fn new(is_shown: bool, asked_to_end: fn() -> bool) -> Self {
        Self {
            state: Arc::new(State {
                is_shown,
                asked_to_end,
                expected_bytes: AtomicU64::new(0),
                done_bytes: AtomicU64::new(0),
                expected_files: AtomicU64::new(0),
                done_files: AtomicU64::new(0),
                stop: AtomicBool::new(false),
                over: AtomicBool::new(false),
            }),
            thread: Mutex::new(None),
        }
    }

    /// Whether a signal ended the hashing.
    pub fn was_ended(&self) -> bool {
        self.state.stop.load(Ordering::Relaxed)
    }
}

impl Watch for Progress {
    fn expect(&self, files: u64, bytes: u64) {
        let state = &self.state;
        let files = state.expected_files.fetch_add(files, Ordering::Relaxed) + files;
        let bytes = state.expected_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.is_none() && (bytes >= FEW_BYTES || files >= FEW_FILES) {
            let state = Arc::clone(state);
            // Without a thread there is no bar.
            *thread = thread::Builder::new().spawn(move || state.follow()).ok();
        }
    }

    fn go_on(&self, bytes: u64) -> bool {
        if bytes == 0 {
            self.state.done_files.fetch_add(1, Ordering::Relaxed);
        } else {
            self.state.done_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        !self.was_ended()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::Relaxed);
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take() {
            thread.thread().unpark();
            drop(thread.join());
        }
    }
}

impl State {
    fn follow(&self) {
        let mut bar = None;
        for ticks in 1.. {
            thread::park_timeout(TICK);
            if self.over.load(Ordering::Relaxed) {
                break;
            }
            if (self.asked_to_end)() {
                self.stop.store(true, Ordering::Relaxed);
            }
            if self.is_shown && ticks >= FIRST_TICKS {
                self.draw(&mut bar, ticks);
            }
        }
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
    }

    fn draw(&self, bar: &mut Option<ProgressBar>, ticks: u64) {
        let work = |files: &AtomicU64, bytes: &AtomicU64| {
            files.load(Ordering::Relaxed) * FILE_BYTES + bytes.load(Ordering::Relaxed)
        };
        let done = work(&self.done_files, &self.done_bytes);
        let expected = work(&self.expected_files, &self.expected_bytes).max(done);
        let a_second = done * TICKS_A_SECOND / ticks;
        if bar.is_none() && expected - done <= a_second {
            return;
        }
        let bar = bar.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(Some(expected), ProgressDrawTarget::stderr());
            // Shorter than a line of 80: what a key echoes must not break it in two.
            let style = ProgressStyle::with_template(
                "roar: hashing {bar:12} {percent:>3}%  {msg}  {eta} left (Ctrl-C: skip)",
            );
            bar.set_style(
                style
                    .unwrap_or_else(|_| ProgressStyle::default_bar())
                    .progress_chars("=> "),
            );
            bar
        });
        bar.set_length(expected);
        bar.set_position(done);
        let bytes = self.done_bytes.load(Ordering::Relaxed);
        bar.set_message(format!(
            "{}, {}/s",
            human::size(bytes),
            human::size(bytes * TICKS_A_SECOND / ticks)
        ));
    }
}
