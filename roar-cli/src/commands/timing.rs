//! `--timings` and `ROAR_TIMINGS`: where roar's own time goes.

use std::ffi::OsString;

use super::Command;
use crate::present::ui::Ui;
use crate::timings;

/// Who wants to know where the time goes.
pub(super) struct Timing {
    shown: bool,
    /// `ROAR_TIMINGS`.
    file: Option<OsString>,
}

impl Timing {
    /// Notes from now on what the command line or the environment asks for.
    pub(super) fn asked(command: &Command, began_ns: u64) -> Self {
        let observing = match command {
            Command::Run(args) | Command::Build(args) => Some(&args.observing),
            Command::Rerun(args) => Some(&args.observing),
            _ => None,
        };
        let file = std::env::var_os("ROAR_TIMINGS").filter(|file| !file.is_empty());
        let asked = Self {
            shown: observing.is_some_and(|observing| observing.timings),
            file: file.filter(|_| observing.is_some()),
        };
        if asked.shown || asked.file.is_some() {
            timings::start(began_ns);
        }
        asked
    }

    /// Says what was noted.
    pub(super) fn tell(&self, ui: &Ui) {
        let Some(noted) = timings::noted() else {
            return;
        };
        if self.shown {
            crate::present::timings::show(ui, &noted);
        }
        if let Some(file) = &self.file {
            let written = std::fs::write(file, crate::present::json(&noted));
            if let Err(error) = written {
                ui.warning(&format!("the timings could not be written: {error}"));
            }
        }
    }
}
