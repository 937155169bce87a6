//! What people type every day: scripts for the shell, and the files they consume and produce.
//!
//! The list is `tests/workloads/everyday.txt`. Nothing in it was written with a tracer in mind.
//! Each script runs in a fresh folder of text files, under strace and under roar.

use super::tools::Tool;
use crate::project::Project;
use crate::require::Need;

const LIST: &str = include_str!("../../workloads/everyday.txt");

/// All of them.
///
/// # Panics
/// The list is not in its form.
pub fn all() -> Vec<Tool> {
    let mut tools = Vec::new();
    let mut script: Option<&'static str> = None;
    for line in LIST.split_inclusive('\n') {
        if line.starts_with("    ") {
            let script = script.take().expect("a script stands before its files");
            tools.push(tool(script.trim_end(), line.trim()));
        } else if !line.trim().is_empty() && !line.starts_with('#') {
            // A script of several lines grows by the next one.
            let start = script.map_or(offset(line), offset);
            script = Some(&LIST[start..offset(line) + line.len()]);
        }
    }
    tools
}

/// Where in the list a part of it stands.
fn offset(part: &str) -> usize {
    part.as_ptr().addr() - LIST.as_ptr().addr()
}

/// `inputs -> outputs | programs`.
fn tool(script: &'static str, files: &'static str) -> Tool {
    let (files, programs) = files.split_once('|').unwrap_or((files, ""));
    let (inputs, outputs) = files.split_once("->").expect("inputs -> outputs");
    let words = |text: &'static str| text.split_whitespace().collect::<Vec<_>>();
    let mut tool =
        Tool::new(script, desk, &["bash", "-c", script]).does(&words(inputs), &words(outputs));
    for program in programs.split_whitespace() {
        tool = tool.needing(match program.strip_prefix("python3:") {
            Some(module) => Need::PythonModule(module),
            None => Need::Program(program),
        });
    }
    tool
}

/// Text files, and a folder of them.
fn desk(project: &Project) {
    for (name, start, count) in [
        ("in", 0, 499),
        ("in2", 250, 307),
        ("old", 1000, 211),
        ("log", 2000, 101),
        ("folder/a", 3000, 53),
        ("folder/b/c", 4000, 59),
    ] {
        let lines = (start..start + count).map(|number| format!("line {number}\n"));
        project.write(name, lines.collect::<String>());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_read() {
        let tools = all();
        assert!(tools.len() > 130, "{}", tools.len());
        let several = tools.iter().filter(|tool| tool.name.contains('\n'));
        assert_eq!(several.count(), 2);
    }
}
