//! Medians and quartiles.

use serde::{Deserialize, Serialize};

/// The middle half of some values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Spread {
    pub(super) low: f64,
    pub(super) median: f64,
    pub(super) high: f64,
}

impl Spread {
    /// Quartiles, between neighbours in proportion; none of no values.
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let place = share * (sorted.len().checked_sub(1)? as f64);
            let (below, above) = (place.floor() as usize, place.ceil() as usize);
            Some(sorted[below] + (sorted[above] - sorted[below]) * place.fract())
        };
        Some(Self {
            low: at(0.25)?,
            median: at(0.5)?,
            high: at(0.75)?,
        })
    }
}

/// The geometric mean; none of no values.
pub(super) fn geometric_mean(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let logarithms: Vec<f64> = values.into_iter().map(f64::ln).collect();
    (!logarithms.is_empty())
        .then(|| (logarithms.iter().sum::<f64>() / logarithms.len() as f64).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles() {
        fn check(values: &[f64], low: f64, median: f64, high: f64) {
            let spread = Spread::of(values.iter().copied());
            assert_eq!(spread, Some(Spread { low, median, high }));
        }
        check(&[4.0], 4.0, 4.0, 4.0);
        check(&[3.0, 1.0, 2.0], 1.5, 2.0, 2.5);
        check(&[5.0, 1.0, 2.0, 4.0, 3.0], 2.0, 3.0, 4.0);
        check(&[1.0, 2.0], 1.25, 1.5, 1.75);
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn geometric_means() {
        assert_eq!(geometric_mean([]), None);
        let mean = geometric_mean([1.0, 4.0]).unwrap_or_default();
        assert!((mean - 2.0).abs() < 1e-9, "{mean}");
    }
}
