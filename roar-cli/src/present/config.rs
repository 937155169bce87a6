//! The settings, as a table and as JSON.

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::json;

use crate::settings::{Entry, Source};

/// A table for people.
pub fn list(entries: &[Entry]) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(["key", "value", "source", "default", "description"]);
    for entry in entries {
        table.add_row([
            entry.key.name.to_owned(),
            entry.value.to_string(),
            entry.source.to_string(),
            entry.key.default().to_string(),
            entry.key.doc.to_owned(),
        ]);
    }
    let mut text = String::new();
    for line in table.to_string().lines() {
        text.push_str(line.trim());
        text.push('\n');
    }
    text
}

/// An array of all options.
pub fn list_json(entries: &[Entry]) -> String {
    let array: Vec<_> = entries.iter().map(value).collect();
    format!("{:#}\n", serde_json::Value::Array(array))
}

/// One option.
pub fn entry_json(entry: &Entry) -> String {
    format!("{:#}\n", value(entry))
}

fn value(entry: &Entry) -> serde_json::Value {
    let from = match &entry.source {
        Source::Default | Source::Flag => None,
        source => Some(source.to_string()),
    };
    json!({
        "key": entry.key.name,
        "value": entry.value,
        "source": entry.source.layer(),
        "from": from,
        "default": entry.key.default(),
        "description": entry.key.doc,
    })
}
