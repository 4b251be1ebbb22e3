//! How much of the disk background work may have beside the foreground: a small share of what producers write while they
//! write, all that the settings allow once they are quiet. Looked at ten times a second.
//!
//! Measured: compaction at 64 MiB/s beside 370 MB/s of produce on each of two shards, a sixth, costs the producers 9 percent.

use crate::base::MonoNanos;

const LOOK_MS: u64 = 100;
/// One in so many of the bytes that producers append may be read or written in the background.
const SHARE: u64 = 10;
/// The foreground counts as quiet below this.
const QUIET_BYTES_PER_SECOND: u64 = 4 * 1024 * 1024;
/// Background work always goes on at this rate.
const LEAST_BYTES_PER_SECOND: u64 = 2 * 1024 * 1024;

/// Whether background work may wait for the foreground.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Haste {
    None,
    /// The work has waited too long, or the disk needs the space that it gives back.
    Overdue,
}

/// The rate as it was last told, and what it was decided from.
#[derive(Debug, Default)]
pub(super) struct Share {
    looked_at: Option<MonoNanos>,
    appended: u64,
    told: Option<u64>,
}

impl Share {
    /// A new rate in bytes a second, if it is time to look and the rate has changed; `appended` counts all bytes that
    /// producers ever appended, `all` is what the settings allow.
    pub(super) fn look(&mut self, now: MonoNanos, appended: u64, all: u64, haste: Haste) -> Option<u64> {
        let last = self.looked_at.unwrap_or(MonoNanos(0));
        if self.looked_at.is_some() && now < last.plus_ms(LOOK_MS) {
            return None;
        }
        let nanos = u128::from(now.since(last).max(1));
        let foreground = u128::from(appended.saturating_sub(self.appended)) * 1_000_000_000 / nanos;
        let foreground = u64::try_from(foreground).unwrap_or(u64::MAX);
        let is_first = self.looked_at.replace(now).is_none();
        self.appended = appended;
        let rate = if haste == Haste::Overdue {
            all
        } else if is_first {
            // Nothing is known of the foreground yet.
            LEAST_BYTES_PER_SECOND.min(all)
        } else if foreground < QUIET_BYTES_PER_SECOND {
            all
        } else {
            (foreground / SHARE).max(LEAST_BYTES_PER_SECOND).min(all)
        };
        (self.told.replace(rate) != Some(rate)).then_some(rate)
    }

    pub(super) fn next_look(&self) -> MonoNanos {
        self.looked_at.map_or(MonoNanos(0), |last| last.plus_ms(LOOK_MS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: u64 = 128 << 20;

    fn at(ms: u64) -> MonoNanos {
        MonoNanos(0).plus_ms(ms)
    }

    #[test]
    fn producers_leave_it_a_share_and_a_quiet_foreground_all() {
        let mut share = Share::default();
        assert_eq!(share.look(at(1000), 500 << 20, ALL, Haste::None), Some(LEAST_BYTES_PER_SECOND));
        assert_eq!(share.look(at(1099), 540 << 20, ALL, Haste::None), None, "too soon");
        assert_eq!(share.look(at(1100), 540 << 20, ALL, Haste::None), Some(40 << 20));
        assert_eq!(share.look(at(1200), 580 << 20, ALL, Haste::None), None, "as before");
        assert_eq!(share.look(at(1300), 580 << 20, ALL, Haste::None), Some(ALL));
        assert_eq!(share.next_look(), at(1400));
        assert_eq!(share.look(at(1400), 581 << 20, ALL, Haste::None), Some(LEAST_BYTES_PER_SECOND));
        assert_eq!(
            share.look(at(1500), 621 << 20, 1 << 20, Haste::None),
            Some(1 << 20),
            "within the settings"
        );
    }

    #[test]
    fn what_is_overdue_waits_for_nobody() {
        let mut share = Share::default();
        assert_eq!(share.look(at(0), 0, ALL, Haste::Overdue), Some(ALL));
        assert_eq!(share.look(at(100), 1 << 30, ALL, Haste::Overdue), None);
        assert_eq!(
            share.look(at(200), 2 << 30, ALL, Haste::None),
            None,
            "a tenth of 10 GiB/s is more than all"
        );
        assert_eq!(share.look(at(300), (2 << 30) + (40 << 20), ALL, Haste::None), Some(40 << 20));
    }
}
