//! Names that lead through what is gone when they are read: symbolic links that change on the way,
//! and mounts of a namespace of its own.
//!
//! The calls that change names tell a tracer a text. Each row here makes a tracer wrong that reads
//! the text by what is on disk later.

use super::Workload;
use crate::require::Need;

/// Every such way.
pub fn all() -> Vec<Workload> {
    let mut rows = links();
    rows.extend(mounts());
    rows
}

fn row(script: &'static str, reads: &[&str], writes: &[&str]) -> Workload {
    Workload::shell("rw", script)
        .reads(reads)
        .writes(writes)
        .unseen_by_strace("the oracle reads names by what is on disk later, too")
}

fn links() -> Vec<Workload> {
    vec![
        row(
            "mkdir d; ln -s d l; mv old l/new; rm l",
            &["old"],
            &["d/new"],
        ),
        row(
            "mkdir d e; for i in d e; do ln -sfn $i l; \"$0\" write t; mv t l/t; done; rm l",
            &[],
            &["d/t", "e/t"],
        ),
        row(
            "mkdir d; ln -s d l; \"$0\" write l/t; rm l/t; rm l",
            &[],
            &[],
        ),
        row(
            "mkdir d e; ln -s d l; ln -s e k; \"$0\" write l/t; ln l/t k/u; rm l k",
            &[],
            &["d/t", "e/u"],
        ),
        row(
            "mkdir -p d/e; ln -s d/e l; \"$0\" write t; mv t l/../u; rm l",
            &[],
            &["d/u"],
        ),
        row(
            "mkdir d; ln -s ../folder d/l; \"$0\" write t; mv t d/l/t; mv d e; rm e/l; rmdir e",
            &[],
            &["folder/t"],
        ),
        row(
            "mkdir d; ln -s ../in d/l; truncate -s 9 d/l; rm d/l; rmdir d",
            &["in"],
            &["in"],
        ),
    ]
}

/// Sandboxes that show a folder under another name. Where they do not end at once, roar finds
/// their mounts: they wait for a second, which is many times longer than it takes.
fn mounts() -> Vec<Workload> {
    [
        row(
            "bwrap --dev-bind / / --bind folder /mnt sh -c 'echo x > /mnt/t; mv /mnt/t /mnt/u'",
            &[],
            &["folder/u"],
        ),
        row(
            "bwrap --dev-bind / / --bind folder /mnt sh -c \
             'sleep 1; ln -s /mnt/inner /mnt/l; mv /mnt/in3 /mnt/l/t; rm /mnt/l; \
             truncate -s 9 /mnt/inner/in4; echo x > /mnt/t; ln /mnt/t /mnt/u; rm /mnt/t; sleep 1'",
            &["folder/in3", "folder/inner/in4"],
            &["folder/inner/t", "folder/inner/in4", "folder/u"],
        ),
        row(
            "unshare --mount sh -c \
             'mount --bind folder many; \"$0\" write many/t; mv many/t many/u; sleep 1' \"$0\"",
            &[],
            &["folder/u"],
        ),
    ]
    .map(|row| row.needs(Need::Root).needs(Need::Program("bwrap")))
    .into()
}
