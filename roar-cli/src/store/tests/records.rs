//! What goes in comes out.

use super::*;

/// A job with every field set.
fn full() -> JobRecord {
    let mut hashed = file("/p/in.csv", 7);
    hashed.hashes.extend([
        (HashAlgorithm::Sha256, digest(100)),
        (
            HashAlgorithm::Md5,
            Digest::from_hex("00112233445566778899aabbccddeeff"),
        ),
    ]);
    JobRecord {
        kind: JobKind::Build,
        state: JobState::Lost,
        name: Some("na\u{202e}me".into()),
        argv: vec!["python".into(), RawString::new(&b"\xff\0x"[..]), "".into()],
        cwd: RawString::new(&b"sub/\xfe"[..]),
        started_at_ns: -5,
        duration_ns: Some(u64::MAX),
        outcome: Outcome {
            exit_code: None,
            signal: Some(9),
            interrupted: true,
        },
        inputs: vec![
            hashed,
            FileRecord {
                path: RawString::new(&b"/p/\xff\n"[..]),
                hashes: Hashes::new(),
                size_bytes: None,
                basis: Basis::Mapped,
                note: Some("not hashed: gone".into()),
            },
        ],
        outputs: [Basis::Written, Basis::Executed, Basis::Opened, Basis::Read]
            .into_iter()
            .map(|basis| FileRecord {
                basis,
                ..file("/p/out", 9)
            })
            .collect(),
        filtered: [
            FileAccess::Read,
            FileAccess::Write,
            FileAccess::ReadWrite,
            FileAccess::Temporary,
        ]
        .into_iter()
        .map(|access| FilteredRecord {
            path: "/usr/lib/x".into(),
            access,
            by: format!("filters.{access}"),
        })
        .collect(),
        completeness: Completeness {
            backend: "ebpf".into(),
            complete: false,
            lost_events: [("read".to_owned(), 3)].into(),
            truncated_paths: 2,
            gaps: vec![Gap {
                kind: GapKind::IoUring,
                detail: "x".into(),
                count: 1,
            }],
            notes: vec!["y".into()],
        },
        git: Some(GitState {
            commit: Some("c0ffee".into()),
            branch: Some("main".into()),
            dirty: true,
            top: Some(RawString::new(&b"/p/\xfd"[..])),
            ..GitState::default()
        }),
        host: HostFacts {
            hostname: "h".into(),
            cpu_count: 2,
            memory_bytes: u64::MAX,
            ..HostFacts::default()
        },
        conditions: Conditions {
            environment: [("SEED".to_owned(), RawString::from("1"))].into(),
            redactions: vec![Redaction {
                place: RedactedPlace::Argument {
                    index: 2,
                    option: Some("--token".into()),
                },
                detector: "named-secret".into(),
            }],
            ..Conditions::default()
        },
        ..job(1, "")
    }
}

#[test]
fn a_record_round_trips() {
    for record in [full(), job(2, "true")] {
        let (_folder, project) = project();
        let mut store = Store::open(&project).expect("opens");
        let recorded = store.insert_job(&record, &step("s")).expect("inserts");
        drop(store);
        let store = Store::open_read_only(&project).expect("opens again");
        let stored = store.job(recorded.id).expect("reads").expect("is there");
        assert_eq!(stored.record, record);
        assert_eq!(
            (stored.id, stored.session_id, stored.step_number),
            (recorded.id, recorded.session_id, 1)
        );
        let summary = &store.job_summaries(&JobQuery::default()).expect("lists")[0];
        assert_eq!(summary.argv, record.argv);
        assert_eq!(summary.outcome, record.outcome);
        assert_eq!(summary.complete, record.completeness.complete);
        assert_eq!(summary.input_count, record.inputs.len() as u64);
        assert_eq!(summary.output_count, record.outputs.len() as u64);
    }
}

#[test]
fn steps_are_numbered_by_identity_and_kind() {
    let (_folder, project) = project();
    let mut store = Store::open(&project).expect("opens");
    assert_eq!(store.active_session().expect("reads"), None);
    let run = JobKind::Run;
    let build = JobKind::Build;
    // (start a session before, kind, identity) → (session, step)
    let cases = [
        ((false, run, "a"), (1, 1)),
        ((false, run, "b"), (1, 2)),
        ((false, run, "a"), (1, 1)),
        ((false, build, "a"), (1, 3)),
        ((false, run, "c"), (1, 4)),
        ((false, build, "a"), (1, 3)),
        ((true, run, "c"), (2, 1)),
        ((false, build, "a"), (2, 2)),
        ((true, build, "a"), (3, 1)),
    ];
    for (number, ((fresh, kind, identity), expected)) in cases.into_iter().enumerate() {
        if fresh {
            let session = store.start_session().expect("starts");
            assert_eq!(store.active_session().expect("reads"), Some(session));
        }
        let record = JobRecord {
            kind,
            ..job(number as u32, "true")
        };
        let recorded = store.insert_job(&record, &step(identity)).expect("inserts");
        assert_eq!(
            (recorded.session_id, recorded.step_number),
            expected,
            "case {number}"
        );
    }
    let sessions = store.sessions().expect("lists");
    let states: Vec<_> = sessions.iter().map(|s| (s.id, s.active)).collect();
    assert_eq!(states, [(1, false), (2, false), (3, true)]);
    assert_eq!(
        store.session(2).expect("reads").as_ref(),
        Some(&sessions[1])
    );
    assert_eq!(store.session(9).expect("reads"), None);
    // The clock of the database is the clock of the machine: after 2020, before 2100.
    assert!(
        (1_577_836_800_000_000_000..4_102_444_800_000_000_000).contains(&sessions[1].started_at_ns)
    );
}

#[test]
fn a_taken_uid_gives_another_and_the_same_job_is_refused() {
    let (_folder, project) = project();
    let mut store = Store::open(&project).expect("opens");
    let first = job(7, "true");
    let second = JobRecord {
        started_at_ns: 99,
        ..first.clone()
    };
    store.insert_job(&first, &step("a")).expect("inserts");
    let other = store.insert_job(&second, &step("a")).expect("inserts");
    assert_ne!(other.uid, first.uid);
    assert!(matches!(
        store.insert_job(&first, &step("a")),
        Err(StoreError::DuplicateJob { uid }) if uid == first.uid
    ));
    assert_eq!(
        store
            .job_summaries(&JobQuery::default())
            .expect("lists")
            .len(),
        2
    );
}

#[test]
fn a_bad_digest_stores_nothing() {
    let (_folder, project) = project();
    let mut store = Store::open(&project).expect("opens");
    let mut record = job(1, "true");
    record.inputs.push(file("/p/a", 1));
    record.outputs.push(FileRecord {
        hashes: Hashes::from([(HashAlgorithm::Blake3, Digest::from_hex("xyz"))]),
        ..file("/p/b", 2)
    });
    let error = store
        .insert_job(&record, &step("a"))
        .expect_err("is refused");
    assert!(matches!(error, StoreError::InvalidRecord { .. }), "{error}");
    assert_eq!(
        store.job_summaries(&JobQuery::default()).expect("lists"),
        []
    );
    assert_eq!(store.active_session().expect("reads"), None);
    assert_eq!(store.artifact(&digest(1)).expect("reads"), None);
}

/// What version 1 wrote must stay readable: these rows are as version 1 wrote them.
#[test]
fn documents_of_version_1_are_read() {
    let (_folder, project) = project();
    let first = schema::Schema::new(&schema::MIGRATIONS[..1]);
    drop(Store::open_schema(&project, StoreOptions::default(), &first).expect("opens"));
    let connection = rusqlite::Connection::open(project.database()).expect("opens");
    connection
        .execute_batch(
            r#"INSERT INTO sessions VALUES (1, 5, 1);
               INSERT INTO hosts VALUES (1, '{"version":1,"value":{"hostname":"h","later":1}}');
               INSERT INTO jobs VALUES (1, '0000000a', 1, 1, 'run', 'done', NULL,
                   '["cat",{"escaped":"\\xff","base64":"/w=="}]', '.', 5, 6, 0, NULL, 0, 1, 0, 0,
                   '{"version":1,"value":{"backend":"ebpf","complete":true}}',
                   '{"version":1,"value":{"commit":"c0ffee","dirty":true}}', 1);"#,
        )
        .expect("inserts");
    drop(connection);
    let store = Store::open(&project).expect("migrates");
    let record = store.job(1).expect("reads").expect("is there").record;
    assert_eq!(record.conditions, Conditions::default());
    assert_eq!(record.argv, ["cat".into(), RawString::new(&b"\xff"[..])]);
    assert_eq!(record.host.hostname, "h");
    assert_eq!(record.completeness.backend, "ebpf");
    let git = record.git.expect("is there");
    assert_eq!((git.commit.as_deref(), git.dirty), (Some("c0ffee"), true));
}
