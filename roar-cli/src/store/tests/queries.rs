//! Questions and their answers.

use super::*;
use crate::model::{CacheKey, CachedHash, Collection};
use crate::store::JobCollection;

/// Sessions 1 and 2 with a small pipeline each; returns the store.
///
/// Session 1: `get` → raw (1), `train` raw → model (2), `train` fails, `get` → raw (3).
/// Session 2: `copy` model (2) → elsewhere, killed.
fn pipeline(project: &Project) -> Store {
    let mut store = Store::open(project).expect("opens");
    let get = |uid, content| JobRecord {
        outputs: vec![file("/p/raw", content)],
        ..job(uid, "get --all")
    };
    let train = JobRecord {
        name: Some("Training".into()),
        inputs: vec![file("/p/raw", 1)],
        outputs: vec![file("/p/model", 2)],
        ..job(0x20, "python train.py")
    };
    let failed = JobRecord {
        outcome: Outcome {
            exit_code: Some(3),
            ..Outcome::default()
        },
        outputs: Vec::new(),
        ..JobRecord {
            uid: JobUid::from_bits(0x21),
            ..train.clone()
        }
    };
    let copy = JobRecord {
        inputs: vec![file("/p/model", 2)],
        outputs: vec![file("/p/copy", 2)],
        outcome: Outcome {
            signal: Some(9),
            ..Outcome::default()
        },
        ..job(0x30, "cp model copy")
    };
    for (record, identity) in [
        (get(0x10, 1), "get"),
        (train, "train"),
        (failed, "train"),
        (get(0x11, 3), "get"),
    ] {
        store.insert_job(&record, &step(identity)).expect("inserts");
    }
    store.start_session().expect("starts");
    store.insert_job(&copy, &step("copy")).expect("inserts");
    store
}

#[test]
fn job_lists() {
    let (_folder, project) = project();
    let store = pipeline(&project);
    let check = |query: JobQuery, expected: &[i64]| {
        let found = store.job_summaries(&query).expect("lists");
        let ids: Vec<i64> = found.iter().map(|job| job.id).collect();
        assert_eq!(ids, expected, "{query:?}");
    };
    let all = JobQuery::default;
    let grep = |text: &str| JobQuery {
        grep: Some(text.into()),
        ..all()
    };
    check(all(), &[5, 4, 3, 2, 1]);
    check(
        JobQuery {
            limit: Some(2),
            ..all()
        },
        &[5, 4],
    );
    check(
        JobQuery {
            limit: Some(0),
            ..all()
        },
        &[],
    );
    check(
        JobQuery {
            session: Some(1),
            ..all()
        },
        &[4, 3, 2, 1],
    );
    check(
        JobQuery {
            session: Some(9),
            ..all()
        },
        &[],
    );
    check(
        JobQuery {
            session: Some(1),
            step: Some(1),
            ..all()
        },
        &[4, 1],
    );
    check(
        JobQuery {
            failed_only: true,
            ..all()
        },
        &[5, 3],
    );
    check(
        JobQuery {
            since_ns: Some(1_000 + 0x20),
            ..all()
        },
        &[5, 3, 2],
    );
    check(
        JobQuery {
            failed_only: true,
            limit: Some(1),
            session: Some(1),
            ..all()
        },
        &[3],
    );
    check(grep("GET --ALL"), &[4, 1]);
    check(grep("training"), &[3, 2]);
    check(grep("%"), &[]);
    check(
        JobQuery {
            limit: Some(1),
            ..grep("get")
        },
        &[4],
    );
}

/// The texts of many jobs in a row are those of the jobs, whatever came and went; and a database
/// that is migrated gets the same.
#[test]
fn texts_follow_the_jobs() {
    let (_folder, project) = project();
    let mut store = Store::open(&project).expect("opens");
    for number in 0..150_u32 {
        let mut record = job(1000 + number, &format!("step n{number}."));
        record.name = (number % 50 == 0).then(|| "Größe \"N149.\"".to_owned());
        store
            .insert_job(&record, &step(&number.to_string()))
            .expect("is recorded");
    }
    let found = |store: &Store, text: &str| -> Vec<i64> {
        let query = JobQuery {
            grep: Some(text.to_owned()),
            ..JobQuery::default()
        };
        let jobs = store.job_summaries(&query).expect("lists");
        jobs.iter().map(|job| job.id).collect()
    };
    assert_eq!(found(&store, "STEP").len(), 150);
    assert_eq!(found(&store, "step n70."), [71]);
    assert_eq!(found(&store, "n149."), [150, 101, 51, 1]);
    assert_eq!(found(&store, "grÖsse"), [0_i64; 0]);
    assert_eq!(found(&store, "GRÖßE"), [101, 51, 1]);
    assert_eq!(found(&store, "\u{1e}"), [0_i64; 0]);
    store
        .connection
        .execute_batch("DELETE FROM jobs WHERE id IN (71, 129, 130) OR id > 144")
        .expect("deletes");
    assert_eq!(found(&store, "step n70."), [0_i64; 0]);
    assert_eq!(found(&store, "n149."), [101, 51, 1]);
    assert_eq!(found(&store, "STEP").len(), 141);
    let migration = include_str!("../migrations/0008_command_texts.sql");
    let select = migration
        .split_once("SELECT")
        .and_then(|(_, rest)| rest.split_once(';'))
        .map(|(select, _)| format!("SELECT {select} ORDER BY 1"))
        .expect("a statement");
    let rows = |sql: &str| -> Vec<(i64, String)> {
        let mut statement = store.connection.prepare(sql).expect("prepares");
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.expect("runs")
            .collect::<Result<_, _>>()
            .expect("reads")
    };
    let kept = rows("SELECT chunk, texts FROM command_texts ORDER BY 1");
    assert_eq!(kept.len(), 3);
    assert_eq!(kept, rows(&select));
}

/// Every list comes out of an index in its order: the first rows of a hundred thousand cost
/// no more than those of ten.
#[test]
fn job_lists_are_not_sorted() {
    let (_folder, project) = project();
    let store = pipeline(&project);
    let all = JobQuery::default;
    let session = Some(1);
    let cases = [
        all(),
        JobQuery { session, ..all() },
        JobQuery {
            session,
            step: Some(1),
            ..all()
        },
        JobQuery {
            failed_only: true,
            ..all()
        },
        JobQuery {
            session,
            failed_only: true,
            since_ns: Some(1),
            ..all()
        },
    ];
    for (sql, values) in cases.iter().map(jobs::summary_sql) {
        let plan: Vec<String> = store
            .connection
            .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
            .and_then(|mut statement| {
                let values = rusqlite::params_from_iter(values);
                statement.query_map(values, |row| row.get(3))?.collect()
            })
            .expect("explains");
        assert!(
            plan.iter().all(|line| !line.contains("TEMP B-TREE")),
            "{sql}: {plan:?}"
        );
    }
}

#[test]
fn jobs_by_uid_and_step() {
    let (_folder, project) = project();
    let store = pipeline(&project);
    let check = |prefix: &str, expected: &[i64]| {
        let found = store.job_by_uid_prefix(prefix).expect("finds");
        let ids: Vec<i64> = found.iter().map(|job| job.id).collect();
        assert_eq!(ids, expected, "{prefix}");
    };
    check("0000001", &[4, 1]);
    check("00000021", &[3]);
    check("000000210", &[]);
    check("f", &[]);
    check("", &[]);
    check("0' OR 1", &[]);
    check("%", &[]);
    let latest = |session, step| {
        let job = store.latest_job_of_step(session, step).expect("finds");
        job.map(|job| job.id)
    };
    assert_eq!(latest(1, 1), Some(4));
    assert_eq!(latest(1, 2), Some(3));
    assert_eq!(latest(1, 3), None);
    assert_eq!(latest(2, 1), Some(5));
    assert_eq!(store.job(77).expect("reads"), None);
}

#[test]
fn sessions_with_files() {
    let (_folder, project) = project();
    let store = pipeline(&project);
    let jobs = store.graph_jobs(1).expect("reads");
    let shape: Vec<_> = jobs
        .iter()
        .map(|job| (job.id, job.inputs.len(), job.outputs.len()))
        .collect();
    assert_eq!(shape, [(1, 0, 1), (2, 1, 1), (3, 1, 0), (4, 0, 1)]);
    assert_eq!(store.graph_jobs(9).expect("reads"), []);
    let in_full = |id| {
        let summary = store.job_summary(id).expect("reads").expect("is there");
        store.job_with_files(summary).expect("reads")
    };
    let job = in_full(2);
    let [model] = job.outputs.as_slice() else {
        panic!("one output: {:?}", job.outputs);
    };
    assert_eq!(
        (&model.path, &model.hash, model.size_bytes),
        (&"/p/model".into(), &Some(digest(2)), Some(2))
    );
    assert_eq!(job.inputs[0].hash, in_full(3).inputs[0].hash);
    assert_ne!(job.inputs[0].hash, model.hash);
}

#[test]
fn uses_of_artifacts() {
    let (_folder, project) = project();
    let store = pipeline(&project);
    let shape = |uses: Vec<ArtifactUse>| {
        uses.into_iter()
            .map(|found| (found.job.id, found.path.to_string(), found.produced))
            .collect::<Vec<_>>()
    };
    let use_of = |id, path: &str, produced| (id, path.to_owned(), produced);
    let model = store
        .artifact(&digest(2))
        .expect("finds")
        .expect("is there");
    assert_eq!(
        shape(store.artifact_uses(model.id).expect("finds")),
        [
            use_of(5, "/p/model", false),
            use_of(5, "/p/copy", true),
            use_of(2, "/p/model", true)
        ]
    );
    assert_eq!(
        shape(store.newest_uses(model.id, true, 9).expect("finds")),
        [use_of(5, "/p/copy", true), use_of(2, "/p/model", true)]
    );
}

#[test]
fn artifacts_by_prefix_of_any_algorithm() {
    let (_folder, project) = project();
    let mut store = Store::open(&project).expect("opens");
    let other = [
        (HashAlgorithm::Sha256, format!("abcd{:060}", 1)),
        (HashAlgorithm::Sha512, format!("abcd{:0>124}", "f")),
        (HashAlgorithm::Md5, format!("abff{:028}", 0)),
    ];
    let blake3 = [
        format!("abcd{}", "0".repeat(60)),
        format!("abcd{}", "f".repeat(60)),
        format!("abce{}", "0".repeat(60)),
        format!("ac00{}", "0".repeat(60)),
    ];
    let mut record = job(1, "true");
    for (number, hex) in blake3.iter().enumerate() {
        let mut found = file(&format!("/p/{number}"), number as u64);
        found.hashes = Hashes::from([(HashAlgorithm::Blake3, Digest::from_hex(hex.clone()))]);
        if number == 3 {
            let others = other.iter().cloned();
            found
                .hashes
                .extend(others.map(|(name, hex)| (name, Digest::from_hex(hex))));
        }
        record.inputs.push(found);
    }
    store.insert_job(&record, &step("a")).expect("inserts");
    let check = |prefix: &str, limit, expected: &[usize]| {
        let prefix = prefix.parse().expect("is a prefix");
        let found = store.artifacts_by_prefix(&prefix, limit).expect("finds");
        let hashes: Vec<_> = found.iter().map(|row| row.hash.as_str()).collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|number| blake3[*number].as_str())
            .collect();
        assert_eq!(hashes, expected, "{prefix}");
    };
    check("abcd", 9, &[0, 1, 3]);
    check("abcd", 2, &[0, 1]);
    check("abcdf", 9, &[1]);
    check("abce0", 9, &[2]);
    check("ABFF", 9, &[3]);
    check("abc0", 9, &[]);
    check(&blake3[1], 9, &[1]);
    let row = store
        .artifact(&Digest::from_hex(other[1].1.clone()))
        .expect("finds")
        .expect("is there");
    assert_eq!(row.hashes, record.inputs[3].hashes);
    assert_eq!(
        (row.size_bytes, row.first_seen_ns),
        (Some(3), record.started_at_ns)
    );
    assert_eq!(
        store.artifact(&Digest::from_hex("abcd")).expect("finds"),
        None
    );
}

#[test]
fn the_hash_cache_answers_for_exact_states_only() {
    let (_folder, project) = project();
    let mut store = Store::open(&project).expect("opens");
    let key = CacheKey {
        device: u64::MAX,
        inode: 5,
        size_bytes: 6,
        mtime_ns: -7,
        ctime_ns: 8,
    };
    let hash = |algorithm, number| CachedHash {
        hashes: Hashes::from([(algorithm, digest(number))]),
    };
    let blake3 = hash(HashAlgorithm::Blake3, 1);
    let sha256 = hash(HashAlgorithm::Sha256, 2);
    store.remember_hashes(&[]).expect("writes");
    store
        .remember_hashes(&[(key, blake3.clone())])
        .expect("writes");
    let changed = [
        CacheKey { device: 1, ..key },
        CacheKey { inode: 6, ..key },
        CacheKey {
            size_bytes: 7,
            ..key
        },
        CacheKey {
            mtime_ns: -6,
            ..key
        },
        CacheKey { ctime_ns: 9, ..key },
    ];
    for other in changed {
        assert_eq!(
            store.cached_hashes(&[other, key]).expect("reads"),
            [None, Some(blake3.clone())],
            "{other:?}"
        );
    }
    // The same state by another algorithm: both are known.
    store
        .remember_hashes(&[(key, sha256.clone())])
        .expect("writes");
    let mut both = blake3.clone();
    both.hashes.extend(sha256.hashes.clone());
    assert_eq!(store.cached_hashes(&[key]).expect("reads"), [Some(both)]);
    // A new state of the file: nothing of the old one remains, whichever part of it changed.
    for newer in [changed[2], changed[3], changed[4]] {
        store
            .remember_hashes(&[(key, blake3.clone())])
            .expect("writes");
        store
            .remember_hashes(&[(newer, sha256.clone())])
            .expect("writes");
        assert_eq!(
            store.cached_hashes(&[key, newer]).expect("reads"),
            [None, Some(sha256.clone())],
            "{newer:?}"
        );
    }
}

#[test]
fn collections_of_jobs() {
    let (_folder, project) = project();
    let mut store = pipeline(&project);
    let members = [("a", digest(1)), ("b/c", digest(2))].map(|(path, hash)| (path.into(), hash));
    let collection = Collection {
        name: "data".into(),
        members: members.into(),
    };
    let met = JobCollection {
        folder: "/p/data".into(),
        produced: false,
        collection,
    };
    let made = JobCollection {
        folder: RawString::new(&b"/p/\xff"[..]),
        produced: true,
        ..met.clone()
    };
    store.add_collection(2, &met).expect("recorded");
    store
        .add_collection(2, &made)
        .expect("the same content again");
    assert_eq!(store.collections_of(2).expect("reads"), [met.clone(), made]);
    assert_eq!(store.collections_of(1).expect("reads"), []);
    let mut unknown = met;
    unknown.collection.members.insert("d".into(), digest(99));
    let refused = store
        .add_collection(1, &unknown)
        .expect_err("no such artifact");
    assert!(
        matches!(refused, StoreError::InvalidRecord { .. }),
        "{refused}"
    );
    assert_eq!(store.collections_of(1).expect("reads"), []);
}
