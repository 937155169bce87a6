//! The header of a package: <https://rpm-software-management.github.io/rpm/manual/hregions.html>.
//!
//! Two numbers (entries, bytes of data), the entries (tag, type, offset, count), the data; all numbers
//! are big-endian.

use super::Package;

const NAME: u32 = 1000;
const VERSION: u32 = 1001;
const RELEASE: u32 = 1002;
const EPOCH: u32 = 1003;
const ARCHITECTURE: u32 = 1022;
const FOLDER_OF_FILE: u32 = 1116;
const FILE_NAMES: u32 = 1117;
const FOLDERS: u32 = 1118;

const ENTRY: usize = 16;

/// The package and its files; none where the header is broken, or of something that is not
/// installed software (keys of signers).
pub(super) fn read(header: &[u8]) -> Option<(Package, Vec<String>)> {
    let header = Header::of(header)?;
    let text = |tag| header.texts(tag)?.next();
    let (name, version, release) = (text(NAME)?, text(VERSION)?, text(RELEASE)?);
    if name == "gpg-pubkey" {
        return None;
    }
    let epoch = header.numbers(EPOCH).and_then(|mut numbers| numbers.next());
    let epoch = epoch.filter(|epoch| *epoch > 0);
    let version = epoch.map_or_else(
        || format!("{version}-{release}"),
        |epoch| format!("{epoch}:{version}-{release}"),
    );
    // Its own architecture is not worth a word.
    let name = match text(ARCHITECTURE) {
        None | Some("noarch" | std::env::consts::ARCH) => name.to_owned(),
        Some(architecture) => format!("{name}.{architecture}"),
    };
    Some(((name, version), header.files().unwrap_or_default()))
}

struct Header<'a> {
    entries: &'a [[u8; ENTRY]],
    data: &'a [u8],
}

impl<'a> Header<'a> {
    fn of(bytes: &'a [u8]) -> Option<Self> {
        let count = number_at(bytes, 0)? as usize;
        let start = count.checked_mul(ENTRY)?.checked_add(8)?;
        Some(Self {
            entries: bytes.get(8..start)?.as_chunks().0,
            data: bytes.get(start..)?,
        })
    }

    /// Where the data of a tag begin, and how many there are.
    fn find(&self, tag: u32) -> Option<(&'a [u8], usize)> {
        let entry = self
            .entries
            .iter()
            .find(|entry| number_at(*entry, 0) == Some(tag))?;
        let (offset, count) = (number_at(entry, 8)?, number_at(entry, 12)?);
        Some((self.data.get(offset as usize..)?, count as usize))
    }

    fn texts(&self, tag: u32) -> Option<impl Iterator<Item = &'a str>> {
        let (data, count) = self.find(tag)?;
        let texts = data.split(|byte| *byte == 0).take(count);
        Some(texts.map(|text| std::str::from_utf8(text).unwrap_or_default()))
    }

    fn numbers(&self, tag: u32) -> Option<impl Iterator<Item = u32>> {
        let (data, count) = self.find(tag)?;
        let numbers = data.as_chunks::<4>().0.iter().take(count);
        Some(numbers.map(|number| u32::from_be_bytes(*number)))
    }

    fn files(&self) -> Option<Vec<String>> {
        let folders: Vec<&str> = self.texts(FOLDERS)?.collect();
        let files = self.texts(FILE_NAMES)?.zip(self.numbers(FOLDER_OF_FILE)?);
        let paths = files.filter_map(|(name, folder)| {
            let folder = folders.get(folder as usize)?;
            Some(format!("{folder}{name}"))
        });
        Some(paths.collect())
    }
}

fn number_at(bytes: &[u8], at: usize) -> Option<u32> {
    let number = bytes.get(at..at + 4)?;
    Some(u32::from_be_bytes(number.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header of texts and numbers.
    fn header(texts: &[(u32, &[&str])], numbers: &[(u32, &[u32])]) -> Vec<u8> {
        let (mut entries, mut data) = (Vec::new(), Vec::new());
        let mut entry = |tag: u32, kind: u32, offset: usize, count: usize| {
            for number in [tag, kind, offset as u32, count as u32] {
                entries.extend_from_slice(&number.to_be_bytes());
            }
        };
        for (tag, values) in numbers {
            entry(*tag, 4, data.len(), values.len());
            for value in *values {
                data.extend_from_slice(&value.to_be_bytes());
            }
        }
        for (tag, values) in texts {
            entry(*tag, 8, data.len(), values.len());
            for value in *values {
                data.extend_from_slice(value.as_bytes());
                data.push(0);
            }
        }
        let count = (entries.len() / ENTRY) as u32;
        let length = data.len() as u32;
        [
            &count.to_be_bytes()[..],
            &length.to_be_bytes(),
            &entries,
            &data,
        ]
        .concat()
    }

    #[test]
    fn packages_and_their_files() {
        let other = if cfg!(target_arch = "x86_64") {
            "i686"
        } else {
            "x86_64"
        };
        for (epoch, architecture, expected) in [
            (
                &[][..],
                std::env::consts::ARCH,
                ("glibc".to_owned(), "2.39-5.fc40"),
            ),
            (&[0], "noarch", ("glibc".to_owned(), "2.39-5.fc40")),
            (&[2], other, (format!("glibc.{other}"), "2:2.39-5.fc40")),
        ] {
            let header = header(
                &[
                    (NAME, &["glibc"]),
                    (VERSION, &["2.39"]),
                    (RELEASE, &["5.fc40"]),
                    (ARCHITECTURE, &[architecture]),
                    (FOLDERS, &["/etc/", "/usr/lib64/"]),
                    (FILE_NAMES, &["ld.so.conf", "libc.so.6", "libm.so.6"]),
                ],
                &[(EPOCH, epoch), (FOLDER_OF_FILE, &[0, 1, 1])],
            );
            let (package, files) = read(&header).expect("it is whole");
            assert_eq!((package.0, package.1.as_str()), expected);
            assert_eq!(
                files,
                [
                    "/etc/ld.so.conf",
                    "/usr/lib64/libc.so.6",
                    "/usr/lib64/libm.so.6"
                ]
            );
            for length in 0..header.len() {
                let _ = read(&header[..length]);
            }
        }
        assert_eq!(read(&[0xff; 64]), None);
        assert_eq!(read(&header(&[(NAME, &["gpg-pubkey"])], &[])), None);
    }
}
