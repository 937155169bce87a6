//! The gaps of a job, merged by kind and detail.

use hashbrown::HashMap;

use crate::model::{Gap, GapKind};

/// How many gaps of different detail are told apart; further ones are merged by kind.
const DISTINCT_GAPS: usize = 1000;

/// Gaps, merged.
#[derive(Default)]
pub(super) struct Gaps {
    pub(super) list: Vec<Gap>,
    index: HashMap<(GapKind, String), usize>,
}

impl Gaps {
    pub(super) fn add(&mut self, gap: Gap) {
        let Gap {
            kind,
            mut detail,
            count,
        } = gap;
        if self.list.len() >= DISTINCT_GAPS && !self.index.contains_key(&(kind, detail.clone())) {
            "further ones".clone_into(&mut detail);
        }
        let list = &mut self.list;
        let at = *self
            .index
            .entry((kind, detail))
            .or_insert_with_key(|(kind, detail)| {
                list.push(Gap {
                    kind: *kind,
                    detail: detail.clone(),
                    count: 0,
                });
                list.len() - 1
            });
        list[at].count = list[at].count.saturating_add(count);
    }
}
