//! How far a registration is, on a terminal, from when more than a second of it is known to be left.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Before that, the speed is not believed.
const FIRST: Duration = Duration::from_millis(300);

/// What is left of less than this is not worth a look.
const SHORT: Duration = Duration::from_secs(1);

/// Shows the progress of one registration. Clones show the same.
#[derive(Clone, Debug)]
pub struct Sending {
    bar: ProgressBar,
}

impl Default for Sending {
    fn default() -> Self {
        Self::new()
    }
}

impl Sending {
    /// One that is not shown yet.
    pub fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        let style = ProgressStyle::with_template(
            "roar: sending {bar:12} {percent:>3}%  {pos} of {len} requests  {eta} left",
        );
        bar.set_style(
            style
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .progress_chars("=> "),
        );
        Self { bar }
    }

    /// It begins, and takes so many requests.
    pub fn begin(&self, requests: usize) {
        self.bar.set_length(requests as u64);
        self.bar.reset_elapsed();
    }

    /// A request was answered, or needs not be sent again.
    pub fn step(&self) {
        self.bar.inc(1);
        let (done, all) = (self.bar.position(), self.bar.length().unwrap_or_default());
        if self.bar.is_hidden() && is_long(done, all, self.bar.elapsed()) {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }

    /// Says something while the bar is out of the way.
    pub fn around(&self, say: impl FnOnce()) {
        self.bar.suspend(say);
    }

    /// It is over: the line is as if nothing had been there.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// Whether what is left takes long, at the speed so far.
fn is_long(done: u64, all: u64, elapsed: Duration) -> bool {
    let left = all.saturating_sub(done) as f64;
    elapsed >= FIRST && elapsed.mul_f64(left / done.max(1) as f64) > SHORT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_long_work_is_shown() {
        for (done, all, elapsed_ms, expected) in [
            (1, 100, 200, false),
            (1, 100, 300, true),
            (50, 100, 1000, false),
            (49, 100, 1000, true),
            (10, 10, 9000, false),
            (11, 10, 9000, false),
        ] {
            let found = is_long(done, all, Duration::from_millis(elapsed_ms));
            assert_eq!(found, expected, "{done} {all} {elapsed_ms}");
        }
    }
}
