//! Retention: which segments a topic does not want to keep any more, and letting them go.
//!
//! Two steps, so that no offset is ever given out twice. First the log's start moves, at once for readers; when a
//! checkpoint holds the new start, segments wholly below it leave the log and their files may be deleted. The rules are
//! Kafka's: oldest first; by size while all that is left is still at least `retention.bytes`; by time when the newest
//! record of a segment is older than `retention.ms`. The active segment goes as well when all of it is past: it is rolled
//! then. A segment whose records carry no timestamps goes by size only.

use crate::base::io::SegmentId;
use crate::base::rng::Rng;
use crate::base::{Offset, TimestampMs};
use crate::config::topic::TopicSettings;

use super::op::LogEffects;
use super::partition::PartitionLog;
use super::past::{Filling, PastSegment};

/// The age at which a segment is closed: `segment.ms` less a part of `segment.jitter.ms`, so that partitions that began one
/// at the same moment do not all roll at once. Made of what the segment is, so that a restart changes nothing.
pub(super) fn roll_age_ms(segment: SegmentId, settings: &TopicSettings) -> u64 {
    match settings.segment_jitter_ms.min(settings.segment_ms) {
        0 => settings.segment_ms,
        jitter => settings.segment_ms - Rng::seeded(seed(segment)).below(jitter),
    }
}

fn seed(segment: SegmentId) -> u64 {
    let topic = u128::from_be_bytes(segment.partition.topic.0);
    let folded = (topic >> 64 ^ topic) & u128::from(u64::MAX);
    let folded = u64::try_from(folded).expect("64 bits");
    folded ^ u64::from(segment.partition.partition.0.cast_unsigned()) << 32 ^ segment.base.0.cast_unsigned()
}

/// One segment, whatever its state.
struct Extent {
    end: Offset,
    size: u64,
    max_timestamp: Option<TimestampMs>,
}

impl PartitionLog {
    /// Where the log begins when what its topic does not want to keep is left out.
    #[must_use]
    pub fn retained_from(&self, wall: TimestampMs, settings: &TopicSettings) -> Offset {
        if !settings.delete {
            return self.log_start;
        }
        let extents = self.extents();
        let kept = || extents.iter().filter(|extent| extent.end > self.log_start && extent.size > 0);
        let size: u64 = kept().map(|extent| extent.size).sum();
        let mut excess = settings.retention_bytes.map(|max| size.saturating_sub(max));
        let mut start = self.log_start;
        for extent in kept() {
            let is_excess = excess.is_some_and(|excess| excess >= extent.size);
            let is_old = settings.retention_ms.zip(extent.max_timestamp).is_some_and(|(max, newest)| {
                u64::try_from(wall.0.saturating_sub(newest.0)).is_ok_and(|age| age > max)
            });
            if !is_excess && !is_old || extent.end > self.finished_end() {
                break;
            }
            excess = excess.map(|excess| excess.saturating_sub(extent.size));
            start = extent.end;
        }
        start
    }

    /// Rolls the active segment if nothing of it is part of the log any more. Tells whether it did.
    pub fn roll_if_past(&mut self, out: &mut LogEffects) -> bool {
        let is_past = self.active.size > 0 && self.log_start == self.log_end;
        if is_past {
            self.filling = Filling::default();
            self.roll(out);
        }
        is_past
    }

    /// Whether some finished segment lies below `start`.
    #[must_use]
    pub fn has_below(&self, start: Offset) -> bool {
        !self.sealed.is_empty() && self.end_of_sealed(0) <= start
    }

    /// Below this, segments may leave the log when a checkpoint made now is on stable storage: it holds the log's start, and
    /// recovery begins in none of them.
    #[must_use]
    pub fn past_end(&self) -> Offset {
        self.log_start.min(self.recovery_base())
    }

    /// Takes the finished segments below `start` out of the log, oldest first. A checkpoint must hold that start already,
    /// and begin there or above.
    pub fn take_below(&mut self, start: Offset) -> Vec<PastSegment> {
        let mut taken = Vec::new();
        if self.is_cutting() {
            // The next check finds what is left.
            return taken;
        }
        // A cut that kept nothing may have let the log begin lower since the checkpoint was asked for.
        let start = start.min(self.log_start);
        while self.has_below(start)
            && let Some(segment) = self.sealed.pop_front()
        {
            assert!(segment.id.base < start, "a segment that is taken lies below the start");
            taken.push(PastSegment { segment: segment.id, bytes: segment.size });
        }
        self.epochs.forget_below(start);
        self.past_files += taken.len();
        taken
    }

    /// All segments in order; rolled ones need not finish in order.
    fn extents(&self) -> Vec<Extent> {
        let sealed = self.sealed.iter().map(|it| (it.id.base, it.size, it.max_timestamp));
        let open = self.draining.iter().chain([&self.active]);
        let open = open.map(|it| (it.id.base, it.size, it.index.max_timestamp(it.id.base)));
        let mut segments: Vec<_> = sealed.chain(open).collect();
        segments.sort_unstable_by_key(|(base, ..)| *base);
        let ends: Vec<Offset> =
            segments.iter().skip(1).map(|(base, ..)| *base).chain([self.log_end]).collect();
        let extents = segments.into_iter().zip(ends).map(|((_, size, newest), end)| Extent {
            end,
            size,
            max_timestamp: newest.map(|(newest, _)| newest).filter(|newest| newest.0 >= 0),
        });
        extents.collect()
    }

    /// Where the segment after a finished one begins.
    pub(super) fn end_of_sealed(&self, at: usize) -> Offset {
        let base = self.sealed[at].id.base;
        let sealed = self.sealed.get(at + 1).map(|next| next.id.base);
        let draining = self.draining.iter().map(|next| next.id.base).find(|next| *next > base);
        let following = [sealed, draining].into_iter().flatten().min();
        following.unwrap_or(self.active.id.base)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::base::{PartitionIndex, TopicId, TopicPartition};

    use super::*;

    #[test]
    fn jitter_spreads_the_ages_at_which_segments_roll() {
        let ages = |segment_ms, segment_jitter_ms| {
            let settings = TopicSettings { segment_ms, segment_jitter_ms, ..TopicSettings::default() };
            let partition =
                |index| TopicPartition { topic: TopicId([7; 16]), partition: PartitionIndex(index) };
            let segment = |index| SegmentId { partition: partition(index), base: Offset(0) };
            (0..100).map(|index| roll_age_ms(segment(index), &settings)).collect::<BTreeSet<_>>()
        };
        assert_eq!(ages(1000, 0), BTreeSet::from([1000]));
        let spread = ages(1000, 400);
        assert!(spread.len() > 50 && spread.iter().all(|age| (601..=1000).contains(age)), "{spread:?}");
        assert!(ages(100, 1_000_000).iter().all(|age| (1..=100).contains(age)), "at most the whole");
    }
}
