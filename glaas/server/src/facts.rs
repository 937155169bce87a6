//! What a job's `metadata` says, whichever client wrote it. Pure: odd input gives fewer facts.

use glaas_api::document::{self, CollectionDocument, JobDocument};
use serde_json::Value;

/// What the server takes from a job's metadata to find and show it by.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// The step's name.
    pub name: Option<String>,
    /// The host's name.
    pub host: Option<String>,
    /// Its GPUs, by commas.
    pub gpu: Option<String>,
    /// Whether the record says that it is whole.
    pub complete: Option<bool>,
    /// The id of the launch that it is a part of.
    pub launch: Option<String>,
    /// Digests of blobs that it points to.
    pub blobs: Vec<String>,
    /// Its collections.
    pub collections: Vec<CollectionDocument>,
    /// Further words to be found by.
    pub words: String,
}

/// Reads the facts.
pub fn facts(metadata: Option<&str>) -> Facts {
    let Some(json) = parse(metadata) else {
        return Facts::default();
    };
    let text = |path: &[&str]| at(&json, path).and_then(Value::as_str).map(str::to_owned);
    let mut facts = Facts {
        host: text(&["runtime", "hostname"]).or_else(|| text(&["hostname"])),
        gpu: joined(&gpu_names(&json)),
        name: text(&["step_name"]).or_else(|| text(&["name"])),
        ..Facts::default()
    };
    if let Some(document) = document_in(&json) {
        let JobDocument {
            name,
            host,
            git,
            cwd,
            launch,
            collections,
            ..
        } = document;
        facts.name = name.or(facts.name);
        if !host.hostname.is_empty() {
            facts.host = Some(host.hostname);
        }
        let gpus: Vec<String> = host.gpus.into_iter().map(|gpu| gpu.name).collect();
        facts.gpu = joined(&gpus).or(facts.gpu);
        // A record that says nothing of it is not one that says no.
        let stated = at(&json, &[document::KEY, "completeness", "complete"]);
        facts.complete = stated.and_then(Value::as_bool);
        if let Some(git) = git {
            facts.blobs.extend(git.patch);
            facts
                .blobs
                .extend(git.untracked.into_iter().filter_map(|file| file.blob));
        }
        facts.words = [
            cwd.shown(),
            host.cpu_model.as_str(),
            launch.as_ref().map_or("", |launch| &launch.kind),
        ]
        .join(" ");
        facts.launch = launch.and_then(|launch| launch.id);
        let pages = collections.iter().flat_map(|one| &one.listing);
        facts.blobs.extend(pages.map(|page| page.digest.clone()));
        facts.collections = collections;
    }
    facts
}

/// The document of a roar of this project, if the metadata has one of a version that is known.
pub fn document(metadata: Option<&str>) -> Option<JobDocument> {
    document_in(&parse(metadata)?)
}

/// The metadata as JSON; a string within the string is opened, too.
pub fn parse(metadata: Option<&str>) -> Option<Value> {
    serde_json::from_str(metadata?).ok()
}

fn document_in(json: &Value) -> Option<JobDocument> {
    let value = json.get(document::KEY)?;
    let version = value.get("version").and_then(Value::as_u64)?;
    if version > u64::from(document::VERSION) {
        return None;
    }
    serde_json::from_value(value.clone()).ok()
}

fn at<'a>(json: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(json, |value, key| value.get(key))
}

/// Names in `gpu` or `gpus`, at the top or under `runtime`: a list of objects or texts, or one.
fn gpu_names(json: &Value) -> Vec<String> {
    let named = |value: &Value| match value {
        Value::String(name) => Some(name.clone()),
        other => other
            .get("name")
            .or_else(|| other.get("model"))
            .and_then(Value::as_str)
            .map(str::to_owned),
    };
    [json.get("runtime"), Some(json)]
        .into_iter()
        .flatten()
        .flat_map(|place| [place.get("gpu"), place.get("gpus")])
        .flatten()
        .flat_map(|value| match value {
            Value::Array(list) => list.iter().filter_map(named).collect(),
            other => named(other).into_iter().collect::<Vec<_>>(),
        })
        .collect()
}

fn joined(names: &[String]) -> Option<String> {
    (!names.is_empty()).then(|| names.join(", "))
}

/// A text without the user info of the URLs in it: published clients send the remote's.
pub fn without_credentials(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        clean.push_str(before);
        let end = after
            .find(|c: char| {
                c.is_whitespace() || matches!(c, '/' | '"' | '\'' | '\\' | '?' | '#' | '<' | '>')
            })
            .unwrap_or(after.len());
        let authority = &after[..end];
        clean.push_str(authority.rsplit('@').next().unwrap_or(authority));
        rest = &after[end..];
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_metadata_tell_the_host() {
        let old = r#"{"runtime": {"hostname": "vm", "gpu": [{"name": "H100"}, {"name": "A10"}]}}"#;
        let found = facts(Some(old));
        assert_eq!(found.host.as_deref(), Some("vm"));
        assert_eq!(found.gpu.as_deref(), Some("H100, A10"));
        let new = r#"{"roar": {"version": 1, "host": {"hostname": "node7"},
            "git": {"patch": "ab"}, "completeness": {"complete": true}}}"#;
        let found = facts(Some(new));
        assert_eq!(found.host.as_deref(), Some("node7"));
        assert_eq!(found.complete, Some(true));
        assert_eq!(found.blobs, ["ab"]);
        let silent = r#"{"roar": {"version": 1}}"#;
        assert_eq!(facts(Some(silent)).complete, None);
    }

    #[test]
    fn odd_metadata_gives_no_facts() {
        for odd in [
            "",
            "[1]",
            "\"x\"",
            "{\"roar\": 7}",
            "{\"roar\": {\"version\": 99}}",
            "{",
        ] {
            assert_eq!(facts(Some(odd)), Facts::default(), "{odd}");
        }
    }

    #[test]
    fn user_info_goes_and_all_else_stays() {
        fn check(text: &str, expected: &str) {
            assert_eq!(without_credentials(text), expected);
        }
        check("https://user:pass@host/x.git", "https://host/x.git");
        check(
            "a \"https://t0ken@h/p\" b ssh://git@h/x",
            "a \"https://h/p\" b ssh://h/x",
        );
        check("https://host/a@b mail@host", "https://host/a@b mail@host");
        check("git@github.com:a/b.git", "git@github.com:a/b.git");
    }
}
