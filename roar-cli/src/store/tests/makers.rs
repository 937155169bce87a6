//! Who made what, against a look through all jobs.

use super::*;

/// What a job reads and writes: places and contents.
type Files = Vec<(u8, u64)>;

/// The rule as [`Store::producer_of`] states it.
fn maker(
    jobs: &[(Files, Files)],
    file: (u8, u64),
    before: usize,
    elsewhere: bool,
) -> Option<usize> {
    let (_, content) = file;
    let earlier = || (0..before.min(jobs.len())).rev();
    let at_place = earlier().find(|job| jobs[*job].1.contains(&file));
    let first_read = jobs.iter().position(|(read, _)| read.contains(&file));
    let makes = |job: &usize| jobs[*job].1.iter().any(|(_, made)| *made == content);
    let is_first = |job: &usize| first_read.is_none_or(|first_read| *job < first_read);
    let moved = || earlier().find(|job| makes(job) && is_first(job));
    at_place.or_else(|| moved().filter(|_| elsewhere))
}

/// Few contents at many places, and one at more places than are looked through one by one.
#[test]
fn producers_are_those_that_a_look_through_all_jobs_finds() {
    const PLACES: u8 = 6;
    const CONTENTS: u64 = 4;
    let mut seed = 1_u64;
    let mut random = move |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    let (_folder, project) = project();
    let mut store = Store::open(&project).expect("opens");
    let mut jobs: Vec<(Files, Files)> = Vec::new();
    for number in 0..150_u32 {
        let mut files = || -> Files {
            let mut places: Vec<u8> = (0..PLACES).filter(|_| random(4) == 0).collect();
            places.dedup();
            let content = |place| (place, 1 + random(CONTENTS));
            places.into_iter().map(content).collect()
        };
        let (read, mut written) = (files(), files());
        if number < 100 {
            written.retain(|(place, content)| (*place, *content) != (0, 1));
            written.push((200 + number as u8 % 40, 1));
        }
        let record = |files: &Files| {
            let files = files.iter();
            files
                .map(|(place, content)| file(&format!("/p/{place}"), *content))
                .collect()
        };
        let record = JobRecord {
            inputs: record(&read),
            outputs: record(&written),
            ..job(number, "made up")
        };
        store
            .insert_job(&record, &step(&number.to_string()))
            .expect("inserts");
        jobs.push((read, written));
    }
    let mut answers = [0; 2];
    for place in 0..=PLACES {
        for content in 0..=CONTENTS + 1 {
            for before in [1, 20, 99, 101, 150] {
                for elsewhere in [true, false] {
                    let expected = maker(&jobs, (place, content), before, elsewhere);
                    let found = store.producer_of(
                        &digest(content),
                        &format!("/p/{place}").into(),
                        Some(before as i64 + 1),
                        elsewhere,
                    );
                    let found = found.expect("reads").map(|id| id as usize - 1);
                    assert_eq!(found, expected, "{place} {content} {before} {elsewhere}");
                    answers[usize::from(found.is_some())] += 1;
                }
            }
        }
    }
    assert!(answers.iter().all(|count| *count > 50), "{answers:?}");
}
