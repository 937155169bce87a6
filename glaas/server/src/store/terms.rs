//! Words that jobs and files are found by. Pure.
//!
//! Texts are cut into runs of letters and digits, in lower case, so that nothing a user types has a
//! special meaning (no wildcard, no operator) and every engine finds the same. A posting list
//! in an ordinary table gives what full-text engines give here, on all of them: words, beginnings,
//! fields, and the newest first without sorting.

use std::collections::BTreeSet;

/// Longer words are cut: a search for one is cut likewise.
const MAX_WORD: usize = 64;

/// The most words that are kept of one text.
const MAX_WORDS: usize = 400;

/// The most words of one query.
const MAX_QUERY: usize = 12;

/// What a search wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Term {
    /// Exactly this.
    Whole(String),
    /// Everything that begins so.
    Beginning(String),
}

/// The words of a text.
pub fn words(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .take(MAX_WORDS)
        .map(word)
        .collect()
}

fn word(text: &str) -> String {
    text.chars()
        .flat_map(char::to_lowercase)
        .take(MAX_WORD)
        .collect()
}

/// Words of a field: `gpu:h100`.
pub fn field(name: &str, text: &str) -> impl Iterator<Item = String> {
    words(text)
        .into_iter()
        .map(move |word| format!("{name}:{word}"))
}

/// A whole value of a field, not cut into words.
pub fn value(name: &str, text: &str) -> String {
    let value: String = text
        .chars()
        .flat_map(char::to_lowercase)
        .take(160)
        .collect();
    format!("{name}:{value}")
}

/// What a user typed, as terms; `name` confines them to a field.
pub fn query(name: Option<&str>, text: &str) -> Vec<Term> {
    let mut terms = Vec::new();
    for part in text.split_whitespace() {
        let starred = part.ends_with('*');
        let pieces: Vec<&str> = part
            .split(|c: char| !c.is_alphanumeric())
            .filter(|piece| !piece.is_empty())
            .collect();
        for (index, piece) in pieces.iter().enumerate() {
            let term = match name {
                Some(name) => format!("{name}:{}", word(piece)),
                None => word(piece),
            };
            terms.push(if starred && index + 1 == pieces.len() {
                Term::Beginning(term)
            } else {
                Term::Whole(term)
            });
        }
    }
    terms.truncate(MAX_QUERY);
    terms
}

/// The least text that is greater than everything that begins with `text`, by code point.
pub fn after(text: &str) -> String {
    let mut end: Vec<char> = text.chars().collect();
    while let Some(last) = end.pop() {
        let next = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32);
        if let Some(next) = next {
            end.push(next);
            break;
        }
    }
    end.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_words() {
        fn check(text: &str, expected: &[&str]) {
            assert_eq!(words(text).into_iter().collect::<Vec<_>>(), expected);
        }
        check("", &[]);
        check(
            "python train.py --lr=0.1",
            &["0", "1", "lr", "py", "python", "train"],
        );
        check("Ünïcode/DATA_%' OR 1=1", &["1", "data", "or", "ünïcode"]);
    }

    #[test]
    fn nothing_that_is_typed_has_a_meaning_but_the_star() {
        let whole = |text: &str| Term::Whole(text.to_owned());
        assert_eq!(
            query(None, "a% _b \"c"),
            [whole("a"), whole("b"), whole("c")]
        );
        assert_eq!(query(Some("gpu"), "H100"), [whole("gpu:h100")]);
        assert_eq!(
            query(None, "train.p*"),
            [whole("train"), Term::Beginning("p".to_owned())]
        );
        assert_eq!(query(None, "* %"), []);
    }

    #[test]
    fn a_beginning_has_an_end() {
        assert_eq!(after("ab"), "ac");
        assert_eq!(after("a\u{10ffff}"), "b");
        assert!(after("\u{d7ff}").as_str() > "\u{d7ff}zzz");
    }
}
