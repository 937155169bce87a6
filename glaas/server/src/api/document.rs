//! The OpenAPI document: made from the handlers, and what all of them share said of each.

use glaas_api::ErrorBody;
use serde_json::{Value, json};
use utoipa::OpenApi as _;

use super::{artifacts, blobs, jobs, keys, labels, lineage, operations, registration, sessions};

/// What any request may be answered with, and what only one with a body.
const ANY: [(&str, &str); 5] = [
    ("400", "It is not as it should be"),
    ("401", "Its signature or token does not count"),
    ("414", "Its URL is too long"),
    ("429", "Too many of them: `Retry-After` says when again"),
    ("503", "Not now: `Retry-After` says when again"),
];
const WITH_BODY: [(&str, &str); 3] = [
    ("408", "Its body took too long to arrive"),
    ("413", "Its body is too large"),
    ("415", "Its body is compressed"),
];

/// What `extract` takes for ids, wherever they stand.
const PATTERNS: [(&str, &str); 7] = [
    ("hash", HASH),
    ("prefix", HASH),
    ("session_hash", HASH),
    ("artifact_hash", HASH),
    ("digest", "^[0-9a-fA-F]{32,128}$"),
    ("uid", UID),
    ("job_uid", UID),
];
/// Schemas of what clients send.
const SENT: [&str; 5] = [
    "ArtifactHash",
    "ArtifactRequest",
    "FileLink",
    "JobRequest",
    "SessionRequest",
];
const HASH: &str = "^[0-9a-fA-F]{8,128}$";
const UID: &str = "^[0-9A-Za-z._:-]{1,128}$";

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "GLaaS lineage server",
        description = "A registry where an artifact's hash leads to how it was made. Requests that write are signed with an SSH key (SSHSIG, namespace glaas)."
    ),
    paths(
        operations::health,
        keys::me,
        keys::register,
        keys::list,
        keys::revoke,
        sessions::create,
        sessions::list,
        sessions::show,
        sessions::change,
        jobs::create,
        jobs::create_batch,
        jobs::show,
        jobs::link_inputs,
        jobs::link_outputs,
        jobs::search,
        artifacts::create,
        artifacts::create_batch,
        artifacts::search,
        artifacts::show,
        artifacts::show_public,
        artifacts::members,
        lineage::lineage,
        lineage::dag,
        lineage::closure,
        lineage::reproduction,
        blobs::missing,
        blobs::store,
        blobs::fetch,
        registration::open,
        registration::job,
        registration::jobs,
        registration::artifacts,
        registration::composites,
        registration::inputs,
        registration::outputs,
        registration::view_edges,
        registration::labels,
        registration::finalize,
        labels::sync,
        labels::reconcile,
        labels::current,
        labels::history,
    ),
    components(schemas(ErrorBody))
)]
struct Document;

/// The document as JSON.
pub fn text() -> String {
    let mut document = serde_json::to_value(Document::openapi()).unwrap_or_default();
    document["components"]["securitySchemes"] = json!({ "signature": {
        "type": "apiKey", "in": "header", "name": "Authorization",
        "description": "`Signature keyid=\"SHA256:…\" ts=\"SECONDS\" sig=\"BASE64\"`: an SSHSIG of the \
            lines ts, method, path with query and, with a body, its SHA-256; or \
            `RegistrationSession TOKEN`." } });
    document["security"] = json!([{}, { "signature": [] }]);
    for operation in members(&mut document["paths"]).flat_map(members) {
        complete(operation);
    }
    for name in SENT {
        let path = format!("/components/schemas/{name}/properties");
        if let Some(properties) = document.pointer_mut(&path) {
            restrict(properties);
        }
    }
    serde_json::to_string_pretty(&document).unwrap_or_default()
}

fn members(value: &mut Value) -> impl Iterator<Item = &mut Value> {
    value
        .as_object_mut()
        .into_iter()
        .flat_map(|members| members.iter_mut().map(|(_, member)| member))
}

/// Answers come in an envelope, errors in another.
fn complete(operation: &mut Value) {
    let body = operation.get_mut("requestBody");
    let has_body = body.is_some();
    if let Some(body) = body.filter(|body| body.pointer("/content/application~1json").is_some()) {
        // None stands for an object without members.
        body["required"] = json!(false);
    }
    let responses = &mut operation["responses"];
    let more = if has_body { &WITH_BODY[..] } else { &[] };
    for (status, words) in ANY.iter().chain(more) {
        if responses.get(*status).is_none() {
            responses[*status] = json!({ "description": words });
        }
    }
    let error = json!({ "schema": { "$ref": "#/components/schemas/ErrorBody" } });
    for (status, response) in responses.as_object_mut().into_iter().flatten() {
        if status != "200" {
            response["content"]["application/json"] = error.clone();
        } else if let Some(schema) = response.pointer_mut("/content/application~1json/schema") {
            *schema = json!({ "type": "object", "required": ["success", "data"],
                "properties": { "success": { "const": true }, "data": schema.take() } });
        }
    }
    let parameters = operation
        .get_mut("parameters")
        .and_then(Value::as_array_mut);
    for parameter in parameters.into_iter().flatten() {
        let name = parameter["name"].as_str().unwrap_or_default().to_owned();
        // What is more than there is at once is taken for as much.
        if name == "limit" || name == "depth" {
            parameter["schema"]["format"] = json!("int64");
            parameter["schema"]["maximum"] = json!(u32::MAX);
        }
        // What a search looks for is a beginning of any length.
        if parameter["in"] == "path" {
            let mut named = json!({ &name: parameter["schema"].take() });
            restrict(&mut named);
            parameter["schema"] = named[&name].take();
        }
    }
}

/// Says of schemas by their names what their texts look like.
fn restrict(schemas: &mut Value) {
    for (name, pattern) in PATTERNS {
        if let Some(schema) = schemas.get_mut(name)
            && schema.get("type").is_some()
        {
            schema["pattern"] = json!(pattern);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_is_described_as_it_is_sent() {
        let document: Value = serde_json::from_str(&text()).expect("JSON");
        let operation = &document["paths"]["/api/v1/sessions/{hash}"]["patch"];
        let data = "/content/application~1json/schema/properties/data/$ref";
        let record = operation["responses"]["200"].pointer(data);
        assert_eq!(record, Some(&json!("#/components/schemas/SessionRecord")));
        let error = "/content/application~1json/schema/$ref";
        for status in ["400", "404", "413", "429"] {
            let body = operation["responses"][status].pointer(error);
            assert_eq!(body, Some(&json!("#/components/schemas/ErrorBody")));
        }
        assert_eq!(operation["parameters"][0]["schema"]["pattern"], HASH);
        for (path, operations) in document["paths"].as_object().expect("paths") {
            for operation in operations.as_object().expect("operations").values() {
                for parameter in operation["parameters"].as_array().into_iter().flatten() {
                    let name = parameter["name"].as_str().expect("a name");
                    let place = if path.contains(&format!("{{{name}}}")) {
                        "path"
                    } else {
                        "query"
                    };
                    assert_eq!(parameter["in"], place, "{path}: {name}");
                }
            }
        }
    }
}
