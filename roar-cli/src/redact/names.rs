//! Whether the name of a value says that the value is secret.
//!
//! Names are taken apart into words (`hfToken`, `HF_TOKEN`, `--hf-token`): `tiktoken`, `tokenizer`
//! and `author` are words of their own and say nothing.

/// Words that make a value secret wherever they stand in its name.
const SECRET: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secret",
    "secrets",
    "credential",
    "credentials",
    "apikey",
    "authtoken",
    "accesstoken",
    "privatekey",
    "secretkey",
    "accesskey",
];

/// Words that do so at the end of a name only.
const SECRET_AT_END: &[&str] = &["token", "auth", "pwd", "key", "authorization"];

/// After these, a key is a secret in names of any style.
const BEFORE_SECRET_KEY: &[&str] = &[
    "api",
    "access",
    "private",
    "secret",
    "signing",
    "encryption",
    "master",
    "auth",
    "session",
    "account",
    "service",
    "client",
    "license",
    "subscription",
    "app",
    "deploy",
    "ssh",
    "storage",
    "admin",
    "hf",
    "wandb",
    "openai",
    "anthropic",
    "gemini",
    "google",
    "azure",
    "aws",
];

/// Before these, a key or token is none: what a table is sorted by, what a tokenizer knows.
const NO_SECRET_BEFORE: &[&str] = &[
    "sort",
    "primary",
    "public",
    "foreign",
    "cache",
    "partition",
    "join",
    "group",
    "order",
    "bind",
    "pad",
    "eos",
    "bos",
    "unk",
    "sep",
    "cls",
    "mask",
    "special",
    "stop",
    "start",
    "end",
    "begin",
    "max",
    "min",
    "num",
    "n",
    "image",
    "per",
    "next",
    "first",
    "last",
    "new",
    "prefix",
    "suffix",
];

/// A name that ends so speaks of the secret, it is not the secret's own.
const ABOUT: &[&str] = &[
    "file",
    "path",
    "dir",
    "folder",
    "url",
    "uri",
    "endpoint",
    "length",
    "size",
    "sock",
    "socket",
    "type",
    "name",
    "id",
    "ids",
    "count",
    "limit",
    "algorithm",
    "helper",
    "mode",
    "method",
    "enabled",
    "ttl",
    "timeout",
    "expiry",
    "store",
    "provider",
    "policy",
    "version",
    "env",
    "manager",
    "prompt",
    "field",
    "column",
    "header",
];

/// A name that begins so is a switch.
const SWITCH: &[&str] = &[
    "use", "no", "with", "require", "requires", "skip", "allow", "is", "has",
];

/// Values that say that there is no secret here.
const NO_VALUE: &[&str] = &[
    "true",
    "false",
    "none",
    "null",
    "yes",
    "no",
    "on",
    "off",
    "auto",
    "basic",
    "digest",
    "bearer",
    "oauth",
    "oauth2",
    "default",
    "string",
    "str",
    "bytes",
    "password",
    "token",
    "secret",
    "changeme",
    "optional",
    "required",
    "undefined",
];

/// Whether a value under this name, of whatever notation, is secret.
pub(super) fn is_secret(name: &str, value: &[u8]) -> bool {
    // Whole upper-case names are those of environment variables.
    if !name.is_empty() && !name.bytes().any(|b| b.is_ascii_lowercase()) {
        return is_secret_variable(name, value);
    }
    let words = words(name);
    let is_key_of_table =
        |before: Option<&str>| !before.is_some_and(|before| BEFORE_SECRET_KEY.contains(&before));
    says_secret(&words, is_key_of_table) && may_be_secret(value)
}

/// Whether the value of an environment variable is secret.
pub(super) fn is_secret_variable(name: &str, value: &[u8]) -> bool {
    if matches!(name, "PWD" | "OLDPWD") {
        return false;
    }
    says_secret(&words(name), |_| false) && may_be_secret(value)
}

/// `is_harmless_key` tells by the word before it whether a `key` is that of a table.
fn says_secret(words: &[String], is_harmless_key: impl Fn(Option<&str>) -> bool) -> bool {
    let Some(last) = words.last().map(String::as_str) else {
        return false;
    };
    let first = words.first().map(String::as_str).unwrap_or_default();
    let before = words.len().checked_sub(2).map(|at| words[at].as_str());
    if ABOUT.contains(&last) || (words.len() > 1 && SWITCH.contains(&first)) {
        return false;
    }
    if words.iter().any(|word| SECRET.contains(&word.as_str())) {
        return true;
    }
    SECRET_AT_END.contains(&last)
        && !before.is_some_and(|before| NO_SECRET_BEFORE.contains(&before))
        && !(last == "key" && is_harmless_key(before))
}

/// Placeholders, references, numbers of tokens, and paths of files with secrets are none.
fn may_be_secret(value: &[u8]) -> bool {
    let text = String::from_utf8_lossy(value);
    let text = text.trim();
    let lower = text.to_ascii_lowercase();
    let is_reference = text.starts_with(['$', '<', '{', '%', '(']) || text.contains("${");
    let is_call = text.contains('(') || lower.starts_with("os.environ");
    let is_number = text.len() < 6 && text.bytes().all(|b| b.is_ascii_digit());
    let is_filler = text
        .chars()
        .all(|c| matches!(c, '*' | '.' | 'x' | 'X' | '-'));
    let is_path = text.starts_with("~/") || text.starts_with("./") || text.starts_with("../")
        // A key in base64 may begin with a slash, too.
        || (text.starts_with('/') && text.len() != 40 && text[1..].contains('/'));
    !(text.len() < 3
        || NO_VALUE.contains(&lower.as_str())
        || text.starts_with("[redacted:")
        || is_reference
        || is_call
        || is_number
        || is_filler
        || is_path)
}

/// Lower-case words; what is not a letter or digit separates them, and so does `aB`.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut previous = ' ';
    for c in name.chars() {
        if c.is_ascii_alphanumeric() {
            let begins = !previous.is_ascii_alphanumeric()
                || (previous.is_ascii_lowercase() && c.is_ascii_uppercase());
            if begins {
                words.push(String::new());
            }
            if let Some(word) = words.last_mut() {
                word.push(c.to_ascii_lowercase());
            }
        }
        previous = c;
    }
    words
}
