//! Which files that git tracks are code.
//!
//! Code is identified by the commit and would only clutter the record; data are inputs even when
//! they are tracked. The line: what a PROGRAM or a build tool reads as program, build description
//! or documentation is code. `.json`, `.yaml`, `.txt` and files of unknown kinds are data, because a
//! parameter file (`params.yaml`) decides results like any other input, and an input too many does
//! less harm than one missing. Well-known names of tools (`package.json`) are code all the same.

use crate::model::{Basis, RawString};

/// Extensions of code, in lower case.
const EXTENSIONS: &[&str] = &[
    "asm", "awk", "bash", "bat", "bzl", "c", "cc", "cfg", "cjs", "clj", "cmake", "cpp", "cs",
    "css", "cu", "cuh", "cxx", "cython", "dart", "do", "el", "erl", "ex", "exs", "f", "f03", "f08",
    "f90", "f95", "fish", "for", "fs", "go", "gradle", "groovy", "h", "hh", "hpp", "hs", "htm",
    "html", "hxx", "in", "inc", "ini", "inl", "ipynb", "java", "jl", "js", "jsx", "kt", "kts",
    "less", "lisp", "lock", "lua", "m", "m4", "make", "markdown", "md", "mjs", "mk", "ml", "mli",
    "mm", "mojo", "nf", "nim", "nix", "php", "pl", "pm", "proto", "ps1", "pxd", "pxi", "py", "pyi",
    "pyx", "qmd", "r", "rb", "rmd", "rs", "rst", "s", "sass", "scala", "scm", "scss", "sh", "smk",
    "sql", "stan", "svelte", "swift", "tcl", "tex", "tf", "toml", "ts", "tsx", "v", "vhd", "vim",
    "vue", "wdl", "zig", "zsh",
];

/// Names of code, in lower case.
const NAMES: &[&str] = &[
    "build",
    "cmakelists.txt",
    "codeowners",
    "composer.json",
    "conda.yaml",
    "conda.yml",
    "configure",
    "containerfile",
    "copying",
    "docker-compose.yaml",
    "docker-compose.yml",
    "dockerfile",
    "dvc.yaml",
    "environment.yaml",
    "environment.yml",
    "gemfile",
    "gnumakefile",
    "gradlew",
    "jenkinsfile",
    "justfile",
    "licence",
    "license",
    "makefile",
    "manifest",
    "meson.build",
    "mkdocs.yml",
    "package-lock.json",
    "package.json",
    "pipfile",
    "procfile",
    "py.typed",
    "rakefile",
    "snakefile",
    "tsconfig.json",
    "vagrantfile",
    "workspace",
];

/// Beginnings of `.txt` names that are not data.
const TEXT_STEMS: &[&str] = &[
    "requirements",
    "constraints",
    "license",
    "licence",
    "readme",
    "changelog",
];

/// Whether a tracked file is code, by its name, or because it was run as a program.
pub(super) fn is_code(path: &RawString, basis: Basis) -> bool {
    if basis == Basis::Executed {
        return true;
    }
    let Ok(name) = std::str::from_utf8(path.file_name()) else {
        return false;
    };
    let name = name.to_ascii_lowercase();
    // Settings of tools: .gitignore, .flake8, .pre-commit-config.yaml.
    if name.starts_with('.') || NAMES.contains(&name.as_str()) {
        return true;
    }
    match name.rsplit_once('.') {
        Some((stem, "txt")) => TEXT_STEMS.iter().any(|start| stem.starts_with(start)),
        Some((_, extension)) => EXTENSIONS.contains(&extension),
        None => ["readme", "license", "licence"]
            .iter()
            .any(|start| name.starts_with(start)),
    }
}
