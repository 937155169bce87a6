//! Finding jobs and artifacts: posting lists of terms, the newest first, page by page.

use glaas_api::artifacts::ArtifactRecord;
use glaas_api::lineage::JobSummary;
use glaas_api::search::{ArtifactQuery, DEFAULT_LIMIT, JobQuery, MAX_LIMIT, Page};

use super::terms::{self, Term};
use super::{StoreError, Transaction, Value, Viewer, artifacts, ids, jobs};
use crate::clock;

/// From here on a term counts as frequent when the rarest is looked for.
const FREQUENT: i64 = 2_000;

/// A statement in the making: its conditions and their values.
struct Builder {
    conditions: Vec<String>,
    values: Vec<Value>,
}

impl Builder {
    fn new() -> Self {
        Self {
            conditions: Vec::new(),
            values: Vec::new(),
        }
    }

    /// The place of a value.
    fn place(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("${}", self.values.len())
    }

    /// A condition with one value, `?` being its place.
    fn add(&mut self, condition: &str, value: impl Into<Value>) {
        let place = self.place(value);
        self.conditions.push(condition.replace('?', &place));
    }

    /// A condition that each term holds, but for the one at `driver`, which the caller joins: `id` is
    /// that posting's, so that others are asked before any row is fetched.
    fn terms(&mut self, table: &str, key: &str, id: &str, terms: &[Term], driver: Option<usize>) {
        for (index, term) in terms.iter().enumerate() {
            if Some(index) == driver {
                continue;
            }
            let condition = match term {
                Term::Whole(term) => {
                    let place = self.place(term);
                    format!(
                        "EXISTS (SELECT 1 FROM {table} t WHERE t.term = {place} AND t.{key} = {id})"
                    )
                }
                Term::Beginning(term) => {
                    let (from, to) = (self.place(term), self.place(terms::after(term)));
                    format!(
                        "{id} IN (SELECT t.{key} FROM {table} t WHERE t.term >= {from} AND t.term < {to})"
                    )
                }
            };
            self.conditions.push(condition);
        }
    }
}

/// The place of the rarest whole term: its posting list is walked, the others are asked.
async fn rarest(
    tx: &mut Transaction,
    table: &str,
    terms: &[Term],
) -> Result<Option<usize>, StoreError> {
    let mut best: Option<(i64, usize)> = None;
    for (index, term) in terms.iter().enumerate() {
        let Term::Whole(term) = term else { continue };
        let sql = format!(
            "SELECT count(*) FROM (SELECT 1 FROM {table} WHERE term = $1 LIMIT $2) AS found"
        );
        let row = tx.first(&sql, &[term.into(), FREQUENT.into()]).await?;
        let count = row.map_or(Ok(0), |row| row.int(0))?;
        if best.is_none_or(|(least, _)| count < least) {
            best = Some((count, index));
        }
    }
    Ok(best.map(|(_, index)| index))
}

fn given(value: Option<&str>) -> Option<&str> {
    value.map(str::trim).filter(|text| !text.is_empty())
}

fn refuse(words: impl Into<String>) -> StoreError {
    StoreError::Refused(words.into())
}

fn cursor(text: Option<&str>) -> Result<i64, StoreError> {
    given(text).map_or(Ok(i64::MAX), |text| {
        text.parse()
            .map_err(|_| refuse("cursor: take the 'next' of the page before"))
    })
}

fn limit(wanted: Option<u32>) -> usize {
    wanted.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT) as usize
}

/// Milliseconds at which a day begins, `days` later.
fn day(name: &str, text: Option<&str>, days: i64) -> Result<Option<i64>, StoreError> {
    given(text)
        .map(|text| {
            clock::day_start_ms(text)
                .map(|ms| ms + days * 86_400_000)
                .ok_or_else(|| refuse(format!("{name}: a day like 2026-11-25, not '{text}'")))
        })
        .transpose()
}

/// Bytes from `1500`, `20k`, `1.5G` (powers of 1024).
///
/// # Errors
/// It is no size.
pub fn size(name: &str, text: Option<&str>) -> Result<Option<i64>, StoreError> {
    let Some(text) = given(text) else {
        return Ok(None);
    };
    let wrong = || {
        refuse(format!(
            "{name}: a number of bytes like 1500, 20k, 1.5G, not '{text}'"
        ))
    };
    let lower = text.to_ascii_lowercase();
    let lower = lower
        .trim_end_matches("ib")
        .trim_end_matches('b')
        .trim_end();
    let (number, power) = match lower.char_indices().last() {
        Some((at, 'k')) => (&lower[..at], 1),
        Some((at, 'm')) => (&lower[..at], 2),
        Some((at, 'g')) => (&lower[..at], 3),
        Some((at, 't')) => (&lower[..at], 4),
        _ => (lower, 0),
    };
    let number: f64 = number.trim().parse().map_err(|_| wrong())?;
    if !(number.is_finite() && number >= 0.0) {
        return Err(wrong());
    }
    Ok(Some((number * 1024_f64.powi(power)) as i64))
}

/// Jobs that a viewer may see.
///
/// # Errors
/// A field is not what it should be, or the database fails.
pub async fn jobs(
    tx: &mut Transaction,
    viewer: Viewer,
    query: &JobQuery,
) -> Result<Page<JobSummary>, StoreError> {
    let mut wanted = Vec::new();
    for (name, value) in [
        (None, &query.q),
        (Some("command"), &query.command),
        (Some("gpu"), &query.gpu),
        (Some("host"), &query.host),
        (Some("repo"), &query.repo),
    ] {
        wanted.extend(given(value.as_deref()).map_or(Vec::new(), |text| terms::query(name, text)));
    }
    if let Some(commit) = given(query.commit.as_deref()) {
        wanted.push(Term::Beginning(terms::value("commit", commit)));
    }
    if let Some(exit) = given(query.exit.as_deref()) {
        if exit != "failed" && exit.parse::<i64>().is_err() {
            return Err(refuse(format!("exit: a number or 'failed', not '{exit}'")));
        }
        wanted.push(Term::Whole(terms::value("exit", exit)));
    }
    let driver = rarest(tx, "job_terms", &wanted).await?;
    let mut build = Builder::new();
    let (joined, id) = match driver {
        Some(index) => {
            if let Term::Whole(term) = &wanted[index] {
                build.add("d.term = ?", term);
            }
            (" JOIN job_terms d ON d.job_id = j.id", "d.job_id")
        }
        None => ("", "j.id"),
    };
    build.add(&format!("{id} < ?"), cursor(query.cursor.as_deref())?);
    build.add("(j.public = 1 OR j.owner_id = ?)", viewer);
    if let Some(ms) = day("since", query.since.as_deref(), 0)? {
        build.add("j.started_s >= ?", clock::seconds(ms));
    }
    if let Some(ms) = day("until", query.until.as_deref(), 1)? {
        build.add("j.started_s < ?", clock::seconds(ms));
    }
    build.terms("job_terms", "job_id", id, &wanted, driver);
    let limit = limit(query.limit);
    let last = build.place(limit as i64 + 1);
    let sql = format!(
        "{}{joined} WHERE {} ORDER BY {id} DESC LIMIT {last}",
        jobs::SUMMARY,
        build.conditions.join(" AND ")
    );
    let rows = tx.query(&sql, &build.values).await?;
    let items: Vec<JobSummary> = rows
        .iter()
        .take(limit)
        .map(jobs::summary)
        .collect::<Result<_, _>>()?;
    let next = (rows.len() > limit)
        .then(|| items.last().map(|job| job.id.to_string()))
        .flatten();
    Ok(Page { items, next })
}

/// Artifacts that a viewer may see. One that several sessions of the page know is there once.
///
/// # Errors
/// A field is not what it should be, or the database fails.
pub async fn artifacts(
    tx: &mut Transaction,
    viewer: Viewer,
    query: &ArtifactQuery,
) -> Result<Page<ArtifactRecord>, StoreError> {
    let mut wanted = given(query.q.as_deref()).map_or(Vec::new(), |text| terms::query(None, text));
    if let Some(name) = given(query.name.as_deref()) {
        wanted.push(match name.strip_suffix('*') {
            Some(beginning) => Term::Beginning(terms::value("name", beginning)),
            None => Term::Whole(terms::value("name", name)),
        });
    }
    if let Some(kind) = given(query.kind.as_deref()) {
        wanted.push(Term::Whole(terms::value(
            "type",
            kind.trim_start_matches('.'),
        )));
    }
    let driver = rarest(tx, "registration_terms", &wanted).await?;
    let mut build = Builder::new();
    let (joined, id) = match driver {
        Some(index) => {
            if let Term::Whole(term) = &wanted[index] {
                build.add("d.term = ?", term);
            }
            (
                " JOIN registration_terms d ON d.registration_id = r.id",
                "d.registration_id",
            )
        }
        None => ("", "r.id"),
    };
    let mut before = cursor(query.cursor.as_deref())?;
    if let Some(ms) = day("until", query.until.as_deref(), 1)? {
        before = before.min(ids::at(ms));
    }
    build.add(&format!("{id} < ?"), before);
    if let Some(ms) = day("since", query.since.as_deref(), 0)? {
        build.add(&format!("{id} >= ?"), ids::at(ms));
    }
    build.add("(r.public = 1 OR r.owner_id = ?)", viewer);
    if let Some(least) = size("min_size", query.min_size.as_deref())? {
        build.add("r.size >= ?", least);
    }
    if let Some(most) = size("max_size", query.max_size.as_deref())? {
        build.add("r.size <= ?", most);
    }
    if let Some(hash) = given(query.hash.as_deref()) {
        let hash = hash.to_ascii_lowercase();
        let (from, to) = (build.place(&hash), build.place(terms::after(&hash)));
        build.conditions.push(format!(
            "r.id IN (SELECT h.registration_id FROM registration_hashes h WHERE h.digest >= {from} AND h.digest < {to})"
        ));
    }
    build.terms("registration_terms", "registration_id", id, &wanted, driver);
    let limit = limit(query.limit);
    let last = build.place(limit as i64 + 1);
    let sql = format!(
        "{}{joined} WHERE {} ORDER BY {id} DESC LIMIT {last}",
        artifacts::RECORD,
        build.conditions.join(" AND ")
    );
    let rows = tx.query(&sql, &build.values).await?;
    let mut items: Vec<ArtifactRecord> = Vec::with_capacity(rows.len());
    let mut next = None;
    for (index, row) in rows.iter().enumerate() {
        if index == limit {
            break;
        }
        let record = artifacts::read_record(row)?;
        if index + 1 == limit && rows.len() > limit {
            next = Some(row.int(8)?.to_string());
        }
        if !items.iter().any(|item| item.hash == record.hash) {
            items.push(record);
        }
    }
    Ok(Page { items, next })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        fn check(text: &str, expected: Option<i64>) {
            assert_eq!(size("size", Some(text)).ok().flatten(), expected, "{text}");
        }
        check("1500", Some(1500));
        check("20k", Some(20 * 1024));
        check("1.5 GiB", Some(1_610_612_736));
        check("1MB", Some(1 << 20));
        check("-1", None);
        check("NaN", None);
        check("many", None);
        check("", None);
    }
}
