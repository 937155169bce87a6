//! The lineage picture: jobs in columns by their distance from the first producers, drawn by the
//! server as SVG.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::room::{Room, escaped};
use super::view::{cut, duration, result, step};
use crate::store::graph::Walk;

const WIDTH: usize = 210;
const HEIGHT: usize = 50;
const GAP_X: usize = 60;
const GAP_Y: usize = 22;
const MARGIN: usize = 16;

/// Columns are found in so many passes, at most.
const PASSES: usize = 8;

/// Bytes for the picture; every box without its title has a place in them, and so many for lines.
const ROOM: usize = 100_000;
const EDGES_ROOM: usize = 20_000;

/// The markup of a box and of a line, in bytes.
const BOX: usize = 390;
const EDGE: usize = 95;

/// What a template draws.
pub(super) struct Picture {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) boxes: Vec<JobBox>,
    /// Path data of the lines.
    pub(super) edges: Vec<String>,
    /// Lines for which there was no room.
    pub(super) hidden_edges: usize,
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

/// Draws a walk; `chosen` is the job that the page is about. The parts of a launch are one box.
pub(super) fn picture(walk: &Walk, chosen: Option<i64>, depth: u32) -> Picture {
    let mut order = walk.ordered();
    let steps = steps(walk, &order);
    order.retain(|job| steps.get(job) == Some(job));
    let parts = |job: i64| {
        let all = steps.iter().filter(move |(_, step)| **step == job);
        all.map(|(part, _)| *part)
    };
    let step_of = |job: &i64| steps.get(job).copied().unwrap_or(*job);
    let edges = walk
        .edges
        .iter()
        .map(|(from, to)| (step_of(from), step_of(to)));
    let edges: BTreeSet<(i64, i64)> = edges.filter(|(from, to)| from != to).collect();
    let mut column: HashMap<i64, usize> = HashMap::new();
    // A launch comes after what any of its parts read: one pass is not always enough.
    let passes = if walk.parts.is_empty() { 1 } else { PASSES };
    for _ in 0..passes {
        for job in &order {
            let after = edges
                .iter()
                .filter(|(_, reader)| reader == job)
                .filter_map(|(producer, _)| column.get(producer))
                .max();
            column.insert(*job, after.map_or(0, |column| column + 1));
        }
    }
    let mut rows: BTreeMap<usize, usize> = BTreeMap::new();
    let mut places: HashMap<i64, (usize, usize)> = HashMap::new();
    let mut boxes = Vec::with_capacity(order.len());
    let mut room = Room::new(ROOM - EDGES_ROOM);
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
        let is_chosen = chosen.is_some_and(|chosen| step_of(&chosen) == *job);
        let exit_code = |part: i64| walk.nodes[&part].job.summary.exit_code;
        let succeeded = parts(*job).all(|part| exit_code(part) == Some(0));
        boxes.push(JobBox {
            x,
            y,
            link: format!("/job/{}/{}", summary.session_hash, summary.job_uid),
            text: cut(&format!("{} {name}", step(summary)), 24),
            under: match parts(*job).count() {
                0 | 1 => format!("{outcome} · {}", duration(summary.duration_seconds)),
                count => format!("{outcome} · {count} parts"),
            },
            title: String::new(),
            class: match (is_chosen, succeeded) {
                (true, true) => "chosen",
                (true, false) => "chosen failed",
                (false, true) => "",
                (false, false) => "failed",
            },
        });
    }
    for drawn in &mut boxes {
        let texts = [&drawn.link, &drawn.text, &drawn.under];
        room.take(BOX + texts.iter().map(|text| escaped(text)).sum::<usize>());
    }
    // What a pointer shows comes after what everyone sees.
    for (drawn, job) in boxes.iter_mut().zip(&order) {
        drawn.title = room.text(&walk.nodes[job].job.summary.command, 400);
    }
    let mut edges_room = Room::new(EDGES_ROOM);
    let drawn: Vec<_> = edges
        .iter()
        .filter(|(from, to)| places.contains_key(from) && places.contains_key(to))
        .collect();
    let edges: Vec<String> = drawn
        .iter()
        .take_while(|_| edges_room.take(EDGE))
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
        hidden_edges: drawn.len() - edges.len(),
        edges,
        hidden: walk.hidden,
        deeper: (depth * 2).min(super::pages::MAX_DEPTH),
    }
}

/// Each job with the one that stands for its step: the first of the parts of its launch, else itself.
fn steps(walk: &Walk, order: &[i64]) -> HashMap<i64, i64> {
    let mut steps = HashMap::new();
    for job in order {
        if steps.contains_key(job) {
            continue;
        }
        steps.insert(*job, *job);
        for (_, part) in walk.parts.range((*job, i64::MIN)..=(*job, i64::MAX)) {
            if walk.nodes.contains_key(part) {
                steps.entry(*part).or_insert(*job);
            }
        }
    }
    steps
}
