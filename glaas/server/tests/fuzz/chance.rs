//! Chance that can be repeated: texts and JSON, made up, or made by changing good ones.

use serde_json::{Map, Value, json};

/// Pieces that parsers trip over.
const PIECES: [&str; 34] = [
    "",
    "0",
    "-1",
    "9223372036854775807",
    "18446744073709551616",
    "1e999",
    "NaN",
    "null",
    "\0",
    "\"",
    "'",
    "\\",
    "/",
    "..",
    "%00",
    "%2e%2e%2f",
    "<script>",
    "&amp;",
    "\r\n",
    "\u{feff}",
    "\u{202e}",
    "e\u{301}",
    "\u{10ffff}",
    "🦀",
    "ẞ",
    "İ",
    "*",
    "%",
    "_",
    "://",
    "@",
    "{}",
    "[[",
    "' OR 1=1 --",
];

/// SplitMix64: small, and the same everywhere.
#[derive(Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap_or(0)
    }

    pub(crate) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    pub(crate) fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    /// A text of pieces, letters and any characters.
    pub(crate) fn text(&mut self) -> String {
        let mut text = String::new();
        for _ in 0..self.below(6) {
            match self.below(4) {
                0 => text.push_str(self.of::<&str>(&PIECES)),
                1 => text.push(char::from(b'a' + self.below(26) as u8)),
                2 => text.extend(char::from_u32(self.below(0x11_0000) as u32)),
                _ => {
                    let piece = (*self.of(&PIECES)).to_owned();
                    text.push_str(&piece.repeat(self.below(40)));
                }
            }
        }
        text
    }

    /// Bytes with some of them changed, left out, or there twice.
    pub(crate) fn changed_bytes(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for _ in 0..self.below(4) {
            let at = self.below(bytes.len());
            if bytes.is_empty() {
                break;
            }
            match self.below(5) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = *self.of(&[0, 1, 0x7f, 0x80, 0xff]),
                2 => bytes.truncate(at),
                3 => {
                    bytes.remove(at);
                }
                _ => {
                    let end = at + self.below(bytes.len() - at);
                    let part = bytes[at..end].to_vec();
                    bytes.splice(at..at, part);
                }
            }
        }
        bytes
    }

    /// A text that is changed somewhere; sometimes quite another.
    pub(crate) fn changed(&mut self, text: &str) -> String {
        if self.one_in(8) {
            return self.text();
        }
        let mut changed = text.to_owned();
        for _ in 0..=self.below(3) {
            let places: Vec<usize> = changed.char_indices().map(|(at, _)| at).collect();
            let at = places.get(self.below(places.len())).copied().unwrap_or(0);
            if self.one_in(2) {
                let piece = self.text();
                changed.insert_str(at, &piece);
            } else {
                let bytes = self.changed_bytes(changed.as_bytes());
                changed = String::from_utf8_lossy(&bytes).into_owned();
            }
        }
        if changed == text {
            changed.push('\u{1}');
        }
        changed
    }

    /// Any JSON.
    fn value(&mut self, depth: usize) -> Value {
        match self.below(if depth > 4 { 6 } else { 9 }) {
            0 => Value::Null,
            1 => json!(self.one_in(2)),
            2 => json!(self.next() as i64),
            3 => json!(*self.of(&[0.5, -0.0, 1e308, -1e300, 5e-324, 1e19, -1.0])),
            4 | 5 => json!(self.text()),
            6 => (0..self.below(4)).map(|_| self.value(depth + 1)).collect(),
            7 => {
                let deep = self.below(300);
                (0..deep).fold(json!(1), |inner, _| json!([inner]))
            }
            _ => {
                let members = (0..self.below(4)).map(|_| (self.text(), self.value(depth + 1)));
                Value::Object(members.collect::<Map<_, _>>())
            }
        }
    }

    /// JSON like this, with values, members and entries changed.
    pub(crate) fn json(&mut self, like: &Value) -> Value {
        if self.one_in(60) {
            return self.value(0);
        }
        match like {
            Value::Object(members) => {
                let mut changed = Map::new();
                for (name, value) in members {
                    if self.one_in(40) {
                        continue;
                    }
                    let name = if self.one_in(40) {
                        self.text()
                    } else {
                        name.clone()
                    };
                    changed.insert(name, self.json(value));
                }
                Value::Object(changed)
            }
            Value::Array(entries) => {
                let mut changed: Vec<Value> =
                    entries.iter().map(|entry| self.json(entry)).collect();
                if self.one_in(6) {
                    let again = changed.clone();
                    changed.extend(again);
                }
                Value::Array(changed)
            }
            Value::String(text) if self.one_in(10) => json!(self.changed(text)),
            _ if self.one_in(30) => self.value(3),
            other => other.clone(),
        }
    }
}
