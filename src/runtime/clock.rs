//! The monotonic clock and the wall clock, read together.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::base::{MonoNanos, Now, TimestampMs};

/// Monotonic time counts from the creation of the clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    #[must_use]
    pub fn start() -> Clock {
        Clock { start: Instant::now() }
    }

    #[must_use]
    pub fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { mono: self.mono(), wall: TimestampMs(i64::try_from(wall.as_millis()).unwrap_or(i64::MAX)) }
    }

    #[must_use]
    pub fn mono(&self) -> MonoNanos {
        MonoNanos(u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }
}
