//! Clocks of servers: each begins when it likes, goes as fast as it likes, and its wall clock jumps.

use ringmain::base::{MonoNanos, Now, TimestampMs};

use crate::queue::Instant;

/// The wall clock of a server whose clock is right.
const WALL_MS: i64 = 1_700_000_000_000;
/// A rate of 1: so many parts per thousand.
pub const RIGHT: u64 = 1000;

/// One server's two clocks. The monotonic one begins anew with each life; its rate is between half and twice that of virtual
/// time.
#[derive(Clone, Debug)]
pub struct Clock {
    /// When the rate was last changed, and what the monotonic clock showed.
    since: Instant,
    shown: u64,
    rate: u64,
    /// What the wall clock is ahead.
    ahead_ms: i64,
}

impl Clock {
    pub fn new() -> Clock {
        Clock { since: Instant(0), shown: 1, rate: RIGHT, ahead_ms: 0 }
    }

    /// A process begins.
    pub fn restart(&mut self, now: Instant) {
        (self.since, self.shown) = (now, 1);
    }

    pub fn set_rate(&mut self, now: Instant, rate: u64) {
        assert!((RIGHT / 2..=2 * RIGHT).contains(&rate), "a clock that is worth the name");
        (self.shown, self.since) = (self.mono(now), now);
        self.rate = rate;
    }

    /// The wall clock is set.
    pub fn set_wall_ahead(&mut self, ms: i64) {
        self.ahead_ms = ms;
    }

    pub fn now(&self, now: Instant) -> Now {
        let wall = WALL_MS + i64::try_from(now.0 / 1_000_000).unwrap() + self.ahead_ms;
        Now { mono: MonoNanos(self.mono(now)), wall: TimestampMs(wall) }
    }

    /// When the monotonic clock shows a time, or a little later; `None` for a time that never comes.
    pub fn when(&self, mono: MonoNanos) -> Option<Instant> {
        if mono == MonoNanos::NEVER {
            return None;
        }
        let left = mono.0.saturating_sub(self.shown);
        let span = u128::from(left) * u128::from(RIGHT) / u128::from(self.rate) + 1;
        Some(Instant(self.since.0.saturating_add(u64::try_from(span).ok()?)))
    }

    fn mono(&self, now: Instant) -> u64 {
        let gone = u128::from(now.since(self.since).0) * u128::from(self.rate) / u128::from(RIGHT);
        self.shown + u64::try_from(gone).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_goes_on_from_where_it_was_at_another_rate() {
        let mut clock = Clock::new();
        let mono = |clock: &Clock, at| clock.now(Instant(at)).mono.0;
        assert_eq!((mono(&clock, 0), mono(&clock, 500)), (1, 501));
        clock.set_rate(Instant(1000), 500);
        assert_eq!((mono(&clock, 1000), mono(&clock, 2000)), (1001, 1501));
        clock.set_rate(Instant(2000), 2000);
        assert_eq!(mono(&clock, 2100), 1701);
        for at in [1701, 1702, 5000] {
            let when = clock.when(MonoNanos(at)).unwrap();
            assert!(clock.now(when).mono.0 >= at && clock.now(Instant(when.0 - 3)).mono.0 < at);
        }
        assert_eq!(clock.when(MonoNanos::NEVER), None);
        clock.restart(Instant(3000));
        assert_eq!(mono(&clock, 3000), 1);
    }

    #[test]
    fn a_wall_clock_jumps_and_is_set_right() {
        let mut clock = Clock::new();
        clock.set_wall_ahead(-3_600_000);
        assert_eq!(clock.now(Instant(5_000_000)).wall.0, WALL_MS + 5 - 3_600_000);
        clock.set_wall_ahead(0);
        assert_eq!(clock.now(Instant(5_999_999)).wall.0, WALL_MS + 5);
    }
}
