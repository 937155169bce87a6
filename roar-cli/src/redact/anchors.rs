//! Which detectors are worth a try on a text: those one of whose anchors occurs in it.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

use super::detectors::DETECTORS;

/// For each detector, whether an anchor of its occurs.
pub(super) type Met = [bool; DETECTORS.len()];

/// Every anchor, and the place of its detector.
fn all() -> impl Iterator<Item = (usize, &'static [u8])> + Clone {
    DETECTORS.iter().enumerate().flat_map(|(index, detector)| {
        let anchors = detector.anchors.iter();
        anchors.map(move |anchor| (index, anchor.as_bytes()))
    })
}

/// Looks at every place, with the anchors that begin as it does.
pub(super) fn met_in_short(text: &[u8]) -> Met {
    type Beginning = Vec<(usize, &'static [u8])>;
    static BY_FIRST: LazyLock<[Beginning; 256]> = LazyLock::new(|| {
        let mut beginnings = [const { Vec::new() }; 256];
        for (index, anchor) in all() {
            if let Some(first) = anchor.first() {
                beginnings[usize::from(first.to_ascii_lowercase())].push((index, anchor));
            }
        }
        beginnings
    });
    let mut met = [false; DETECTORS.len()];
    for (at, first) in text.iter().enumerate() {
        for (index, anchor) in &BY_FIRST[usize::from(first.to_ascii_lowercase())] {
            let place = text[at..].get(..anchor.len());
            met[*index] |= place.is_some_and(|place| place.eq_ignore_ascii_case(anchor));
        }
    }
    met
}

/// Looks for all anchors at once.
pub(super) fn met_in_long(text: &[u8]) -> Met {
    static AUTOMATON: LazyLock<(AhoCorasick, Vec<usize>)> = LazyLock::new(|| {
        let (owners, texts): (Vec<usize>, Vec<&[u8]>) = all().unzip();
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .build(texts)
            .expect("anchors are few and short");
        (automaton, owners)
    });
    let (automaton, owners) = &*AUTOMATON;
    let mut met = [false; DETECTORS.len()];
    for anchor in automaton.find_overlapping_iter(text) {
        met[owners[anchor.pattern().as_usize()]] = true;
    }
    met
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_meet_the_same() {
        let every = all().map(|(_, anchor)| anchor);
        let joined: Vec<u8> = every.clone().collect::<Vec<_>>().concat();
        let texts = every.flat_map(|anchor| {
            let inside = [b"x \n\xff", anchor, b"\0"].concat();
            let shorter = anchor[..anchor.len() - 1].to_vec();
            [inside.to_ascii_uppercase(), inside, shorter]
        });
        let mut some = 0;
        for text in texts.chain([Vec::new(), joined]) {
            assert_eq!(met_in_short(&text), met_in_long(&text), "{text:?}");
            some += usize::from(met_in_short(&text).contains(&true));
        }
        assert!(some > DETECTORS.len());
    }
}
