//! Every rule of the fold, as events and what they mean.

use std::fmt::Write as _;

use super::notation::{check, fold, parse, process_ids};
use crate::observe::ProcessIndex;

#[test]
fn consumption() {
    check("1 read /a#10 size=3", "in /a read");
    check("1 map /lib#10 size=3", "in /lib mapped");
    check("1 image /bin/x#10 size=3", "in /bin/x executed");
    check("1 open_read /a#10 size=3", "in /a opened");
    check("1 read /empty#10 size=0", "in /empty read");
    check(
        "1 read /a#10 size=3; 1 read /a#10 size=3; 2 read /a#10 size=3",
        "in /a read",
    );
    check("1 map /a#10; 1 read /a#10", "in /a read");
    check("1 open_read /a#10; 1 map /a#10", "in /a mapped");
    check("1 read /a#10; 1 image /a#10", "in /a executed");
    check("1 read /a#10; 1 read /b#11", "in /a read | in /b read");
    check("1 read /a#10.1; 1 read /b#10.2", "in /a read | in /b read");
    check("1 read /a; 1 read /a", "in /a read");
    check("1 read /a; 1 read /a#10; 2 read /a#10", "in /a read");
    check("1 exec /bin/sh#10 sh -c x", "in /bin/sh executed");
}

#[test]
fn opening_is_no_access() {
    check("1 open_write /a#10 size=3", "");
    check(
        "1 open_write /a#10 size=3; 1 read /a#10 size=3",
        "in /a read",
    );
    check("1 open_write /a#10 size=3; 1 unlink /a", "");
    check("1 mkdir /d; 1 symlink /l /a; 1 unlink /x; 1 rmdir /d", "");
}

#[test]
fn production() {
    check("1 create /a#10; 1 write +5 /a#10 size=5", "out /a written");
    check("1 create /a#10", "out /a written");
    check("1 truncate /a#10", "out /a written");
    check(
        "1 truncate /a#10; 1 write +5 /a#10 size=5",
        "out /a written",
    );
    check("1 map_write /a#10 size=4", "in /a kept was 4 out /a mapped");
    check(
        "1 create /a#10; 1 truncate /a#10 size=100; 1 map_write /a#10 size=100",
        "out /a written",
    );
    check("1 write +5 /a#10 size=5", "out /a written");
    check(
        "1 infer_write /a#10 size=5",
        "in /a kept was ? out /a inferred",
    );
    check(
        "1 open_write /a size=0; 1 infer_write /a size=5",
        "out /a inferred",
    );
    check(
        "1 open_write /a size=7; 1 infer_write /a size=5",
        "in /a kept was 7 out /a inferred",
    );
    check("1 create /a; 1 infer_write /a size=5", "out /a written");
}

#[test]
fn own_output_read_back_is_no_input() {
    check(
        "1 create /a#10; 1 write +5 /a#10 size=5; 2 read /a#10 size=5",
        "out /a written",
    );
    check(
        "1 truncate /a#10; 1 write +5 /a#10 size=5; 2 map /a#10 size=5",
        "out /a written",
    );
    check(
        "1 write +5 /a#10 size=5; 2 read /a#10 size=5",
        "out /a written",
    );
    check(
        "1 create /x#10; 1 write +5 /x#10 size=5; 1 image /x#10 size=5",
        "out /x written",
    );
}

#[test]
fn prior_content() {
    // Appended to, through an own descriptor and through an inherited one.
    check(
        "1 open_write /log#10 size=4; 1 write +5 /log#10 size=9",
        "in /log kept was 4 out /log written",
    );
    check(
        "1 write +5 /log#10 size=9",
        "in /log kept was ? out /log written",
    );
    // Nothing was there, or nothing of it is left.
    check(
        "1 open_write /a#10 size=0; 1 write +5 /a#10 size=9",
        "out /a written",
    );
    check(
        "1 open_write /a#10 size=4; 1 write +9 /a#10 size=9",
        "out /a written",
    );
    check(
        "1 write +5 /a#10 size=9; 1 truncate /a#10 size=0",
        "out /a written",
    );
    check(
        "1 write +5 /a#10 size=9; 2 write +20 /a#10 size=20",
        "out /a written",
    );
    check(
        "1 open_write /a#10 size=4; 1 truncate /a#10; 1 write +5 /a#10 size=5",
        "out /a written",
    );
    // Cut, but not to nothing.
    check("1 truncate /a#10 size=2", "in /a kept was ? out /a written");
    check(
        "1 open_write /a#10 size=4; 1 truncate /a#10 size=2",
        "in /a kept was 4 out /a written",
    );
    // A part overwritten in place, then the whole read: the earlier part was read as well.
    check(
        "1 open_write /a#10 size=9; 1 write +5 /a#10 size=9; 1 read /a#10 size=9",
        "in /a read was 9 out /a written",
    );
    // Written into without having been emptied, then removed: neither.
    check("1 write +5 /a#10 size=9; 1 unlink /a", "");
}

#[test]
fn read_then_written() {
    check(
        "1 read /a#10 size=3; 1 truncate /a#10; 1 write +5 /a#10 size=5",
        "in /a read was 3 out /a written",
    );
    check(
        "1 read /a#10 size=3; 1 write +3 /a#10 size=3",
        "in /a read was 3 out /a written",
    );
    check(
        "1 read /a#10 size=0; 1 write +3 /a#10 size=3",
        "in /a read was 0 out /a written",
    );
    check(
        "1 map /a#10 size=3; 1 map_write /a#10 size=3",
        "in /a mapped was 3 out /a mapped",
    );
    check(
        "1 open_write /a#10 size=3; 1 read /a#10 size=3; 1 write +1 /a#10 size=3",
        "in /a read was 3 out /a written",
    );
    check(
        "1 read /a#10 size=3; 1 write +2 /a#10 size=5; 1 read /a#10 size=5",
        "in /a read was 3 out /a written",
    );
}

#[test]
fn removal() {
    check(
        "1 create /t#10; 1 write +5 /t#10 size=5; 1 read /t#10; 1 unlink /t",
        "temporary /t",
    );
    check("1 read /a#10 size=3; 1 unlink /a", "in /a read removed");
    check(
        "1 read /a#10 size=3; 1 truncate /a#10; 1 unlink /a",
        "in /a read removed",
    );
    check("1 unlink /a", "");
    check("1 truncate /a#10; 1 unlink /a", "");
    check(
        "1 create /t#10 q=unlinked; 1 write +5 /t#10 size=5 q=unlinked",
        "temporary /t",
    );
    check(
        "1 read /gone#10 size=3 q=unlinked",
        "in /gone read (unlinked) removed",
    );
    check(
        "1 create /t#10; 1 unlink /t; 1 write +5 /t#10 size=5 q=unlinked; 1 read /t#10 q=unlinked",
        "temporary /t",
    );
    // Removed from outside the job: the touch says so.
    check(
        "1 read /a#10 size=3; 2 map /a#10 size=3 q=unlinked",
        "in /a read removed",
    );
}

#[test]
fn names_are_used_again() {
    // The old file was read, the new one is the job's.
    check(
        "1 read /a#10 size=3; 1 unlink /a; 1 create /a#11; 1 write +5 /a#11 size=5",
        "in /a read removed | out /a written",
    );
    // The same inode number for the new file, with and without a generation.
    check(
        "1 read /a#10 size=3; 1 unlink /a; 1 create /a#10; 1 write +5 /a#10 size=5",
        "in /a read removed | out /a written",
    );
    check(
        "1 read /a#10.1; 1 unlink /a; 1 create /a#10.2",
        "in /a read removed | out /a written",
    );
    check(
        "1 read /a; 1 unlink /a; 1 create /a",
        "in /a read removed | out /a written",
    );
    check(
        "1 create /t#10; 1 unlink /t; 1 create /t#10",
        "out /t written | temporary /t",
    );
    check(
        "1 create /t#10; 1 unlink /t; 1 create /u#10; 1 unlink /u; 1 create /t#11; 1 unlink /t",
        "temporary /t | temporary /u",
    );
    // Of a temporary's inode number, somebody else made a file that the job reads.
    check(
        "1 create /t#10; 1 unlink /t; 1 read /a#10 size=3",
        "in /a read | temporary /t",
    );
    // A removal that was not seen, and the process itself goes on to create.
    check(
        "1 read /a#10 size=3; 1 create /a#10",
        "in /a read removed | out /a written",
    );
    check(
        "1 read /a#10 size=3; 1 create /b#10",
        "in /a read removed | out /b written",
    );
    // Another file is in the place, and nobody said how.
    check(
        "1 read /a#10 size=3; 1 read /a#11 size=4",
        "in /a read removed | in /a read",
    );
}

#[test]
fn renames_of_own_files() {
    check(
        "1 create /tmp1#10; 1 write +5 /tmp1#10 size=5; 1 rename /tmp1 /final #10",
        "out /final written formerly /tmp1",
    );
    check(
        "1 create /t#10; 1 rename /t /f",
        "out /f written formerly /t",
    );
    check("1 create /t; 1 rename /t /f", "out /f written formerly /t");
    // Over an existing file that was not read, and over one that was.
    check(
        "1 open_write /f#9 size=2; 1 create /t#10; 1 rename /t /f #10",
        "out /f written formerly /t",
    );
    check(
        "1 read /f#9 size=2; 1 create /t#10; 1 rename /t /f #10",
        "in /f read removed | out /f written formerly /t",
    );
    // Over an own file.
    check(
        "1 create /f#9; 1 create /t#10; 1 rename /t /f #10",
        "out /f written formerly /t | temporary /f",
    );
    check(
        "1 create /t#10; 1 rename /t /f #10; 1 unlink /f",
        "temporary /f",
    );
    check(
        "1 create /a#10; 1 rename /a /b #10; 1 rename /b /c #10; 1 create /a#11",
        "out /c written formerly /a formerly /b | out /a written",
    );
    // The same temporary name over and over.
    check(
        "1 create /t#10; 1 rename /t /f #10; 1 create /t#11; 1 rename /t /f #11",
        "out /f written formerly /t | temporary /f",
    );
}

#[test]
fn renames_of_files_from_before() {
    check(
        "1 rename /a /b #10",
        "in /a moved at /b out /b placed perhaps",
    );
    check("1 rename /a /b", "in /a moved at /b out /b placed perhaps");
    check(
        "1 open_write /a#10 size=3; 1 rename /a /b #10",
        "in /a moved at /b out /b placed",
    );
    check(
        "1 read /a#10 size=3; 1 rename /a /b #10",
        "in /a read at /b out /b placed",
    );
    check(
        "1 rename /a /b #10; 1 read /b#10 size=3",
        "in /a read at /b out /b placed",
    );
    check(
        "1 rename /a /b; 1 read /b#10 size=3",
        "in /a read at /b out /b placed",
    );
    check(
        "1 rename /a /b #10; 1 rename /b /c #10",
        "in /a moved at /c out /c placed formerly /b perhaps",
    );
    // There and back.
    check("1 rename /a /a.bak #10; 1 rename /a.bak /a #10", "");
    check(
        "1 rename /a /a.bak #10; 1 create /a#11; 1 rename /a.bak /a #10",
        "temporary /a",
    );
    check(
        "1 read /a#10; 1 rename /a /b #10; 1 rename /b /a #10",
        "in /a read formerly /b",
    );
    // Moved, then written.
    check(
        "1 rename /a /b #10; 1 write +5 /b#10 size=9",
        "in /a kept was ? out /b written",
    );
    check(
        "1 rename /a /b #10; 1 truncate /b#10; 1 write +5 /b#10 size=5",
        "out /b written formerly /a",
    );
    check("1 rename /a /b #10; 1 unlink /b", "");
    check(
        "1 truncate /a#10; 1 rename /a /b #10",
        "out /b written formerly /a",
    );
    check("1 rename /a /a", "");
    check("1 symlink /l.tmp /x; 1 rename /l.tmp /l", "");
    check(
        "1 read /l#10; 1 symlink /l.tmp /x; 1 rename /l.tmp /l",
        "in /l read removed",
    );
}

#[test]
fn links() {
    check("1 create /a#10; 1 link /a /b #10", "out /a written and /b");
    check(
        "1 create /a#10; 1 link /a /b #10; 1 unlink /a",
        "out /b written formerly /a",
    );
    check(
        "1 create /a#10; 1 link /a /b #10; 1 unlink /a; 1 unlink /b",
        "temporary /b",
    );
    check("1 link /a /b #10", "in /a moved out /b placed perhaps");
    check("1 read /a#10; 1 link /a /b #10", "in /a read out /b placed");
    check(
        "1 read /a#10; 1 link /a /b #10; 1 link /a /c",
        "in /a read out /b placed and /c",
    );
    check("1 link /a /b #10; 1 unlink /b", "");
    check(
        "1 link /a /b #10; 1 unlink /a",
        "in /a moved at /b out /b placed perhaps",
    );
    // Through either name it is one file.
    check(
        "1 read /a#10 size=3; 1 write +3 /b#10 size=3",
        "in /a read was 3 out /a written and /b",
    );
    check("1 create /a#10; 2 read /b#10", "out /a written and /b");
    check(
        "1 read /a#10; 1 read /b#10; 1 unlink /a",
        "in /a read at /b",
    );
    // An unnamed file gets a name.
    check(
        "1 create /77#10 q=unlinked; 1 link /proc/self/fd/3 /a #10",
        "out /a written",
    );
    check(
        "1 create /d/x#10 q=unlinked; 1 link /d/x /a #10",
        "out /a written",
    );
    check("1 link /proc/self/fd/3 /a #10", "out /a placed perhaps");
    check(
        "1 link /proc/self/fd/3 /a #10; 1 link /a /b; 1 read /b#10",
        "in /b read out /a placed and /b",
    );
    // rename(2) between two names of a file does nothing.
    check(
        "1 create /a#10; 1 link /a /b #10; 1 rename /a /b #10",
        "out /a written and /b",
    );
}

#[test]
fn exchanges() {
    check(
        "1 exchange /a /b #10",
        "in /a moved at /b out /b placed perhaps | in /b moved at /a out /a placed perhaps",
    );
    check(
        "1 create /n#10; 1 read /o#11; 1 exchange /n /o #10",
        "out /o written formerly /n | in /o read at /n out /n placed",
    );
    check(
        "1 create /n#10; 1 exchange /n /o #10; 1 unlink /n",
        "out /o written formerly /n",
    );
    check(
        "1 create /d/f#10; 1 create /e/g#11; 1 exchange /d /e",
        "out /e/f written formerly /d/f | out /d/g written formerly /e/g
         | directory /d -> /e | directory /e -> /d",
    );
    check("1 exchange /a /b; 1 exchange /a /b", "");
}

#[test]
fn directories() {
    check(
        "1 mkdir /d; 1 create /d/f#10; 1 rename /d /e",
        "out /e/f written formerly /d/f",
    );
    check(
        "1 mkdir /d; 1 create /d/s/f#10; 1 rename /d /e; 1 write +5 /e/s/f#10 size=5; 1 rename /e/s/f /g #10",
        "out /g written formerly /d/s/f formerly /e/s/f",
    );
    check(
        "1 read /d/f#10; 1 rename /d /e",
        "in /d/f read at /e/f out /e/f placed | directory /d -> /e",
    );
    check(
        "1 rename /d /e; 1 rename /e /f #5",
        "in /d moved at /f out /f placed formerly /e perhaps",
    );
    // Files first seen where the job had moved their directory.
    check(
        "1 rename /d /e; 1 read /e/s/f#10 size=3",
        "in /d/s/f read at /e/s/f out /e/s/f placed | directory /d -> /e",
    );
    check(
        "1 rename /d /e; 1 create /e/f#10",
        "in /d moved at /e out /e placed perhaps | out /e/f written",
    );
    check(
        "1 rename /d /e; 1 write +5 /e/f#10 size=9",
        "in /d/f kept was ? out /e/f written | directory /d -> /e",
    );
    check(
        "1 read /d/x#9; 1 rename /d /e; 1 rename /e/f /g #10",
        "in /d/x read at /e/x out /e/x placed | in /d/f moved at /g out /g placed formerly /e/f perhaps | directory /d -> /e",
    );
    check(
        "1 read /d/f#10; 1 rename /d /e; 1 rename /e /d",
        "in /d/f read formerly /e/f",
    );
    // A sibling with the same beginning is no part of it.
    check(
        "1 mkdir /d; 1 create /dd/f#10; 1 rename /d /e",
        "out /dd/f written",
    );
    check(
        "1 mkdir /d; 1 create /d/f#10; 1 unlink /d/f; 1 rmdir /d",
        "temporary /d/f",
    );
    check(
        "1 create /d/f#10; 1 rename /d/ //e/",
        "out /e/f written formerly /d/f | directory /d -> /e",
    );
}

#[test]
fn other_order() {
    // A child's write at the new name is reported before its parent's rename.
    check(
        "1 create /t#10; 2 write +5 /f#10 size=5; 1 rename /t /f #10",
        "out /f written formerly /t",
    );
    check(
        "1 read /f#9; 1 create /t#10; 2 read /f#10; 1 rename /t /f #10",
        "in /f read removed | out /f written formerly /t",
    );
    check(
        "2 read /b#10; 1 rename /a /b #10",
        "in /a read at /b out /b placed",
    );
    // A touch at the old name after the rename was reported.
    check(
        "1 create /t#10; 1 rename /t /f #10; 2 write +5 /t#10 size=5",
        "out /f written formerly /t",
    );
    check(
        "1 read /f#9; 1 create /t#10; 1 rename /t /f #10; 2 read /f#9",
        "in /f read removed | out /f written formerly /t",
    );
    check("1 create /t#10; 1 unlink /t; 2 read /t#10", "temporary /t");
    // A creation reported after another process's first touches of the new file.
    check(
        "2 read /a#10; 2 write +5 /a#10 size=9; 1 create /a#10",
        "out /a written",
    );
    check(
        "1 create /a#10; 1 write +5 /a#10 size=5; 1 create /a#10",
        "out /a written",
    );
    // A removal reported after the name was used again.
    check(
        "1 read /a#10; 2 create /a#11; 1 unlink /a",
        "in /a read removed | out /a written",
    );
    check(
        "1 read /a#10; 2 create /a#11; 2 unlink /a",
        "in /a read removed | temporary /a",
    );
    check(
        "1 read /a#10; 2 create /a#11; 1 rename /a /a.old #10",
        "in /a read at /a.old out /a.old placed | out /a written",
    );
    // A file in a directory is touched before the directory's rename is reported.
    check(
        "1 mkdir /d; 1 create /d/f#10; 2 read /e/f#10; 1 rename /d /e",
        "out /e/f written formerly /d/f",
    );
}

#[test]
fn qualities() {
    check("1 read /in#10 q=foreign", "in /in read (foreign)");
    check(
        "1 read /a#10; 1 read /a#11 q=foreign",
        "in /a read | in /a read (foreign)",
    );
    check(
        "1 create /t#10 q=foreign; 1 rename /t /f #10",
        "out /f written (foreign) formerly /t",
    );
    check("1 create /t#10 q=foreign; 1 unlink /t", "temporary /t");
    check(
        "1 create /t#10 q=foreign; 1 read /mnt/t#10",
        "out /mnt/t written and /t",
    );
    check(
        "1 read …/long#10 q=cut; 1 map …/long#10 q=cut",
        "in …/long read (cut) | cut 1",
    );
    check(
        "1 read …/l#10 q=cut; 1 read …/l#11 q=cut",
        "in …/l read (cut) | in …/l read (cut) | cut 2",
    );
    check(
        "1 create …/l q=cut; 1 write +5 …/l size=5 q=cut",
        "out …/l written (cut) | cut 1",
    );
}

#[test]
fn processes_and_gaps() {
    check("1 start; 1 exit 0", "");
    check(
        "1 start; 2 start 1; 2 exec /d#10 serve --port=1; 1 exit 0",
        "in /d executed | gap LateProcess serve --port=1 x1",
    );
    check(
        "1 start; 1 exec /d#10 daemon; 2 start 1; 3 start 2; 1 exit 0; 2 exit 0",
        "in /d executed | gap LateProcess daemon x1",
    );
    check(
        "1 start; 2 start 1; 3 start 1; 1 exit 0",
        "gap LateProcess a process whose command was not seen x2",
    );
    check(
        "1 start; 7 read /a#10; 7 exit 0; 1 exit 0",
        "in /a read | gap Inconsistent a process acted whose start was not seen x1",
    );
    check(
        "1 start; 2 read /a#10; 2 start 1; 2 exit 0; 1 exit 0",
        "in /a read",
    );
    check(
        "1 gap ring 2; 1 gap ring 3; 1 gap fd 1",
        "gap IoUring ring x5 | gap IoUring fd x1",
    );
    check("1 start; 1 exit 0; 1 read /a#10", "in /a read");
}

#[test]
fn process_tree() {
    let observation = fold(&parse(
        "1 start; 1 exec /bin/sh#1 sh; 2 start 1; 2 exec /bin/a#2 a b; 2 killed 9;
         1 exec /bin/c#3 c; 2 start 1; 2 exit 4; 1 exit 3",
    ));
    let shown: Vec<_> = observation
        .processes
        .iter()
        .map(|p| (p.id.0, p.parent, p.argv.len(), p.code, p.signal, p.ended))
        .collect();
    let root = Some(ProcessIndex(0));
    assert_eq!(
        shown,
        [
            (1, None, 1, Some(3), None, true),
            (2, root, 2, None, Some(9), true),
            (2, root, 0, Some(4), None, true),
        ]
    );
    assert_eq!(observation.processes[0].image, Some("/bin/c".into()));
}

#[test]
fn readers_and_writers() {
    let observation = fold(&parse(
        "1 read /a#10; 3 map /a#10; 2 read /a#10; 3 read /a#10; 1 create /b#11; 4 write +1 /b#11 size=1;
         2 rename /b /c #11; 5 read /c#11",
    ));
    let [a, c] = &observation.files[..] else {
        panic!("two files")
    };
    assert_eq!(process_ids(&observation, &a.readers), [1, 3, 2]);
    assert!(a.writers.is_empty());
    assert_eq!(process_ids(&observation, &c.writers), [1, 4, 2]);
    assert_eq!(process_ids(&observation, &c.readers), [5]);
}

#[test]
fn readers_beyond_number_are_told_once_each() {
    let mut events = String::new();
    for round in 0..3 {
        for process in 1..500 {
            write!(events, "{process} read /lib#10 size={round};").expect("a string grows");
        }
    }
    let observation = fold(&parse(&events));
    let expected: Vec<u32> = (1..500).collect();
    assert_eq!(
        process_ids(&observation, &observation.files[0].readers),
        expected
    );
}

#[test]
fn very_many_names_of_one_file() {
    let mut events = "1 create /0#10;".to_owned();
    for at in 0..1000 {
        write!(events, "1 rename /{at} /{} #10;", at + 1).expect("a string grows");
    }
    let observation = fold(&parse(&events));
    let output = observation.files[0].output.as_ref().expect("an output");
    assert_eq!(output.path, "/1000".into());
    assert!(observation.files[0].former_paths.len() < 50);
}
