//! The offsets that divide a partition's log, and the order they always keep.
//!
//! ```text
//! log start <= last stable offset <= high watermark <= flushed offset <= log end
//! ```
//!
//! Records below the high watermark are visible to consumers, those below the last stable offset to `read_committed` ones.
//! Where the high watermark is, the partition's role says: a leader's follows the replicas in sync, a follower's its leader's. A
//! topic that acknowledges from memory (`flush.messages` above 1) shows its records before they are durable, and so may the
//! leader of the metadata log, once a majority of voters has them: only there may it lie above the flushed offset.
//!
//! Everything that answers a client asks these offsets, never the log's own. With transactions the last stable offset will stay
//! behind the high watermark.

use crate::base::{Offset, Rule, holds};
use crate::log::PartitionLog;

/// What makes a record visible to consumers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VisibleWhen {
    /// The record is on stable storage.
    Flushed,
    /// The record is appended: the topic acknowledges from memory.
    Appended,
}

/// The five offsets of one partition; the module's head has their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermarks {
    pub log_start: Offset,
    pub last_stable: Offset,
    pub high: Offset,
    pub flushed: Offset,
    pub log_end: Offset,
}

impl Watermarks {
    /// The watermarks of a log as it is now, with the high watermark that its role says.
    pub fn of(log: &PartitionLog, high: Offset, visible: VisibleWhen) -> Watermarks {
        let (flushed, log_end) = (log.flushed_offset(), log.log_end());
        let marks = Watermarks { log_start: log.log_start(), last_stable: high, high, flushed, log_end };
        marks.check(visible);
        marks
    }

    /// The watermarks after a change of the log.
    ///
    /// # Panics
    ///
    /// If the order does not hold, or an offset has gone back: an answer given before would be wrong.
    pub fn follow(&mut self, log: &PartitionLog, high: Offset, visible: VisibleWhen) {
        let now = Watermarks::of(log, high, visible);
        assert!(
            now.log_start >= self.log_start
                && now.high >= self.high
                && now.flushed >= self.flushed
                && now.log_end >= self.log_end,
            "the offsets of {} went back from {self:?} to {now:?}",
            log.id
        );
        *self = now;
    }

    /// Records below are visible, durable, and stay: what an answer may rest on.
    pub fn settled(&self) -> Offset {
        // What a majority has may not be durable here: a server that acted on it could have forgotten it after a crash.
        if holds(Rule::D5) { self.high.min(self.flushed) } else { self.high }
    }

    fn check(&self, visible: VisibleWhen) {
        let is_ordered = self.log_start <= self.last_stable
            && self.last_stable <= self.high
            && self.flushed <= self.log_end
            && self.high <= self.log_end;
        let is_durable = visible == VisibleWhen::Appended || self.high <= self.flushed;
        assert!(is_ordered && is_durable, "{self:?}, visible when {visible:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(log_start: i64, high: i64, flushed: i64, log_end: i64) -> Watermarks {
        Watermarks {
            log_start: Offset(log_start),
            last_stable: Offset(high),
            high: Offset(high),
            flushed: Offset(flushed),
            log_end: Offset(log_end),
        }
    }

    fn holds(marks: Watermarks, visible: VisibleWhen) -> bool {
        std::panic::catch_unwind(|| marks.check(visible)).is_ok()
    }

    #[test]
    fn only_a_topic_acknowledged_from_memory_shows_what_is_not_durable() {
        assert!(holds(marks(0, 5, 5, 9), VisibleWhen::Flushed));
        assert!(holds(marks(0, 9, 5, 9), VisibleWhen::Appended));
        assert!(!holds(marks(0, 9, 5, 9), VisibleWhen::Flushed));
        assert!(!holds(marks(0, 9, 9, 8), VisibleWhen::Appended), "nothing is flushed beyond the end");
        assert!(!holds(marks(6, 5, 5, 9), VisibleWhen::Flushed), "the start stays below");
    }
}
