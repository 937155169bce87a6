//! What is about to be sent to a lineage server, and what came of it.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{human, inert};

/// What a registration consists of.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// The server's address.
    pub server: String,
    /// The key's fingerprint; none when nothing is signed.
    pub key: Option<String>,
    /// The session's hash.
    pub session: String,
    /// How many jobs.
    pub jobs: usize,
    /// How many contents.
    pub artifacts: usize,
    /// How many links between the two.
    pub links: usize,
    /// How many members of collections, listed apart.
    pub members: u64,
    /// How many kept contents, and their bytes together.
    pub contents: (usize, u64),
    /// Files that cannot be told, because they could not be hashed.
    pub unhashed: usize,
    /// `public`, `private`, or what the server does.
    pub visibility: Option<&'static str>,
    /// The code: what travels and what must be fetched.
    pub code: Vec<String>,
    /// What was taken out: places and detectors.
    pub removed: Vec<(String, String)>,
}

impl Summary {
    /// For people, before they are asked.
    pub fn text(&self) -> String {
        let mut lines = vec![
            format!("server      {}", inert(&self.server)),
            format!(
                "key         {}",
                self.key.as_deref().unwrap_or("none: unsigned")
            ),
            format!("session     {}", self.session),
            format!(
                "visibility  {}",
                self.visibility.unwrap_or("the server's default")
            ),
            format!(
                "sends       {}, {}, {} of files",
                human::count(self.jobs, "job"),
                human::count(self.artifacts, "artifact"),
                human::count(self.links, "link")
            ),
        ];
        if self.members > 0 {
            let members = usize::try_from(self.members).unwrap_or(usize::MAX);
            lines.push(format!(
                "            {} of collections, listed apart",
                human::count(members, "member")
            ));
        }
        if self.contents.0 > 0 {
            lines.push(format!(
                "            {} ({}): patches and untracked files",
                human::count(self.contents.0, "kept content"),
                human::size(self.contents.1)
            ));
        }
        if self.unhashed > 0 {
            lines.push(format!(
                "leaves out  {} without a hash",
                human::count(self.unhashed, "file")
            ));
        }
        for line in &self.code {
            lines.push(format!("code        {line}"));
        }
        if self.removed.is_empty() {
            lines.push("redacted    nothing".to_owned());
        }
        for (place, detector) in &self.removed {
            lines.push(format!("redacted    {} ({detector})", inert(place)));
        }
        lines.push(String::new());
        lines.join("\n")
    }
}

/// A request of a rehearsal.
#[derive(Clone, Debug)]
pub struct Request {
    /// `POST`, `PUT`.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// To the byte.
    pub body: Vec<u8>,
}

/// Everything that would be sent, for people.
pub fn rehearsal_text(requests: &[Request], summary: &Summary) -> String {
    let mut text = String::new();
    for request in requests {
        let _ = writeln!(text, "{} {}", request.method, request.path);
        match serde_json::from_slice::<Value>(&request.body) {
            Ok(document) => text.push_str(&inert_lines(&format!("{document:#}"))),
            Err(_) => text.push_str(&inert_lines(&String::from_utf8_lossy(&request.body))),
        }
        text.push('\n');
    }
    text.push_str(&summary.text());
    text
}

/// The same for machines.
pub fn rehearsal_json(requests: &[Request], summary: &Summary) -> String {
    let requests: Vec<Value> = requests
        .iter()
        .map(|request| {
            let text = String::from_utf8_lossy(&request.body);
            let body = serde_json::from_slice::<Value>(&request.body)
                .unwrap_or_else(|_| Value::from(text.into_owned()));
            json!({"method": request.method, "path": request.path, "body": body})
        })
        .collect();
    let removed: Vec<Value> = summary
        .removed
        .iter()
        .map(|(place, detector)| json!({"place": place, "detector": detector}))
        .collect();
    super::json(&json!({
        "server": summary.server,
        "session": summary.session,
        "requests": requests,
        "redacted": removed,
    }))
}

/// Text that keeps its lines and cannot drive a terminal.
fn inert_lines(text: &str) -> String {
    let lines: Vec<String> = text
        .lines()
        .map(|line| inert(line).replace("\\\\", "\\"))
        .collect();
    lines.join("\n") + "\n"
}
