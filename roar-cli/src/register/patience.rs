//! How often a request is tried, and what the user is told meanwhile.

use std::fmt;
use std::time::Duration;

use super::error::RegisterError;

/// No wait is longer, whatever the server asks for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// So often a question is tried that somebody waits for.
const QUESTION_ATTEMPTS: u32 = 3;

/// How long a server is waited for.
pub struct Patience {
    attempts: u32,
    first_wait: Duration,
    /// What took too long is not asked again.
    outlasts_timeouts: bool,
    tell: Box<dyn Fn(&str)>,
}

impl Patience {
    /// For sending: it may go on for half a minute, and longer where the server asks for it.
    pub fn sending(retries: u64, first_wait: Duration, tell: impl Fn(&str) + 'static) -> Self {
        Self {
            attempts: u32::try_from(retries).unwrap_or(u32::MAX).saturating_add(1),
            first_wait,
            outlasts_timeouts: true,
            tell: Box::new(tell),
        }
    }

    /// For questions: somebody sits there and waits for the answer.
    #[must_use]
    pub fn for_questions(mut self) -> Self {
        self.attempts = self.attempts.min(QUESTION_ATTEMPTS);
        self.outlasts_timeouts = false;
        self
    }

    /// Waits before the next attempt, and says so. `share` is a random number from 0 to 1.
    ///
    /// # Errors
    /// The error itself, where there is to be no other attempt.
    pub(super) fn wait(
        &self,
        attempt: u32,
        share: f64,
        error: RegisterError,
    ) -> Result<(), RegisterError> {
        let in_vain = error.is_timeout() && !self.outlasts_timeouts;
        if attempt >= self.attempts || in_vain || !error.is_passing() {
            return Err(error);
        }
        let wait = self.length(attempt, share, error.retry_after());
        (self.tell)(&format!(
            "{error}; trying again in {:.1} s ({} of {})",
            wait.as_secs_f64(),
            attempt + 1,
            self.attempts
        ));
        std::thread::sleep(wait);
        Ok(())
    }

    /// Twice as long each time, or as the server asks. Jitter: clients that were cut off together
    /// do not come back together.
    fn length(&self, attempt: u32, share: f64, asked: Option<Duration>) -> Duration {
        let doubled = 2_u32.saturating_pow(attempt - 1);
        let own = self.first_wait.saturating_mul(doubled).min(LONGEST_WAIT);
        asked
            .unwrap_or_else(|| own.mul_f64(0.5 + share))
            .min(LONGEST_WAIT)
    }
}

impl Default for Patience {
    /// One attempt.
    fn default() -> Self {
        Self::sending(0, Duration::ZERO, |_| {})
    }
}

impl fmt::Debug for Patience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Patience")
            .field("attempts", &self.attempts)
            .field("first_wait", &self.first_wait)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    fn refused(status: u16, retry_after: Option<u64>) -> RegisterError {
        RegisterError::Refused {
            server: "http://x".to_owned(),
            status,
            code: None,
            message: "no".to_owned(),
            candidates: Vec::new(),
            retry_after,
        }
    }

    #[test]
    fn waits_double_and_end() {
        let patience = Patience::sending(7, Duration::from_millis(200), |_| {});
        let waits: Vec<u128> = (1..=9)
            .map(|attempt| patience.length(attempt, 0.5, None).as_millis())
            .collect();
        let expected = [200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200];
        assert_eq!(waits, expected);
        let second = Duration::from_secs(1);
        assert_eq!(patience.length(1, 0.9, Some(second)), second);
        let hour = Some(Duration::from_secs(3600));
        assert_eq!(patience.length(1, 0.0, hour), LONGEST_WAIT);
        assert_eq!(patience.length(40, 1.0, None), LONGEST_WAIT);
    }

    #[test]
    fn each_wait_is_told_and_the_last_error_is_given_back() {
        let told: Rc<RefCell<Vec<String>>> = Rc::default();
        let ear = Rc::clone(&told);
        let patience = Patience::sending(2, Duration::ZERO, move |text| {
            ear.borrow_mut().push(text.to_owned());
        });
        assert!(patience.wait(1, 0.0, refused(503, None)).is_ok());
        assert!(patience.wait(2, 0.0, refused(429, Some(0))).is_ok());
        assert!(patience.wait(3, 0.0, refused(503, None)).is_err());
        // What will not pass is not tried again.
        assert!(patience.wait(1, 0.0, refused(401, None)).is_err());
        assert_eq!(
            *told.borrow(),
            [
                "http://x says: no (503); trying again in 0.0 s (2 of 3)",
                "http://x says: no (429); trying again in 0.0 s (3 of 3)",
            ]
        );
    }
}
