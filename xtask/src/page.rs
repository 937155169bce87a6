//! BENCHMARKS.md: what is measured stands between marks; what people write around it stays.

use std::fs;

use anyhow::{Context as _, Result};

use crate::{console, workspace};

const PAGE: &str = "BENCHMARKS.md";

/// Puts a text between two marks of the page.
///
/// # Errors
/// The page cannot be read or written, or lost a mark.
pub(crate) fn replace((begin, end): (&str, &str), text: &str) -> Result<()> {
    let file = workspace::root().join(PAGE);
    let page = fs::read_to_string(&file).context("cannot read BENCHMARKS.md")?;
    let lost = |mark| format!("BENCHMARKS.md lost its mark '{mark}'");
    let (before, rest) = page.split_once(begin).with_context(|| lost(begin))?;
    let (_, after) = rest.split_once(end).with_context(|| lost(end))?;
    fs::write(&file, format!("{before}{begin}\n\n{text}\n{end}{after}"))
        .context("cannot write BENCHMARKS.md")?;
    console::line(&format!("written: {PAGE}"));
    Ok(())
}
