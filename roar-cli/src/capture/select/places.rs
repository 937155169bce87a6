//! Where a file lies: the tables behind the filters.

use std::collections::BTreeSet;

use super::Facts;
use crate::model::RawString;
use crate::observe::ObservedFile;

/// Read by every program; changed only by the administrator.
const SYSTEM: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/etc",
    "/boot",
    "/nix/store",
    "/gnu/store",
    "/snap",
    "/System",
    "/Library",
];

/// Kept by the system for itself; nobody's result even when a job changes it.
const SYSTEM_BOOKKEEPING: &[&str] = &["/var/lib", "/var/cache", "/var/log", "/var/run", "/run"];

/// Made by the kernel as they are read.
const KERNEL: &[&str] = &["/proc", "/sys", "/dev"];

/// Folders whose name says that somebody's package manager fills them.
const PACKAGE_FOLDERS: &[&str] = &[
    "site-packages",
    "dist-packages",
    "__pycache__",
    "node_modules",
    ".venv",
    ".tox",
    ".nox",
    ".eggs",
    "conda-meta",
];

/// Folders below the home folder that package managers and language runtimes fill.
const HOME_PACKAGES: &[&str] = &[
    ".local/bin",
    ".local/lib",
    ".local/include",
    ".local/pipx",
    ".local/share/uv",
    ".local/share/pipx",
    ".local/share/virtualenvs",
    ".local/share/mamba",
    ".local/share/pnpm",
    ".virtualenvs",
    ".pyenv",
    ".rye",
    ".conda/envs",
    ".conda/pkgs",
    ".cargo",
    ".rustup",
    ".nvm",
    ".npm",
    ".bun",
    ".deno",
    ".rbenv",
    ".rvm",
    ".gem",
    ".sdkman",
    ".m2",
    ".gradle",
    ".julia",
    ".opam",
    ".ghcup",
    ".stack",
    ".cabal",
    ".nuget",
    ".dotnet",
    ".asdf",
    ".mise",
    "go/pkg",
];

/// What an installation keeps below its prefix. `share` and `etc` only where the prefix is nothing
/// but an installation.
const PREFIX_FOLDERS: &[&str] = &[
    "bin",
    "sbin",
    "lib",
    "lib32",
    "lib64",
    "libexec",
    "include",
    "Scripts",
    "conda-meta",
    "ssl",
    "pyvenv.cfg",
    ".lock",
    "share",
    "etc",
];

/// Folders with what compilers of tensors keep.
const TORCH_CACHES: &[&str] = &[
    ".triton",
    ".inductor_cache",
    "torch_extensions",
    "torch_compile_debug",
    "torch_compile_cache",
];

/// Below `~/.cache`: tools that keep nothing a result depends on, whatever the file is named.
const TOOL_CACHES: &[&str] = &[
    "pip",
    "uv",
    "pypoetry",
    "pipenv",
    "conda",
    "mamba",
    "yarn",
    "pnpm",
    "go-build",
    "ccache",
    "sccache",
    "bazel",
    "fontconfig",
    "matplotlib",
    "mesa_shader_cache",
    "mesa_shader_cache_db",
    "nvidia",
    "thumbnails",
    "mypy",
    "pre-commit",
    "black",
    "ruff",
    "numba",
    "ms-playwright",
    "JetBrains",
    "vscode-cpptools",
    "google-chrome",
    "mozilla",
];

/// Folders of test and edit tools, in the project or anywhere.
const TOOL_FOLDERS: &[&str] = &[
    ".pytest_cache",
    ".mypy_cache",
    ".ruff_cache",
    ".ipynb_checkpoints",
    ".hypothesis",
    ".locks",
    ".no_exist",
];

/// Extensions of models and data sets, as libraries download them.
const DOWNLOADS: &[&str] = &[
    "arrow",
    "bin",
    "bz2",
    "ckpt",
    "csv",
    "feather",
    "ftz",
    "gguf",
    "ggml",
    "gz",
    "h5",
    "hdf5",
    "idx",
    "jpg",
    "jsonl",
    "keras",
    "mat",
    "model",
    "msgpack",
    "npy",
    "npz",
    "onnx",
    "orc",
    "parquet",
    "pb",
    "pickle",
    "pkl",
    "png",
    "pt",
    "pth",
    "safetensors",
    "tar",
    "tfrecord",
    "tgz",
    "tiff",
    "tsv",
    "vec",
    "wav",
    "xz",
    "zip",
    "zst",
];

/// The part of `path` below `folder`; none when it is not below it.
pub(super) fn below<'a>(path: &'a [u8], folder: &[u8]) -> Option<&'a [u8]> {
    let folder = folder.strip_suffix(b"/").unwrap_or(folder);
    path.strip_prefix(folder)?.strip_prefix(b"/")
}

/// Prefixes under which Python is installed or a virtual environment lies, as seen from the files
/// of the job: `PREFIX/pyvenv.cfg`, `PREFIX/conda-meta/…`, `PREFIX/lib/python3.N/…`.
pub(super) fn language_prefixes<'a>(
    files: impl IntoIterator<Item = &'a ObservedFile>,
    facts: &Facts,
) -> BTreeSet<Vec<u8>> {
    let mut prefixes = BTreeSet::new();
    let paths = files.into_iter().flat_map(|file| {
        let input = file.input.as_ref().map(|input| &input.path);
        input
            .into_iter()
            .chain(file.output.as_ref().map(|output| &output.path))
    });
    for path in paths {
        let path = path.as_bytes();
        // A folder of the project that holds a `lib/python3.N` is an environment only if it says so.
        let prefix = path
            .strip_suffix(b"/pyvenv.cfg")
            .or_else(|| before(path, b"/conda-meta/"))
            .or_else(|| {
                let outside = below(path, facts.project_root.as_bytes()).is_none();
                outside.then(|| before_library(path)).flatten()
            });
        if let Some(prefix) = prefix
            && !prefixes.contains(prefix)
            // `/usr/lib/python3.N` makes no environment of `/usr`.
            && !SYSTEM.iter().any(|folder| prefix == folder.as_bytes() || below(prefix, folder.as_bytes()).is_some())
        {
            prefixes.insert(prefix.to_vec());
        }
    }
    prefixes
}

/// The prefix in `PREFIX/lib/python3.N/…` (`lib64` too).
fn before_library(path: &[u8]) -> Option<&[u8]> {
    [&b"/lib/python"[..], b"/lib64/python"]
        .into_iter()
        .find_map(|folder| {
            let prefix = before(path, folder)?;
            let version = &path[prefix.len() + folder.len()..];
            version
                .first()
                .filter(|b| b.is_ascii_digit())
                .map(|_| prefix)
        })
}

fn before<'a>(path: &'a [u8], middle: &[u8]) -> Option<&'a [u8]> {
    let at = path.windows(middle.len()).position(|w| w == middle)?;
    Some(&path[..at])
}

/// A path, taken apart once for all rules.
pub(super) struct Place<'a> {
    path: &'a [u8],
    /// The path below the project; none outside.
    inside: Option<&'a [u8]>,
    /// The path below the home folder, for a file outside the project.
    in_home: Option<&'a [u8]>,
    in_prefix: bool,
    temporary: bool,
}

impl<'a> Place<'a> {
    pub(super) fn of(path: &'a [u8], facts: &Facts, prefixes: &BTreeSet<Vec<u8>>) -> Self {
        let root = facts.project_root.as_bytes();
        let inside = below(path, root);
        let home = facts.home.as_ref().map(RawString::as_bytes);
        let in_home = home
            .filter(|_| inside.is_none())
            .and_then(|home| below(path, home));
        // A temporary folder within the project is one; a project within a temporary folder is not.
        let temporary = facts.temporary_folders.iter().any(|folder| {
            let folder = folder.as_bytes();
            let holds_project = folder == root || below(root, folder).is_some();
            below(path, folder).is_some() && !(holds_project && inside.is_some())
        });
        Self {
            path,
            inside,
            in_home,
            in_prefix: in_prefix(path, prefixes, home, inside.map(|_| root)),
            temporary,
        }
    }

    /// The part of the path that is not the project's own place.
    fn tail(&self) -> &'a [u8] {
        self.inside.unwrap_or(self.path)
    }

    fn folders(&self) -> impl Iterator<Item = &'a [u8]> {
        let tail = self.tail();
        let end = tail.iter().rposition(|b| *b == b'/').unwrap_or(0);
        tail[..end].split(|b| *b == b'/')
    }

    fn name(&self) -> &'a [u8] {
        self.path.rsplit(|b| *b == b'/').next().unwrap_or_default()
    }

    fn is_outside_and_in(&self, folders: &[&str]) -> bool {
        self.inside.is_none()
            && folders
                .iter()
                .any(|folder| below(self.path, folder.as_bytes()).is_some())
    }

    pub(super) fn is_roar(&self) -> bool {
        self.inside
            .is_some_and(|inside| below(inside, b".roar").is_some())
    }

    pub(super) fn is_git(&self) -> bool {
        const INSIDE: &[&[u8]] = &[
            b"objects",
            b"refs",
            b"hooks",
            b"info",
            b"logs",
            b"worktrees",
        ];
        const FILES: &[&[u8]] = &[
            b"HEAD",
            b"config",
            b"packed-refs",
            b"description",
            b"shallow",
        ];
        // `.git` is a file in worktrees and submodules.
        if self.name() == b".git" {
            return true;
        }
        let mut in_bare = false;
        for folder in self.folders() {
            if folder == b".git" || in_bare && INSIDE.contains(&folder) {
                return true;
            }
            in_bare = folder.len() > 4 && folder.ends_with(b".git");
        }
        in_bare && FILES.contains(&self.name())
    }

    pub(super) fn is_kernel(&self) -> bool {
        self.is_outside_and_in(KERNEL) && below(self.path, b"/dev/shm").is_none()
    }

    pub(super) fn is_torch_cache(&self) -> bool {
        self.folders()
            .any(|folder| is_one_of(TORCH_CACHES, folder) || folder.starts_with(b"torchinductor_"))
            || self.in_home.is_some_and(|path| {
                [
                    ".nv/ComputeCache",
                    ".cache/torch/kernels",
                    ".cache/jax",
                    ".cache/triton",
                ]
                .iter()
                .any(|folder| below(path, folder.as_bytes()).is_some())
            })
    }

    pub(super) fn is_package(&self) -> bool {
        let name = self.name();
        let by_name = [&b".pyc"[..], b".pyo", b".egg-link"]
            .iter()
            .any(|end| name.ends_with(end));
        by_name
            || self.in_prefix
            || self.folders().any(|folder| {
                is_one_of(PACKAGE_FOLDERS, folder)
                    || folder.ends_with(b".egg-info")
                    || folder.ends_with(b".dist-info")
            })
            || self.in_home.is_some_and(|path| {
                HOME_PACKAGES
                    .iter()
                    .any(|folder| below(path, folder.as_bytes()).is_some())
            })
    }

    pub(super) fn is_system(&self) -> bool {
        const PROGRAM_FOLDERS: &[&str] = &["bin", "lib", "lib64", "libexec", "include"];
        let in_opt = || {
            self.is_outside_and_in(&["/opt"])
                && self
                    .folders()
                    .any(|folder| is_one_of(PROGRAM_FOLDERS, folder))
        };
        self.is_outside_and_in(SYSTEM) || self.is_system_bookkeeping() || in_opt()
    }

    pub(super) fn is_system_bookkeeping(&self) -> bool {
        self.is_outside_and_in(SYSTEM_BOOKKEEPING)
    }

    pub(super) fn is_temporary(&self) -> bool {
        self.temporary
    }

    /// Hidden files and folders of the home folder are settings and caches of programs, but for
    /// models and data that a library downloaded there: those are inputs like any other.
    pub(super) fn is_library_cache(&self) -> bool {
        if self.folders().any(|folder| is_one_of(TOOL_FOLDERS, folder)) {
            return true;
        }
        let Some(path) = self.in_home else {
            return false;
        };
        let hidden = path.starts_with(b".")
            || below(path, b"Library").is_some()
            || below(path, b"AppData").is_some();
        hidden && !is_download(path)
    }
}

/// For a file of the project only environments within the project count: the project may lie in one.
fn in_prefix(
    path: &[u8],
    prefixes: &BTreeSet<Vec<u8>>,
    home: Option<&[u8]>,
    project: Option<&[u8]>,
) -> bool {
    if prefixes.is_empty() {
        return false;
    }
    // Every folder above the path may be a prefix.
    let ends = path.iter().enumerate().filter(|(_, b)| **b == b'/');
    ends.map(|(end, _)| &path[..end])
        .filter(|folder| project.is_none_or(|root| folder.len() >= root.len()))
        .filter(|folder| prefixes.contains(*folder))
        .any(|prefix| {
            let rest = &path[prefix.len() + 1..];
            let first = rest.split(|b| *b == b'/').next().unwrap_or_default();
            // `~/.local` and `/usr/local` hold other things too.
            let shared = home.and_then(|home| below(prefix, home)) == Some(b".local");
            let count = PREFIX_FOLDERS.len() - if shared { 2 } else { 0 };
            is_one_of(&PREFIX_FOLDERS[..count], first)
        })
}

/// `path` is below the home folder.
fn is_download(path: &[u8]) -> bool {
    let in_cache = below(path, b".cache").or_else(|| below(path, b"Library/Caches"));
    if let Some(in_cache) = in_cache {
        let mut parts = in_cache.split(|b| *b == b'/');
        let tool = parts.next().unwrap_or_default();
        if is_one_of(TOOL_CACHES, tool) {
            return false;
        }
        // ~/.cache/huggingface/hub/models--NAME/{blobs,snapshots}/…: blobs have no extension.
        if tool == b"huggingface" && parts.next() == Some(b"hub") {
            let content = parts.nth(1);
            return content == Some(b"blobs") || content == Some(b"snapshots");
        }
    }
    let name = path.rsplit(|b| *b == b'/').next().unwrap_or_default();
    let extension = name.rsplit(|b| *b == b'.').next().unwrap_or_default();
    // A hidden name's only dot is no extension's.
    extension.len() + 1 < name.len() && is_one_of(DOWNLOADS, &extension.to_ascii_lowercase())
}

fn is_one_of(table: &[&str], bytes: &[u8]) -> bool {
    table.iter().any(|entry| entry.as_bytes() == bytes)
}
