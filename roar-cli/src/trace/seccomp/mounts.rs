//! Mount tables, and the way from a path in a foreign mount namespace to one that roar's
//! own namespace shows. Pure.

/// One line of `/proc/PID/mountinfo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    /// Mount id.
    pub(super) id: u64,
    /// Superblock device as `major:minor`.
    pub(super) device: (u32, u32),
    /// The folder of the file system that is mounted.
    pub(super) root: Vec<u8>,
    /// Where it is mounted, as the table's owner sees it.
    pub(super) point: Vec<u8>,
}

/// Parses a mount table; lines that do not parse are left out.
pub(super) fn parse(table: &[u8]) -> Vec<Mount> {
    table
        .split(|byte| *byte == b'\n')
        .filter_map(mount)
        .collect()
}

fn mount(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let number = |field: &[u8]| std::str::from_utf8(field).ok()?.parse::<u64>().ok();
    let id = number(fields.next()?)?;
    let _parent = fields.next()?;
    let mut device = fields.next()?.splitn(2, |byte| *byte == b':');
    let device = (
        number(device.next()?)? as u32,
        number(device.next()?)? as u32,
    );
    Some(Mount {
        id,
        device,
        root: unescape(fields.next()?),
        point: unescape(fields.next()?),
    })
}

/// Blanks, tabs, newlines and backslashes stand as three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut result = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        let digits = tail
            .get(..3)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if *first == b'\\' => {
                result.push(byte);
                rest = &tail[3..];
            }
            _ => {
                result.push(*first);
                rest = tail;
            }
        }
    }
    result
}

/// The path inside the file system of what is seen as `path` through `mount`.
pub(super) fn inside(mount: &Mount, path: &[u8]) -> Option<Vec<u8>> {
    Some(join(&mount.root, below(&mount.point, path)?))
}

/// Paths under which `own` mounts show the file at `inside` of `device`: the deepest
/// mounted folder first.
pub(super) fn shown_at(own: &[Mount], device: (u32, u32), inside: &[u8]) -> Vec<Vec<u8>> {
    let mut found: Vec<(usize, Vec<u8>)> = own
        .iter()
        .filter(|mount| mount.device == device)
        .filter_map(|mount| {
            let rest = below(&mount.root, inside)?;
            Some((mount.root.len(), join(&mount.point, rest)))
        })
        .collect();
    found.sort_by_key(|(depth, _)| std::cmp::Reverse(*depth));
    found.into_iter().map(|(_, path)| path).collect()
}

/// What of `path` is below `folder`, without a leading slash.
pub(super) fn below<'a>(folder: &[u8], path: &'a [u8]) -> Option<&'a [u8]> {
    let folder = folder.strip_suffix(b"/").unwrap_or(folder);
    let rest = path.strip_prefix(folder)?;
    match rest.split_first() {
        None => Some(rest),
        Some((b'/', rest)) => Some(rest),
        Some(_) => None,
    }
}

/// Joins a folder and what is below it.
pub(super) fn join(folder: &[u8], rest: &[u8]) -> Vec<u8> {
    let mut result = folder.to_vec();
    if rest.is_empty() {
        return result;
    }
    if result.last() != Some(&b'/') {
        result.push(b'/');
    }
    result.extend_from_slice(rest);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &[u8] = b"22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
23 22 0:21 / /proc rw - proc proc rw
30 22 254:0 /srv/data /mnt/my\\040data rw - ext4 /dev/vda rw
broken line
31 22 0:40 / /tmp rw shared:7 - tmpfs tmpfs rw
";

    fn own() -> Vec<Mount> {
        parse(OWN)
    }

    #[test]
    fn tables_parse() {
        let mounts = own();
        assert_eq!(mounts.len(), 4);
        assert_eq!(mounts[2].point, b"/mnt/my data");
        assert_eq!(mounts[2].root, b"/srv/data");
        assert_eq!(mounts[3].device, (0, 40));
    }

    #[test]
    fn escapes() {
        for (field, expected) in [
            (&b"a\\040b"[..], &b"a b"[..]),
            (b"\\134", b"\\"),
            (b"a\\04", b"a\\04"),
            (b"", b""),
        ] {
            assert_eq!(unescape(field), expected);
        }
    }

    #[test]
    fn a_sandbox_path_becomes_one_of_the_host() {
        let sandbox = |root: &str, point: &str| Mount {
            id: 99,
            device: (254, 0),
            root: root.into(),
            point: point.into(),
        };
        let cases = [
            // bwrap --bind /srv/data /work
            (
                sandbox("/srv/data", "/work"),
                "/work/a/b",
                "/mnt/my data/a/b",
            ),
            (sandbox("/usr", "/usr"), "/usr/bin/true", "/usr/bin/true"),
            (sandbox("/", "/"), "/etc/x", "/etc/x"),
        ];
        for (mount, path, expected) in cases {
            let inside = inside(&mount, path.as_bytes()).expect("is below the mount point");
            let shown = shown_at(&own(), mount.device, &inside);
            assert_eq!(shown[0], expected.as_bytes(), "{path}");
        }
    }

    #[test]
    fn only_whole_components_count() {
        assert_eq!(below(b"/a", b"/ab"), None);
        assert_eq!(below(b"/a", b"/a"), Some(&b""[..]));
        assert_eq!(below(b"/a/", b"/a/b"), Some(&b"b"[..]));
        assert_eq!(below(b"/", b"/b"), Some(&b"b"[..]));
        assert_eq!(shown_at(&own(), (9, 9), b"/x"), Vec::<Vec<u8>>::new());
        assert_eq!(join(b"/", b"x"), b"/x");
        assert_eq!(join(b"/a", b""), b"/a");
    }
}
