//! What the workloads read, made by the project itself, the same on every machine.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::bench::site::{Site, User};
use crate::{console, process, python, workspace};

/// The scripts, by the names that they have among the fixtures.
const PIPELINE: &str = include_str!("pipeline.py");
const WORKERS: &str = include_str!("workers.py");

/// What the pipeline imports.
const REQUIREMENTS: [&str; 3] = ["numpy", "pandas", "pyarrow"];

/// A python and one of the scripts.
pub(super) fn python_words(site: &Site, script: &str) -> Vec<OsString> {
    let script = site.fixtures().join(script);
    vec![interpreter(site).into(), script.into()]
}

/// The Python of the virtual environment, else the machine's own.
fn interpreter(site: &Site) -> PathBuf {
    let own = site.fixtures().join("python/bin/python");
    if own.exists() {
        own
    } else {
        python().unwrap_or_else(|| "/usr/bin/python3".into())
    }
}

/// The machine's own Python before one that may lie in somebody's home, out of reach of others.
fn python() -> Option<PathBuf> {
    let own = PathBuf::from("/usr/bin/python3");
    let has_venv = process::succeeds(Command::new(&own).args(["-c", "import venv, ensurepip"]));
    if has_venv { Some(own) } else { python::find() }
}

/// The machine-learning pipeline, with a virtual environment of its own.
pub(super) fn pipeline(site: &Site) -> Result<()> {
    let environment = workspace::target().join("bench/python");
    if !environment.join("bin/python").exists() {
        let python = python().context("no Python with venv: cargo xtask setup")?;
        process::run(Command::new(python).args(["-m", "venv"]).arg(&environment))?;
    }
    let mut install = Command::new(environment.join("bin/python"));
    let imports = REQUIREMENTS.map(|name| format!("import {name}")).join("; ");
    if !process::succeeds(Command::new(environment.join("bin/python")).args(["-c", &imports])) {
        install.args(["-m", "pip", "install", "--quiet", "--only-binary", ":all:"]);
        process::run(install.args(REQUIREMENTS))?;
    }
    // An ordinary user may not reach the target folder; a link would lead there.
    let copy = site.fixtures().join("python");
    if !copy.exists() {
        process::quietly(Command::new("cp").arg("-a").arg(&environment).arg(&copy))?;
    }
    write(&site.fixtures().join("pipeline.py"), PIPELINE)
}

/// A hundred C files that include three headers, and their Makefile.
pub(super) fn sources(site: &Site) -> Result<()> {
    let folder = site.fixtures().join("sources");
    if folder.exists() {
        return Ok(());
    }
    fs::create_dir(&folder).context("cannot make a folder")?;
    for header in 0..3 {
        let lines = (0..40).map(|n| {
            format!("static inline int h{header}_{n}(int a) {{ return a * {n} + {header}; }}\n")
        });
        let text = lines.collect::<Vec<_>>().concat();
        write(&folder.join(format!("h{header}.h")), &text)?;
    }
    let mut declarations = Vec::new();
    let mut sum = Vec::new();
    for file in 0..100 {
        let lines = (0..30).map(|n| {
            format!("static int g{n}(int a) {{ return h0_{n}(a) ^ h1_{n}(a) + h2_{n}(a); }}\n")
        });
        let body = lines.collect::<Vec<_>>().concat();
        let calls = (0..30).map(|n| format!(" + g{n}(a)"));
        let calls = calls.collect::<Vec<_>>().concat();
        let text = format!(
            "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include \"h0.h\"\n\
             #include \"h1.h\"\n#include \"h2.h\"\n{body}int f{file}(int a) {{ return a{calls}; }}\n"
        );
        write(&folder.join(format!("f{file}.c")), &text)?;
        declarations.push(format!("int f{file}(int);\n"));
        sum.push(format!(" + f{file}(n)"));
    }
    let (declarations, sum) = (declarations.concat(), sum.concat());
    let main = format!("{declarations}int main(int n, char **v) {{ return (0{sum}) & 1; }}\n");
    write(&folder.join("main.c"), &main)?;
    write(
        &folder.join("Makefile"),
        "OBJECTS = $(patsubst %.c,%.o,$(wildcard *.c))\n\
         program: $(OBJECTS)\n\tgcc -o $@ $^\n\
         %.o: %.c h0.h h1.h h2.h\n\tgcc -O1 -c -o $@ $<\n",
    )
}

/// Puts the sources into the work folder.
pub(super) fn copy_sources(site: &Site) -> Result<()> {
    for entry in fs::read_dir(site.fixtures().join("sources")).context("no sources")? {
        let entry = entry.context("cannot list the sources")?;
        let target = site.work().join(entry.file_name());
        fs::copy(entry.path(), target).context("cannot copy the sources")?;
    }
    Ok(())
}

/// A repository of 8,000 files in 80 folders.
pub(super) fn repository(site: &Site) -> Result<()> {
    let bare = site.fixtures().join("repository.git");
    if bare.exists() {
        return Ok(());
    }
    console::line("making a repository");
    let tree = site.fixtures().join("tree");
    many_files(&tree, 80, 100, 600)?;
    site.fresh(User::Caller)?;
    let git = |words: &[&str]| {
        let mut command = site.command(User::Caller, "git");
        command.args(words).current_dir(&tree);
        process::quietly(&mut command)
    };
    git(&["init", "-q"])?;
    git(&["add", "."])?;
    git(&["commit", "-q", "-m", "all"])?;
    let target = bare.to_string_lossy().into_owned();
    git(&["clone", "-q", "--bare", ".", &target])?;
    fs::remove_dir_all(tree).context("cannot remove the tree")
}

/// Packed samples for the workers.
pub(super) fn samples(site: &Site) -> Result<()> {
    let script = site.fixtures().join("workers.py");
    if script.exists() {
        return Ok(());
    }
    write(&script, WORKERS)?;
    let folder = site.fixtures().join("samples");
    let mut make = site.command(User::Caller, interpreter(site));
    make.arg(&script).arg("make").arg(folder);
    site.fresh(User::Caller)?;
    process::quietly(&mut make)
}

/// Archives of 20,000 and of 4,000 files.
pub(super) fn archives(site: &Site) -> Result<()> {
    for (folders, name) in [(200, "20000.tar"), (40, "4000.tar")] {
        let archive = site.fixtures().join(name);
        if archive.exists() {
            continue;
        }
        let tree = site.fixtures().join("unpacked");
        many_files(&tree, folders, 100, 1024)?;
        let mut pack = Command::new("tar");
        pack.arg("-cf").arg(&archive).arg("-C").arg(&tree).arg(".");
        process::quietly(&mut pack)?;
        fs::remove_dir_all(&tree).context("cannot remove the tree")?;
    }
    Ok(())
}

/// Ten thousand files of one folder.
pub(super) fn small_files(site: &Site) -> Result<()> {
    let folder = small_files_folder(site);
    if folder.exists() {
        return Ok(());
    }
    fs::create_dir(&folder).context("cannot make a folder")?;
    for number in 0..10_000 {
        write(&folder.join(format!("{number:05}")), &format!("{number}\n"))?;
    }
    Ok(())
}

/// Where they are.
pub(super) fn small_files_folder(site: &Site) -> PathBuf {
    site.fixtures().join("small")
}

/// 128 MB for dd to copy.
pub(super) fn blob(site: &Site) -> Result<()> {
    let block: Vec<u8> = (0..128_000_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    fs::write(site.fixtures().join("blob"), block).context("cannot write the blob")
}

/// Files of text, no two alike.
fn many_files(folder: &Path, folders: u32, files: u32, bytes: usize) -> Result<()> {
    for outer in 0..folders {
        let place = folder.join(format!("folder{outer:03}"));
        fs::create_dir_all(&place).context("cannot make a folder")?;
        for inner in 0..files {
            let mut text = format!("file {inner} of folder {outer}\n").repeat(bytes / 20 + 1);
            text.truncate(bytes);
            write(&place.join(format!("file{inner:03}.txt")), &text)?;
        }
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
