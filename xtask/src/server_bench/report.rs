//! The lineage server's part of BENCHMARKS.md.

use anyhow::Result;

use super::{Answer, Measured, POSTGRES, SQLITE, Times};
use crate::bench::results::{self, Part};
use crate::page;

const MARKS: (&str, &str) = (
    "<!-- measured by cargo xtask server-bench -->",
    "<!-- end of what server-bench measured -->",
);

/// Writes what was measured of each engine.
///
/// # Errors
/// The page or the results cannot be read, or the page cannot be written.
pub(super) fn write() -> Result<()> {
    let mut parts = Vec::new();
    for part in [SQLITE, POSTGRES] {
        parts.extend(results::read::<Measured>(part)?);
    }
    page::replace(MARKS, &text(&parts))
}

fn text(parts: &[Part<Measured>]) -> String {
    let circumstances: Vec<String> = parts.iter().map(circumstances).collect();
    let mut heads = vec!["question".to_owned()];
    for Part { result, .. } in parts {
        heads.push(result.engine.clone());
        heads.push(format!("{} clients", result.clients));
    }
    let mut questions: Vec<&str> = Vec::new();
    for answer in parts.iter().flat_map(|part| &part.result.answers) {
        if !questions.contains(&&*answer.question) {
            questions.push(&answer.question);
        }
    }
    let rows: Vec<String> = questions
        .iter()
        .map(|question| {
            let cells: Vec<String> = parts.iter().map(|part| cells(part, question)).collect();
            format!("| {question} | {} |", cells.join(" | "))
        })
        .collect();
    format!(
        "| engine | jobs | artifacts | size | rows made in | requests | machine, commit, date |\n\
         |---|---:|---:|---:|---:|---:|---|\n{}\n\n\
         Milliseconds, the median / 99 of 100: of a client alone, and of several who ask the same at \
         once.\n\n| {} |\n|---{}|\n{}\n",
        circumstances.join("\n"),
        heads.join(" | "),
        "|---:".repeat(heads.len() - 1),
        rows.join("\n")
    )
}

fn circumstances(part: &Part<Measured>) -> String {
    let Measured {
        engine,
        jobs,
        bytes,
        filled_s,
        clients: _,
        answers: _,
    } = &part.result;
    let filled = filled_s.map_or_else(|| "–".to_owned(), |seconds| format!("{seconds:.0} s"));
    format!(
        "| {engine} | {jobs} | {} | {} MiB | {filled} | {} | {}, commit {}, {} |",
        jobs * 10,
        bytes >> 20,
        part.rounds,
        part.machine,
        part.commit,
        part.date
    )
}

fn cells(part: &Part<Measured>, question: &str) -> String {
    let cell = |times: Times| format!("{:.1} / {:.1}", times.median * 1e3, times.p99 * 1e3);
    let asked = |answer: &&Answer| answer.question == question;
    part.result.answers.iter().find(asked).map_or_else(
        || "– | –".to_owned(),
        |answer| format!("{} | {}", cell(answer.alone), cell(answer.together)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(engine: &str, questions: &[&str]) -> Part<Measured> {
        let times = Times {
            median: 0.0012,
            p99: 0.5,
        };
        let answers = questions.iter().map(|question| Answer {
            question: (*question).to_owned(),
            alone: times,
            together: times,
        });
        Part {
            date: "2026-01-01".to_owned(),
            commit: "abc".to_owned(),
            machine: "one".to_owned(),
            rounds: 9,
            result: Measured {
                engine: engine.to_owned(),
                jobs: 100,
                bytes: 5 << 20,
                filled_s: None,
                clients: 2,
                answers: answers.collect(),
            },
        }
    }

    #[test]
    fn engines_stand_side_by_side() {
        let written = text(&[part("A", &["x", "y"]), part("B", &["y"])]);
        for line in [
            "| A | 100 | 1000 | 5 MiB | – | 9 | one, commit abc, 2026-01-01 |",
            "| question | A | 2 clients | B | 2 clients |",
            "|---|---:|---:|---:|---:|",
            "| x | 1.2 / 500.0 | 1.2 / 500.0 | – | – |",
            "| y | 1.2 / 500.0 | 1.2 / 500.0 | 1.2 / 500.0 | 1.2 / 500.0 |",
        ] {
            assert!(written.lines().any(|own| own == line), "{line}\n{written}");
        }
    }
}
