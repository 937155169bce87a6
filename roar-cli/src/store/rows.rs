//! How values look inside columns: codes, byte strings, digests and versioned documents.

use rusqlite::types::{FromSqlError, FromSqlResult, ToSqlOutput, Value, ValueRef};
use rusqlite::{Row, ToSql};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::error::StoreError;
use crate::model::{Basis, Digest, FileAccess, JobKind, JobState, RawString};

/// The version written into documents.
const DOCUMENT_VERSION: u32 = 1;

/// A document in a column: `{"version": N, "value": …}`.
#[derive(Serialize, Deserialize)]
struct Document<T> {
    version: u32,
    value: T,
}

/// Encodes a document.
pub(super) fn document<T: Serialize>(value: &T) -> Result<String, serde_json::Error> {
    serde_json::to_string(&Document {
        version: DOCUMENT_VERSION,
        value,
    })
}

/// Decodes a document; fields that an older roar did not write take their defaults.
pub(super) fn from_document<T: DeserializeOwned>(text: &str) -> Result<T, serde_json::Error> {
    serde_json::from_str::<Document<T>>(text).map(|document| document.value)
}

/// A byte string for binding: TEXT when it is UTF-8 without NUL, BLOB otherwise.
pub(super) struct RawSql<'a>(pub(super) &'a RawString);

impl ToSql for RawSql<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0.as_str() {
            Some(text) if !text.contains('\0') => ValueRef::Text(text.as_bytes()),
            _ => ValueRef::Blob(self.0.as_bytes()),
        }))
    }
}

/// Reads a byte string back.
pub(super) fn raw(row: &Row<'_>, column: usize) -> rusqlite::Result<RawString> {
    match row.get_ref(column)? {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Ok(RawString::new(bytes)),
        other => Err(rusqlite::Error::InvalidColumnType(
            column,
            "byte string".into(),
            other.data_type(),
        )),
    }
}

/// Reads an optional digest.
pub(super) fn digest(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Digest>> {
    match row.get_ref(column)? {
        ValueRef::Null => Ok(None),
        ValueRef::Blob(bytes) => Ok(Some(Digest::from_bytes(bytes))),
        other => Err(rusqlite::Error::InvalidColumnType(
            column,
            "digest".into(),
            other.data_type(),
        )),
    }
}

/// Reads an optional unsigned number that was stored as SQLite's signed one.
pub(super) fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<u64>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(i64::cast_unsigned))
}

/// The bytes of a digest.
pub(super) fn digest_bytes(
    digest: &Digest,
    operation: &'static str,
) -> Result<Vec<u8>, StoreError> {
    parse_hex(digest.as_str()).ok_or_else(|| StoreError::InvalidRecord {
        operation,
        detail: format!("'{}' is not a digest", RawString::from(digest.as_str())),
    })
}

/// Bytes from an even, non-zero number of hexadecimal digits.
pub(super) fn parse_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if digits.is_empty() || !digits.len().is_multiple_of(2) {
        return None;
    }
    digits
        .chunks_exact(2)
        .map(|pair| Some(hex_digit(pair[0])? << 4 | hex_digit(pair[1])?))
        .collect()
}

fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Text form of a job kind in columns.
pub(super) fn kind_text(kind: JobKind) -> &'static str {
    match kind {
        JobKind::Run => "run",
        JobKind::Build => "build",
    }
}

/// Reads a job kind.
pub(super) fn kind(row: &Row<'_>, column: usize) -> rusqlite::Result<JobKind> {
    decode(row, column, |value| match value.as_str()? {
        "run" => Ok(JobKind::Run),
        "build" => Ok(JobKind::Build),
        _ => Err(FromSqlError::InvalidType),
    })
}

/// Text form of a job state in columns.
pub(super) fn state_text(state: JobState) -> &'static str {
    match state {
        JobState::Done => "done",
        JobState::Lost => "lost",
    }
}

/// Reads a job state.
pub(super) fn state(row: &Row<'_>, column: usize) -> rusqlite::Result<JobState> {
    decode(row, column, |value| match value.as_str()? {
        "done" => Ok(JobState::Done),
        "lost" => Ok(JobState::Lost),
        _ => Err(FromSqlError::InvalidType),
    })
}

/// Number of a basis in columns.
pub(super) fn basis_code(basis: Basis) -> i64 {
    match basis {
        Basis::Read => 0,
        Basis::Written => 1,
        Basis::Mapped => 2,
        Basis::Executed => 3,
        Basis::Opened => 4,
    }
}

/// Reads a basis.
pub(super) fn basis(row: &Row<'_>, column: usize) -> rusqlite::Result<Basis> {
    decode(row, column, |value| match value.as_i64()? {
        0 => Ok(Basis::Read),
        1 => Ok(Basis::Written),
        2 => Ok(Basis::Mapped),
        3 => Ok(Basis::Executed),
        4 => Ok(Basis::Opened),
        other => Err(FromSqlError::OutOfRange(other)),
    })
}

/// Number of a filtered access in columns.
pub(super) fn access_code(access: FileAccess) -> i64 {
    match access {
        FileAccess::Read => 0,
        FileAccess::Write => 1,
        FileAccess::ReadWrite => 2,
        FileAccess::Temporary => 3,
    }
}

/// Reads a filtered access.
pub(super) fn access(row: &Row<'_>, column: usize) -> rusqlite::Result<FileAccess> {
    decode(row, column, |value| match value.as_i64()? {
        0 => Ok(FileAccess::Read),
        1 => Ok(FileAccess::Write),
        2 => Ok(FileAccess::ReadWrite),
        3 => Ok(FileAccess::Temporary),
        other => Err(FromSqlError::OutOfRange(other)),
    })
}

/// Reads JSON in a column.
pub(super) fn json<T>(
    row: &Row<'_>,
    column: usize,
    parse: impl FnOnce(&str) -> Result<T, serde_json::Error>,
) -> rusqlite::Result<T> {
    decode(row, column, |value| {
        parse(value.as_str()?).map_err(|error| FromSqlError::Other(Box::new(error)))
    })
}

/// An optional digest for binding.
pub(super) fn optional_blob(bytes: Option<Vec<u8>>) -> Value {
    bytes.map_or(Value::Null, Value::Blob)
}

fn decode<T>(
    row: &Row<'_>,
    column: usize,
    parse: impl FnOnce(ValueRef<'_>) -> FromSqlResult<T>,
) -> rusqlite::Result<T> {
    let value = row.get_ref(column)?;
    parse(value).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, value.data_type(), Box::new(error))
    })
}
