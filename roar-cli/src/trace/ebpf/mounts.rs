//! From a file-system path to a path that users know: the mounts of roar's own namespace.

use std::collections::HashMap;

use crate::event::PathQuality;

/// One line of mountinfo(5).
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mount {
    /// Major and minor in the kernel's internal encoding.
    device: u32,
    /// The directory of the file system that is mounted.
    root: Vec<u8>,
    /// Where.
    point: Vec<u8>,
    /// The place among the lines: of two mounts at one point, the later one is seen.
    order: usize,
}

/// The mounts, by id.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    by_id: HashMap<u32, Mount>,
}

impl Mounts {
    /// Parses the text of `/proc/self/mountinfo`. Lines that make no sense are skipped.
    pub(super) fn parse(text: &[u8]) -> Self {
        let lines = text.split(|b| *b == b'\n').enumerate();
        let by_id = lines
            .filter_map(|(order, line)| parse_line(line, order))
            .collect();
        Self { by_id }
    }

    /// Whether a mount is one of the table's. Ids are used again: the device must be the same.
    pub(super) fn knows(&self, mount_id: u32, device: u32) -> bool {
        self.get(mount_id, device).is_some()
    }

    /// The path that `inside`, a path within its file system, has through a mount of the table.
    pub(super) fn place(&self, mount_id: u32, device: u32, inside: &[u8]) -> Option<Vec<u8>> {
        self.get(mount_id, device)?.place(inside)
    }

    /// Whether something is mounted at a path.
    pub(super) fn has_point(&self, path: &[u8]) -> bool {
        self.by_id.values().any(|mount| mount.point == path)
    }

    /// Where a mount is.
    pub(super) fn point(&self, mount_id: u32) -> Option<&[u8]> {
        Some(&self.by_id.get(&mount_id)?.point)
    }

    /// Whether a mount is in another place than in an earlier table, or was in none.
    pub(super) fn is_new(&self, mount_id: u32, before: &Self) -> bool {
        let now = self.by_id.get(&mount_id).map(|mount| &mount.point);
        now != before.by_id.get(&mount_id).map(|mount| &mount.point)
    }

    fn get(&self, mount_id: u32, device: u32) -> Option<&Mount> {
        let mount = self.by_id.get(&mount_id)?;
        (mount.device == device).then_some(mount)
    }

    /// What a path of the table's owner reaches: a device, and a path within its file system.
    pub(super) fn reach(&self, path: &[u8]) -> Option<(u32, Vec<u8>)> {
        let mounts = self.by_id.values();
        let through = mounts.filter_map(|mount| Some((mount, mount.inside(path)?)));
        let (mount, inside) = through.max_by_key(|(mount, _)| (mount.point.len(), mount.order))?;
        Some((mount.device, inside))
    }

    /// The path that `inside`, a path within its file system, has in roar's namespace: through
    /// its own mount, else (another namespace) through the mount of the same file system that
    /// reaches deepest. Where there is none, the path stays as it is.
    pub(super) fn locate(
        &self,
        mount_id: u32,
        device: u32,
        inside: &[u8],
    ) -> (Vec<u8>, PathQuality) {
        if let Some(path) = self.place(mount_id, device, inside) {
            return (path, PathQuality::Full);
        }
        let candidates = self.by_id.values().filter(|mount| mount.device == device);
        let deepest = candidates
            .filter_map(|mount| mount.place(inside).map(|path| (mount, path)))
            .max_by_key(|(mount, _)| (mount.root.len(), std::cmp::Reverse(mount.point.len())));
        match deepest {
            Some((_, path)) => (path, PathQuality::Full),
            None => (inside.to_vec(), PathQuality::Foreign),
        }
    }
}

impl Mount {
    /// Where this mount shows a path of its file system, if it does.
    fn place(&self, inside: &[u8]) -> Option<Vec<u8>> {
        moved(inside, &self.root, &self.point)
    }

    /// What a path below this mount is within its file system.
    fn inside(&self, path: &[u8]) -> Option<Vec<u8>> {
        moved(path, &self.point, &self.root)
    }
}

/// A path below one folder as the same below another; none when it is not below it.
fn moved(path: &[u8], from: &[u8], to: &[u8]) -> Option<Vec<u8>> {
    let rest = path.strip_prefix(from.strip_suffix(b"/").unwrap_or(from))?;
    if !rest.is_empty() && rest[0] != b'/' {
        return None;
    }
    let rest = rest.strip_prefix(b"/").unwrap_or(rest);
    let mut path = to.to_vec();
    if !rest.is_empty() {
        if path != b"/" {
            path.push(b'/');
        }
        path.extend_from_slice(rest);
    }
    Some(path)
}

fn parse_line(line: &[u8], order: usize) -> Option<(u32, Mount)> {
    let mut fields = line.split(|b| *b == b' ');
    let id = number(fields.next()?)?;
    let _parent = fields.next()?;
    let mut device = fields.next()?.split(|b| *b == b':');
    let (major, minor) = (number(device.next()?)?, number(device.next()?)?);
    let root = unescape(fields.next()?);
    let point = unescape(fields.next()?);
    Some((
        id,
        Mount {
            device: major << 20 | minor,
            root,
            point,
            order,
        },
    ))
}

/// Where the first file system of a type is mounted, by the text of mountinfo(5).
pub(super) fn point_of(table: &[u8], file_system: &[u8]) -> Option<Vec<u8>> {
    table.split(|b| *b == b'\n').find_map(|line| {
        let mut fields = line.split(|b| *b == b' ');
        fields.by_ref().find(|field| *field == b"-")?;
        let (_, mount) = parse_line(line, 0).filter(|_| fields.next() == Some(file_system))?;
        Some(mount.point)
    })
}

fn number(text: &[u8]) -> Option<u32> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Octal escapes, as the kernel writes space, tab, newline and backslash.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        let octal = tail.get(..3).filter(|digits| {
            byte == b'\\' && digits.iter().all(|digit| (b'0'..=b'7').contains(digit))
        });
        if let Some(digits) = octal {
            out.push(
                digits
                    .iter()
                    .fold(0_u8, |value, digit| value.wrapping_mul(8) + (digit - b'0')),
            );
            rest = &tail[3..];
        } else {
            out.push(byte);
            rest = tail;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"22 1 254:0 / / rw shared:1 - ext4 /dev/vda rw\n\
        30 22 0:21 / /tmp rw - tmpfs tmpfs rw\n\
        31 22 254:0 /srv/data /mnt/a\\040b rw - ext4 /dev/vda rw\n\
        garbage\n";

    #[track_caller]
    fn check(mount_id: u32, device: (u32, u32), inside: &str, expected: (&str, PathQuality)) {
        let (path, quality) =
            Mounts::parse(TEXT).locate(mount_id, device.0 << 20 | device.1, inside.as_bytes());
        assert_eq!((String::from_utf8_lossy(&path).as_ref(), quality), expected);
    }

    #[test]
    fn mount_points_by_type() {
        let point = |system: &str| {
            point_of(TEXT, system.as_bytes()).map(|point| String::from_utf8_lossy(&point).into())
        };
        assert_eq!(point("tmpfs"), Some("/tmp".to_owned()));
        assert_eq!(point("ext4"), Some("/".to_owned()));
        assert_eq!(point("cgroup2"), None);
    }

    #[test]
    fn what_a_path_reaches() {
        fn check(path: &str, expected: Option<(u32, &str)>) {
            let text = [TEXT, b"32 31 0:50 / /mnt/a\\040b rw - tmpfs tmpfs rw\n"].concat();
            let reached = Mounts::parse(&text).reach(path.as_bytes());
            let expected = expected.map(|(device, path)| (device, path.as_bytes().to_vec()));
            assert_eq!(reached, expected);
        }
        check("/etc/passwd", Some((254 << 20, "/etc/passwd")));
        check("/tmp", Some((21, "/")));
        check("/tmpx/y", Some((254 << 20, "/tmpx/y")));
        // Mounted over the bind mount.
        check("/mnt/a b/f", Some((50, "/f")));
    }

    #[test]
    fn paths_of_mounts() {
        check(
            22,
            (254, 0),
            "/etc/passwd",
            ("/etc/passwd", PathQuality::Full),
        );
        check(30, (0, 21), "/x", ("/tmp/x", PathQuality::Full));
        check(30, (0, 21), "/", ("/tmp", PathQuality::Full));
        check(
            31,
            (254, 0),
            "/srv/data/f",
            ("/mnt/a b/f", PathQuality::Full),
        );
        // Outside the bind mount's root: the file system's other mount shows it.
        check(
            31,
            (254, 0),
            "/srv/database",
            ("/srv/database", PathQuality::Full),
        );
        // Another namespace's mount of a file system that is mounted here too.
        check(999, (0, 21), "/y", ("/tmp/y", PathQuality::Full));
        check(
            999,
            (254, 0),
            "/srv/data/f",
            ("/mnt/a b/f", PathQuality::Full),
        );
        check(999, (0, 99), "/y", ("/y", PathQuality::Foreign));
        // The id of a mount that has made room for another.
        check(31, (0, 21), "/y", ("/tmp/y", PathQuality::Full));
    }
}
