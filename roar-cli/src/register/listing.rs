//! The members of collections on their way out and back: in pages apart from the job, which has one
//! link for the whole. Their form is [`glaas_api::members`].

use std::collections::BTreeMap;

use glaas_api::document::CollectionDocument;
use glaas_api::members::{ListingPage, Member, More, pages, parse};

use super::document::{from_wire, to_wire};
use super::error::RegisterError;
use crate::lineage::portable::below;
use crate::model::{
    Collection, Digest, HashAlgorithm, Hashes, PortableCollection, PortableFile, PortableJob,
    RawString,
};
use crate::redact::Redactor;

/// A lineage of more members is refused: nobody could hold it.
const MAX_MEMBERS: u64 = 10_000_000;

/// Pages by their digests.
pub(super) type Pages = BTreeMap<Digest, Vec<u8>>;

/// Lists the members of a job's collection in pages, and names them. Paths go without their secrets.
pub(super) fn list(
    job: &PortableJob,
    collection: &PortableCollection,
    redactor: &Redactor,
    pages_of_all: &mut Pages,
) -> Vec<ListingPage> {
    let files = if collection.produced {
        &job.outputs
    } else {
        &job.inputs
    };
    let mut members: Vec<(RawString, Member)> = files
        .iter()
        .filter_map(|file| member(file, &collection.folder, redactor))
        .collect();
    members.sort_by(|(one, _), (other, _)| one.cmp(other));
    members.dedup_by(|(one, _), (other, _)| one == other);
    let members: Vec<Member> = members.into_iter().map(|(_, member)| member).collect();
    let listed = pages(&members).into_iter().map(|(page, files)| {
        let digest = Digest::from_bytes(blake3::hash(page.as_bytes()).as_bytes());
        let named = ListingPage {
            digest: digest.to_string(),
            files,
        };
        pages_of_all.insert(digest, page.into_bytes());
        named
    });
    listed.collect()
}

/// Whether a file of a job is told by the listing of one of its collections.
pub(super) fn is_listed(job: &PortableJob, file: &PortableFile, produced: bool) -> bool {
    let mut collections = job
        .collections
        .iter()
        .filter(|one| one.produced == produced);
    file.hash().is_some() && collections.any(|one| below(&file.path, &one.folder).is_some())
}

fn member(
    file: &PortableFile,
    folder: &RawString,
    redactor: &Redactor,
) -> Option<(RawString, Member)> {
    let path = below(&file.path, folder)?;
    let hash = file.hash()?;
    let clean = redactor.text(path.as_bytes());
    let shown = clean.map(|clean| RawString::new(clean.text));
    let others = file
        .hashes
        .iter()
        .filter(|(algorithm, _)| **algorithm != HashAlgorithm::Blake3);
    let member = Member {
        path: to_wire(shown.as_ref().unwrap_or(&path)),
        hash: hash.to_string(),
        size: file.size_bytes,
        more: More {
            hashes: others
                .map(|(algorithm, digest)| (algorithm.name().to_owned(), digest.to_string()))
                .collect(),
            note: file.note.clone(),
        },
    };
    Some((path, member))
}

/// Gives a page by its digest; none when it is not to be had.
type Fetch<'a> = dyn FnMut(&Digest) -> Result<Option<Vec<u8>>, RegisterError> + 'a;

/// Reads the members of a job's collections back among its files. What is missing is added to `gaps`, in
/// words.
///
/// # Errors
/// The server does not answer.
pub(super) fn read(
    job: &mut PortableJob,
    collections: &[CollectionDocument],
    content: &mut Fetch<'_>,
    gaps: &mut Vec<String>,
) -> Result<(), RegisterError> {
    for collection in collections.iter().filter(|one| !one.listing.is_empty()) {
        let folder = from_wire(&collection.folder);
        let shown = || format!("the members of '{folder}' (job {})", job.uid);
        let files: u64 = collection.listing.iter().map(|page| page.files).sum();
        if files > MAX_MEMBERS {
            gaps.push(format!("{} are too many", shown()));
            continue;
        }
        let mut members = Vec::new();
        for page in &collection.listing {
            let is_digest =
                page.digest.len() == 64 && page.digest.bytes().all(|byte| byte.is_ascii_hexdigit());
            let digest = Digest::from_hex(page.digest.to_ascii_lowercase());
            let (page, files) = (if is_digest { content(&digest)? } else { None }, page.files);
            if let Some(found) = whole(page.as_deref(), files) {
                members.extend(found);
            } else {
                let digest = digest.short();
                gaps.push(format!("{} are not to be had: page {digest}", shown()));
            }
        }
        if !is_the_collection(collection, &members) {
            gaps.push(format!("{} are not what their hash says", shown()));
        }
        let root = job.root.clone();
        let files = members.iter().map(|member| file(member, &folder, &root));
        let side = if collection.produced {
            &mut job.outputs
        } else {
            &mut job.inputs
        };
        side.extend(files);
    }
    Ok(())
}

/// The members on a page, all that were announced.
fn whole(page: Option<&[u8]>, files: u64) -> Option<Vec<Member>> {
    let members = parse(page?)?;
    (members.len() as u64 == files).then_some(members)
}

/// The hash of a collection is over its members. It says nothing where a name was redacted.
fn is_the_collection(collection: &CollectionDocument, members: &[Member]) -> bool {
    let is_redacted = |member: &Member| member.path.shown().contains(super::document::MARK);
    if members.iter().any(is_redacted) {
        return true;
    }
    let found = Collection {
        name: String::new(),
        members: members
            .iter()
            .map(|member| {
                (
                    from_wire(&member.path),
                    Digest::from_hex(member.hash.as_str()),
                )
            })
            .collect(),
    };
    found.hash().as_str() == collection.hash
}

fn file(member: &Member, folder: &RawString, root: &RawString) -> PortableFile {
    let path = from_wire(&member.path);
    let path = RawString::new([folder.as_bytes(), b"/", path.as_bytes()].concat());
    let others = member.more.hashes.iter().filter_map(|(name, digest)| {
        let algorithm: HashAlgorithm = name.parse().ok()?;
        Some((algorithm, Digest::from_hex(digest.as_str())))
    });
    let mut hashes: Hashes = others.collect();
    let digest = Digest::from_hex(member.hash.as_str());
    hashes.insert(HashAlgorithm::Blake3, digest);
    PortableFile {
        path: below(&path, root).unwrap_or(path),
        hashes,
        size_bytes: member.size,
        note: member.more.note.clone(),
    }
}
