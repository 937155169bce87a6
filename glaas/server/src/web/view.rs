//! Rows as pages show them.

use glaas_api::artifacts::ArtifactRecord;
use glaas_api::lineage::{JobSummary, LinkedFile};
use glaas_api::members::Member;

use super::room::escaped;
use crate::clock;

/// A job in a table.
pub(super) struct JobRow {
    pub(super) link: String,
    pub(super) command: String,
    pub(super) result: String,
    pub(super) tone: &'static str,
    pub(super) step: String,
    pub(super) host: String,
    pub(super) gpu: String,
    pub(super) started: String,
    pub(super) took: String,
}

impl JobRow {
    /// The bytes of its row.
    pub(super) fn bytes(&self) -> usize {
        let texts = [
            &self.link,
            &self.command,
            &self.result,
            &self.host,
            &self.gpu,
        ];
        350 + texts.iter().map(|text| escaped(text)).sum::<usize>()
    }
}

impl FileRow {
    /// The bytes of its row.
    pub(super) fn bytes(&self) -> usize {
        300 + escaped(&self.path) + escaped(&self.note) + 2 * self.hash.len()
    }
}

/// A file or artifact in a table.
pub(super) struct FileRow {
    pub(super) path: String,
    pub(super) hash: String,
    pub(super) short: String,
    pub(super) size: String,
    pub(super) note: String,
}

/// Longer texts are cut in tables; their own pages have them whole.
const MAX_CELL: usize = 240;

/// A text that acts on nothing: control and direction characters are shown as escapes.
pub(super) fn inert(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let acts = c.is_control()
                || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{061c}');
            if acts && c != '\n' {
                c.escape_unicode().collect::<Vec<char>>()
            } else {
                vec![c]
            }
        })
        .collect()
}

/// At most so many characters, escapes included.
pub(super) fn cut(text: &str, most: usize) -> String {
    // A character that acts is shown as ten at most; what is not shown need not be looked at.
    let shown: String = inert(&text.chars().take(most + 1).collect::<String>());
    if shown.chars().count() <= most {
        return shown;
    }
    let head: String = shown.chars().take(most.saturating_sub(1)).collect();
    format!("{head}…")
}

/// Bytes for people; the exact number where it is small.
pub(super) fn size(bytes: Option<u64>) -> String {
    let Some(bytes) = bytes else {
        return "—".to_owned();
    };
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return if unit == "B" {
                format!("{bytes} B")
            } else {
                format!("{value:.1} {unit}")
            };
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

/// A duration for people.
pub(super) fn duration(seconds: Option<f64>) -> String {
    match seconds {
        None => "—".to_owned(),
        Some(seconds) if seconds < 60.0 => format!("{seconds:.1} s"),
        Some(seconds) if seconds < 3600.0 => {
            format!("{} min {} s", (seconds / 60.0) as u64, seconds as u64 % 60)
        }
        Some(seconds) => format!(
            "{} h {} min",
            (seconds / 3600.0) as u64,
            (seconds / 60.0) as u64 % 60
        ),
    }
}

/// A time of the wire, in seconds.
pub(super) fn time(seconds: f64) -> String {
    clock::shown((seconds * 1000.0) as i64)
}

pub(super) fn job_row(job: &JobSummary) -> JobRow {
    let (result, tone) = result(job);
    JobRow {
        link: format!("/job/{}/{}", job.session_hash, job.job_uid),
        command: cut(&job.command, MAX_CELL),
        result,
        tone,
        step: step(job),
        host: cut(job.host.as_deref().unwrap_or_default(), 60),
        gpu: cut(job.gpu.as_deref().unwrap_or_default(), 60),
        started: time(job.timestamp),
        took: duration(job.duration_seconds),
    }
}

pub(super) fn result(job: &JobSummary) -> (String, &'static str) {
    match job.exit_code {
        Some(0) => ("succeeded".to_owned(), "good"),
        Some(code) => (format!("exit {code}"), "bad"),
        None => ("no exit code".to_owned(), "warn"),
    }
}

pub(super) fn step(job: &JobSummary) -> String {
    let mark = if job.job_type == "build" { "@B" } else { "@" };
    job.step_number
        .map_or_else(|| "—".to_owned(), |step| format!("{mark}{step}"))
}

pub(super) fn file_row(file: &LinkedFile) -> FileRow {
    let mut notes: Vec<String> = Vec::new();
    if let Some(basis) = file
        .basis
        .as_deref()
        .filter(|basis| !matches!(*basis, "read" | "written"))
    {
        notes.push(basis.to_owned());
    }
    notes.extend(file.note.clone());
    FileRow {
        path: cut(&file.path, 400),
        short: short(&file.hash),
        hash: file.hash.clone(),
        size: size(file.size),
        note: cut(&notes.join("; "), 300),
    }
}

pub(super) fn member_row(member: &Member) -> FileRow {
    FileRow {
        path: cut(member.path.shown(), 400),
        short: short(&member.hash),
        hash: member.hash.clone(),
        size: size(member.size),
        note: cut(member.more.note.as_deref().unwrap_or_default(), 300),
    }
}

pub(super) fn artifact_row(artifact: &ArtifactRecord) -> FileRow {
    let place = artifact.path.as_deref().or(artifact.source_url.as_deref());
    FileRow {
        path: cut(place.unwrap_or("(no path)"), 400),
        short: short(&artifact.hash),
        hash: artifact.hash.clone(),
        size: size(artifact.size),
        note: String::new(),
    }
}

/// The digits that tables show.
pub(super) fn short(hash: &str) -> String {
    hash.chars().take(12).collect()
}

/// The last part of a path.
pub(super) fn file_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_read_well() {
        assert_eq!(size(Some(1023)), "1023 B");
        assert_eq!(size(Some(1 << 30)), "1.0 GiB");
        assert_eq!(size(None), "—");
        assert_eq!(duration(Some(61.5)), "1 min 1 s");
        assert_eq!(duration(Some(7322.0)), "2 h 2 min");
    }

    #[test]
    fn shown_text_is_inert() {
        assert_eq!(inert("a\u{202e}b\u{1b}"), "a\\u{202e}b\\u{1b}");
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "ab…");
        assert_eq!(cut("a\u{202e}b", 5), "a\\u{…");
    }
}
