//! The reader's side of a ring buffer map (`BPF_MAP_TYPE_RINGBUF`, Linux 5.8).
//!
//! Its file has three parts: a page with the reader's position, which the reader alone writes; a page
//! with the writers' position; the records, which follow each other, each behind a header of eight
//! bytes and padded to eight. Positions only grow; where a record lies is the position modulo the size.
//! The file shows the records twice in a row, so that none is cut by the end. Only one row is mapped
//! here, and a cut record is put together while it is copied: the second one would count as much
//! memory again, and take as long to map and to unmap.
#![expect(unsafe_code, reason = "memory that the kernel writes to meanwhile")]

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use super::sys::{Mapped, Mapping};

/// A record that is being written still.
const BUSY: u32 = 1 << 31;
/// A record that nobody wants.
const DISCARDED: u32 = 1 << 30;
const HEADER_BYTES: usize = 8;

/// Writers take notice of the reader's position when they find no room; it is told to them after
/// this many bytes, since each time takes it out of their caches.
const TOLD_BYTES: usize = 64 << 10;

/// A ring buffer, of which this is the only reader.
pub(super) struct Ring {
    reader: Mapping,
    /// The page with the writers' position, then the records.
    rest: Mapping,
    page_bytes: usize,
    /// A power of two.
    size_bytes: usize,
    position: usize,
}

impl Ring {
    /// Maps a ring of this size.
    ///
    /// # Errors
    /// It is none, or is smaller.
    pub(super) fn new(map: BorrowedFd<'_>, size_bytes: usize) -> io::Result<Self> {
        let page_bytes = rustix::param::page_size();
        let reader = Mapping::new(map, 0, page_bytes, Mapped::ToWrite)?;
        let rest = Mapping::new(map, page_bytes, page_bytes + size_bytes, Mapped::ToRead)?;
        let mut ring = Self {
            reader,
            rest,
            page_bytes,
            size_bytes,
            position: 0,
        };
        ring.position = ring.told().load(Ordering::Relaxed);
        Ok(ring)
    }

    /// Appends the content of the next record; none when there is none.
    pub(super) fn next_into(&mut self, bytes: &mut Vec<u8>) -> Option<()> {
        loop {
            let written = self.written().load(Ordering::Acquire);
            if self.position == written {
                self.tell();
                return None;
            }
            let header = self.header().load(Ordering::Acquire);
            if header & BUSY != 0 {
                self.tell();
                return None;
            }
            let length = (header & !DISCARDED) as usize;
            let wanted = header & DISCARDED == 0;
            if wanted {
                self.copy(self.position + HEADER_BYTES, length, bytes);
            }
            self.position += (HEADER_BYTES + length).next_multiple_of(8);
            if self.position - self.told().load(Ordering::Relaxed) >= TOLD_BYTES {
                self.tell();
            }
            if wanted {
                return Some(());
            }
        }
    }

    /// Gives the writers what was read.
    fn tell(&self) {
        self.told().store(self.position, Ordering::Release);
    }

    fn told(&self) -> &AtomicUsize {
        // SAFETY: mapped as long as this lives, at the beginning of a page.
        unsafe { AtomicUsize::from_ptr(self.reader.address().as_ptr().cast()) }
    }

    fn written(&self) -> &AtomicUsize {
        // SAFETY: as above; it is only ever read.
        unsafe { AtomicUsize::from_ptr(self.rest.address().as_ptr().cast()) }
    }

    /// The first half of the header at the reader's position.
    fn header(&self) -> &AtomicU32 {
        let address = self.record(self.position % self.size_bytes);
        // SAFETY: as above; positions are multiples of eight.
        unsafe { AtomicU32::from_ptr(address.cast()) }
    }

    /// Where the records' byte `at` is, which must be below the ring's size.
    fn record(&self, at: usize) -> *mut u8 {
        // SAFETY: inside of the mapping.
        unsafe { self.rest.address().as_ptr().add(self.page_bytes + at) }
    }

    /// Appends what stands at a position.
    fn copy(&self, position: usize, length: usize, to: &mut Vec<u8>) {
        let at = position % self.size_bytes;
        let before_end = length.min(self.size_bytes - at);
        for (at, length) in [(at, before_end), (0, length - before_end)] {
            // SAFETY: a record that is not busy lies inside of the mapping, but for what stands at
            // its beginning again, and no writer touches it before the reader's position is behind it.
            let part = unsafe { std::slice::from_raw_parts(self.record(at), length) };
            to.extend_from_slice(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd as _;
    use std::os::unix::fs::FileExt as _;

    use super::*;

    /// The writers' side, in a file.
    struct Writers {
        file: File,
        size: usize,
        position: usize,
    }

    impl Writers {
        fn new(size: usize) -> Self {
            let name = "ring";
            let memory = rustix::fs::memfd_create(name, rustix::fs::MemfdFlags::CLOEXEC);
            let file = File::from(memory.expect("memory"));
            let length = 2 * rustix::param::page_size() + size;
            file.set_len(length as u64).expect("memory");
            Self {
                file,
                size,
                position: 0,
            }
        }

        fn write(&mut self, content: &[u8], flags: u32) {
            let page = rustix::param::page_size();
            let mut record = (content.len() as u32 | flags).to_ne_bytes().to_vec();
            record.extend([0; 4]);
            record.extend_from_slice(content);
            record.resize(record.len().next_multiple_of(8), 0xee);
            for (offset, byte) in record.iter().enumerate() {
                let at = 2 * page + (self.position + offset) % self.size;
                self.file.write_all_at(&[*byte], at as u64).expect("room");
            }
            if flags & BUSY == 0 {
                self.position += record.len();
            }
            // A busy record is announced, too; here its end is told by the next write.
            let written = if flags & BUSY == 0 { 0 } else { record.len() };
            let written = (self.position + written).to_ne_bytes();
            self.file.write_all_at(&written, page as u64).expect("room");
        }

        fn told(&self) -> usize {
            let mut position = [0; size_of::<usize>()];
            self.file.read_exact_at(&mut position, 0).expect("a page");
            usize::from_ne_bytes(position)
        }
    }

    #[test]
    fn records_come_out_as_they_went_in() {
        let size = rustix::param::page_size();
        let mut writers = Writers::new(size);
        let mut ring = Ring::new(writers.file.as_fd(), size).expect("a ring");
        let mut next = || {
            let mut bytes = b"before".to_vec();
            ring.next_into(&mut bytes).map(|()| bytes[6..].to_vec())
        };
        assert_eq!(next(), None);
        // Lengths that meet the end at every multiple of eight, several times round.
        for round in 0..2000_usize {
            let content: Vec<u8> = (0..round % 61).map(|n| (n + round) as u8).collect();
            writers.write(b"unwanted", DISCARDED);
            writers.write(&content, BUSY);
            assert_eq!(next(), None);
            writers.write(&content, 0);
            writers.write(b"another", 0);
            assert_eq!(next(), Some(content), "round {round}");
            assert_eq!(next(), Some(b"another".to_vec()));
            assert_eq!(next(), None);
            assert_eq!(writers.told(), writers.position);
        }
        assert!(writers.position > 20 * size);
    }

    #[test]
    fn who_reads_on_is_told_meanwhile() {
        let size = 4 * TOLD_BYTES;
        let mut writers = Writers::new(size);
        let mut ring = Ring::new(writers.file.as_fd(), size).expect("a ring");
        let mut bytes = Vec::new();
        for _ in 0..3 {
            writers.write(&vec![1; TOLD_BYTES - 8], 0);
        }
        assert!(ring.next_into(&mut bytes).is_some());
        assert_eq!(writers.told(), TOLD_BYTES);
        assert!(ring.next_into(&mut bytes).is_some());
        assert_eq!(writers.told(), 2 * TOLD_BYTES);
    }
}
