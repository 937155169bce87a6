//! Jobs by a text in their name or command.
//!
//! What lets most jobs be passed by is one look at the texts of many (`command_texts`); the few
//! that may have it are then looked at themselves.

use std::ops::RangeInclusive;

use rusqlite::{OptionalExtension as _, Row, params_from_iter};

use super::database::Store;
use super::jobs::{JobQuery, JobSummary, SUMMARY_COLUMNS, SUMMARY_WIDTH, conditions, summary_row};
use super::rows::json;
use crate::model::RawString;

/// Jobs whose texts are in one row, as the migration says.
const CHUNK: i64 = 64;
/// Ends a job in a row of texts.
const JOB_END: u8 = 30;
/// Ends a field of a job there.
const FIELD_END: u8 = 31;

impl Store {
    /// Jobs with a text (in lower case), newest first, at most `limit`.
    pub(super) fn jobs_with_text(
        &self,
        query: &JobQuery,
        pattern: &str,
        limit: usize,
    ) -> rusqlite::Result<Vec<JobSummary>> {
        let search = TextSearch::new(pattern);
        let (conditions, values) = conditions(query);
        let Some(word) = search.word else {
            let sql = format!(
                "SELECT {SUMMARY_COLUMNS}, j.name, j.argv FROM jobs j
                 WHERE {conditions} ORDER BY j.id DESC"
            );
            let mut statement = self.connection.prepare_cached(&sql)?;
            let mut rows = statement.query(params_from_iter(values))?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()?.filter(|_| found.len() < limit) {
                found.extend(search.job(row)?);
            }
            return Ok(found);
        };
        let Some(ids) = self.ids_of(query)? else {
            return Ok(Vec::new());
        };
        let sql = format!(
            "SELECT {SUMMARY_COLUMNS}, j.name, j.argv FROM jobs j WHERE {conditions} AND j.id = ?"
        );
        let mut one = self.connection.prepare_cached(&sql)?;
        let mut texts = self.connection.prepare_cached(
            "SELECT texts FROM command_texts WHERE chunk BETWEEN ?1 AND ?2 ORDER BY chunk DESC",
        )?;
        let mut rows = texts.query([ids.start() / CHUNK, ids.end() / CHUNK])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            for id in candidates(row.get_ref(0)?.as_bytes().unwrap_or_default(), word) {
                if found.len() >= limit {
                    return Ok(found);
                }
                let values = values.iter().cloned().chain([id.into()]);
                let job = one.query_row(params_from_iter(values), |row| search.job(row));
                found.extend(job.optional()?.flatten());
            }
        }
        Ok(found)
    }

    /// Between which ids the jobs of a query are; none when there are no jobs.
    fn ids_of(&self, query: &JobQuery) -> rusqlite::Result<Option<RangeInclusive<i64>>> {
        let (first, last) = match query.session {
            Some(session) => (
                self.number("SELECT min(id) FROM jobs WHERE session_id = ?1", [session])?,
                self.number("SELECT max(id) FROM jobs WHERE session_id = ?1", [session])?,
            ),
            None => (
                self.number("SELECT min(id) FROM jobs", [])?,
                self.number("SELECT max(id) FROM jobs", [])?,
            ),
        };
        Ok(first.zip(last).map(|(first, last)| first..=last))
    }
}

/// The jobs of a row of texts that may have the word, newest first.
fn candidates(texts: &[u8], word: &[u8]) -> Vec<i64> {
    // Letters that are not ASCII may be ASCII ones in lower case.
    if texts.is_ascii() && memchr::memmem::find(texts, word).is_none() {
        return Vec::new();
    }
    let jobs = texts.split(|byte| *byte == JOB_END);
    let mut found: Vec<i64> = jobs
        .filter(|job| !job.is_ascii() || memchr::memmem::find(job, word).is_some())
        .filter_map(|job| {
            let id = job.split(|byte| *byte == FIELD_END).next()?;
            std::str::from_utf8(id).ok()?.parse().ok()
        })
        .collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    found
}

/// Looks for a text in names and commands, letter case ignored.
struct TextSearch<'a> {
    /// In lower case.
    pattern: &'a str,
    /// Its longest word, if the stored form of a command would have that as it is: most jobs are
    /// told by it alone, without decoding them.
    word: Option<&'a [u8]>,
}

impl<'a> TextSearch<'a> {
    fn new(pattern: &'a str) -> Self {
        let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
        let word = pattern
            .split(' ')
            .map(str::as_bytes)
            .max_by_key(|word| word.len());
        Self {
            pattern,
            word: word.filter(|word| !word.is_empty() && word.iter().copied().all(plain)),
        }
    }

    /// The job of a row that has a job's summary, its name and its arguments, if it has the text.
    fn job(&self, row: &Row<'_>) -> rusqlite::Result<Option<JobSummary>> {
        self.matches(row)?.then(|| summary_row(row)).transpose()
    }

    fn matches(&self, row: &Row<'_>) -> rusqlite::Result<bool> {
        let contains = |text: &str| text.to_lowercase().contains(self.pattern);
        let name: Option<String> = row.get(SUMMARY_WIDTH)?;
        if name.is_some_and(|name| contains(&name)) {
            return Ok(true);
        }
        let argv: Vec<RawString> = json(row, SUMMARY_WIDTH + 1, |text| serde_json::from_str(text))?;
        let words: Vec<&[u8]> = argv.iter().map(RawString::as_bytes).collect();
        Ok(contains(&String::from_utf8_lossy(&words.join(&b' '))))
    }
}
