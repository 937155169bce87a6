//! The state of a work tree of 100,000 files, which is looked at before every command, beside git's own
//! `status`. `cargo bench -p roar-cli --bench git_tree`; `ROAR_BENCH_FOLDER` says where the tree is made.
#![expect(
    missing_docs,
    clippy::unwrap_used,
    reason = "criterion's macros make undocumented items; a benchmark that cannot run should say so"
)]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};

use roar_cli::capture::git;

/// Files of the tree, in folders of a hundred.
const FILES: usize = 100_000;

/// Patches are kept up to this size.
const LIMIT_BYTES: u64 = 64 << 20;

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).measurement_time(Duration::from_secs(8));
    targets = tree
}
criterion_main!(benches);

fn tree(criterion: &mut Criterion) {
    let parent = std::env::var_os("ROAR_BENCH_FOLDER").unwrap_or_else(|| "/dev/shm".into());
    let folder = tempfile::tempdir_in(parent).unwrap();
    let top = folder.path();
    for number in 0..FILES {
        let path = top.join(format!("{}/{}/{number}.txt", number / 5000, number / 100));
        if number % 100 == 0 {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
        }
        fs::write(path, number.to_string()).unwrap();
    }
    run_git(top, &["init", "-q"]);
    run_git(top, &["add", "-A"]);
    let identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"];
    run_git(
        top,
        &[&identity[..], &["commit", "-q", "-m", "all"]].concat(),
    );
    // A change in the tick of the index's own writing could not be told by times alone.
    while fs::metadata(top.join(".git/index"))
        .unwrap()
        .modified()
        .unwrap()
        >= fs::metadata(touch(top)).unwrap().modified().unwrap()
    {}
    fs::remove_file(touch(top)).unwrap();
    run_git(top, &["status"]);
    let mut group = criterion.benchmark_group("100,000 files");
    let is_dirty = || git::state(top).unwrap().unwrap().dirty;
    group.bench_function("state, clean", |bencher| {
        bencher.iter(|| assert!(!is_dirty()));
    });
    group.bench_function("git status, clean", |bencher| {
        bencher.iter(|| run_git(top, &["--no-optional-locks", "status", "-uno"]));
    });
    fs::write(top.join("7/350/35000.txt"), "changed").unwrap();
    group.bench_function("state and patch, one file changed", |bencher| {
        bencher.iter(|| {
            let repository = git::open(top).unwrap().unwrap();
            assert!(repository.state().unwrap().dirty);
            repository.patch(LIMIT_BYTES).unwrap()
        });
    });
    group.bench_function("git diff HEAD, one file changed", |bencher| {
        bencher.iter(|| run_git(top, &["--no-optional-locks", "diff", "HEAD"]));
    });
    group.finish();
}

/// A file that was written just now.
fn touch(top: &Path) -> std::path::PathBuf {
    let path = top.join("now");
    fs::write(&path, "").unwrap();
    path
}

fn run_git(top: &Path, arguments: &[&str]) {
    let mut git = Command::new("git");
    git.arg("-C").arg(top).args(arguments).stdout(Stdio::null());
    assert!(git.status().unwrap().success());
}
