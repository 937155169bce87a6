//! The form of rpm's database before 2020 (Red Hat 8 and older): a hash table of Berkeley DB
//! (`src/dbinc/db_page.h`), whose pages are gone through one after the other. A header is larger than
//! a page as a rule, and then lies in a chain of pages of its own. Numbers are in the byte order of
//! whoever made the database.

/// The first page's kind, and the magic number in it.
const HASH_MAGIC: u32 = 0x0006_1561;
const MAGIC_AT: usize = 12;
const PAGE_SIZE_AT: usize = 20;
const LAST_PAGE_AT: usize = 32;

/// Kinds of pages.
const UNSORTED: u8 = 2;
const OVERFLOW: u8 = 7;
const SORTED: u8 = 13;

/// What every page begins with.
const NEXT_AT: usize = 16;
const ENTRIES_AT: usize = 20;
const FILLED_AT: usize = 22;
const KIND_AT: usize = 25;
const HEAD: usize = 26;

/// Kinds of entries: on the page, or elsewhere.
const HERE: u8 = 1;
const ELSEWHERE: u8 = 3;

/// The database, page by page.
struct Pages<'a> {
    bytes: &'a [u8],
    size: usize,
    last: u32,
    is_swapped: bool,
}

/// The headers of all packages.
pub(super) fn headers(database: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    if let Some(pages) = Pages::of(database) {
        for number in 1..=pages.last {
            pages.add_headers(number, &mut found);
        }
    }
    found
}

impl<'a> Pages<'a> {
    fn of(bytes: &'a [u8]) -> Option<Self> {
        let magic = u32::from_ne_bytes(bytes.get(MAGIC_AT..MAGIC_AT + 4)?.try_into().ok()?);
        let mut pages = Self {
            bytes,
            size: 0,
            last: 0,
            is_swapped: magic == HASH_MAGIC.swap_bytes(),
        };
        pages.size = pages.number(bytes, PAGE_SIZE_AT)? as usize;
        let is_size = pages.size.is_power_of_two() && (512..=1 << 16).contains(&pages.size);
        if !is_size || (magic != HASH_MAGIC && !pages.is_swapped) {
            return None;
        }
        let last = pages.number(bytes, LAST_PAGE_AT)?;
        pages.last = last.min((bytes.len() / pages.size) as u32);
        Some(pages)
    }

    /// Adds the values of a page's pairs.
    fn add_headers(&self, number: u32, found: &mut Vec<Vec<u8>>) -> Option<()> {
        let page = self.page(number)?;
        if !matches!(page[KIND_AT], UNSORTED | SORTED) {
            return None;
        }
        let entries = usize::from(self.half(page, ENTRIES_AT)?);
        // Entries lie from the end of the page backwards, a key and its value in turn.
        let mut end = self.size;
        let mut is_package = false;
        for entry in 0..entries {
            let at = usize::from(self.half(page, HEAD + entry * 2)?);
            let bytes = page.get(at..end)?;
            end = at;
            let (kind, content) = bytes.split_first()?;
            if entry % 2 == 0 {
                // The pair of package 0 is the next package's number.
                is_package = content.iter().any(|byte| *byte != 0);
            } else if is_package && *kind == HERE {
                found.push(content.to_vec());
            } else if is_package && *kind == ELSEWHERE {
                found.extend(self.chain(self.number(bytes, 4)?, self.number(bytes, 8)? as usize));
            }
        }
        Some(())
    }

    /// What a chain of pages holds.
    fn chain(&self, first: u32, length: usize) -> Option<Vec<u8>> {
        // A chain that leads back to itself ends here, too.
        if length > self.bytes.len() {
            return None;
        }
        let mut content = Vec::new();
        let mut number = first;
        while content.len() < length {
            let page = self.page(number)?;
            let filled = usize::from(self.half(page, FILLED_AT)?);
            // Empty pages would let it go on for ever.
            if page[KIND_AT] != OVERFLOW || filled == 0 {
                return None;
            }
            content.extend_from_slice(page.get(HEAD..HEAD + filled)?);
            number = self.number(page, NEXT_AT)?;
        }
        (content.len() == length).then_some(content)
    }

    fn page(&self, number: u32) -> Option<&'a [u8]> {
        let start = (number as usize).checked_mul(self.size)?;
        self.bytes.get(start..start.checked_add(self.size)?)
    }

    fn number(&self, bytes: &[u8], at: usize) -> Option<u32> {
        let number = u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?);
        Some(if self.is_swapped {
            number.swap_bytes()
        } else {
            number
        })
    }

    fn half(&self, bytes: &[u8], at: usize) -> Option<u16> {
        let number = u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?);
        Some(if self.is_swapped {
            number.swap_bytes()
        } else {
            number
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two pages of pairs and one of a chain, in either byte order. A database that Berkeley DB
    /// itself wrote is read in `tests/tests/machine.rs`.
    fn database(number: fn(u32) -> [u8; 4], half: fn(u16) -> [u8; 2]) -> Vec<u8> {
        let mut database = vec![0; 3 * 512];
        let mut put =
            |at: usize, bytes: &[u8]| database[at..at + bytes.len()].copy_from_slice(bytes);
        put(MAGIC_AT, &number(HASH_MAGIC));
        put(PAGE_SIZE_AT, &number(512));
        put(LAST_PAGE_AT, &number(2));
        put(512 + ENTRIES_AT, &half(6));
        put(512 + KIND_AT, &[SORTED]);
        let pairs: [&[u8]; 6] = [
            &[HERE, 0, 0, 0, 0],
            &[HERE, 9, 9, 9, 9],
            &[HERE, 1, 0, 0, 0],
            &[&[HERE], &b"here"[..]].concat(),
            &[HERE, 2, 0, 0, 0],
            &[&[ELSEWHERE, 0, 0, 0][..], &number(2), &number(9)].concat(),
        ];
        let mut end = 512;
        for (entry, pair) in pairs.iter().enumerate() {
            end -= pair.len();
            put(512 + end, pair);
            put(512 + HEAD + entry * 2, &half(end as u16));
        }
        put(1024 + KIND_AT, &[OVERFLOW]);
        put(1024 + FILLED_AT, &half(9));
        put(1024 + HEAD, b"elsewhere");
        database
    }

    #[test]
    fn pairs_lead_to_headers() {
        let little = database(u32::to_le_bytes, u16::to_le_bytes);
        let big = database(u32::to_be_bytes, u16::to_be_bytes);
        for database in [&little, &big] {
            assert_eq!(headers(database), [b"here".to_vec(), b"elsewhere".to_vec()]);
            for length in 0..database.len() {
                let _ = headers(&database[..length]).len();
            }
        }
        // A chain that leads back to itself, and is said to be longer than it is.
        let mut endless = little.clone();
        endless[1024 + NEXT_AT] = 2;
        let length_at = endless
            .windows(4)
            .position(|window| window == 9_u32.to_le_bytes());
        endless[length_at.expect("it is there") + 3] = 0x10;
        assert_eq!(headers(&endless), [b"here".to_vec()]);
        assert!(headers(&[0xff; 4096]).is_empty());
    }
}
