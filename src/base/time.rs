//! Time as an argument: pure modules never read a clock, they are given the time.

use std::fmt;

/// Nanoseconds on the monotonic clock since the process started. Only differences mean anything.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct MonoNanos(pub u64);

impl MonoNanos {
    /// A time that never comes.
    pub const NEVER: MonoNanos = MonoNanos(u64::MAX);

    /// This time and `ms` milliseconds; saturates at [`MonoNanos::NEVER`].
    #[must_use]
    pub fn plus_ms(self, ms: u64) -> MonoNanos {
        MonoNanos(self.0.saturating_add(ms.saturating_mul(1_000_000)))
    }

    /// Nanoseconds since `earlier`, 0 if it is later.
    #[must_use]
    pub fn since(self, earlier: MonoNanos) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Milliseconds since the Unix epoch, as in record timestamps; -1 is none. Only ever stored or compared with record
/// timestamps: no decision about liveness or order is made on the wall clock.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct TimestampMs(pub i64);

impl TimestampMs {
    /// No timestamp.
    pub const NONE: TimestampMs = TimestampMs(-1);
}

impl fmt::Display for TimestampMs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Both clocks, read once per turn by the runtime.
#[derive(Clone, Copy, Debug, Default)]
pub struct Now {
    pub mono: MonoNanos,
    pub wall: TimestampMs,
}
