//! The hash that names a session by its content, as the newer client makes it: SHA-256 over
//! canonical JSON (sorted keys, no spaces).

use std::collections::BTreeSet;

use glaas_api::registration::FinalizeRequest;
use serde_json::{Map, Number, Value, json};
use sha2::{Digest as _, Sha256};

use crate::auth::hex;
use crate::store::registrations::Upload;
use crate::store::{StoreError, Transaction, graph, sessions};

/// What a registration holds, when it is to be made final.
#[derive(Clone, Debug)]
pub struct Content {
    /// The session's hash.
    pub hash: String,
    jobs: u64,
    inputs: u64,
    outputs: u64,
}

impl Content {
    /// Compares with what the client says that it sent.
    ///
    /// # Errors
    /// Something is missing.
    pub fn check(&self, request: &FinalizeRequest) -> Result<(), StoreError> {
        for (name, count) in [
            ("jobs", self.jobs),
            ("inputs", self.inputs),
            ("outputs", self.outputs),
        ] {
            let expected = request.expected.get(name).and_then(Value::as_u64);
            if expected.is_some_and(|expected| expected != count) {
                return Err(StoreError::Refused(format!(
                    "{} {name} were sent, {count} are here: send what is missing, then finalize again",
                    expected.unwrap_or_default()
                )));
            }
        }
        Ok(())
    }
}

/// The content of a registration.
///
/// # Errors
/// The database fails.
pub async fn content(
    tx: &mut Transaction,
    upload: &Upload,
    request: &FinalizeRequest,
) -> Result<Content, StoreError> {
    let (mut jobs, mut inputs, mut outputs) = (Vec::new(), 0, 0);
    for job in sessions::jobs_of(tx, upload.session_id).await? {
        let node = graph::node(tx, upload.owner_id, job.id).await?;
        inputs += node.job.inputs.len() as u64;
        outputs += node.job.outputs.len() as u64;
        let files = |files: &[glaas_api::lineage::LinkedFile]| -> Vec<Value> {
            let mut seen = BTreeSet::new();
            let mut listed: Vec<(String, String)> = files
                .iter()
                .filter(|file| seen.insert(file.hash.clone()))
                .map(|file| (file.hash.clone(), file.path.clone()))
                .collect();
            listed.sort();
            listed
                .into_iter()
                .map(|(hash, path)| json!({ "hash": hash, "path": path }))
                .collect()
        };
        let metadata = crate::facts::parse(node.metadata.as_deref()).unwrap_or(Value::Null);
        let document = json!({
            "command": job.command,
            "job_type": job.job_type,
            "step_number": job.step_number,
            "parent_step_number": Value::Null,
            "inputs": files(&node.job.inputs),
            "outputs": files(&node.job.outputs),
            "metadata": normalized(metadata),
        });
        jobs.push((job.step_number, canonical(&document), document));
    }
    jobs.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
    let count = jobs.len() as u64;
    let documents: Vec<Value> = jobs.into_iter().map(|(_, _, document)| document).collect();
    let creator = if upload.owner_id == crate::store::ANONYMOUS {
        "anonymous".to_owned()
    } else {
        upload.owner_id.to_string()
    };
    let document = json!({
        "canonical_version": 1,
        "creator_identity": creator,
        "git": {
            "repo": request.git_repo,
            "commit": request.git_commit,
            "branch": request.git_branch,
        },
        "jobs": documents,
    });
    Ok(Content {
        hash: hex(&Sha256::digest(canonical(&document).as_bytes())),
        jobs: count,
        inputs,
        outputs,
    })
}

/// Sorted keys, `,` and `:` without spaces.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let sorted: std::collections::BTreeMap<&String, &Value> = members.iter().collect();
            let parts: Vec<String> = sorted
                .into_iter()
                .map(|(key, value)| format!("{}:{}", Value::String(key.clone()), canonical(value)))
                .collect();
            format!("{{{}}}", parts.join(","))
        }
        Value::Array(list) => {
            let parts: Vec<String> = list.iter().map(canonical).collect();
            format!("[{}]", parts.join(","))
        }
        other => other.to_string(),
    }
}

/// Fractions without a fraction become whole numbers.
fn normalized(value: Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .map(|(key, value)| (key, normalized(value)))
                .collect::<Map<String, Value>>(),
        ),
        Value::Array(list) => Value::Array(list.into_iter().map(normalized).collect()),
        Value::Number(number) => match number.as_f64() {
            Some(float) if !number.is_i64() && !number.is_u64() => {
                if float.fract() == 0.0 && float.abs() < 9e15 {
                    Value::Number(Number::from(float as i64))
                } else {
                    Value::Number(number)
                }
            }
            _ => Value::Number(number),
        },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_json_is_sorted_and_dense() {
        let value = json!({"b": [1, 2.0, null], "a": {"d": "é\"", "c": true}});
        assert_eq!(
            canonical(&normalized(value)),
            r#"{"a":{"c":true,"d":"é\""},"b":[1,2,null]}"#
        );
    }
}
