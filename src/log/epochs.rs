//! Which leader wrote which part of the log: epoch → first offset, learned from batches alone, never from metadata.

use crate::base::{LeaderEpoch, Offset};

/// Ascending in both. At most one entry per leader the partition ever had and still has records of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EpochCache {
    starts: Vec<(LeaderEpoch, Offset)>,
}

impl EpochCache {
    #[must_use]
    pub fn from_starts(starts: Vec<(LeaderEpoch, Offset)>) -> EpochCache {
        let mut cache = EpochCache::default();
        for (epoch, start) in starts {
            cache.note(epoch, start);
        }
        cache
    }

    /// Takes note of a batch. Epochs below the latest are left out: they can only come from damage.
    pub fn note(&mut self, epoch: LeaderEpoch, base_offset: Offset) {
        let newer = self.starts.last().is_none_or(|(last, start)| epoch > *last && base_offset >= *start);
        if newer && epoch.0 >= 0 {
            self.starts.push((epoch, base_offset));
        }
    }

    #[must_use]
    pub fn latest(&self) -> Option<LeaderEpoch> {
        self.starts.last().map(|(epoch, _)| *epoch)
    }

    /// The largest epoch not above `epoch`, and where it ends (the next one's start, or `log_end`). `None` if all known
    /// epochs are above.
    #[must_use]
    pub fn end_of(&self, epoch: LeaderEpoch, log_end: Offset) -> Option<(LeaderEpoch, Offset)> {
        let after = self.starts.partition_point(|(candidate, _)| *candidate <= epoch);
        let (found, _) = self.starts.get(after.checked_sub(1)?)?;
        Some((*found, self.starts.get(after).map_or(log_end, |(_, start)| *start)))
    }

    /// The epoch of the record at `offset`.
    #[must_use]
    pub fn at(&self, offset: Offset) -> Option<LeaderEpoch> {
        let after = self.starts.partition_point(|(_, start)| *start <= offset);
        self.starts.get(after.checked_sub(1)?).map(|(epoch, _)| *epoch)
    }

    /// Forgets epochs that begin at or beyond `end`.
    pub fn truncate(&mut self, end: Offset) {
        self.starts.retain(|(_, start)| *start < end);
    }

    /// Forgets epochs that end at or below `start`: no record of theirs is left.
    pub fn forget_below(&mut self, start: Offset) {
        let current = self.starts.partition_point(|(_, begins)| *begins <= start);
        self.starts.drain(..current.saturating_sub(1));
    }

    #[must_use]
    pub fn starts(&self) -> &[(LeaderEpoch, Offset)] {
        &self.starts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_follow_the_next_start() {
        let cache = EpochCache::from_starts(vec![(LeaderEpoch(0), Offset(0)), (LeaderEpoch(3), Offset(50))]);
        for (asked, found) in
            [(0, Some((0, 50))), (2, Some((0, 50))), (3, Some((3, 80))), (9, Some((3, 80))), (-1, None)]
        {
            let expected = found.map(|(epoch, end)| (LeaderEpoch(epoch), Offset(end)));
            assert_eq!(cache.end_of(LeaderEpoch(asked), Offset(80)), expected, "epoch {asked}");
        }
        let mut later = cache.clone();
        later.forget_below(Offset(49));
        assert_eq!(later, cache, "the first epoch still has a record");
        later.forget_below(Offset(50));
        assert_eq!(later.starts(), [(LeaderEpoch(3), Offset(50))]);
        later.forget_below(Offset(90));
        assert_eq!(later.latest(), Some(LeaderEpoch(3)), "the latest is always known");
        assert_eq!(cache.at(Offset(49)), Some(LeaderEpoch(0)));
        assert_eq!(cache.at(Offset(50)), Some(LeaderEpoch(3)));
    }
}
