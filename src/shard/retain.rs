//! Retention: logs' starts move up when their topics want no more of the past, and segments below go.
//!
//! A check looks at every partition; a checkpoint makes the new starts durable; then the files are deleted one at a time
//! with a pause between, so that the disk stays with the foreground, or kept to be used again (`spare`). Files that a crash
//! leaves behind are found by the next life's first check: they lie below the start its checkpoint knows.

use std::collections::VecDeque;

use crate::base::io::{IoOp, SegmentId};
use crate::base::{MonoNanos, Now, Offset, ProducerId, TimestampMs, TopicPartition};
use crate::log::{PastSegment, Purpose};

use super::io::IoContext;
use super::spare::SpareConfig;
use super::{Effect, Shard, Stop};

/// The first check after a start, at the latest: a server that restarts often must come to it all the same.
const FIRST_CHECK_MS: u64 = 30_000;
/// A rolled segment is finished within this time, most likely.
const LOOK_AGAIN_MS: u64 = 1000;
/// Between two files. A file of a gibibyte takes ext4 some milliseconds of its journal.
const DELETE_PAUSE_MS: u64 = 20;

/// How a shard keeps to its topics' retention.
#[derive(Clone, Copy, Debug)]
pub struct RetentionConfig {
    /// `log.retention.check.interval.ms`.
    pub check_ms: u64,
    /// Producers silent for longer are forgotten.
    pub producer_expiration_ms: u64,
    /// `ringmain.segment.recycle`; `None` = no file is used again.
    pub spares: Option<SpareConfig>,
}

#[derive(Debug)]
pub(super) struct Retention {
    pub(super) config: RetentionConfig,
    /// `None` until the first turn.
    next_check: Option<MonoNanos>,
    /// Some partition has segments below its start that no checkpoint has been asked to cover.
    wants_checkpoint: bool,
    /// The starts that the checkpoint under way holds.
    covering: Vec<(u32, Offset)>,
    /// Out of their logs, still on disk.
    doomed: VecDeque<Doomed>,
    deleting: bool,
    next_delete: MonoNanos,
}

/// A file to be deleted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Doomed {
    pub(super) slot: u32,
    pub(super) past: PastSegment,
    /// It was kept to be used again, and has another name.
    pub(super) is_spare: bool,
}

impl Retention {
    pub(super) fn new(config: RetentionConfig) -> Retention {
        Retention {
            config,
            next_check: None,
            wants_checkpoint: false,
            covering: Vec::new(),
            doomed: VecDeque::new(),
            deleting: false,
            next_delete: MonoNanos(0),
        }
    }

    pub(super) fn wants_checkpoint(&self) -> bool {
        self.wants_checkpoint
    }

    pub(super) fn want_checkpoint(&mut self) {
        self.wants_checkpoint = true;
    }

    pub(super) fn doom(&mut self, doomed: Doomed) {
        self.doomed.push_back(doomed);
    }

    pub(super) fn next_deadline(&self) -> MonoNanos {
        let delete =
            if self.doomed.is_empty() || self.deleting { MonoNanos::NEVER } else { self.next_delete };
        self.next_check.unwrap_or(MonoNanos(0)).min(delete)
    }

    /// A file is gone, or will not go: what is left of it is found again by the next start.
    pub(super) fn deleted(&mut self, now: MonoNanos) {
        self.deleting = false;
        self.next_delete = now.plus_ms(DELETE_PAUSE_MS);
    }

    /// The checkpoint under way was refused.
    pub(super) fn refused(&mut self) {
        self.wants_checkpoint |= !self.covering.is_empty();
        self.covering.clear();
    }
}

impl Shard {
    pub(super) fn turn_retention(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.stop != Stop::Running || self.failed.is_some() {
            return;
        }
        let check_ms = self.retention.config.check_ms;
        let due = *self.retention.next_check.get_or_insert(now.mono.plus_ms(check_ms.min(FIRST_CHECK_MS)));
        if due <= now.mono {
            let rolled = self.check_retention(now, effects);
            let next_ms = if rolled { check_ms.min(LOOK_AGAIN_MS) } else { check_ms };
            self.retention.next_check = Some(now.mono.plus_ms(next_ms));
        }
        self.turn_spares(now);
        self.delete_next(now, effects);
    }

    /// Tells whether some segment was rolled that must go as well.
    fn check_retention(&mut self, now: Now, effects: &mut Vec<Effect>) -> bool {
        let silent_since = i64::try_from(self.retention.config.producer_expiration_ms).unwrap_or(i64::MAX);
        let oldest = (TimestampMs(now.wall.0.saturating_sub(silent_since)), ProducerId(i64::MIN));
        let mut rolled = false;
        for slot in self.partitions.slots() {
            let Some(partition) = self.partitions.get_mut(slot) else { continue };
            if partition.log.id == TopicPartition::METADATA {
                continue;
            }
            partition.log.expire_producers(oldest);
            let start = partition.log.retained_from(now.wall, &partition.settings);
            if start > partition.log.log_start() {
                partition.log.advance_start(start);
            }
            rolled |= self.with_log(slot, effects, |log, out| log.roll_if_past(out)).unwrap_or(false);
            let below = self.partitions.get(slot).is_some_and(|it| it.log.has_below(it.log.log_start()));
            self.retention.wants_checkpoint |= below;
        }
        if rolled {
            self.spares.review();
        }
        rolled
    }

    /// A checkpoint is being made: it holds the starts as of now.
    pub(super) fn cover_starts(&mut self) {
        let starts = self.partitions.slots().into_iter().filter_map(|slot| {
            let log = &self.partitions.get(slot)?.log;
            log.has_below(log.past_end()).then_some((slot, log.past_end()))
        });
        self.retention.covering = starts.collect();
        self.retention.wants_checkpoint = false;
    }

    /// The checkpoint is on stable storage: what lies below its starts may go.
    pub(super) fn starts_covered(&mut self, effects: &mut Vec<Effect>) {
        for (slot, start) in std::mem::take(&mut self.retention.covering) {
            let Some(partition) = self.partitions.get_mut(slot) else { continue };
            for past in partition.log.take_below(start) {
                if !self.let_go(slot, past, effects) {
                    self.retention.doom(Doomed { slot, past, is_spare: false });
                }
            }
        }
    }

    /// Keeps a segment's file to be used again, if it is wanted and nobody reads it any more: nobody begins to, either.
    fn let_go(&mut self, slot: u32, past: PastSegment, effects: &mut Vec<Effect>) -> bool {
        if self.is_read(slot, past.segment) || !self.keep_spare(slot, past, effects) {
            return false;
        }
        self.cache.forget(past.segment);
        self.counters.segments_deleted += 1;
        true
    }

    fn is_read(&self, slot: u32, segment: SegmentId) -> bool {
        let is_read = self.fetch.reads(segment) || self.lookups.reads(segment) || self.cache.reads(segment);
        is_read || self.scrub.reads(segment) || self.compaction.works_on(slot)
    }

    fn delete_next(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.retention.deleting || now.mono < self.retention.next_delete {
            return;
        }
        let Some(doomed) = self.retention.doomed.pop_front() else { return };
        let Doomed { slot, past, is_spare } = doomed;
        if !self.partitions.is_serving(slot) {
            // Its topic has been deleted, with all files.
            return;
        }
        if !is_spare && self.is_read(slot, past.segment) {
            self.retention.doom(doomed);
            self.retention.next_delete = now.mono.plus_ms(DELETE_PAUSE_MS);
            return;
        }
        if !is_spare && self.let_go(slot, past, effects) {
            return;
        }
        self.retention.deleting = true;
        let segment = past.segment;
        let op = if is_spare {
            IoOp::DeleteSpare { segment }
        } else {
            self.cache.forget(segment);
            self.counters.segments_deleted += 1;
            IoOp::DeleteSegment { segment }
        };
        self.issue(IoContext::Log { slot, purpose: Purpose::Delete }, op, effects);
    }
}
