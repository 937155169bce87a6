//! HTML: the SVG in a page that can be panned and zoomed.
//!
//! Its own policy forbids it every request; the two blocks of script and style are allowed by
//! their digests, so that nothing that came in with a name could run either.

use std::path::Path;

use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest as _, Sha256};

use super::super::dag::DagView;
use super::svg;

const SCRIPT: &str = include_str!("../../../templates/dag.js");
const STYLE: &str = include_str!("../../../templates/dag.css");

#[derive(Template)]
#[template(path = "dag.html")]
struct Page<'a> {
    title: String,
    script: &'a str,
    script_digest: String,
    style: &'a str,
    svg: String,
}

pub(super) fn draw(view: &DagView, cwd: &Path) -> Result<String, std::fmt::Error> {
    let page = Page {
        title: svg::title(view),
        script: SCRIPT,
        script_digest: BASE64.encode(Sha256::digest(SCRIPT)),
        style: STYLE,
        svg: svg::draw(view, cwd)?,
    };
    page.render().map_err(|_| std::fmt::Error)
}
