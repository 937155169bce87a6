//! Bytes from the ring buffer into records: pure, and safe against any bytes.

use roar_common::{
    AnswerBody, ContactBody, ExitBody, FileBody, NameBody, NoteBody, OutcomeBody, RecordHeader,
    StartBody, kind,
};

/// A record, its variable parts still as the kernel side wrote them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) time_ns: u64,
    pub(super) process: u32,
    pub(super) flags: u16,
    pub(super) body: Body<'a>,
}

/// The kinds of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body<'a> {
    Start {
        parent: u32,
    },
    Exec {
        file: FileRecord<'a>,
        argv: &'a [u8],
    },
    Exit {
        code: u32,
    },
    File(FileRecord<'a>),
    Name(NameRecord<'a>),
    Note {
        note: u32,
    },
    Outcome {
        request: u64,
        result: i64,
    },
    Contact(ContactRecord),
    /// A name server's message.
    Answer(&'a [u8]),
}

/// An endpoint of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ContactRecord {
    /// The first four bytes of it for IPv4.
    pub(super) address: [u8; 16],
    pub(super) family: u16,
    pub(super) port: u16,
    pub(super) socket_type: u16,
}

/// A file and its path, names from the file up to the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileRecord<'a> {
    pub(super) inode: u64,
    pub(super) size: u64,
    pub(super) mtime_ns: i64,
    pub(super) ctime_ns: i64,
    pub(super) result: u64,
    pub(super) device: u32,
    pub(super) generation: u32,
    pub(super) mount_id: u32,
    pub(super) nlink: u32,
    /// Which kind of file system it is on.
    pub(super) magic: u32,
    pub(super) access: u8,
    pub(super) names: &'a [u8],
}

/// A changed name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NameRecord<'a> {
    pub(super) op: u8,
    /// Not 0: announced, the outcome follows.
    pub(super) request: u64,
    pub(super) first: NamedPath<'a>,
    pub(super) second: NamedPath<'a>,
}

/// A directory, as names up to the root, and the string that counts from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NamedPath<'a> {
    pub(super) mount_id: u32,
    pub(super) device: u32,
    pub(super) names: &'a [u8],
    pub(super) string: &'a [u8],
}

/// Decodes one record; none when the bytes are not one.
pub(super) fn decode(bytes: &[u8]) -> Option<Record<'_>> {
    let mut reader = Reader { bytes };
    let kind = reader.u16()?;
    let flags = reader.u16()?;
    let len = reader.u32()? as usize;
    let time_ns = reader.u64()?;
    let process = reader.u32()?;
    let _thread = reader.u32()?;
    reader.bytes = reader
        .bytes
        .get(..len.checked_sub(size_of::<RecordHeader>())?)?;
    let body = match kind {
        kind::START => {
            reader.need(size_of::<StartBody>())?;
            Body::Start {
                parent: reader.u32()?,
            }
        }
        kind::EXIT => {
            reader.need(size_of::<ExitBody>())?;
            Body::Exit {
                code: reader.u32()?,
            }
        }
        kind::NOTE => {
            reader.need(size_of::<NoteBody>())?;
            Body::Note {
                note: reader.u32()?,
            }
        }
        kind::OUTCOME => {
            reader.need(size_of::<OutcomeBody>())?;
            Body::Outcome {
                request: reader.u64()?,
                result: reader.u64()? as i64,
            }
        }
        kind::FILE => Body::File(file(&mut reader)?),
        kind::EXEC => {
            let file = file(&mut reader)?;
            Body::Exec {
                file,
                argv: reader.bytes,
            }
        }
        kind::NAME => Body::Name(name(&mut reader)?),
        kind::CONTACT => {
            reader.need(size_of::<ContactBody>())?;
            Body::Contact(ContactRecord {
                address: reader.take(16)?.try_into().ok()?,
                family: reader.u16()?,
                port: u16::from_be(reader.u16()?),
                socket_type: reader.u16()?,
            })
        }
        kind::ANSWER => {
            reader.need(size_of::<AnswerBody>())?;
            let len = reader.u32()? as usize;
            let _padding = reader.u32()?;
            Body::Answer(reader.take(len)?)
        }
        _ => return None,
    };
    Some(Record {
        time_ns,
        process,
        flags,
        body,
    })
}

fn file<'a>(reader: &mut Reader<'a>) -> Option<FileRecord<'a>> {
    reader.need(size_of::<FileBody>())?;
    let inode = reader.u64()?;
    let size = reader.u64()?;
    let (mtime_sec, ctime_sec) = (reader.u64()? as i64, reader.u64()? as i64);
    let (mtime_nsec, ctime_nsec) = (reader.u32()?, reader.u32()?);
    let result = reader.u64()?;
    let (device, generation) = (reader.u32()?, reader.u32()?);
    let (mount_id, nlink) = (reader.u32()?, reader.u32()?);
    let path_len = reader.u32()? as usize;
    let magic = reader.u32()?;
    let access = reader.take(8)?[0];
    Some(FileRecord {
        inode,
        size,
        mtime_ns: nanoseconds(mtime_sec, mtime_nsec),
        ctime_ns: nanoseconds(ctime_sec, ctime_nsec),
        result,
        device,
        generation,
        mount_id,
        nlink,
        magic,
        access,
        names: reader.take(path_len)?,
    })
}

fn name<'a>(reader: &mut Reader<'a>) -> Option<NameRecord<'a>> {
    reader.need(size_of::<NameBody>())?;
    let (first_mount, second_mount) = (reader.u32()?, reader.u32()?);
    let (first_device, second_device) = (reader.u32()?, reader.u32()?);
    let mut lengths = [0; 4];
    for length in &mut lengths {
        *length = reader.u32()? as usize;
    }
    let request = reader.u64()?;
    let op = reader.take(8)?[0];
    let mut path = |mount_id, device, names: usize, string: usize| {
        Some(NamedPath {
            mount_id,
            device,
            names: reader.take(names)?,
            string: until_zero(reader.take(string)?),
        })
    };
    let first = path(first_mount, first_device, lengths[0], lengths[1])?;
    let second = path(second_mount, second_device, lengths[2], lengths[3])?;
    Some(NameRecord {
        op,
        request,
        first,
        second,
    })
}

/// The names of a walk, root first, joined to a path.
pub(super) fn join_names(names: &[u8]) -> Vec<u8> {
    let names = names.strip_suffix(b"\0").unwrap_or(names);
    if names.is_empty() {
        return b"/".to_vec();
    }
    let mut path = Vec::with_capacity(names.len() + 1);
    for name in names.rsplit(|b| *b == 0) {
        path.push(b'/');
        path.extend_from_slice(name);
    }
    path
}

fn until_zero(bytes: &[u8]) -> &[u8] {
    bytes.split(|b| *b == 0).next().unwrap_or_default()
}

/// Since Linux 6.13 the upper bits of a change time's nanoseconds are flags of the kernel's own.
fn nanoseconds(seconds: i64, nanoseconds: u32) -> i64 {
    let nanoseconds = nanoseconds & ((1 << 30) - 1);
    seconds
        .saturating_mul(1_000_000_000)
        .saturating_add(i64::from(nanoseconds))
}

/// Takes fields from the front.
struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn need(&self, count: usize) -> Option<()> {
        (self.bytes.len() >= count).then_some(())
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.bytes.split_at_checked(count)?;
        self.bytes = tail;
        Some(head)
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_ne_bytes(self.take(2)?.try_into().ok()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_ne_bytes(self.take(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_ne_bytes(self.take(8)?.try_into().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_become_a_path() {
        for (names, path) in [
            (&b""[..], "/"),
            (b"f\0", "/f"),
            (b"f\0dir\0home\0", "/home/dir/f"),
        ] {
            assert_eq!(String::from_utf8_lossy(&join_names(names)), path);
        }
    }

    #[test]
    fn a_start_record() {
        let mut bytes = Vec::new();
        bytes.extend(kind::START.to_ne_bytes());
        bytes.extend(0_u16.to_ne_bytes());
        bytes.extend(32_u32.to_ne_bytes());
        bytes.extend(7_u64.to_ne_bytes());
        bytes.extend(100_u32.to_ne_bytes());
        bytes.extend(101_u32.to_ne_bytes());
        bytes.extend(99_u32.to_ne_bytes());
        bytes.extend(0_u32.to_ne_bytes());
        let expected = Record {
            time_ns: 7,
            process: 100,
            flags: 0,
            body: Body::Start { parent: 99 },
        };
        assert_eq!(decode(&bytes), Some(expected));
        for cut in 0..bytes.len() {
            assert_eq!(decode(&bytes[..cut]), None, "{cut}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_decode_without_panic(kind in 0_u16..10, rest in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut bytes = kind.to_ne_bytes().to_vec();
            bytes.extend(&rest);
            if let Some(len) = bytes.get_mut(4..8) {
                len.copy_from_slice(&(rest.len() as u32 + 2).to_ne_bytes());
            }
            let _ = decode(&bytes);
        }
    }
}
