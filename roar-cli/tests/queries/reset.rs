use crate::project::{TestProject, pipeline};

#[test]
fn keeps_the_old_session() {
    let mut project = pipeline();
    let refused = project.roar(&["reset"]);
    assert_eq!(refused.status, 1, "{refused:?}");
    assert!(refused.stderr.contains("roar reset -y"));
    assert_eq!(project.roar(&["dag", "--json"]).json()["total_steps"], 3);

    let done = project.roar(&["reset", "-y"]);
    assert_eq!(done.status, 0, "{done:?}");
    assert_eq!(project.roar(&["dag", "--json"]).json()["total_steps"], 0);
    assert_eq!(
        project.roar(&["dag", "--session", "1", "--json"]).json()["total_steps"],
        3
    );
    // Numbering begins again.
    project.job("true", &[], &[]);
    assert_eq!(
        project.roar(&["show", "@1", "--json"]).json()["command"],
        "true"
    );
    assert_eq!(project.roar(&["show", "@2"]).status, 1);
}

#[test]
fn nothing_to_reset() {
    let project = TestProject::new();
    assert_eq!(project.roar(&["reset"]).status, 0);
    let project = pipeline();
    project.roar(&["reset", "-y"]);
    let again = project.roar(&["reset", "-y"]);
    assert!(again.stderr.contains("fresh already"), "{again:?}");
    assert_eq!(project.store().sessions().expect("sessions").len(), 2);
}
