//! Where the time of a run went, for people.

use super::ui::Ui;
use crate::timings::Timings;

/// Shows every phase and moment by its time since roar began.
pub fn show(ui: &Ui, timings: &Timings) {
    let Some(begin) = timings.moments.first().map(|moment| moment.at_ns) else {
        return;
    };
    let since = |at_ns: u64| at_ns.saturating_sub(begin) as f64 / 1e6;
    let phases = timings.phases.iter().map(|phase| {
        let taken = since(phase.end_ns) - since(phase.start_ns);
        (
            phase.start_ns,
            format!(
                "{:9.2} ms  {taken:8.2} ms  {}",
                since(phase.start_ns),
                phase.name
            ),
        )
    });
    let moments = timings.moments.iter().map(|moment| {
        let text = format!(
            "{:9.2} ms               = {} (roar's own processor time {:.2} ms)",
            since(moment.at_ns),
            moment.name,
            moment.processor_ns as f64 / 1e6
        );
        (moment.at_ns, text)
    });
    let mut lines: Vec<(u64, String)> = phases.chain(moments).collect();
    lines.sort_by_key(|(at_ns, _)| *at_ns);
    ui.note("   began at       taken  what");
    for (_, line) in lines {
        ui.note(&line);
    }
}
