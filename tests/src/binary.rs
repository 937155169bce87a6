//! Where the programs under test are: built once, whatever test runner is at work.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The `roar` binary, with the loader `roar-bpf` beside it, built from the workspace's sources in the profile of the tests.
///
/// `ROAR_BINARY` names another one to test instead. Cargo gives a test the path of its own
/// package's binaries only, so the binary is built here; when nothing changed, that costs
/// a fraction of a second once per test process (under nextest once per run).
pub fn roar() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os("ROAR_BINARY") {
        Some(path) => PathBuf::from(path),
        None => built("roar"),
    })
}

/// The `glaas-server` binary, built alike. `ROAR_GLAAS_SERVER` names another one.
pub fn glaas_server() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os("ROAR_GLAAS_SERVER") {
        Some(path) => PathBuf::from(path),
        None => built("glaas-server"),
    })
}

/// The workspace's top folder.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the package is a folder of the workspace")
}

/// A folder under the target folder that outlives a test run: built workloads are kept there.
pub fn cache(name: &str) -> PathBuf {
    let folder = profile_folder().join("roar-tests").join(name);
    fs::create_dir_all(&folder).expect("the target folder can be written");
    folder
}

/// Holds a lock of that name among all test processes until dropped.
pub fn lock(name: &str) -> File {
    let file = File::create(cache("locks").join(name)).expect("the target folder can be written");
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive)
        .expect("the file system has locks");
    file
}

/// `target/PROFILE`: the test executable is `target/PROFILE/deps/NAME-HASH`.
fn profile_folder() -> PathBuf {
    let executable = std::env::current_exe().expect("a test knows its executable");
    let deps = executable.parent().expect("a file has a folder");
    match deps.parent() {
        Some(folder) if deps.ends_with("deps") => folder.to_path_buf(),
        _ => deps.to_path_buf(),
    }
}

/// A program of the workspace, built with all of it: of packages chosen one by one cargo would build
/// the libraries below again, with other features than the tests have.
fn built(name: &str) -> PathBuf {
    let profile_folder = profile_folder();
    let binary = profile_folder.join(name);
    let _lock = lock("build");
    // nextest starts a process for each test: the first one builds for all of its run.
    let stamp = std::env::var_os("NEXTEST_RUN_ID").map(|run| {
        let mut stamp = OsString::from("built-");
        stamp.push(run);
        cache("stamps").join(stamp)
    });
    if stamp.as_ref().is_some_and(|stamp| stamp.exists()) && binary.exists() {
        return binary;
    }
    build(&profile_folder);
    if let Some(stamp) = stamp {
        File::create(stamp).expect("the target folder can be written");
    }
    binary
}

fn build(profile_folder: &Path) {
    let profile = match profile_folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let target = profile_folder.parent().expect("target/PROFILE");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .current_dir(workspace())
        .args(["build", "--quiet", "--workspace", "--bins"])
        .args(["--profile", profile, "--target-dir"])
        .arg(target);
    // What cargo told this test of its package: build scripts that look at it would run again.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    let output = command.output().expect("cargo can be started");
    assert!(
        output.status.success(),
        "the programs could not be built:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
