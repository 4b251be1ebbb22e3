//! The state of a partition's log: its offsets and its segments.

use std::collections::VecDeque;

use crate::base::io::SegmentId;
use crate::base::{LeaderEpoch, Offset, ProducerId, TimestampMs, TopicPartition};
use crate::log::damage::DamagedRanges;
use crate::log::epochs::{Agreement, EpochCache, LogNow};
use crate::log::past::{Filling, PastSegment};
use crate::log::producers::ProducerStates;
use crate::log::recovery::RecoveredLog;
use crate::log::segment::{OpenSegment, SealSync, SealedSegment};
use crate::log::tail::{Allocate, Tail};

use super::coverage::Coverage;
use super::cutting::Cutting;
use super::unflushed::Unflushed;

#[derive(Debug)]
pub struct PartitionLog {
    pub id: TopicPartition,
    pub(in crate::log) log_start: Offset,
    pub(in crate::log) log_end: Offset,
    /// Records below are on stable storage.
    pub(super) flushed: Offset,
    /// Records below are on as many replicas as the topic demands. May lie above the flushed offset of this one.
    pub(super) high_watermark: Offset,
    pub(super) epoch: LeaderEpoch,
    pub(in crate::log) epochs: EpochCache,
    pub(in crate::log) producers: ProducerStates,
    pub(in crate::log) sealed: VecDeque<SealedSegment>,
    /// Rolled, still being written out.
    pub(in crate::log) draining: VecDeque<OpenSegment>,
    pub(in crate::log) active: OpenSegment,
    pub(in crate::log) damaged: DamagedRanges,
    /// An old file, kept to become the next segment's.
    pub(in crate::log) spare: Option<PastSegment>,
    pub(in crate::log) filling: Filling,
    pub(super) unflushed: Unflushed,
    /// Segment bytes that the commit log must hold until a sync: see [`PartitionLog::release`].
    pub(super) coverage: Coverage,
    pub(super) seal_sync: SealSync,
    pub(super) cutting: Option<Cutting>,
    /// Entries of the commit log count from the group with this sequence on: those before are from before a cut.
    pub(super) fence: u64,
    /// Files that have left the log and still exist, but for the spare.
    pub(in crate::log) past_files: usize,
    pub(super) producers_lost: Option<Offset>,
}

impl PartitionLog {
    /// A log nothing was ever written to.
    #[must_use]
    pub fn empty(id: TopicPartition) -> PartitionLog {
        PartitionLog::recovered(id, RecoveredLog::default(), &mut |_| unreachable!("nothing to carry"))
    }

    /// The log as recovery found it: everything in segments, synced.
    #[must_use]
    pub fn recovered(id: TopicPartition, mut found: RecoveredLog, allocate: Allocate<'_>) -> PartitionLog {
        let active = match found.segments.pop() {
            None => OpenSegment::fresh(SegmentId { partition: id, base: found.log_end }),
            Some(last) => {
                let tail = Tail::resume(last.size, &found.carry, allocate);
                let id = SegmentId { partition: id, base: last.base };
                let mut active = OpenSegment::resumed(id, last.size, found.log_end, tail, last.index);
                active.begun = last.begun;
                active
            }
        };
        let sealed = found.segments.into_iter().map(|segment| SealedSegment {
            id: SegmentId { partition: id, base: segment.base },
            size: segment.size,
            max_timestamp: segment.index.max_timestamp(segment.base),
            tail: Tail::default(),
            index: None,
        });
        let mut log = PartitionLog {
            id,
            log_start: found.log_start,
            log_end: found.log_end,
            flushed: found.log_end,
            // Whatever was known of it, records beyond the end are not there.
            high_watermark: found.high_watermark.min(found.log_end).max(found.log_start),
            epoch: found.epochs.latest().unwrap_or(LeaderEpoch(0)),
            epochs: found.epochs,
            producers: found.producers,
            sealed: sealed.collect(),
            draining: VecDeque::new(),
            active,
            damaged: found.damaged,
            spare: None,
            filling: Filling::default(),
            unflushed: Unflushed::default(),
            coverage: Coverage::default(),
            seal_sync: SealSync::default(),
            cutting: None,
            fence: found.fence,
            past_files: 0,
            producers_lost: found.producers_lost,
        };
        log.producers.settle(log.finished_end());
        log.check_offsets();
        log
    }

    #[must_use]
    pub fn log_start(&self) -> Offset {
        self.log_start
    }

    /// Where followers begin that have nothing: at the segment that holds the log's start. The start itself may lie within a
    /// batch, of which nobody can be sent a part.
    #[must_use]
    pub fn kept_from(&self) -> Offset {
        self.segment_base_of(self.log_start).min(self.log_start)
    }

    /// Records below `to` are not part of the log any more; the start never moves back, nor beyond what is durable and below
    /// the high watermark.
    pub fn advance_start(&mut self, to: Offset) -> Offset {
        self.log_start = self.log_start.max(to.min(self.finished_end()));
        self.check_offsets();
        self.damaged.remove(&(Offset(0)..self.log_start));
        self.log_start
    }

    /// The next offset to be assigned.
    #[must_use]
    pub fn log_end(&self) -> Offset {
        self.log_end
    }

    /// Where the segment that is appended to begins.
    #[must_use]
    pub fn active_base(&self) -> Offset {
        self.active.id.base
    }

    #[must_use]
    pub fn flushed_offset(&self) -> Offset {
        self.flushed
    }

    #[must_use]
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// The high watermark is here, or further. Kept no higher than the log's end.
    pub fn advance_high_watermark(&mut self, to: Offset) {
        self.high_watermark = self.high_watermark.max(to.min(self.log_end));
        self.producers.settle(self.finished_end());
    }

    /// Records below stay as they are, whatever becomes of this server or others: what has to be so for retention, compaction
    /// and scrubbing.
    #[must_use]
    pub fn finished_end(&self) -> Offset {
        self.high_watermark.min(self.flushed)
    }

    /// A direct run waits for the active segment's file, which is being made.
    #[must_use]
    pub fn direct_run_lacks_file(&self) -> bool {
        self.active.direct_run_lacks_file()
    }

    /// Appended and not durable yet, whether it is on its way or waits for its file to be created.
    #[must_use]
    pub fn unflushed_bytes(&self) -> usize {
        self.unflushed.bytes()
    }

    #[must_use]
    pub fn epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    /// Leads from now on with `epoch`; epochs never go back.
    pub fn lead(&mut self, epoch: LeaderEpoch) {
        self.epoch = self.epoch.max(epoch);
    }

    #[must_use]
    pub fn epochs(&self) -> &EpochCache {
        &self.epochs
    }

    /// Where an epoch ended, or the largest before it: see [`EpochCache::end_of`].
    #[must_use]
    pub fn epoch_end(&self, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        self.epochs.end_of(epoch, self.now())
    }

    /// Where an epoch ends as one replica tells another: see [`EpochCache::end_within`].
    #[must_use]
    pub fn end_within(&self, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        self.epochs.end_within(epoch, self.now())
    }

    /// The epoch of the last record, or of the one before the log's beginning; -1 if there was none.
    #[must_use]
    pub fn last_epoch(&self) -> LeaderEpoch {
        self.epochs.latest().unwrap_or(LeaderEpoch(-1))
    }

    /// See [`EpochCache::agreement`].
    #[must_use]
    pub fn agreement(&self, epoch: LeaderEpoch, next: Offset) -> Agreement {
        self.epochs.agreement(epoch, next, self.now())
    }

    fn now(&self) -> LogNow {
        LogNow { epoch: self.epoch, start: self.log_start, end: self.log_end }
    }

    #[must_use]
    pub fn producers(&self) -> &ProducerStates {
        &self.producers
    }

    /// Forgets producers: see [`ProducerStates::expire`].
    pub fn expire_producers(&mut self, oldest: (TimestampMs, ProducerId)) {
        self.producers.expire(oldest);
    }

    /// Bytes in all segments.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        let sealed: u64 = self.sealed.iter().map(|segment| segment.size).sum();
        sealed + self.draining.iter().map(|segment| segment.size).sum::<u64>() + self.active.size
    }

    /// Memory held by tails.
    #[must_use]
    pub fn resident_bytes(&self) -> usize {
        let sealed: usize = self.sealed.iter().map(|segment| segment.tail.resident_bytes()).sum();
        let draining: usize = self.draining.iter().map(|segment| segment.tail.resident_bytes()).sum();
        sealed + draining + self.active.tail.resident_bytes()
    }

    /// Part of append `number` is durable. True if the flushed offset moved.
    pub fn durable(&mut self, number: u64) -> bool {
        let Some(flushed) = self.unflushed.part_durable(number) else { return false };
        assert!(self.flushed < flushed, "the flushed offset ascends");
        self.flushed = flushed;
        self.check_offsets();
        true
    }

    /// The chain that every change of an offset keeps.
    pub(super) fn check_offsets(&self) {
        assert!(self.log_start <= self.flushed, "log start ≤ flushed");
        assert!(self.flushed <= self.log_end, "flushed ≤ log end");
    }

    /// The segment in which recovery would begin, were a checkpoint made now.
    #[must_use]
    pub fn recovery_base(&self) -> Offset {
        self.scan_start().0
    }

    /// Where recovery must begin scanning: segment, position and base offset of a batch with everything below synced.
    pub(in crate::log) fn scan_start(&self) -> (Offset, u64, Offset) {
        let segment = self.draining.front().unwrap_or(&self.active);
        let (position, offset) = segment.scan_from();
        (segment.id.base, position, offset)
    }
}
