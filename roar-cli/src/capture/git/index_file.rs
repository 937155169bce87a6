//! The index file, read as fast as can be: libgit2 takes half of the time that a look at a tree of
//! 100,000 files may take for its own form of it, which nobody asks for when nothing has changed.
//! It also tells what libgit2 keeps to itself: the tree that all entries make together.
//!
//! Format: gitformat-index(5). What is not known, or not as it should be, gives nothing, never a panic;
//! libgit2 has the word then.

use std::path::Path;

use git2::{IndexEntry, IndexTime, Oid};

use super::dirty::mtime_ns;

const HEADER: usize = 12;
const CHECKSUM: usize = 20;
const OID: usize = 20;

/// Times, device, inode, mode, ids and size of an entry; then come its object and its flags.
const STAT: usize = 40;

/// More flags follow.
const EXTENDED: u16 = 0x4000;

/// What an index file holds.
#[derive(Default)]
pub(super) struct IndexFile {
    /// In the order of their paths.
    pub(super) entries: Vec<IndexEntry>,
    /// The tree that they make together, where the index knows it: nothing was staged since.
    pub(super) tree: Option<Oid>,
    /// When it was written, nanoseconds since the Unix epoch.
    pub(super) mtime_ns: i64,
}

/// Reads an index file; none where there is none, or one of a kind that is not known.
pub(super) fn read(path: &Path) -> Option<IndexFile> {
    // Before the content: a later time would hide a change.
    let mtime_ns = mtime_ns(path)?;
    let (entries, tree) = parse(&std::fs::read(path).ok()?)?;
    Some(IndexFile {
        entries,
        tree,
        mtime_ns,
    })
}

fn parse(index: &[u8]) -> Option<(Vec<IndexEntry>, Option<Oid>)> {
    let version = number(index, 4).filter(|_| index.starts_with(b"DIRC"))?;
    if !(2..=4).contains(&version) {
        return None;
    }
    let count = usize::try_from(number(index, 8)?).ok()?;
    let end = index.len().checked_sub(CHECKSUM)?;
    let index = &index[..end];
    // No entry is shorter: a count that cannot be is not made room for.
    let mut entries = Vec::with_capacity(count.min(index.len() / (STAT + OID)));
    let mut at = HEADER;
    let mut before: Vec<u8> = Vec::new();
    for _ in 0..count {
        let (entry, next) = entry(index, at, version, &before)?;
        if version == 4 {
            before.clone_from(&entry.path);
        }
        entries.push(entry);
        at = next;
    }
    let mut tree = None;
    while at < end {
        let name = index.get(at..at + 4)?;
        let size = usize::try_from(number(index, at + 4)?).ok()?;
        let content = index.get(at + 8..)?.get(..size)?;
        match name {
            b"TREE" => tree = root(content),
            // One that must be understood: the index is split, or has folders for entries.
            _ if name[0].is_ascii_lowercase() => return None,
            _ => {}
        }
        at += 8 + size;
    }
    Some((entries, tree))
}

/// The entry that begins there, and where the next one does.
fn entry(index: &[u8], at: usize, version: u32, before: &[u8]) -> Option<(IndexEntry, usize)> {
    let stat = |place: usize| number(index, at + 4 * place);
    let time = |place| Some(IndexTime::new(stat(place)? as i32, stat(place + 1)?));
    let id = index.get(at + STAT..at + STAT + OID)?;
    let flags = short(index, at + STAT + OID)?;
    let is_extended = flags & EXTENDED != 0;
    let mut name = at + STAT + OID + 2;
    let mut flags_extended = 0;
    if is_extended {
        flags_extended = short(index, name)?;
        name += 2;
    }
    let mut path = Vec::new();
    if version == 4 {
        let (dropped, bytes) = offset(index.get(name..)?)?;
        path.extend_from_slice(before.get(..before.len().checked_sub(dropped)?)?);
        name += bytes;
    }
    let length = memchr::memchr(0, index.get(name..)?)?;
    path.extend_from_slice(&index[name..name + length]);
    let end = name + length;
    let next = match version {
        4 => end + 1,
        // One to eight zeros, so that the next one begins at a multiple of eight from this one.
        _ => at + (end - at + 8) / 8 * 8,
    };
    let entry = IndexEntry {
        ctime: time(0)?,
        mtime: time(2)?,
        dev: stat(4)?,
        ino: stat(5)?,
        mode: stat(6)?,
        uid: stat(7)?,
        gid: stat(8)?,
        file_size: stat(9)?,
        id: Oid::from_bytes(id).ok()?,
        flags,
        flags_extended,
        path,
    };
    Some((entry, next))
}

/// How much of the name before is dropped, and in how many bytes that is said: seven bits each, and
/// one more than it says for every byte that another one follows.
fn offset(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = usize::from(*bytes.first()? & 0x7f);
    let mut at = 0;
    while bytes[at] & 0x80 != 0 {
        at += 1;
        let byte = usize::from(*bytes.get(at)? & 0x7f);
        value = value.checked_add(1)?.checked_mul(0x80)?.checked_add(byte)?;
    }
    Some((value, at + 1))
}

/// The root comes first: its path, which is empty, how many entries and subtrees it has, its tree.
fn root(content: &[u8]) -> Option<Oid> {
    let rest = content.strip_prefix(b"\0")?;
    let line = memchr::memchr(b'\n', rest)?;
    // A negative number of entries: something below was staged since.
    let is_valid = rest[..line].first()?.is_ascii_digit();
    let oid = rest.get(line + 1..line + 1 + OID)?;
    Oid::from_bytes(oid).ok().filter(|_| is_valid)
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk::<4>()?))
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk::<2>()?))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{REPOSITORY, sandbox, shell};
    use super::*;

    /// Every field of an entry.
    fn shown(entry: &IndexEntry) -> String {
        let IndexEntry {
            ctime,
            mtime,
            dev,
            ino,
            mode,
            uid,
            gid,
            file_size,
            id,
            flags,
            flags_extended,
            path,
        } = entry;
        let times = [ctime, mtime].map(|time| (time.seconds(), time.nanoseconds()));
        // The length of the name, which is told elsewhere, too.
        let flags = flags & !0xfff;
        let path = String::from_utf8_lossy(path);
        format!(
            "{times:?} {dev} {ino} {mode:o} {uid} {gid} {file_size} {id} {flags:x} {flags_extended:x} {path}"
        )
    }

    #[test]
    fn the_tree_is_what_git_writes_and_the_entries_are_libgit2s() {
        let long = format!(
            "mkdir -p {0}/{0}; echo x >{0}/{0}/{0}; git add -A; git commit -qm l",
            "n".repeat(200)
        );
        for (change, known) in [
            ("true", true),
            ("git update-index --index-version 4", true),
            (
                "git update-index --index-version 4; touch -d 2001-01-01 a; git status",
                true,
            ),
            (
                "git update-index --skip-worktree a; git update-index --assume-unchanged 'c d'",
                false,
            ),
            (long.as_str(), true),
            ("echo x >new; git add new", false),
            ("echo x >new; git add new; git write-tree", true),
            ("echo x >new; git add -N new", false),
            ("git rm -q --cached a", false),
            ("git checkout -q --orphan o; git rm -qrf .", false),
            (
                "git checkout -qb o; echo o >a; git commit -qam o; git checkout -q main; echo m >a; git commit -qam m; git merge o >/dev/null || true",
                false,
            ),
        ] {
            let (_folder, root) = sandbox(REPOSITORY);
            shell(&root, change);
            let found = read(&root.join(".git/index")).expect("readable");
            let repository = git2::Repository::open(&root).expect("a repository");
            let theirs = repository.index().expect("an index");
            let entries: Vec<String> = found.entries.iter().map(shown).collect();
            let expected: Vec<String> = theirs.iter().map(|entry| shown(&entry)).collect();
            assert_eq!(entries, expected, "{change}");
            let tree = known.then(|| shell(&root, "git write-tree"));
            assert_eq!(found.tree.map(|oid| oid.to_string()), tree, "{change}");
        }
    }

    #[test]
    fn a_split_index_is_left_to_libgit2() {
        let (_folder, root) = sandbox(REPOSITORY);
        shell(&root, "git update-index --split-index");
        assert!(read(&root.join(".git/index")).is_none());
    }

    #[test]
    fn any_bytes_will_do() {
        let (_folder, root) = sandbox(REPOSITORY);
        for version in ["2", "4"] {
            shell(
                &root,
                &format!("git update-index --index-version {version}"),
            );
            let index = std::fs::read(root.join(".git/index")).expect("an index");
            for at in 0..index.len() {
                let _ = parse(&index[..at]);
                let mut other = index.clone();
                other[at] ^= 0xff;
                let _ = parse(&other);
            }
        }
    }
}
