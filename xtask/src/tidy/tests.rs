//! Snippets that must be found wanting, and neighbours of theirs that must not.

use std::collections::BTreeSet;
use std::path::Path;

use super::source::SourceFile;
use super::{documents, judge};

/// Judges one file; `place` is PACKAGE/PATH below its `src`. Expects `LINE message part`.
#[track_caller]
fn check(place: &str, text: &str, expected: &[&str]) {
    check_all(&[(place, text)], expected);
}

#[track_caller]
fn check_all(files: &[(&str, &str)], expected: &[&str]) {
    let files: Vec<SourceFile> = files
        .iter()
        .map(|(place, text)| {
            let (krate, path) = place.split_once('/').expect("a package");
            SourceFile::parse(krate, Path::new("src"), &Path::new("src").join(path), text)
                .expect("Rust")
        })
        .collect();
    let found: Vec<String> = judge(&files)
        .iter()
        .map(|finding| format!("{} {}", finding.line, finding.message))
        .collect();
    let fits =
        found.len() == expected.len() && found.iter().zip(expected).all(|(f, e)| f.starts_with(e));
    assert!(fits, "found {found:#?}, expected {expected:#?}");
}

const DOC: &str = "//! Doc.\n";

fn documented(text: &str) -> String {
    format!("{DOC}{text}")
}

#[test]
fn imports_follow_the_layers() {
    let cases: &[(&str, &str, &[&str])] = &[
        ("store/jobs.rs", "use crate::model::Digest;", &[]),
        ("store/jobs.rs", "use super::rows::Row;", &[]),
        (
            "store/jobs.rs",
            "use crate::present::ui::Ui;",
            &["2 store must not import crate::present"],
        ),
        (
            "store/jobs.rs",
            "use super::super::present::ui;",
            &["2 store must not import"],
        ),
        (
            "store/mod.rs",
            "use super::trace::Tracer;",
            &["2 store must not import crate::trace"],
        ),
        (
            "trace/mod.rs",
            "use crate::{event::TraceEvent,\n store::Store};",
            &["3 trace must not import crate::store"],
        ),
        (
            "trace/mod.rs",
            "fn f() -> crate::store::Store { todo() }",
            &["2 trace must not import"],
        ),
        (
            "trace/mod.rs",
            "fn f() { assert!(crate::capture::yes()); }",
            &["2 trace must not import crate::capture"],
        ),
        (
            "trace/mod.rs",
            "// use crate::store::Store;\nconst A: &str = \"crate::store\";",
            &[],
        ),
        (
            "trace/mod.rs",
            "#[cfg(test)]\nmod tests { use crate::store::Store; }",
            &[],
        ),
        (
            "trace/mod.rs",
            "#[cfg(not(test))]\nmod x { use crate::store::Store; }",
            &["3 trace must not"],
        ),
        (
            "trace/mod.rs",
            "mod inner { use super::super::store::Store; }",
            &["2 trace must not import"],
        ),
        ("present/dag.rs", "use crate::store::JobSummary;", &[]),
        (
            "present/dag.rs",
            "use crate::store::{JobSummary, Store};",
            &["2 present must not use crate::store::Store"],
        ),
        (
            "commands/run.rs",
            "use crate::{store::Store, trace::Tracer};",
            &[],
        ),
        ("novel/mod.rs", "", &["0 module 'novel' is in no layer"]),
        (
            "present/dag.rs",
            "use rusqlite::Connection;",
            &["2 rusqlite is used in store, capture::sqlite"],
        ),
        (
            "trace/seccomp/mod.rs",
            "use aya::Ebpf;",
            &["2 aya is used in trace::ebpf only"],
        ),
        ("trace/ebpf/load.rs", "use aya::Ebpf;", &[]),
    ];
    for (place, text, expected) in cases {
        check(&format!("roar-cli/{place}"), &documented(text), expected);
    }
}

#[test]
fn pure_modules_stay_pure() {
    let cases: &[(&str, &str, &[&str])] = &[
        ("observe/fold.rs", "use std::collections::HashMap;", &[]),
        (
            "observe/fold.rs",
            "use std::fs::File;",
            &["2 observe is pure"],
        ),
        (
            "observe/fold.rs",
            "use std::{collections::HashMap,\n env as e};",
            &["3 observe is pure"],
        ),
        (
            "lineage/graph.rs",
            "fn f() { std::env::var(\"A\"); }",
            &["2 lineage is pure"],
        ),
        (
            "model/ids.rs",
            "use std::time::SystemTime;",
            &["2 model is pure"],
        ),
        ("model/ids.rs", "use std::time::Duration;", &[]),
        (
            "model/ids.rs",
            "#[test]\nfn f() { std::fs::read(\"x\"); }",
            &[],
        ),
        ("capture/mod.rs", "use std::fs;", &[]),
    ];
    for (place, text, expected) in cases {
        check(&format!("roar-cli/{place}"), &documented(text), expected);
    }
}

#[test]
fn calls_have_their_places() {
    let cases: &[(&str, &str, &[&str])] = &[
        (
            "roar-cli/store/mod.rs",
            "fn f() { std::time::SystemTime::now(); }",
            &["2 SystemTime::now"],
        ),
        (
            "roar-cli/store/mod.rs",
            "use std::time;\nfn f() { time::Instant::now(); }",
            &["3 Instant::now"],
        ),
        ("roar-cli/clock.rs", "fn f() { SystemTime::now(); }", &[]),
        (
            "roar-cli/capture/mod.rs",
            "fn f() { g(SystemTime::now) }",
            &["2 SystemTime::now"],
        ),
        (
            "roar-cli/commands/run.rs",
            "fn f() { std::process::exit(1); }",
            &["2 process::exit"],
        ),
        (
            "xtask/main.rs",
            "use std::process::exit;",
            &["2 process::exit"],
        ),
        (
            "roar-cli/commands/run.rs",
            "fn f() { println!(\"x\"); }",
            &["2 println! prints"],
        ),
        (
            "roar-cli/commands/run.rs",
            "fn f() { vec![{ eprint!(\"x\") }]; }",
            &["2 eprint! prints"],
        ),
        (
            "roar-cli/commands/run.rs",
            "fn f() { std::io::stdout(); }",
            &["2 io::stdout"],
        ),
        (
            "roar-cli/present/ui.rs",
            "fn f() { anstream::stdout(); }",
            &[],
        ),
        (
            "roar-cli/present/uid.rs",
            "fn f() { anstream::stdout(); }",
            &["2 anstream::stdout"],
        ),
        (
            "roar-cli/store/mod.rs",
            "#[cfg(all(test, unix))]\nmod t { fn f() { println!(); } }",
            &[],
        ),
    ];
    for (place, text, expected) in cases {
        check(place, &documented(text), expected);
    }
}

#[test]
fn unsafe_code_has_its_places() {
    let cases: &[(&str, &str, &[&str])] = &[
        ("roar-cli/trace/sys.rs", "fn f() { unsafe { g() } }", &[]),
        (
            "roar-cli/trace/ebpf/load.rs",
            "fn f() { unsafe { g() } }",
            &["2 unsafe code"],
        ),
        (
            "roar-cli/capture/mod.rs",
            "unsafe fn f() {}",
            &["2 unsafe code"],
        ),
        (
            "roar-cli/capture/mod.rs",
            "unsafe impl Send for X {}",
            &["2 unsafe code"],
        ),
        (
            "roar-cli/capture/mod.rs",
            "#![allow(unsafe_code, reason = \"\")]",
            &["2 unsafe code"],
        ),
        (
            "roar-cli/capture/mod.rs",
            "fn f() { g!(unsafe { h() }) }",
            &["2 unsafe code"],
        ),
        (
            "roar-cli/capture/mod.rs",
            "unsafe extern \"C\" { fn f(); }",
            &["2 unsafe code"],
        ),
        ("roar-ebpf/main.rs", "fn f() { unsafe { g() } }", &[]),
    ];
    for (place, text, expected) in cases {
        check(place, &documented(text), expected);
    }
}

#[test]
fn files_have_shape() {
    let long = |lines: usize| DOC.to_owned() + &"\n".repeat(lines - 1);
    check(
        "roar-cli/store/mod.rs",
        "fn f() {}",
        &["1 the module does not open"],
    );
    check("roar-cli/store/mod.rs", &long(400), &[]);
    check("roar-cli/store/mod.rs", &long(401), &["0 401 lines: think"]);
    check(
        "roar-cli/store/mod.rs",
        &long(601),
        &["0 601 lines, the ceiling is 600"],
    );
    check("tests/run.rs", &long(601), &[]);
    check_all(
        &[
            (
                "roar-cli/store/mod.rs",
                &documented("#[cfg(test)]\nmod tests;"),
            ),
            ("roar-cli/store/tests/mod.rs", "mod crash;"),
            (
                "roar-cli/store/tests/crash.rs",
                "fn f() { std::process::exit(1) }",
            ),
        ],
        &[],
    );
    check("roar-common/lib.rs", DOC, &["1 roar-common is compiled"]);
    check("roar-common/lib.rs", "//! Doc.\n#![no_std]", &[]);
}

#[test]
fn documents_keep_up() {
    let words = |text: &str, word: &str| {
        documents::missing_words("P", text, std::iter::once(word.to_owned())).len()
    };
    assert_eq!(words("run `cargo xtask test` now", "cargo xtask test"), 0);
    assert_eq!(words("run `cargo xtask test-all`", "cargo xtask test"), 1);
    assert_eq!(words("", "cargo xtask test"), 1);

    let source = "Key {\n    name: \"output.quiet\",\n    doc: \"name: x\",\n}";
    assert_eq!(documents::setting_names(source), ["output.quiet"]);

    let source = "enum Other { A }\nenum Command { Init(A), #[cfg(unix)] Run(B) }";
    assert_eq!(documents::command_names(source), ["init", "run"]);

    let layers = super::tables::LAYERS
        .iter()
        .map(|(module, _)| (*module).to_owned());
    let modules: BTreeSet<String> = layers.filter(|module| module != "main").collect();
    let page = |modules: &BTreeSet<String>| {
        let lines = modules.iter().map(|module| format!("  {module}/  what\n"));
        format!(
            "roar-cli/  library\n{}xtask/\n  other/\n",
            lines.collect::<String>()
        )
    };
    let fewer: BTreeSet<String> = modules.iter().skip(1).cloned().collect();
    assert_eq!(documents::map(&page(&modules), &modules), []);
    assert_eq!(documents::map(&page(&fewer), &modules).len(), 1);
    // In the map and in the layers, but not in the tree.
    assert_eq!(documents::map(&page(&modules), &fewer).len(), 2);

    let dependencies = |manifest: &str| documents::no_dependencies("M", manifest).len();
    assert_eq!(dependencies("[dependencies]\nlibc = \"1\""), 1);
    assert_eq!(dependencies("[dependencies]\n[lints]\nworkspace = true"), 0);
}
