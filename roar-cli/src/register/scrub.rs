//! Secrets out of bodies, on their way to the transport.
//!
//! A [`Body`] can be made here only, and the transport takes nothing else. What was redacted when it was
//! recorded is looked at again: the rules may have become stricter, and an old record may have been made
//! without them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;
use serde_json::{Map, Value};

use super::error::RegisterError;
use crate::model::{Digest, RawString};
use crate::redact::Redactor;

/// What may be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    bytes: Vec<u8>,
    content_type: &'static str,
    /// What was taken out of it.
    pub removed: Vec<Removed>,
}

/// A secret that was taken out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Removed {
    /// Where it stood, as a path of members (`jobs.0.metadata.roar.argv.3`).
    pub place: String,
    /// What found it.
    pub detector: &'static str,
}

impl Body {
    /// A JSON document without its secrets.
    pub fn json(document: &impl Serialize, redactor: &Redactor) -> Self {
        let mut value = serde_json::to_value(document).unwrap_or(Value::Null);
        let mut walk = Walk {
            redactor,
            place: Vec::new(),
            removed: Vec::new(),
        };
        walk.value(&mut value, None);
        Self {
            bytes: value.to_string().into_bytes(),
            content_type: "application/json",
            removed: walk.removed,
        }
    }

    /// A content that is known by its digest: it goes as it is, or not at all.
    ///
    /// # Errors
    /// It holds secrets.
    pub fn content(
        digest: &Digest,
        bytes: Vec<u8>,
        redactor: &Redactor,
    ) -> Result<Self, RegisterError> {
        if let Some(found) = redactor.text(&bytes) {
            return Err(RegisterError::Secrets {
                digest: digest.to_string(),
                detectors: found.detectors.join(", "),
            });
        }
        Ok(Self {
            bytes,
            content_type: "application/octet-stream",
            removed: Vec::new(),
        })
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The MIME type.
    pub fn content_type(&self) -> &'static str {
        self.content_type
    }
}

struct Walk<'a> {
    redactor: &'a Redactor,
    place: Vec<String>,
    removed: Vec<Removed>,
}

impl Walk<'_> {
    fn value(&mut self, value: &mut Value, name: Option<&str>) {
        match value {
            Value::String(text) => {
                let name = name.filter(|_| self.is_in_environment());
                self.string(text, name);
            }
            Value::Array(entries) if name == Some("argv") => self.arguments(entries),
            Value::Array(entries) => {
                for (index, entry) in entries.iter_mut().enumerate() {
                    self.within(&index.to_string(), |walk| walk.value(entry, None));
                }
            }
            Value::Object(members) if raw(members).is_some() => {
                let name = name.filter(|_| self.is_in_environment());
                self.bytes(members, name);
            }
            Value::Object(members) => {
                let names: Vec<String> = members.keys().cloned().collect();
                for member in names {
                    // A name may hold a secret, too: a path, a variable.
                    if let Some(mut value) = members.remove(&member) {
                        let mut shown = member.clone();
                        self.string(&mut shown, None);
                        self.within(&shown.clone(), |walk| walk.value(&mut value, Some(&member)));
                        members.insert(shown, value);
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// Whether the value is a variable's: then its name may say that it is a secret. Elsewhere names
    /// are the protocol's own, or packages' (`google-auth`).
    fn is_in_environment(&self) -> bool {
        let parent = self.place.len().checked_sub(2);
        parent.is_some_and(|at| self.place[at] == "environment")
    }

    fn within(&mut self, part: &str, work: impl FnOnce(&mut Self)) {
        self.place.push(part.to_owned());
        work(self);
        self.place.pop();
    }

    fn string(&mut self, text: &mut String, name: Option<&str>) {
        // A document within the document.
        if text.starts_with(['{', '['])
            && let Ok(mut inner) = serde_json::from_str::<Value>(text)
        {
            let before = inner.clone();
            self.value(&mut inner, None);
            if inner != before {
                *text = inner.to_string();
            }
            return;
        }
        if let Some(clean) = self.clean(text.as_bytes(), name) {
            *text = String::from_utf8_lossy(&clean).into_owned();
        }
    }

    fn bytes(&mut self, members: &mut Map<String, Value>, name: Option<&str>) {
        let Some(bytes) = raw(members) else { return };
        if let Some(clean) = self.clean(&bytes, name) {
            set_raw(members, &clean);
        }
    }

    /// An option's name may stand in another argument than its value.
    fn arguments(&mut self, entries: &mut [Value]) {
        let argv: Vec<RawString> = entries
            .iter()
            .map(|entry| match entry {
                Value::String(text) => RawString::from(text.as_str()),
                Value::Object(members) => raw(members).map(RawString::new).unwrap_or_default(),
                other => RawString::from(other.to_string()),
            })
            .collect();
        let (shown, hidden) = self.redactor.arguments(&argv);
        for (index, (entry, clean)) in entries.iter_mut().zip(shown).enumerate() {
            if argv[index] != clean {
                *entry = serde_json::to_value(&clean).unwrap_or(Value::Null);
            }
        }
        for found in hidden {
            let place = format!("{}.{}", self.place.join("."), found.index);
            self.removed.push(Removed {
                place,
                detector: found.detector,
            });
        }
    }

    fn clean(&mut self, bytes: &[u8], name: Option<&str>) -> Option<Vec<u8>> {
        let found = match name {
            Some(name) => self.redactor.variable(name, bytes),
            None => self.redactor.text(bytes),
        }?;
        let place = self.place.join(".");
        self.removed
            .extend(found.detectors.iter().map(|detector| Removed {
                place: place.clone(),
                detector,
            }));
        Some(found.text)
    }
}

/// The bytes of `{"escaped", "base64"}`.
fn raw(members: &Map<String, Value>) -> Option<Vec<u8>> {
    let (Some(Value::String(_)), Some(Value::String(encoded)), 2) =
        (members.get("escaped"), members.get("base64"), members.len())
    else {
        return None;
    };
    BASE64.decode(encoded).ok()
}

fn set_raw(members: &mut Map<String, Value>, bytes: &[u8]) {
    let escaped = RawString::new(bytes).to_string();
    members.insert("escaped".to_owned(), escaped.into());
    members.insert("base64".to_owned(), BASE64.encode(bytes).into());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TOKEN: &str = "ghp_abcdefghijklmnopqrstuvwxyz0123456789";

    fn check(document: &Value, places: &[&str]) {
        let redactor = Redactor::default();
        let body = Body::json(document, &redactor);
        let text = String::from_utf8_lossy(body.bytes()).into_owned();
        assert!(!text.contains(TOKEN), "{text}");
        assert!(!text.contains(&BASE64.encode(TOKEN)[..40]), "{text}");
        let found: Vec<&str> = body.removed.iter().map(|r| r.place.as_str()).collect();
        assert_eq!(found, places, "{text}");
        let again: Value = serde_json::from_slice(body.bytes()).expect("JSON");
        let twice = Body::json(&again, &redactor);
        assert_eq!(twice.bytes(), body.bytes(), "it is at rest");
    }

    #[test]
    fn secrets_wherever_they_stand() {
        check(&json!({"hash": "a".repeat(64), "n": 1}), &[]);
        check(
            &json!({"pip": {"google-auth": "2.29.0", "tiktoken": "0.11.0"}}),
            &[],
        );
        check(&json!({"command": format!("x {TOKEN}")}), &["command"]);
        check(
            &json!({"a": [{"path": format!("dir/{TOKEN}")}]}),
            &["a.0.path"],
        );
        check(&json!({"argv": ["t", "--token", TOKEN]}), &["argv.2"]);
        let inner = json!({"roar": {"environment": {"API_KEY": "hunter2hunter2"}}}).to_string();
        check(
            &json!({"metadata": inner}),
            &["metadata.roar.environment.API_KEY"],
        );
        let bytes = [TOKEN.as_bytes(), b"\xff"].concat();
        let raw = json!({"escaped": format!("{TOKEN}\\xff"), "base64": BASE64.encode(bytes)});
        check(&json!({"raw_path": raw}), &["raw_path"]);
        check(&json!({ TOKEN: 1 }), &[""]);
        check(
            &json!({"git_repo": format!("https://u:{TOKEN}@example.org/a")}),
            &["git_repo"],
        );
    }

    #[test]
    fn contents_with_secrets_do_not_go() {
        let redactor = Redactor::default();
        let digest = Digest::from_hex("00");
        assert!(Body::content(&digest, b"plain".to_vec(), &redactor).is_ok());
        let content = format!("key = '{TOKEN}'").into_bytes();
        assert!(Body::content(&digest, content, &redactor).is_err());
    }
}
