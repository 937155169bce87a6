//! A reader of kernel type information (BTF) for the few facts that the loader needs.
//!
//! The kernel's BTF is over 5 MB and 100,000 types. Parsing it whole costs more than
//! everything else between `roar run` and the command's first instruction; one pass over the
//! type headers that keeps positions only is ten times faster. The format is specified in
//! <https://docs.kernel.org/bpf/btf.html>.

use super::sys::Bytes;

/// Type kinds (`BTF_KIND_*`).
mod kind {
    pub(super) const INT: u32 = 1;
    pub(super) const ARRAY: u32 = 3;
    pub(super) const STRUCT: u32 = 4;
    pub(super) const UNION: u32 = 5;
    pub(super) const ENUM: u32 = 6;
    pub(super) const TYPEDEF: u32 = 8;
    pub(super) const VOLATILE: u32 = 9;
    pub(super) const CONST: u32 = 10;
    pub(super) const RESTRICT: u32 = 11;
    pub(super) const FUNC: u32 = 12;
    pub(super) const FUNC_PROTO: u32 = 13;
    pub(super) const VAR: u32 = 14;
    pub(super) const DATASEC: u32 = 15;
    pub(super) const DECL_TAG: u32 = 17;
    pub(super) const TYPE_TAG: u32 = 18;
    pub(super) const ENUM64: u32 = 19;
}

/// Why the type information could not be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BtfError {
    /// Not BTF, or cut short.
    #[error("the kernel's type information is malformed at byte {0}")]
    Malformed(usize),
    /// A type or field that roar needs is not there.
    #[error("the kernel's type information lacks {0}")]
    Missing(String),
}

/// BTF of a kernel, indexed by type id.
pub(crate) struct KernelTypes {
    data: Bytes,
    strings: usize,
    /// Where the types of ids 1, 1 + [`STEP`], 1 + 2·`STEP`, … begin; id 0 is void.
    positions: Vec<u32>,
    /// How many types there are.
    count: u32,
    /// The types that are looked for by name.
    named: Named,
    /// The function [`CAST`], where the kernel has it.
    cast: Option<u32>,
}

/// The one function that is looked for: it makes a pointer of a type out of an address.
const CAST: &[u8] = b"\0bpf_rdonly_cast\0";

/// How many types one walks over at most to get to one: to keep where each begins, for the few
/// that are asked for, touches more memory than anything else here.
const STEP: u32 = 32;

/// Structures and typedefs: sixty searches among all types would take longer than reading them.
#[derive(Default)]
struct Named {
    /// The first eight bytes of each name, as they compare fastest.
    heads: Vec<u64>,
    ids: Vec<u32>,
}

impl KernelTypes {
    /// Indexes raw BTF, in the byte order of this machine.
    pub(crate) fn parse(data: impl Into<Bytes>) -> Result<Self, BtfError> {
        let data = data.into();
        let word = |at: usize| read_u32(&data, at);
        if data.get(..2) != Some(&0xeb9f_u16.to_ne_bytes()) {
            return Err(BtfError::Malformed(0));
        }
        let header = word(4)? as usize;
        let (first, length) = (header + word(8)? as usize, word(12)? as usize);
        let strings = header + word(16)? as usize;
        let mut positions = Vec::with_capacity(length / 24 / STEP as usize);
        let mut count = 0;
        let mut named = Named::default();
        // By where its name is: to compare the names of all functions would take longer.
        let cast_name = data
            .get(strings..)
            .and_then(|names| memchr::memmem::find(names, CAST))
            .map_or(u32::MAX, |found| found as u32 + 1);
        let mut cast = None;
        let mut at = first;
        while at < first + length {
            let header = Header::at(&data, at)?;
            if count % STEP == 0 {
                positions.push(at as u32);
            }
            count += 1;
            let kind = header.kind();
            if matches!(kind, kind::STRUCT | kind::TYPEDEF) {
                let name = strings + header.name as usize;
                named.heads.push(head_at(&data, name));
                named.ids.push(count);
            } else if kind == kind::FUNC && header.name == cast_name {
                cast = Some(count);
            }
            at += header.bytes();
        }
        Ok(Self {
            data,
            strings,
            positions,
            count,
            named,
            cast,
        })
    }

    /// The id of the kernel's function that casts an address to a type, where it has it.
    pub(crate) fn cast(&self) -> Option<u32> {
        self.cast
    }

    /// The id of a structure.
    pub(crate) fn structure(&self, name: &str) -> Option<u32> {
        self.find(kind::STRUCT, name)
    }

    /// The id of a `typedef`.
    pub(crate) fn typedef(&self, name: &str) -> Result<u32, BtfError> {
        self.find(kind::TYPEDEF, name)
            .ok_or_else(|| BtfError::Missing(format!("the tracepoint type {name}")))
    }

    /// How many arguments the tracepoint of a `typedef` passes, besides its private data.
    pub(crate) fn arguments(&self, name: &str) -> Option<u32> {
        let referred = |id: u32| self.header(id).map(|(_, header)| header.referred);
        // The typedef names a pointer to a function.
        let function = referred(referred(self.find(kind::TYPEDEF, name)?)?)?;
        let (_, header) = self.header(function)?;
        (header.kind() == kind::FUNC_PROTO).then(|| header.entries().saturating_sub(1))
    }

    /// The byte offset of `path` ("field" or "field.inner") in `struct name`.
    pub(crate) fn offset(&self, name: &str, path: &str) -> Result<u32, BtfError> {
        self.try_offset(name, path)
            .ok_or_else(|| BtfError::Missing(format!("struct {name}'s field {path}")))
    }

    /// As [`Self::offset`], for fields that not every kernel has.
    pub(crate) fn try_offset(&self, name: &str, path: &str) -> Option<u32> {
        let mut id = self.find(kind::STRUCT, name)?;
        let mut offset = 0;
        for field in path.split('.') {
            let (field_offset, field_type) = self.member(self.strip(id), field)?;
            offset += field_offset;
            id = field_type;
        }
        Some(offset)
    }

    fn find(&self, wanted: u32, name: &str) -> Option<u32> {
        let head = head_at(name.as_bytes(), 0);
        let of_that_head = self.named.heads.iter().enumerate();
        of_that_head
            .filter(|(_, other)| **other == head)
            .map(|(index, _)| self.named.ids[index])
            .find(|id| {
                self.header(*id).is_some_and(|(_, header)| {
                    header.kind() == wanted && self.name_is(header.name, name)
                })
            })
    }

    /// A type, and where it begins.
    fn header(&self, id: u32) -> Option<(usize, Header)> {
        let index = id.checked_sub(1).filter(|_| id <= self.count)?;
        let mut at = *self.positions.get((index / STEP) as usize)? as usize;
        for _ in 0..index % STEP {
            at += Header::at(&self.data, at).ok()?.bytes();
        }
        Some((at, Header::at(&self.data, at).ok()?))
    }

    fn name_is(&self, name_at: u32, name: &str) -> bool {
        let start = self.strings + name_at as usize;
        let end = start + name.len();
        self.data.get(start..end) == Some(name.as_bytes()) && self.data.get(end) == Some(&0)
    }

    /// Follows typedefs and qualifiers.
    fn strip(&self, mut id: u32) -> u32 {
        for _ in 0..64 {
            let Some((_, header)) = self.header(id) else {
                return id;
            };
            match header.kind() {
                kind::TYPEDEF | kind::VOLATILE | kind::CONST | kind::RESTRICT | kind::TYPE_TAG => {
                    id = header.referred;
                }
                _ => return id,
            }
        }
        id
    }

    /// Offset and type of a member, looking into anonymous members.
    fn member(&self, id: u32, name: &str) -> Option<(u32, u32)> {
        let (at, header) = self.header(id)?;
        if !matches!(header.kind(), kind::STRUCT | kind::UNION) {
            return None;
        }
        for entry in 0..header.entries() as usize {
            let at = at + Header::BYTES + entry * 12;
            let name_at = read_u32(&self.data, at).ok()?;
            let member_type = read_u32(&self.data, at + 4).ok()?;
            let mut bits = read_u32(&self.data, at + 8).ok()?;
            if header.info >> 31 == 1 {
                // Bit-field encoding: the size is in the upper byte.
                bits &= 0x00ff_ffff;
            }
            if name_at == 0 {
                if let Some((inner, inner_type)) = self.member(self.strip(member_type), name) {
                    return Some((bits / 8 + inner, inner_type));
                }
            } else if self.name_is(name_at, name) {
                return Some((bits / 8, member_type));
            }
        }
        None
    }
}

/// What every type begins with (`struct btf_type`).
#[derive(Clone, Copy)]
struct Header {
    /// Where its name is among the strings.
    name: u32,
    info: u32,
    /// The type that it is of, or its size.
    referred: u32,
}

impl Header {
    const BYTES: usize = 12;

    fn at(data: &[u8], at: usize) -> Result<Self, BtfError> {
        let words = data
            .get(at..at + Self::BYTES)
            .map(|bytes| bytes.as_chunks().0);
        let Some(&[name, info, referred]) = words else {
            return Err(BtfError::Malformed(at));
        };
        Ok(Self {
            name: u32::from_ne_bytes(name),
            info: u32::from_ne_bytes(info),
            referred: u32::from_ne_bytes(referred),
        })
    }

    fn kind(self) -> u32 {
        self.info >> 24 & 0x1f
    }

    fn entries(self) -> u32 {
        self.info & 0xffff
    }

    /// How far it is to the next type.
    fn bytes(self) -> usize {
        let entries = self.entries() as usize;
        let rest = match self.kind() {
            kind::INT | kind::VAR | kind::DECL_TAG => 4,
            kind::ARRAY => 12,
            kind::STRUCT | kind::UNION | kind::DATASEC | kind::ENUM64 => entries * 12,
            kind::ENUM | kind::FUNC_PROTO => entries * 8,
            _ => 0,
        };
        Self::BYTES + rest
    }
}

/// The first eight bytes of the name that begins there, zeros after its end.
fn head_at(bytes: &[u8], at: usize) -> u64 {
    let name = bytes.get(at..).unwrap_or_default();
    let mut head = [0; 8];
    let whole = name.get(..8).unwrap_or(name);
    head[..whole.len()].copy_from_slice(whole);
    const ONES: u64 = u64::MAX / 255;
    const HIGHS: u64 = ONES << 7;
    let head = u64::from_le_bytes(head);
    // The lowest set bit is the highest of the first byte that is zero.
    match head.wrapping_sub(ONES) & !head & HIGHS {
        0 => head,
        zeros => head & ((zeros & zeros.wrapping_neg()) - 1),
    }
}

fn read_u32(data: &[u8], at: usize) -> Result<u32, BtfError> {
    data.get(at..at + 4)
        .and_then(|bytes| bytes.try_into().ok())
        .map(u32::from_ne_bytes)
        .ok_or(BtfError::Malformed(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_input_is_an_error() {
        for data in [
            &b""[..],
            b"\x9f\xeb",
            b"\x9f\xeb\x01\x00\x18\x00\x00\x00",
            b"ELF.",
        ] {
            assert!(KernelTypes::parse(data.to_vec()).is_err());
        }
    }

    /// `pahole`-like knowledge of the running kernel is the oracle of the loader's own test;
    /// here only that real type information is read to its end and answers.
    #[test]
    fn reads_the_running_kernel() {
        let Ok(data) = std::fs::read("/sys/kernel/btf/vmlinux") else {
            eprintln_skip("no /sys/kernel/btf/vmlinux");
            return;
        };
        let types = KernelTypes::parse(data).expect("kernel BTF");
        assert!(types.typedef("btf_trace_sys_exit").expect("typedef") > 0);
        // Shorter than what is compared first.
        assert!(types.typedef("u32").expect("typedef") > 0);
        // The registers and the result.
        assert_eq!(types.arguments("btf_trace_sys_exit"), Some(2));
        assert_eq!(types.arguments("list_head"), None);
        assert_eq!(types.offset("list_head", "prev").expect("offset"), 8);
        assert!(types.offset("task_struct", "no_such_field").is_err());
        assert!(types.try_offset("file", "f_path.dentry").is_some());
        assert!(types.header(0).is_none() && types.header(types.count + 1).is_none());
        assert!(types.header(types.count).is_some());
    }

    #[test]
    fn heads_of_names() {
        for (bytes, expected) in [
            (&b""[..], &b""[..]),
            (b"\0abcdefgh", b""),
            (b"a\0bcdefgh", b"a"),
            (b"\x80\x01\0\x01\0\0\0\x80", b"\x80\x01"),
            (b"abcdefg\0h", b"abcdefg"),
            (b"abcdefghi", b"abcdefgh"),
            (b"abc", b"abc"),
        ] {
            let mut head = [0; 8];
            head[..expected.len()].copy_from_slice(expected);
            assert_eq!(head_at(bytes, 0), u64::from_le_bytes(head), "{bytes:?}");
        }
    }

    #[expect(clippy::print_stderr, reason = "a skipped test says why")]
    fn eprintln_skip(why: &str) {
        eprintln!("skipped: {why}");
    }
}
