//! Settings files: reading one, writing the first one, changing one value and nothing else.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml_edit::{Document, DocumentMut, Item, Table, TableLike, TomlError};

use super::error::{Origin, SettingsError};
use super::keys::{KEYS, Key, find};
use super::value::Value;

/// No settings file is that large; something else may be.
const LIMIT_BYTES: u64 = 1 << 20;

/// Marks a line whose value is the default on purpose.
const SET_MARK: &str = "# set";

/// A setting found in a file.
pub(super) struct Line {
    pub(super) key: &'static Key,
    pub(super) value: Value,
    /// Carries the mark of `config set`.
    pub(super) marked: bool,
}

/// The settings in a file, in its order; none when there is no such file.
///
/// # Errors
/// It cannot be read, is not TOML, or holds a key or value that the table does not know.
pub(super) fn read(path: &Path) -> Result<Vec<Line>, SettingsError> {
    let Some(text) = text_of(path)? else {
        return Ok(Vec::new());
    };
    let document = Document::parse(text.as_str()).map_err(|error| syntax(path, &text, &error))?;
    let mut lines = Vec::new();
    collect(
        document.as_table(),
        "",
        &Place { path, text: &text },
        &mut lines,
    )?;
    Ok(lines)
}

/// `.roar/config.toml` as `roar init` writes it: every key, its meaning and its default.
pub fn default_config() -> String {
    let mut text = String::from(
        "# Settings of this project. A value that you change here outranks .roarconfig and your\n\
         # user settings; a line left at its default leaves the choice to them.\n\
         # To see what is in force, and why: roar config list\n",
    );
    let mut section = "";
    for key in KEYS {
        if key.section() != section {
            section = key.section();
            text.extend(["\n[", section, "]\n"]);
        }
        let value = key.default().to_toml();
        text.extend([
            "# ",
            key.doc,
            "\n",
            key.leaf(),
            " = ",
            &value.to_string(),
            "\n",
        ]);
    }
    text
}

/// Sets one key in the file at `path`, which is made when it is missing. Comments, order and
/// everything else stay as they are.
///
/// # Errors
/// The key or the value is not one of the table's; the file is not TOML or cannot be written.
pub fn set(path: &Path, name: &str, text: &str) -> Result<(&'static Key, Value), SettingsError> {
    let key = find(name, Origin::CommandLine)?;
    let value = key
        .kind
        .parse(text)
        .map_err(|refused| SettingsError::BadValue {
            origin: Origin::CommandLine,
            key: key.name,
            expected: refused.expected,
            found: format!("'{text}'"),
        })?;
    let old = text_of(path)?.unwrap_or_default();
    let mut document: DocumentMut = old.parse().map_err(|error| syntax(path, &old, &error))?;
    put(&mut document, key, &value).ok_or_else(|| SettingsError::Syntax {
        origin: Origin::File {
            path: path.to_owned(),
            line: 1,
        },
        message: format!("'{}' is a value, not a section", key.section()),
    })?;
    write(path, &in_the_manner_of(&old, document.to_string())).map_err(|source| {
        SettingsError::Write {
            path: path.to_owned(),
            source,
        }
    })?;
    Ok((key, value))
}

/// None when the section's name stands for something that is no table.
fn put(document: &mut DocumentMut, key: &Key, value: &Value) -> Option<()> {
    let section = document
        .entry(key.section())
        .or_insert_with(|| Item::Table(Table::new()));
    let takes_comments = section.is_table();
    // `omit.secrets.values` below `[registration]`: dotted keys, unless there are tables.
    let mut section = section.as_table_like_mut()?;
    let (folders, leaf) = key.leaf().rsplit_once('.').unwrap_or(("", key.leaf()));
    for folder in folders.split('.').filter(|folder| !folder.is_empty()) {
        let inner = section.entry(folder).or_insert_with(|| {
            let mut table = Table::new();
            table.set_dotted(true);
            Item::Table(table)
        });
        section = inner.as_table_like_mut()?;
    }
    let mut new = value.to_toml();
    let comment = section
        .get(leaf)
        .and_then(Item::as_value)
        .and_then(|old| old.decor().suffix()?.as_str())
        .unwrap_or_default();
    let comment = if *value == key.default() && takes_comments && !is_marked(comment) {
        format!(" {SET_MARK} {}", comment.trim())
            .trim_end()
            .to_owned()
    } else {
        comment.to_owned()
    };
    *new.decor_mut() = toml_edit::Decor::new(" ", comment);
    if let Some(item) = section.get_mut(leaf) {
        *item = Item::Value(new);
    } else {
        section.insert(leaf, Item::Value(new));
    }
    Some(())
}

/// Whether what follows a value on its line begins with the mark.
fn is_marked(comment: &str) -> bool {
    comment
        .trim_start()
        .strip_prefix(SET_MARK)
        .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric()))
}

/// A file being read, to say where things stand in it.
struct Place<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Place<'_> {
    fn line(&self, span: Option<Range<usize>>) -> usize {
        let offset = span.map_or(0, |span| span.start);
        1 + self
            .text
            .bytes()
            .take(offset)
            .filter(|b| *b == b'\n')
            .count()
    }

    fn origin(&self, line: usize) -> Origin {
        Origin::File {
            path: self.path.to_owned(),
            line,
        }
    }

    fn rest_of_line(&self, span: Option<Range<usize>>) -> &str {
        span.and_then(|span| self.text.get(span.end..))
            .and_then(|rest| rest.lines().next())
            .unwrap_or_default()
    }
}

/// Tables, dotted keys and inline tables are all one to the reader.
fn collect(
    table: &dyn TableLike,
    prefix: &str,
    place: &Place<'_>,
    lines: &mut Vec<Line>,
) -> Result<(), SettingsError> {
    for (name, item) in table.iter() {
        let span = table.key(name).and_then(toml_edit::Key::span);
        let line = place.line(span.or_else(|| item.span()));
        let full = format!("{prefix}{name}");
        let is_key = KEYS.iter().any(|key| key.name == full);
        if let (Some(inner), false) = (item.as_table_like(), is_key) {
            let prefix = format!("{full}.");
            let known = KEYS.iter().any(|key| key.name.starts_with(&prefix));
            if !known && inner.is_empty() {
                find(&full, place.origin(line))?;
            }
            collect(inner, &prefix, place, lines)?;
            continue;
        }
        let key = find(&full, place.origin(line))?;
        let bad = |expected: String| SettingsError::BadValue {
            origin: place.origin(line),
            key: key.name,
            expected,
            found: match (item.is_value(), item.span()) {
                (true, Some(span)) => place.text.get(span).unwrap_or_default().to_owned(),
                _ => format!("a {}", item.type_name()),
            },
        };
        let value = match item.as_value() {
            Some(value) => key.kind.of_toml(value).map_err(|r| bad(r.expected))?,
            None => return Err(bad("a value".to_owned())),
        };
        lines.push(Line {
            key,
            value,
            marked: is_marked(place.rest_of_line(item.span())),
        });
    }
    Ok(())
}

/// The text of a file without its byte order mark; none when there is no file.
fn text_of(path: &Path) -> Result<Option<String>, SettingsError> {
    let read_error = |source| SettingsError::Read {
        path: path.to_owned(),
        source,
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(read_error(error)),
    };
    let mut text = String::new();
    file.take(LIMIT_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(read_error)?;
    if text.len() as u64 > LIMIT_BYTES {
        return Err(SettingsError::TooLarge {
            path: path.to_owned(),
            limit_bytes: LIMIT_BYTES,
        });
    }
    if text.starts_with(BYTE_ORDER_MARK) {
        text.drain(..BYTE_ORDER_MARK.len_utf8());
    }
    Ok(Some(text))
}

const BYTE_ORDER_MARK: char = '\u{feff}';

fn syntax(path: &Path, text: &str, error: &TomlError) -> SettingsError {
    let place = Place { path, text };
    SettingsError::Syntax {
        origin: place.origin(place.line(error.span())),
        message: error.message().to_owned(),
    }
}

/// The line ends of the old text.
fn in_the_manner_of(old: &str, new: String) -> String {
    if old.contains("\r\n") {
        new.replace("\r\n", "\n").replace('\n', "\r\n")
    } else {
        new
    }
}

/// In one step: whoever reads meanwhile sees the old file or the new one. A file that is a
/// symbolic link stays one; its target is replaced.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let target: PathBuf = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let folder = target.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    if let Ok(metadata) = target.metadata() {
        file.as_file().set_permissions(metadata.permissions())?;
    }
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(&target)?;
    Ok(())
}
