//! How often one may ask: a bucket of tokens for each address and each key, in this process.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Mutex;
use std::time::Instant;

use crate::clock;

/// Buckets that are kept; when there are more, full ones are forgotten.
const MAX_BUCKETS: usize = 100_000;

/// Buckets by address or key.
#[derive(Debug)]
pub struct Limiter<K> {
    rate: f64,
    burst: f64,
    buckets: Mutex<HashMap<K, Bucket>>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl<K: Eq + Hash> Limiter<K> {
    /// `rate` tokens a second, at most `burst` at once; a rate of 0 limits nothing.
    pub fn new(rate: u32, burst: u32) -> Self {
        Self {
            rate: f64::from(rate),
            burst: f64::from(burst.max(1)),
            buckets: Mutex::default(),
        }
    }

    /// Takes a token.
    ///
    /// # Errors
    /// There is none: the seconds until there is one.
    pub fn take(&self, key: K) -> Result<(), u64> {
        self.take_at(key, clock::monotonic())
    }

    fn take_at(&self, key: K, now: Instant) -> Result<(), u64> {
        if self.rate <= 0.0 {
            return Ok(());
        }
        let Ok(mut buckets) = self.buckets.lock() else {
            return Ok(());
        };
        let filled = |bucket: &Bucket| {
            let passed = now.saturating_duration_since(bucket.at).as_secs_f64();
            (bucket.tokens + passed * self.rate).min(self.burst)
        };
        if buckets.len() >= MAX_BUCKETS && !buckets.contains_key(&key) {
            buckets.retain(|_, bucket| filled(bucket) < self.burst);
            if buckets.len() >= MAX_BUCKETS {
                // So many at once are an attack: newcomers wait.
                return Err(1);
            }
        }
        let full = Bucket {
            tokens: self.burst,
            at: now,
        };
        let bucket = buckets.entry(key).or_insert(full);
        let tokens = filled(bucket);
        bucket.at = now;
        if tokens < 1.0 {
            bucket.tokens = tokens;
            return Err((((1.0 - tokens) / self.rate).ceil() as u64).max(1));
        }
        bucket.tokens = tokens - 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn one_key_waits_and_the_other_does_not() {
        let limiter = Limiter::new(2, 3);
        let start = clock::monotonic();
        for _ in 0..3 {
            assert_eq!(limiter.take_at("a", start), Ok(()));
        }
        assert_eq!(limiter.take_at("a", start), Err(1));
        assert_eq!(limiter.take_at("b", start), Ok(()));
        let later = start + Duration::from_millis(500);
        assert_eq!(limiter.take_at("a", later), Ok(()));
        assert_eq!(limiter.take_at("a", later), Err(1));
    }
}
