//! Values and the types they must have.

use std::fmt;

use serde::Serialize;

/// What values a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Any of these words.
    Choices(&'static [&'static str]),
    /// Path patterns.
    Globs,
    /// Any words.
    Words,
    /// A whole number.
    Number,
    /// Any text; none by default where it is empty.
    Text,
}

/// A value of some kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// Of [`Kind::Bool`].
    Bool(bool),
    /// Of [`Kind::Number`].
    Number(u64),
    /// Of [`Kind::Choice`] and [`Kind::Text`].
    Text(String),
    /// Of [`Kind::Choices`], [`Kind::Globs`] and [`Kind::Words`].
    List(Vec<String>),
}

/// As `config set` takes it.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(value) => write!(f, "{value}"),
            Self::Text(text) => f.write_str(text),
            Self::List(_) => write!(f, "{}", self.to_toml()),
        }
    }
}

/// Why a value was refused: what was expected instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) expected: String,
}

impl Kind {
    /// From the text of a command line or an environment variable. A list is a TOML array, or
    /// words separated by commas.
    pub(super) fn parse(self, text: &str) -> Result<Value, Refused> {
        match self {
            Self::Bool => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "on" => Ok(Value::Bool(true)),
                "false" | "0" | "no" | "off" => Ok(Value::Bool(false)),
                _ => Err(self.refused()),
            },
            Self::Number => match text.trim().replace('_', "").parse() {
                Ok(number) => self.check(Value::Number(number)),
                Err(_) => Err(self.refused()),
            },
            Self::Choice(_) | Self::Text => self.check(Value::Text(text.trim().to_owned())),
            Self::Choices(_) | Self::Globs | Self::Words => self.check(Value::List(list(text))),
        }
    }

    /// From a TOML value.
    pub(super) fn of_toml(self, value: &toml_edit::Value) -> Result<Value, Refused> {
        let value = match self {
            Self::Bool => value.as_bool().map(Value::Bool),
            Self::Number => value
                .as_integer()
                .and_then(|number| number.try_into().ok())
                .map(Value::Number),
            Self::Choice(_) | Self::Text => value.as_str().map(|text| Value::Text(text.to_owned())),
            Self::Choices(_) | Self::Globs | Self::Words => value
                .as_array()
                .and_then(|array| array.iter().map(toml_edit::Value::as_str).collect())
                .map(|words: Vec<&str>| {
                    Value::List(words.into_iter().map(str::to_owned).collect())
                }),
        };
        value
            .ok_or_else(|| self.refused())
            .and_then(|v| self.check(v))
    }

    fn check(self, value: Value) -> Result<Value, Refused> {
        match (self, &value) {
            (Self::Choice(words), Value::Text(text)) if !words.contains(&text.as_str()) => {
                Err(self.refused())
            }
            (Self::Choices(words), Value::List(list))
                if !list.iter().all(|word| words.contains(&word.as_str())) =>
            {
                Err(self.refused())
            }
            // TOML has no larger ones.
            (Self::Number, Value::Number(number)) if i64::try_from(*number).is_err() => {
                Err(self.refused())
            }
            (Self::Globs, Value::List(patterns)) => patterns
                .iter()
                .find_map(|pattern| globset::Glob::new(pattern).err())
                .map_or(Ok(value), |error| {
                    Err(Refused {
                        expected: format!("a list of path patterns ({error})"),
                    })
                }),
            _ => Ok(value),
        }
    }

    fn refused(self) -> Refused {
        let expected = match self {
            Self::Bool => "true or false".to_owned(),
            Self::Choice([word]) => format!("'{word}', nothing else"),
            Self::Choice(words) => format!("one of {}", words.join(", ")),
            Self::Choices(words) => format!("a list of any of {}", words.join(", ")),
            Self::Globs => "a list of path patterns".to_owned(),
            Self::Words => "a list of words".to_owned(),
            Self::Number => "a whole number, 0 or more".to_owned(),
            Self::Text => "a text".to_owned(),
        };
        Refused { expected }
    }
}

impl Value {
    /// As TOML writes it.
    pub fn to_toml(&self) -> toml_edit::Value {
        match self {
            Self::Bool(value) => (*value).into(),
            Self::Number(value) => value.cast_signed().into(),
            Self::Text(text) => text.into(),
            Self::List(words) => words.iter().collect(),
        }
    }
}

/// Text that is no TOML array (`[ab]*.csv` is none) is a list of words.
fn list(text: &str) -> Vec<String> {
    let array = text.parse::<toml_edit::Value>().ok();
    let words = array
        .as_ref()
        .and_then(toml_edit::Value::as_array)
        .and_then(|array| {
            array
                .iter()
                .map(|word| word.as_str().map(str::to_owned))
                .collect()
        });
    words.unwrap_or_else(|| {
        text.split(',')
            .map(|word| word.trim().to_owned())
            .filter(|word| !word.is_empty())
            .collect()
    })
}
