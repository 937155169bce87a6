//! Lines of updates in place: a file that many jobs changed one after the other, each building upon
//! what it found there.
//!
//! The writings of a place form a forest: one that read what another had written there stands below
//! it. Walking down from each of ten thousand would take a minute; here it is done once for all.

/// For each writing of a place, oldest first: the newest later one that does not build upon it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lines(Vec<Option<usize>>);

impl Lines {
    /// `bases` has for each writing, oldest first, the earlier one that it builds upon.
    pub(super) fn of(bases: &[Option<usize>]) -> Self {
        let count = bases.len();
        // How many stand below each, itself included; then where each stands when a forest is
        // written down with everything below a writing right behind it.
        let mut sizes = vec![1; count];
        for (at, base) in bases.iter().enumerate().rev() {
            if let Some(base) = base {
                sizes[*base] += sizes[at];
            }
        }
        let mut places = vec![0; count];
        let mut next_below: Vec<usize> = vec![0; count];
        let mut next_root = 0;
        for (at, base) in bases.iter().enumerate() {
            let next = match base {
                Some(base) => &mut next_below[*base],
                None => &mut next_root,
            };
            places[at] = *next;
            *next += sizes[at];
            next_below[at] = places[at] + 1;
        }
        let mut written = vec![0; count];
        for (at, place) in places.iter().enumerate() {
            written[*place] = at;
        }
        let up_to = running_max(written.iter());
        let mut from = running_max(written.iter().rev());
        from.reverse();
        let newest_outside = |at: usize| {
            let before = places[at].checked_sub(1).map(|place| up_to[place]);
            let behind = from.get(places[at] + sizes[at]).copied();
            before.max(behind).filter(|newest| *newest > at)
        };
        Self((0..count).map(newest_outside).collect())
    }

    /// The newest later writing that does not build upon the one at `at`.
    pub(super) fn newest_outside(&self, at: usize) -> Option<usize> {
        self.0.get(at).copied().flatten()
    }
}

/// The largest so far, at each.
fn running_max<'a>(numbers: impl Iterator<Item = &'a usize>) -> Vec<usize> {
    numbers
        .scan(0, |largest, number| {
            *largest = (*largest).max(*number);
            Some(*largest)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Walks down from one.
    fn walked(bases: &[Option<usize>], at: usize) -> Option<usize> {
        let mut line = vec![at];
        let mut newest = None;
        for (later, base) in bases.iter().enumerate().skip(at + 1) {
            if base.is_some_and(|base| line.contains(&base)) {
                line.push(later);
            } else {
                newest = Some(later);
            }
        }
        newest
    }

    proptest! {
        #[test]
        fn as_walking_down_finds(bases in proptest::collection::vec(0_usize..12, 0..40)) {
            let base = |(at, back): (usize, &usize)| at.checked_sub(*back).filter(|_| *back > 0);
            let bases: Vec<Option<usize>> = bases.iter().enumerate().map(base).collect();
            let lines = Lines::of(&bases);
            for at in 0..bases.len() {
                prop_assert_eq!(lines.newest_outside(at), walked(&bases, at), "{} of {:?}", at, bases);
            }
        }
    }
}
