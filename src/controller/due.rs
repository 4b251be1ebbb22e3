//! When the controller does what it does now and then.

use crate::base::MonoNanos;

/// A server that is back has this long to fill its ISRs before its leaderships return.
const BACK_MS: u64 = 30_000;

/// When what is done now and then is due.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Due {
    leaders: Option<MonoNanos>,
    notes: Option<MonoNanos>,
    /// Copies of internal topics, and who votes.
    growth: Option<MonoNanos>,
}

impl Due {
    pub fn begin(&mut self, now: MonoNanos) {
        (self.leaders, self.notes, self.growth) = (Some(now.plus_ms(BACK_MS)), Some(now), Some(now));
    }

    pub fn deadline(&self) -> MonoNanos {
        [self.leaders, self.notes, self.growth].into_iter().flatten().min().unwrap_or(MonoNanos::NEVER)
    }

    pub fn server_is_back(&mut self, now: MonoNanos) {
        let soon = now.plus_ms(BACK_MS);
        self.leaders = Some(self.leaders.map_or(soon, |due| due.min(soon)));
    }

    /// A server has registered: the cluster may have grown.
    pub fn server_is_new(&mut self, now: MonoNanos) {
        self.growth = Some(now);
    }

    /// More leaderships are to return than one step could move.
    pub fn more_leaders(&mut self, at: MonoNanos) {
        self.leaders = Some(at);
    }

    pub fn leaders(&mut self, now: MonoNanos, every_ms: u64) -> bool {
        is_due(&mut self.leaders, now, every_ms)
    }

    pub fn notes(&mut self, now: MonoNanos, every_ms: u64) -> bool {
        is_due(&mut self.notes, now, every_ms)
    }

    pub fn growth(&mut self, now: MonoNanos, every_ms: u64) -> bool {
        is_due(&mut self.growth, now, every_ms)
    }
}

fn is_due(due: &mut Option<MonoNanos>, now: MonoNanos, every_ms: u64) -> bool {
    let is_due = due.is_none_or(|due| now >= due);
    if is_due {
        *due = Some(now.plus_ms(every_ms));
    }
    is_due
}
