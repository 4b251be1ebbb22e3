//! Retention: logs' starts move up when their topics want no more of the past, and segments below go.
//!
//! Only a partition's leader moves its start, and followers take theirs from it. The metadata log's start is moved by its snapshots
//! alone.
//!
//! A check looks at every partition; a checkpoint makes the new starts durable; then the files are deleted one at a time
//! with a pause between, so that the disk stays with the foreground, or kept to be used again (`spare`). Files that a crash
//! leaves behind are found by the next life's first check: they lie below the start its checkpoint knows.

use std::collections::VecDeque;

use crate::base::io::IoOp;
use crate::base::{MonoNanos, Now, Offset, ProducerId, TimestampMs, TopicPartition};
use crate::log::{PastSegment, Purpose};

use super::super::config::RetentionConfig;
use super::super::event::Operation;
use super::super::read::Read;
use super::super::store::Store;
use super::super::turn::Turn;
use super::in_use::InUse;
use super::spare::{Doomed, Spares};

/// The first check after a start, at the latest: a server that restarts often must come to it all the same.
const FIRST_CHECK_MS: u64 = 30_000;
/// A rolled segment is finished within this time, most likely.
const LOOK_AGAIN_MS: u64 = 1000;
/// Between two files. A file of a gibibyte takes ext4 some milliseconds of its journal.
const DELETE_PAUSE_MS: u64 = 20;

#[derive(Debug)]
pub(super) struct Retention {
    config: RetentionConfig,
    spares: Spares,
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

impl Retention {
    pub(super) fn new(config: RetentionConfig) -> Retention {
        Retention {
            config,
            spares: Spares::default(),
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

    /// Settings that were changed while the server runs.
    pub(super) fn reconfigure(&mut self, config: RetentionConfig) {
        self.config = config;
        self.spares.review();
    }

    /// Something may tell against keeping spares: they are looked at in the next turn.
    pub(super) fn review_spares(&mut self) {
        self.spares.review();
    }

    /// A partition has begun a new segment.
    pub(super) fn rolled(&mut self, slot: u32) {
        if self.config.spares.is_some() {
            self.spares.rolled(slot);
        }
    }

    /// Spares there are, and their bytes.
    pub(super) fn spares(&self, store: &Store) -> (usize, u64) {
        self.spares.count(store)
    }

    pub(super) fn next_deadline(&self) -> MonoNanos {
        let delete =
            if self.doomed.is_empty() || self.deleting { MonoNanos::NEVER } else { self.next_delete };
        self.next_check.unwrap_or(MonoNanos(0)).min(delete).min(self.spares.next_deadline())
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

    pub(super) fn turn(
        &mut self,
        in_use: &InUse<'_>,
        read: &mut Read,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        if !store.is_running() {
            return;
        }
        let (check_ms, now) = (self.config.check_ms, turn.now.mono);
        let due = *self.next_check.get_or_insert(now.plus_ms(check_ms.min(FIRST_CHECK_MS)));
        if due <= now {
            let rolled = self.check(store, turn);
            let next_ms = if rolled { check_ms.min(LOOK_AGAIN_MS) } else { check_ms };
            self.next_check = Some(now.plus_ms(next_ms));
        }
        if let Some(config) = self.config.spares {
            self.wants_checkpoint |= self.spares.retain_rolled(config, store, turn);
        }
        self.doomed.extend(self.spares.turn(self.config.spares, store, now));
        self.delete_next(in_use, read, store, turn);
    }

    /// Looks at every partition. Tells whether some segment was rolled that must go as well.
    fn check(&mut self, store: &mut Store, turn: &mut Turn<'_>) -> bool {
        let silent_since = i64::try_from(self.config.producer_expiration_ms).unwrap_or(i64::MAX);
        let wall = turn.now.wall;
        let oldest = (TimestampMs(wall.0.saturating_sub(silent_since)), ProducerId(i64::MIN));
        let mut rolled = false;
        for slot in store.partitions.slots() {
            let Some(partition) = store.partitions.get_mut(slot) else { continue };
            // A snapshot lets the metadata log begin later, and nothing else does: neither age nor size.
            if partition.log().id != TopicPartition::METADATA {
                // Where a log begins is for its leader to say: replicas agree, and no failover brings back what was deleted.
                let leads = partition.leads();
                let has_moved = partition.change(|log, settings| {
                    log.expire_producers(oldest);
                    let (before, start) = (log.log_start(), log.retained_from(wall, settings));
                    leads && start > before && log.advance_start(start) > before
                });
                if has_moved {
                    // Followers of an idle partition hear it by nothing else, and whoever begins lower joins no ISR.
                    store.moved(slot, turn);
                }
            }
            rolled |= store.with_log(slot, turn, |log, out| log.roll_if_past(out)).unwrap_or(false);
            let log = store.partitions.get(slot).map(|it| it.log());
            self.wants_checkpoint |= log.is_some_and(|log| log.has_below(log.log_start()));
        }
        if rolled {
            self.spares.review();
        }
        rolled
    }

    /// A checkpoint is being made: it holds the starts as of now.
    pub(super) fn cover(&mut self, store: &Store) {
        let starts = store.partitions.slots().into_iter().filter_map(|slot| {
            let log = store.partitions.get(slot)?.log();
            log.has_below(log.past_end()).then_some((slot, log.past_end()))
        });
        self.covering = starts.collect();
        self.wants_checkpoint = false;
    }

    /// The checkpoint is on stable storage: what lies below its starts may go.
    pub(super) fn covered(
        &mut self,
        in_use: &InUse<'_>,
        read: &mut Read,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        for (slot, start) in std::mem::take(&mut self.covering) {
            let Some(partition) = store.partitions.get_mut(slot) else { continue };
            for past in partition.change(|log, _| log.take_below(start)) {
                if !self.keep_file(slot, past, in_use, read, store, turn) {
                    self.doomed.push_back(Doomed { slot, past, is_spare: false });
                }
            }
        }
    }

    /// An old segment's file has its spare name, or keeps its own.
    pub(super) fn spared(
        &mut self,
        slot: u32,
        past: PastSegment,
        is_made: bool,
        store: &mut Store,
        now: Now,
    ) {
        let doomed = if is_made {
            match self.config.spares {
                Some(config) => self.spares.made(slot, past, config, store, now.mono),
                // None is wanted any more.
                None => Some(Doomed { slot, past, is_spare: true }),
            }
        } else {
            self.spares.not_made(slot);
            Some(Doomed { slot, past, is_spare: false })
        };
        self.doomed.extend(doomed);
    }

    /// Keeps a segment's file to be used again, if it is wanted and nobody reads it any more: nobody begins to, either.
    fn keep_file(
        &mut self,
        slot: u32,
        past: PastSegment,
        in_use: &InUse<'_>,
        read: &mut Read,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) -> bool {
        let Some(config) = self.config.spares else { return false };
        if in_use.is_read(slot, past.segment, read) || !self.spares.keep(slot, past, config, store, turn) {
            return false;
        }
        read.forget(past.segment);
        store.counters.segments_deleted += 1;
        true
    }

    fn delete_next(&mut self, in_use: &InUse<'_>, read: &mut Read, store: &mut Store, turn: &mut Turn<'_>) {
        let now = turn.now.mono;
        if self.deleting || now < self.next_delete {
            return;
        }
        let Some(doomed) = self.doomed.pop_front() else { return };
        let Doomed { slot, past, is_spare } = doomed;
        if !store.partitions.is_serving(slot) {
            // Its topic has been deleted, with all files.
            return;
        }
        if !is_spare && in_use.is_read(slot, past.segment, read) {
            self.doomed.push_back(doomed);
            self.next_delete = now.plus_ms(DELETE_PAUSE_MS);
            return;
        }
        if !is_spare && self.keep_file(slot, past, in_use, read, store, turn) {
            return;
        }
        self.deleting = true;
        let segment = past.segment;
        let op = if is_spare {
            IoOp::DeleteSpare { segment }
        } else {
            read.forget(segment);
            store.counters.segments_deleted += 1;
            IoOp::DeleteSegment { segment }
        };
        store.issue(Operation::Log { slot, purpose: Purpose::Delete }, op, turn);
    }
}
