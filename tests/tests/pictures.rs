//! The pictures of a pipeline, each taken by a tool that was not written here: Graphviz,
//! xmllint, Mermaid's own parser and a real browser.
#![cfg(target_os = "linux")]

use std::path::Path;

use roar_tests::project::Project;
use roar_tests::require::{Need, mermaid, met};
use roar_tests::transcript::Transcript;

/// Names that would do harm in one format or another, and must do none in any.
const HOSTILE: [&[u8]; 8] = [
    b"<script>document.title='hit'</script>",
    b"\"><img src=x onerror=\"document.title='hit'\">",
    b"x\"]; n0-->evil[\"y",
    b"]]>&amp;&lt;%s#quot;;--",
    b"a\nb\x1b]52;c;x\x07\tc",
    b"\xff\xfe\xe2\x80\xaeright to left",
    b"\\N\\G\\\"$HOME`id`**bold**",
    b"\xf0\x9f\xa6\x80 e\xcc\x81 \xef\xbf\xbe\xef\xbf\xbf",
];

/// A diamond of steps, a failure, a stale step, and the hostile names as outputs of the last.
fn project() -> Project {
    use std::os::unix::ffi::OsStrExt as _;
    let project = Project::new();
    project.write("raw", "1");
    for script in [
        "cat raw > a; echo > b",
        "cat a > c",
        "cat b > d",
        "cat c d > e",
        "cat e > f; exit 3",
    ] {
        project.roar(["run", "sh", "-c", script]);
    }
    let mut command = project.roar_command();
    command.args(["run", "-n", "<b onclick=\"x\">\u{202e}", "sh", "-c"]);
    command
        .arg("for name; do cat raw > \"$name\"; done")
        .arg("sh");
    for name in HOSTILE {
        // A slash would make it a folder.
        let name: Vec<u8> = name
            .iter()
            .map(|b| if *b == b'/' { b'|' } else { *b })
            .collect();
        command.arg(std::ffi::OsStr::from_bytes(&name));
    }
    Transcript::of(&mut command).succeeds();
    project.write("raw", "2");
    project.roar(["run", "@1"]).succeeds();
    project
}

/// Draws the pipeline into a file of that name.
fn draw(project: &Project, form: &str) -> String {
    let told = project.roar(["dag", form, "--show-artifacts"]);
    told.succeeds();
    assert!(told.stderr.is_empty(), "{}", told.snapshot());
    let text = String::from_utf8(told.stdout.clone()).expect("every picture is UTF-8");
    project.write(form.trim_start_matches("--"), &text);
    text
}

/// What a browser makes of a page, as the page's text afterwards.
fn browse(project: &Project, page: &Path) -> String {
    let mut browser = project.command("chromium");
    browser
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"])
        .args([
            "--allow-file-access-from-files",
            "--virtual-time-budget=20000",
        ])
        .arg(format!("file://{}", page.display()));
    Transcript::of(&mut browser).succeeds().stdout_text()
}

#[test]
fn graphviz_takes_the_dot_form() {
    if !met(&[Need::Bpf, Need::Program("dot"), Need::Program("xmllint")]) {
        return;
    }
    let project = project();
    draw(&project, "--dot");
    let drawn = Transcript::of(project.command("dot").args(["-Tsvg", "dot"]));
    drawn.succeeds();
    assert_eq!(
        drawn.stderr_text(),
        "",
        "Graphviz has nothing to complain about"
    );
    let svg = drawn.stdout_text();
    // 6 steps; a to f and the 8 names as artifacts; one line to each artifact and 5 between steps.
    assert_eq!(svg.matches("class=\"node\"").count(), 6 + 6 + HOSTILE.len());
    assert_eq!(svg.matches("class=\"edge\"").count(), 6 + HOSTILE.len() + 5);
    assert!(svg.contains("]]&gt;&amp;amp;&amp;lt;%s#quot;"), "{svg}");
}

#[test]
fn the_svg_form_is_xml_and_draws_every_step() {
    if !met(&[Need::Bpf, Need::Program("xmllint")]) {
        return;
    }
    let project = project();
    draw(&project, "--svg");
    let count = |path: &str| {
        let found = Transcript::of(project.command("xmllint").args([
            "--nonet",
            "--xpath",
            &format!("count({path})"),
            "svg",
        ]));
        found.succeeds();
        assert_eq!(found.stderr_text(), "", "well-formed");
        found.stdout_text().trim().to_owned()
    };
    assert_eq!(count("//*[local-name()='circle']"), "6");
    assert_eq!(count("//*[local-name()='path']"), "5");
    assert_eq!(
        count("//*[@class='further']"),
        "1",
        "the diamond's other side"
    );
    assert_eq!(count("//*[local-name()='script']"), "0");
    assert_eq!(count("//@*[starts-with(name(),'on')]"), "0");
}

#[test]
fn mermaid_takes_the_mermaid_form() {
    if !met(&[Need::Bpf, Need::Mermaid, Need::Program("chromium")]) {
        return;
    }
    let project = project();
    let chart = draw(&project, "--mermaid");
    let text = serde_json::to_string(&chart)
        .expect("text is JSON")
        .replace('<', "\\u003c");
    let page = project.write(
        "page.html",
        format!(
            "<!DOCTYPE html><meta charset=utf-8><p id=told></p><div id=drawn></div>\
             <script src=\"file://{}\"></script><script>\
             const told = document.getElementById('told');\
             const drawn = document.getElementById('drawn');\
             mermaid.initialize({{startOnLoad: false}});\
             mermaid.parse({text}).then(() => mermaid.render('chart', {text})).then((chart) => {{\
             drawn.innerHTML = chart.svg;\
             const count = (what) => drawn.querySelectorAll(what).length;\
             told.textContent = `nodes ${{count('.node')}} harm ${{count('script,img,a')}}`;\
             }}).catch((error) => {{ told.textContent = 'refused: ' + error; }});</script>",
            mermaid().canonicalize().expect("it is there").display()
        ),
    );
    let dom = browse(&project, &page);
    let told = dom.split("<p id=\"told\">").nth(1).expect("the page");
    let told = told.split("</p>").next().expect("its end");
    let nodes = 6 + 6 + HOSTILE.len();
    assert_eq!(told, format!("nodes {nodes} harm 0"));
}

#[test]
fn the_page_stands_alone_and_no_name_acts() {
    if !met(&[Need::Bpf, Need::Program("chromium")]) {
        return;
    }
    let project = project();
    let html = draw(&project, "--html");
    let page = project.write("page.html", &html);
    for outside in ["https:", "src=", "@import", "url("] {
        let names = html
            .replace("&#60;img src=", "")
            .replace("&lt;img src=", "");
        assert!(!names.contains(outside), "{outside} in the page");
    }
    let dom = browse(&project, &page);
    assert!(
        dom.contains("<title>Pipeline: 6 steps"),
        "no name ran: the title is the page's"
    );
    assert_eq!(dom.matches("<script").count(), 1);
    assert_eq!(dom.matches("<img").count(), 0);
    assert_eq!(dom.matches("<circle").count(), 6);
    assert!(
        dom.contains("<nav>"),
        "its own script ran: the policy's digest is right"
    );
    // Without the script everything is there already.
    assert_eq!(html.matches("<circle").count(), 6);
    assert!(html.contains("<nav hidden>"));
}
