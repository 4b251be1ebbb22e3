//! When the next snapshot of the metadata is due: after so many bytes of log, or so much time, and not soon after a failure.

use crate::base::MonoNanos;
use crate::shard::config::ClusterTimers;

/// After a snapshot that could not be made or written, the next one waits for so long.
const PAUSE_MS: u64 = 60_000;

/// When the next snapshot is due.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    every_bytes: u64,
    every_ms: u64,
    /// Bytes that the log has had since the last snapshot before this life, at most.
    owed: u64,
    /// Bytes that were folded in this life when the last one was begun.
    folded: u64,
    /// When that was; at first, when the server began.
    since: Option<MonoNanos>,
    not_before: MonoNanos,
}

impl Schedule {
    pub fn new(timers: &ClusterTimers, owed: u64) -> Schedule {
        Schedule {
            every_bytes: timers.snapshot_bytes,
            every_ms: timers.snapshot_ms,
            owed,
            folded: 0,
            since: None,
            not_before: MonoNanos(0),
        }
    }

    pub fn is_due(&self, folded: u64, now: MonoNanos) -> bool {
        let bytes = self.owed.saturating_add(folded.saturating_sub(self.folded));
        !self.is_paused(now) && (bytes >= self.every_bytes || now >= self.by_time())
    }

    /// When one is due whatever the log has had.
    pub fn by_time(&self) -> MonoNanos {
        self.since.map_or(MonoNanos::NEVER, |since| since.plus_ms(self.every_ms)).max(self.not_before)
    }

    pub fn begun(&mut self, folded: u64, now: MonoNanos) {
        (self.owed, self.folded, self.since) = (0, folded, Some(now));
    }

    /// Time counts from the first turn on.
    pub fn begins(&mut self, now: MonoNanos) {
        self.since.get_or_insert(now);
    }

    /// Something went wrong: the next one waits.
    pub fn pause(&mut self, now: MonoNanos) {
        self.not_before = now.plus_ms(PAUSE_MS);
    }

    pub fn is_paused(&self, now: MonoNanos) -> bool {
        now < self.not_before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_due_after_bytes_or_time_and_not_soon_after_a_failure() {
        let timers = ClusterTimers { snapshot_bytes: 100, snapshot_ms: 50, ..ClusterTimers::default() };
        let at = |ms: u64| MonoNanos(ms * 1_000_000);
        let mut schedule = Schedule::new(&timers, 30);
        assert!(!schedule.is_due(69, at(0)));
        assert!(schedule.is_due(70, at(0)), "what was there before counts");
        assert_eq!(schedule.by_time(), MonoNanos::NEVER, "before the first turn");
        schedule.begins(at(1));
        assert_eq!(schedule.by_time(), at(51));
        schedule.begun(70, at(10));
        assert!(!schedule.is_due(169, at(59)));
        assert!(schedule.is_due(170, at(59)));
        assert!(schedule.is_due(70, at(60)));
        schedule.pause(at(30));
        assert!(!schedule.is_due(500, at(29 + PAUSE_MS)));
        assert!(schedule.is_due(500, at(30 + PAUSE_MS)));
        assert_eq!(schedule.by_time(), at(30 + PAUSE_MS));
    }
}
