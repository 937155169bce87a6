//! Compiles the workload programs, once for each version of their sources.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::binary;
use crate::transcript::Transcript;

/// How a workload program is linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Build {
    /// As usual, against the shared C library.
    Dynamic,
    /// Statically: nothing that is loaded into the program could see what it does.
    Static,
    /// For 32-bit x86, without a C library.
    Bits32,
    /// By the Go compiler, which makes its own system calls.
    Go,
}

impl Build {
    fn name(self) -> &'static str {
        match self {
            Self::Dynamic => "dynamic",
            Self::Static => "static",
            Self::Bits32 => "bits32",
            Self::Go => "go",
        }
    }

    /// The compiler's command line, up to the program and its source.
    fn compiler(self, gcc: &str, cache: &Path) -> Command {
        let flags: &[&str] = match self {
            Self::Dynamic => &["-pthread"],
            Self::Static => &["-pthread", "-static"],
            Self::Bits32 => &[
                "-m32",
                "-nostdlib",
                "-static",
                "-fno-pie",
                "-no-pie",
                "-fno-stack-protector",
            ],
            Self::Go => {
                let mut go = Command::new("go");
                go.args(["build", "-o"])
                    .env("CGO_ENABLED", "0")
                    .env("GO111MODULE", "off")
                    .env("GOCACHE", cache.join("go-build"));
                return go;
            }
        };
        let mut compiler = Command::new(gcc);
        compiler
            .args(["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror"])
            .args(flags)
            .arg("-o");
        compiler
    }

    fn extension(self) -> &'static str {
        match self {
            Self::Dynamic | Self::Static | Self::Bits32 => "c",
            Self::Go => "go",
        }
    }
}

/// The folder of finished workload programs, where there is no compiler: `ROAR_WORKLOADS`.
pub const FINISHED: &str = "ROAR_WORKLOADS";

/// The executable of `tests/workloads/NAME.c` (or `.go`), compiled when its source changed, or
/// from the folder that [`FINISHED`] names.
pub fn path(name: &str, build: Build) -> PathBuf {
    if let Some(folder) = std::env::var_os(FINISHED) {
        return finished(Path::new(&folder), name, build);
    }
    let source = sources().join(name).with_extension(build.extension());
    let mut hasher = blake3::Hasher::new();
    for file in [&source, &sources().join("common.h")] {
        let bytes = fs::read(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        hasher.update(&bytes);
    }
    hasher.update(build.name().as_bytes());
    let version = hasher.finalize().to_hex();
    let folder = binary::cache("workloads");
    let executable = folder.join(format!("{name}-{}-{}", build.name(), &version[..12]));
    if executable.exists() {
        return executable;
    }
    let _lock = binary::lock("build-workloads");
    if !executable.exists() {
        let unfinished = executable.with_extension("unfinished");
        compile(build.compiler("gcc", &folder), &source, &unfinished);
        fs::rename(unfinished, &executable).expect("the target folder can be written");
    }
    executable
}

/// Compiles every program in every way that the compiler's machine has, for a machine without
/// a compiler.
pub fn finish_all(compiler: &str, folder: &Path) {
    fs::create_dir_all(folder).expect("the folder can be made");
    let told = Transcript::of(Command::new(compiler).arg("-dumpmachine"));
    let is_x86 = told.succeeds().stdout_text().starts_with("x86_64");
    for entry in fs::read_dir(sources()).expect("the sources can be listed") {
        let source = entry.expect("the sources can be listed").path();
        let name = source.file_stem().unwrap_or_default().to_string_lossy();
        let extension = source.extension().unwrap_or_default().to_string_lossy();
        let builds: &[Build] = match (&*name, &*extension) {
            (_, "go") => &[Build::Go],
            ("bits32", "c") if is_x86 => &[Build::Bits32],
            // The second is a library.
            ("bits32" | "nvml", "c") => &[],
            (_, "c") => &[Build::Dynamic, Build::Static],
            _ => &[],
        };
        for build in builds {
            let finished = finished(folder, &name, *build);
            let mut command = build.compiler(compiler, &binary::cache("workloads"));
            if *build == Build::Go {
                command.env("GOARCH", if is_x86 { "amd64" } else { "arm64" });
            }
            compile(command, &source, &finished);
        }
    }
}

fn finished(folder: &Path, name: &str, build: Build) -> PathBuf {
    folder.join(format!("{name}-{}", build.name()))
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("workloads")
}

fn compile(mut compiler: Command, source: &Path, to: &Path) {
    Transcript::of(compiler.args([to, source])).succeeds();
}
