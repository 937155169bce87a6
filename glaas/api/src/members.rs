//! The members of a collection: listings of them, and a part of one as a server tells it.
//!
//! A job that reads or writes a folder of 100,000 files has one link for it. What is in the folder
//! travels in pages, each a blob of at most [`PAGE_BYTES`] and so known by its content; the
//! job's document names them in order ([`crate::document::CollectionDocument::listing`]). Whoever
//! reads the same folder in ten jobs sends its pages once. A page is text: [`HEAD`], then a line for
//! each member by the order of their paths, a JSON array of the path below the folder, the BLAKE3
//! digest, the size in bytes or null, and an object with what else is known ([`More`]).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::RawText;

/// The first line of a page: another version begins otherwise, and is not guessed at.
pub const HEAD: &str = "roar members 1\n";

/// The most bytes of a page.
pub const PAGE_BYTES: usize = 1 << 20;

/// The most members that a server tells at once.
pub const MAX_MEMBERS: u64 = 10_000;

/// A page of a listing, as a document names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ListingPage {
    /// Its BLAKE3 digest: it is a blob.
    pub digest: String,
    /// How many members it has.
    pub files: u64,
}

/// A file of a collection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Member {
    /// Its path below the collection's folder.
    pub path: RawText,
    /// Its BLAKE3 digest, in hexadecimal.
    pub hash: String,
    /// Its size in bytes.
    pub size: Option<u64>,
    /// What else is known.
    #[serde(flatten)]
    pub more: More,
}

/// What is known of few members.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct More {
    /// Other digests by their algorithms.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub hashes: BTreeMap<String, String>,
    /// What a reader must know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A part of the members of a collection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Members {
    /// The collection's hash.
    pub hash: String,
    /// How many members it has.
    pub files: u64,
    /// The place of the first one here, from 0.
    pub offset: u64,
    /// The members from there on.
    pub members: Vec<Member>,
}

/// Lists members, which are in the order of their paths, in pages.
pub fn pages(members: &[Member]) -> Vec<(String, u64)> {
    let mut pages: Vec<(String, u64)> = Vec::new();
    for member in members {
        let line = line(member);
        match pages.last_mut() {
            Some((page, files)) if page.len() + line.len() <= PAGE_BYTES => {
                page.push_str(&line);
                *files += 1;
            }
            _ => pages.push((format!("{HEAD}{line}"), 1)),
        }
    }
    pages
}

fn line(member: &Member) -> String {
    let Member {
        path,
        hash,
        size,
        more,
    } = member;
    serde_json::to_string(&(path, hash, size, more)).unwrap_or_default() + "\n"
}

/// The members on a page; none when it is no page of a version that is known, to the last byte.
pub fn parse(page: &[u8]) -> Option<Vec<Member>> {
    let lines = page.strip_prefix(HEAD.as_bytes())?.strip_suffix(b"\n")?;
    let lines = lines.split(|byte| *byte == b'\n');
    lines
        .map(|line| {
            let (path, hash, size, more): (RawText, String, Option<u64>, More) =
                serde_json::from_slice(line).ok()?;
            let is_digest =
                hash.len() == 64 && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            is_digest.then_some(Member {
                path,
                hash,
                size,
                more,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(path: &str) -> Member {
        Member {
            path: path.into(),
            hash: "ab".repeat(32),
            size: Some(3),
            more: More::default(),
        }
    }

    #[test]
    fn what_is_listed_comes_back() {
        let mut odd = member("a\nb \"");
        odd.size = None;
        odd.more.note = Some("changed".to_owned());
        odd.more.hashes.insert("md5".to_owned(), "0".repeat(32));
        let bytes = RawText::Bytes {
            escaped: "\\xff".to_owned(),
            base64: "/w==".to_owned(),
        };
        let members = [
            member("a"),
            odd,
            Member {
                path: bytes,
                ..member("")
            },
        ];
        let pages = pages(&members);
        assert_eq!(pages.len(), 1);
        assert_eq!(pages[0].1, 3);
        assert_eq!(parse(pages[0].0.as_bytes()).as_deref(), Some(&members[..]));
    }

    #[test]
    fn pages_keep_to_their_size() {
        let members: Vec<Member> = (0..30_000).map(|n| member(&format!("{n}.txt"))).collect();
        let pages = pages(&members);
        assert!(pages.len() > 2);
        let mut back = Vec::new();
        for (page, files) in &pages {
            assert!(page.len() <= PAGE_BYTES);
            let found = parse(page.as_bytes()).expect("a page");
            assert_eq!(found.len() as u64, *files);
            back.extend(found);
        }
        assert_eq!(back, members);
        assert_eq!(super::pages(&[]), []);
    }

    #[test]
    fn what_is_no_page_is_none() {
        let good = pages(&[member("a")])[0].0.clone();
        assert!(parse(good.as_bytes()).is_some());
        for odd in [
            "",
            HEAD,
            "roar members 2\n[]\n",
            good.trim_end(),
            &good.replace("ab", "AB"),
            &good.replace("abab", "ab"),
            &format!("{good}\n"),
            &format!("{good}7\n"),
        ] {
            assert_eq!(parse(odd.as_bytes()), None, "{odd}");
        }
    }
}
