//! Terminals with little room: what matters most is what stays.

use crate::project::{pipeline, roar_in};

#[test]
fn twenty_columns_keep_names_and_commands() {
    let project = pipeline();
    std::fs::remove_file(project.root().join("metrics.json")).expect("it was there");
    for (arguments, expected) in [
        (&["log"][..], "job       command\n00000003  python ev…"),
        (&["show"], "step  state   comma…\n@1    active  pytho…"),
        (&["status"], "  missing  metrics.…\n"),
        (&["verify"], "missing  metrics.js…\n"),
        (&["lineage", "metrics.json"], "    read   model.pkl\n"),
    ] {
        let text = roar_in(&project.root(), arguments, &[("COLUMNS", "20")]).stdout;
        assert!(text.contains(expected), "{arguments:?}: {text}");
    }
}
