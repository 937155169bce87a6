//! rpm's own database form (`lib/backend/ndb/rpmpkg.c`): pages of slots, each of which says where a
//! header is. All numbers are little-endian.

const PAGE: usize = 4096;
const SLOT: usize = 16;
/// Places are told in blocks.
const BLOCK: usize = 16;
const BLOB_HEAD: usize = 16;

const MAGIC: &[u8; 4] = b"RpmP";
const SLOT_MAGIC: &[u8; 4] = b"Slot";
const BLOB_MAGIC: &[u8; 4] = b"BlbS";

/// The headers of all packages.
pub(super) fn headers(database: &[u8]) -> impl Iterator<Item = &[u8]> {
    let pages = match database.get(..4) {
        Some(magic) if magic == MAGIC => number_at(database, 12).unwrap_or_default() as usize,
        _ => 0,
    };
    let end = pages.saturating_mul(PAGE).min(database.len());
    // The first two slots are the database's own head.
    let slots = database[..end].as_chunks::<SLOT>().0.iter().skip(2);
    slots.filter_map(move |slot| {
        let (package, block) = (number_at(slot, 4)?, number_at(slot, 8)?);
        if slot[..4] != *SLOT_MAGIC || package == 0 {
            return None;
        }
        let blob = database.get((block as usize).checked_mul(BLOCK)?..)?;
        let length = number_at(blob, 12)? as usize;
        if blob[..4] != *BLOB_MAGIC || number_at(blob, 4)? != package {
            return None;
        }
        blob.get(BLOB_HEAD..BLOB_HEAD.checked_add(length)?)
    })
}

fn number_at(bytes: &[u8], at: usize) -> Option<u32> {
    let number = bytes.get(at..at + 4)?;
    Some(u32::from_le_bytes(number.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_lead_to_headers() {
        let mut database = vec![0; PAGE];
        let mut put = |at: usize, bytes: &[u8]| {
            if database.len() < at + bytes.len() {
                database.resize(at + bytes.len(), 0);
            }
            database[at..at + bytes.len()].copy_from_slice(bytes);
        };
        let number = |number: u32| number.to_le_bytes();
        put(0, MAGIC);
        put(12, &number(1));
        for (slot, package, at) in [(2_usize, 7, PAGE), (4, 0, PAGE), (5, 8, PAGE + 64)] {
            put(slot * SLOT, SLOT_MAGIC);
            put(slot * SLOT + 4, &number(package));
            put(slot * SLOT + 8, &number((at / BLOCK) as u32));
        }
        put(PAGE, BLOB_MAGIC);
        put(PAGE + 4, &number(7));
        put(PAGE + 12, &number(5));
        put(PAGE + BLOB_HEAD, b"first");
        // Another package's blob.
        put(PAGE + 64, BLOB_MAGIC);
        put(PAGE + 68, &number(9));
        put(PAGE + 76, &number(1));
        put(PAGE + 80, b"x");
        assert_eq!(headers(&database).collect::<Vec<_>>(), [b"first"]);
        for length in 0..database.len() {
            let _ = headers(&database[..length]).count();
        }
        assert_eq!(headers(&[0xff; 8192]).count(), 0);
    }
}
