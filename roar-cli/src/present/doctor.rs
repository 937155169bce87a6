//! What `roar doctor` found, for people and as JSON.

use std::fmt::Write as _;

use super::{Style, inert};
use crate::diagnosis::{Backend, Check, Diagnosis, State};

/// One document.
pub fn json(diagnosis: &Diagnosis) -> String {
    super::json(diagnosis)
}

/// Groups of lines: what, how it stands, and below it what mends it.
pub fn text(diagnosis: &Diagnosis) -> String {
    let mut text = Style::Heading.paint("tracers");
    text.push('\n');
    for backend in &diagnosis.backends {
        tracer(&mut text, backend);
    }
    for (title, checks) in [
        ("machine", &diagnosis.machine),
        ("project", &diagnosis.project),
        ("tools", &diagnosis.tools),
    ] {
        if !checks.is_empty() {
            let _ = writeln!(text, "\n{}", Style::Heading.paint(title));
        }
        for check in checks {
            let Check {
                name,
                state,
                found,
                value: _,
                mend,
            } = check;
            line(&mut text, name, *state, found, mend.as_slice());
        }
    }
    let _ = writeln!(text, "\n{}", verdict(diagnosis));
    text
}

fn tracer(text: &mut String, backend: &Backend) {
    match &backend.missing {
        None => {
            let found = match backend.through {
                Some(through) => format!("ready: {through}"),
                None => "ready".to_owned(),
            };
            line(text, backend.name, State::Ok, &found, &[]);
        }
        Some(missing) => line(text, backend.name, State::Note, missing, &backend.mend),
    }
}

fn line(text: &mut String, name: &str, state: State, found: &str, mend: &[String]) {
    let (word, style) = match state {
        State::Ok => ("ok", Style::Good),
        State::Note => ("note", Style::Warning),
        State::Missing => ("missing", Style::Bad),
    };
    // Colour comes after measuring.
    let word = style.paint(&format!("{word:<7}"));
    let _ = writeln!(text, "  {word}  {name:<13} {}", inert(found));
    for mend in mend {
        let _ = writeln!(text, "{:25}mend: {}", "", inert(mend));
    }
}

fn verdict(diagnosis: &Diagnosis) -> String {
    if let (true, Some(tracer)) = (diagnosis.ready, diagnosis.tracer) {
        return Style::Good.paint(&format!("`roar run` will work here, through {tracer}"));
    }
    let lacking: Vec<&str> = diagnosis
        .project
        .iter()
        .filter(|check| check.state == State::Missing)
        .map(|check| check.name)
        .chain(diagnosis.tracer.is_none().then_some("tracer"))
        .collect();
    Style::Bad.paint(&format!(
        "`roar run` will not work here: see {}",
        lacking.join(", ")
    ))
}
