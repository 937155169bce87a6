//! Byte strings as the kernel knows them: paths, arguments, names.
//!
//! Linux paths and arguments are bytes, not text. [`RawString`] keeps every byte,
//! shows an inert escaped form, and round-trips losslessly through JSON: valid
//! UTF-8 is a plain string, anything else is `{"escaped": …, "base64": …}`.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A path, argument or name as raw bytes. Copies share them: a record repeats what was observed,
/// a million times over.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RawString(Arc<[u8]>);

impl RawString {
    /// Wraps bytes unchanged.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into().into())
    }

    /// The bytes of a path.
    pub fn from_path(path: &Path) -> Self {
        Self::from_os(path.as_os_str())
    }

    /// The bytes of an operating-system string (lossy only where the platform's strings are not bytes).
    pub fn from_os(value: &std::ffi::OsStr) -> Self {
        #[cfg(unix)]
        {
            use std::os::unix::ffi::OsStrExt as _;
            Self(value.as_bytes().into())
        }
        #[cfg(not(unix))]
        {
            Self(value.to_string_lossy().as_bytes().into())
        }
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text, when the bytes are valid UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// As an operating-system string, byte for byte on Unix.
    pub fn to_os_string(&self) -> std::ffi::OsString {
        #[cfg(unix)]
        {
            use std::os::unix::ffi::OsStringExt as _;
            std::ffi::OsString::from_vec(self.0.to_vec())
        }
        #[cfg(not(unix))]
        {
            String::from_utf8_lossy(&self.0).into_owned().into()
        }
    }

    /// As a path, byte for byte on Unix.
    pub fn to_path_buf(&self) -> PathBuf {
        PathBuf::from(self.to_os_string())
    }

    /// As a path, byte for byte on Unix, where nothing is copied.
    pub fn as_path(&self) -> Cow<'_, Path> {
        #[cfg(unix)]
        {
            use std::os::unix::ffi::OsStrExt as _;
            Path::new(std::ffi::OsStr::from_bytes(&self.0)).into()
        }
        #[cfg(not(unix))]
        {
            self.to_path_buf().into()
        }
    }

    /// Whether a path lies below a folder's.
    pub fn is_below(&self, folder: &Self) -> bool {
        let below = self.0.strip_prefix(folder.as_bytes());
        below.is_some_and(|below| below.starts_with(b"/"))
    }

    /// The last path component.
    pub fn file_name(&self) -> &[u8] {
        self.0.rsplit(|b| *b == b'/').next().unwrap_or_default()
    }
}

impl From<&str> for RawString {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().into())
    }
}

impl From<String> for RawString {
    fn from(text: String) -> Self {
        Self(text.as_bytes().into())
    }
}

impl From<Vec<u8>> for RawString {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

/// The inert form: control characters, bidirectional overrides and bytes that are
/// not UTF-8 appear as escapes, so that a hostile name cannot drive a terminal.
impl fmt::Display for RawString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Nearly every name is printable ASCII, and listings have ten thousand of them.
        let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && *byte != b'\\';
        if self.0.iter().all(is_plain)
            && let Ok(text) = std::str::from_utf8(&self.0)
        {
            return f.write_str(text);
        }
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '\\' => f.write_str("\\\\")?,
                    '\n' => f.write_str("\\n")?,
                    '\r' => f.write_str("\\r")?,
                    '\t' => f.write_str("\\t")?,
                    c if is_inert(c) => write!(f, "{c}")?,
                    c => write!(f, "\\u{{{:x}}}", u32::from(c))?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

/// Whether a character can be printed without acting on the terminal or reordering the text around it.
fn is_inert(c: char) -> bool {
    !c.is_control()
        && !matches!(c,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}' | '\u{061c}')
}

impl Serialize for RawString {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Some(text) = self.as_str() {
            return serializer.serialize_str(text);
        }
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("escaped", &self.to_string())?;
        map.serialize_entry("base64", &BASE64.encode(&self.0))?;
        map.end()
    }
}

/// By hand: an untagged enum would buffer every argument of every job of a long listing.
impl<'de> Deserialize<'de> for RawString {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Form;

        impl<'de> Visitor<'de> for Form {
            type Value = RawString;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, or an object with 'base64'")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<RawString, E> {
                Ok(text.into())
            }

            fn visit_string<E: serde::de::Error>(self, text: String) -> Result<RawString, E> {
                Ok(text.into())
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<RawString, M::Error> {
                let mut bytes = None;
                while let Some(key) = map.next_key::<String>()? {
                    if key == "base64" {
                        let text: String = map.next_value()?;
                        bytes = Some(BASE64.decode(text).map_err(M::Error::custom)?);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                let bytes = bytes.ok_or_else(|| M::Error::missing_field("base64"))?;
                Ok(RawString(bytes.into()))
            }
        }

        deserializer.deserialize_any(Form)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_keeps_every_byte() {
        for bytes in [
            &b"plain"[..],
            b"a\nb",
            b"\xff\xfe/x",
            "é\u{202e}".as_bytes(),
            b"",
        ] {
            let raw = RawString::new(bytes);
            let json = serde_json::to_string(&raw).expect("serialises");
            assert_eq!(
                serde_json::from_str::<RawString>(&json).expect("parses"),
                raw,
                "{json}"
            );
        }
    }

    #[test]
    fn display_is_inert() {
        let shown = RawString::new(&b"a\x1b[2J\xff\n\\"[..]).to_string();
        assert_eq!(shown, "a\\u{1b}[2J\\xff\\n\\\\");
        assert_eq!(RawString::from("x\u{202e}y").to_string(), "x\\u{202e}y");
    }
}
