//! The lineage picture: jobs in columns by their distance from the first producers, drawn by the
//! server as SVG.

use std::collections::{BTreeMap, HashMap};

use super::view::{cut, duration, result, step};
use crate::store::graph::Walk;

const WIDTH: usize = 210;
const HEIGHT: usize = 50;
const GAP_X: usize = 60;
const GAP_Y: usize = 22;
const MARGIN: usize = 16;

/// What a template draws.
pub(super) struct Picture {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) boxes: Vec<JobBox>,
    /// Path data of the lines.
    pub(super) edges: Vec<String>,
    /// Jobs that were left out.
    pub(super) hidden: u64,
    /// The depth that shows more.
    pub(super) deeper: u32,
}

/// One job.
pub(super) struct JobBox {
    pub(super) x: usize,
    pub(super) y: usize,
    pub(super) link: String,
    pub(super) text: String,
    pub(super) under: String,
    pub(super) title: String,
    pub(super) class: &'static str,
}

/// Draws a walk; `chosen` is the job that the page is about.
pub(super) fn picture(walk: &Walk, chosen: Option<i64>, depth: u32) -> Picture {
    let order = walk.ordered();
    let mut column: HashMap<i64, usize> = HashMap::new();
    for job in &order {
        let after = walk
            .edges
            .iter()
            .filter(|(_, reader)| reader == job)
            .filter_map(|(producer, _)| column.get(producer))
            .max();
        column.insert(*job, after.map_or(0, |column| column + 1));
    }
    let mut rows: BTreeMap<usize, usize> = BTreeMap::new();
    let mut places: HashMap<i64, (usize, usize)> = HashMap::new();
    let mut boxes = Vec::with_capacity(order.len());
    for job in &order {
        let at = column.get(job).copied().unwrap_or(0);
        let row = rows.entry(at).or_default();
        let x = MARGIN + at * (WIDTH + GAP_X);
        let y = MARGIN + *row * (HEIGHT + GAP_Y);
        *row += 1;
        places.insert(*job, (x, y));
        let summary = &walk.nodes[job].job.summary;
        let (outcome, _) = result(summary);
        let name = summary.name.as_deref().unwrap_or(&summary.command);
        boxes.push(JobBox {
            x,
            y,
            link: format!("/job/{}/{}", summary.session_hash, summary.job_uid),
            text: cut(&format!("{} {name}", step(summary)), 25),
            under: format!("{outcome} · {}", duration(summary.duration_seconds)),
            title: cut(&summary.command, 400),
            class: if Some(*job) == chosen {
                "chosen"
            } else if summary.exit_code == Some(0) {
                ""
            } else {
                "failed"
            },
        });
    }
    let edges = walk
        .edges
        .iter()
        .filter_map(|(from, to)| {
            let (x1, y1) = places.get(from)?;
            let (x2, y2) = places.get(to)?;
            let (x1, y1, y2) = (x1 + WIDTH, y1 + HEIGHT / 2, y2 + HEIGHT / 2);
            let middle = usize::midpoint(x1, *x2);
            Some(format!("M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}"))
        })
        .collect();
    let columns = rows.len().max(1);
    let tallest = rows.values().copied().max().unwrap_or(1);
    Picture {
        width: 2 * MARGIN + columns * WIDTH + (columns - 1) * GAP_X,
        height: 2 * MARGIN + tallest * HEIGHT + (tallest - 1) * GAP_Y,
        boxes,
        edges,
        hidden: walk.hidden,
        deeper: (depth * 2).min(super::pages::MAX_DEPTH),
    }
}
