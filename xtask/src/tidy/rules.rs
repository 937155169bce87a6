//! Judges one source file by the tables.

use super::source::{Mention, SourceFile};
use super::tables::{
    BANNED_IMPORTS, CALLS, HOMES, IMPURE, LAYERS, LINES_CEILING, LINES_COMFORTABLE,
    PRINTING_MACROS, PURE, UNSAFE,
};
use super::{Finding, Weight};

/// All findings in a file; `is_test` when the whole file is compiled for tests only.
pub(super) fn check(file: &SourceFile, is_test: bool) -> Vec<Finding> {
    let mut judge = Judge {
        file,
        is_test: is_test || file.krate == "tests",
        findings: Vec::new(),
    };
    judge.shape();
    judge.calls();
    judge.printing();
    judge.unsafe_code();
    match file.krate.as_str() {
        "roar-cli" => {
            judge.layers();
            judge.purity();
            judge.homes();
        }
        "roar-common" => judge.kernel_interface(),
        _ => {}
    }
    judge.findings
}

struct Judge<'a> {
    file: &'a SourceFile,
    is_test: bool,
    findings: Vec<Finding>,
}

impl<'a> Judge<'a> {
    fn found(&mut self, line: usize, weight: Weight, message: String) {
        self.findings.push(Finding {
            file: self.file.name.clone(),
            line,
            weight,
            message,
        });
    }

    fn error(&mut self, line: usize, message: String) {
        self.found(line, Weight::Error, message);
    }

    /// Mentions outside test code.
    fn effective(&self, mentions: &'a [Mention]) -> impl Iterator<Item = &'a Mention> + use<'a> {
        let is_test = self.is_test;
        mentions
            .iter()
            .filter(move |mention| !is_test && !mention.in_test)
    }

    fn shape(&mut self) {
        let lines = self.file.lines;
        if !self.file.has_module_docs && !self.is_test {
            self.error(
                1,
                "the module does not open with what it is for (//! …)".to_owned(),
            );
        }
        if self.is_test {
            return;
        }
        if lines > LINES_CEILING {
            self.error(
                0,
                format!("{lines} lines, the ceiling is {LINES_CEILING}: split it"),
            );
        } else if lines > LINES_COMFORTABLE {
            let message = format!("{lines} lines: think about splitting it");
            self.found(0, Weight::Warning, message);
        }
    }

    fn calls(&mut self) {
        for call in CALLS {
            if self.is_in(call.homes) {
                continue;
            }
            for mention in self.effective(&self.file.mentions) {
                if ends_with(&mention.path, call.path) {
                    self.error(
                        mention.line,
                        format!("{} is not for here: {}", call.path.join("::"), call.instead),
                    );
                }
            }
        }
    }

    fn printing(&mut self) {
        for call in self.effective(&self.file.macros) {
            let name = call.path.last().map_or("", String::as_str);
            if PRINTING_MACROS.contains(&name) {
                self.error(
                    call.line,
                    format!("{name}! prints past present::ui (in xtask: console)"),
                );
            }
        }
    }

    fn unsafe_code(&mut self) {
        if self.is_in(UNSAFE) {
            return;
        }
        for mention in self.effective(&self.file.unsafe_code) {
            self.error(
                mention.line,
                "unsafe code outside the named system-call modules".to_owned(),
            );
        }
    }

    fn layers(&mut self) {
        let Some(top) = self.file.module.first() else {
            return;
        };
        let Some((_, allowed)) = LAYERS.iter().find(|(module, _)| module == top) else {
            self.error(
                0,
                format!("module '{top}' is in no layer: add it to xtask/src/tidy/tables.rs and ARCHITECTURE.md"),
            );
            return;
        };
        for mention in self.effective(&self.file.mentions) {
            let Some(target) = imported_module(mention) else {
                continue;
            };
            if target != top && !allowed.contains(&"*") && !allowed.contains(&target) {
                self.error(
                    mention.line,
                    format!("{top} must not import crate::{target}"),
                );
            }
        }
        for &(module, path, reason) in BANNED_IMPORTS {
            for mention in self.effective(&self.file.mentions) {
                if module == top && starts_with(&mention.path, path) {
                    self.error(mention.line, format!("{top} must not use {path}: {reason}"));
                }
            }
        }
    }

    fn purity(&mut self) {
        let Some(top) = self.file.module.first() else {
            return;
        };
        if !PURE.contains(&top.as_str()) {
            return;
        }
        for mention in self.effective(&self.file.mentions) {
            if let Some(source) = IMPURE.iter().find(|path| starts_with(&mention.path, path)) {
                self.error(
                    mention.line,
                    format!("{top} is pure (no I/O, clock, environment), {source} is not"),
                );
            }
        }
    }

    fn homes(&mut self) {
        let module = self.file.module.join("::");
        for (library, homes) in HOMES {
            if homes.iter().any(|home| is_below(&module, home)) {
                continue;
            }
            for mention in self.effective(&self.file.mentions) {
                if mention.path.len() > 1 && mention.path[0] == *library {
                    self.error(
                        mention.line,
                        format!("{library} is used in {} only", homes.join(", ")),
                    );
                }
            }
        }
    }

    fn kernel_interface(&mut self) {
        if self.file.module.is_empty() && !self.file.attributes.iter().any(|a| a == "no_std") {
            self.error(
                1,
                "roar-common is compiled for the kernel side, too: #![no_std]".to_owned(),
            );
        }
    }

    fn is_in(&self, places: &[(&str, &str)]) -> bool {
        let module = self.file.module.join("::");
        places
            .iter()
            .any(|(krate, place)| self.file.krate == *krate && is_below(&module, place))
    }
}

/// The crate's top module that a path leads into.
fn imported_module(mention: &Mention) -> Option<&str> {
    match mention.path.as_slice() {
        [root, module, ..] if root == "crate" || root == "roar_cli" => {
            // Items of the crate's root are not modules.
            let known = LAYERS.iter().any(|(name, _)| name == module);
            known.then_some(module.as_str())
        }
        _ => None,
    }
}

/// Whether a module is that place or below it; the empty place is the whole crate.
fn is_below(module: &str, place: &str) -> bool {
    place.is_empty()
        || module
            .strip_prefix(place)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn starts_with(path: &[String], prefix: &str) -> bool {
    let mut path = path.iter();
    prefix
        .split("::")
        .all(|part| path.next().is_some_and(|segment| segment == part))
}

fn ends_with(path: &[String], end: &[&str]) -> bool {
    path.len() >= end.len() && path[path.len() - end.len()..].iter().eq(end)
}
