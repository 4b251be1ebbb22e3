//! When a lane that was lost is dialled again.

use crate::base::MonoNanos;
use crate::base::rng::Rng;

const FIRST_MS: u64 = 50;
const LAST_MS: u64 = 2_000;

/// Waits longer after each failure, and never all at the same time.
#[derive(Clone, Debug)]
pub struct Redial {
    rng: Rng,
    failures: u32,
    at: MonoNanos,
}

impl Redial {
    #[must_use]
    pub fn new(seed: u64) -> Redial {
        Redial { rng: Rng::seeded(seed), failures: 0, at: MonoNanos(0) }
    }

    /// The lane was lost or could not be made.
    pub fn failed(&mut self, now: MonoNanos) {
        let most = FIRST_MS.saturating_mul(1 << self.failures.min(10)).min(LAST_MS);
        self.failures = self.failures.saturating_add(1);
        // Between a half of it and all.
        self.at = now.plus_ms(most / 2 + self.rng.below(most / 2 + 1));
    }

    /// The other end has answered.
    pub fn answered(&mut self) {
        self.failures = 0;
    }

    /// Not to be dialled before.
    #[must_use]
    pub fn at(&self) -> MonoNanos {
        self.at
    }
}
