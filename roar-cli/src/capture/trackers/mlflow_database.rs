//! MLflow's runs in a database of its own (`sqlite:///mlflow.db`, the default since MLflow 3.7), which
//! holds those of all jobs: a job's are the ones that began, or ended, or had a value logged, since it
//! was started.

use std::path::Path;

use rusqlite::{Connection, Row};

use crate::capture::sqlite;
use crate::model::{RawString, TrackedRun};

/// How such databases are named.
const ENDINGS: &[&[u8]] = &[b".db", b".sqlite", b".sqlite3"];

/// Runs of one job that are listed; more are a sign of a mistake.
const MOST: usize = 1000;

/// Whether a file may be such a database, by its name.
pub(super) fn may_be(path: &[u8]) -> bool {
    ENDINGS.iter().any(|ending| path.ends_with(ending))
}

/// The runs since a time, milliseconds since the Unix epoch; none where the file is no such
/// database.
pub(super) fn runs(path: &Path, since_ms: i64) -> Vec<TrackedRun> {
    let read = |connection: &Connection| -> rusqlite::Result<Vec<TrackedRun>> {
        let mut query = connection.prepare(
            "SELECT r.run_uuid, r.name, e.name
             FROM runs r LEFT JOIN experiments e ON e.experiment_id = r.experiment_id
             WHERE r.start_time >= ?1 OR r.end_time >= ?1
                OR EXISTS (SELECT 1 FROM latest_metrics m
                           WHERE m.run_uuid = r.run_uuid AND m.timestamp >= ?1)
             ORDER BY r.start_time",
        )?;
        let run = |row: &Row<'_>| {
            Ok(TrackedRun {
                tracker: "mlflow".to_owned(),
                id: row.get(0)?,
                folder: RawString::from_path(path),
                name: row.get(1)?,
                project: row.get(2)?,
                url: None,
            })
        };
        query.query_map([since_ms], run)?.take(MOST).collect()
    };
    let connection = sqlite::open(path);
    // Another program's database, or one that is locked just now.
    connection
        .and_then(|connection| read(&connection).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by MLflow's own migrations, shortened to what is read.
    const TABLES: &str = "
        CREATE TABLE experiments (experiment_id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(256));
        CREATE TABLE runs (run_uuid VARCHAR(32) NOT NULL PRIMARY KEY, name VARCHAR(250),
            status VARCHAR(9), start_time BIGINT, end_time BIGINT, experiment_id INTEGER);
        CREATE TABLE latest_metrics (key VARCHAR(250) NOT NULL, value FLOAT, timestamp BIGINT,
            run_uuid VARCHAR(32) NOT NULL);
        INSERT INTO experiments VALUES (0, 'Default'), (1, 'exp-one');
        INSERT INTO runs VALUES
            ('old', 'a', 'FINISHED', 100, 200, 1), ('new', 'b', 'FINISHED', 1000, 2000, 1),
            ('resumed', 'c', 'FINISHED', 100, 1500, 0), ('open', NULL, 'RUNNING', 100, NULL, 7);
        INSERT INTO latest_metrics VALUES ('m', 1.0, 150, 'old'), ('m', 1.0, 1200, 'open');
    ";

    #[test]
    fn runs_of_the_time_of_the_job() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a?b#c%20.db");
        let connection = Connection::open(&path).expect("made");
        let found = || {
            let runs = runs(&path, 1000);
            let shown = runs.iter().map(|run| {
                let text = |text: &Option<String>| text.clone().unwrap_or_default();
                format!("{} {} {}", run.id, text(&run.name), text(&run.project))
            });
            shown.collect::<Vec<_>>().join(", ")
        };
        assert_eq!(found(), "");
        connection.execute_batch(TABLES).expect("filled");
        assert_eq!(found(), "resumed c Default, open  , new b exp-one");
        // What is only in the log yet counts, and nothing is left beside the database.
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; UPDATE runs SET name = 'd' WHERE run_uuid = 'new'",
            )
            .expect("logged");
        assert_eq!(found(), "resumed c Default, open  , new d exp-one");
        drop(connection);
        let files = std::fs::read_dir(folder.path()).expect("a folder").count();
        assert_eq!(files, 1);
        std::fs::write(&path, "SQLite format 3\0 and then nonsense").expect("written");
        assert_eq!(found(), "");
    }
}
