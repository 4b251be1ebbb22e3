//! Upkeep: what is done to logs beside producing and reading. Retention, spare files, compaction, scrubbing, DeleteRecords.
//!
//! Owns what each of these has decided and waits for. Changes logs through the store; asks the read room whether a segment is
//! being read before its file goes. What it decides becomes durable with a checkpoint: [`Upkeep::wants_checkpoint`] asks
//! for one, [`Upkeep::cover`] notes what the one that is being made holds, [`Upkeep::covered`] goes on when it is durable.
//!
//! | file | what |
//! |---|---|
//! | retain | logs' starts move up, old segments' files go |
//! | spare | files of old segments are used again |
//! | compact, share | segments are written anew without what later records replace |
//! | scrub | segments are verified |
//! | trim | DeleteRecords |
//! | in_use | whether a segment's file is being read |

mod compact;
mod in_use;
mod retain;
mod scrub;
mod share;
mod spare;
mod trim;

use crate::base::MonoNanos;
use crate::base::io::SegmentId;
use crate::log::PastSegment;

use super::config::{CompactionConfig, RetentionConfig, ShardConfig};
use super::event::{Compacted, Scrubbed};
use super::metrics::ShardGauges;
use super::read::Read;
use super::request::{DeleteRecordsPartition, RequestId};
use super::store::Store;
use super::turn::Turn;
use compact::Compaction;
use in_use::InUse;
use retain::Retention;
use scrub::Scrub;
use trim::Trims;

#[derive(Debug)]
pub struct Upkeep {
    retention: Retention,
    compaction: Compaction,
    scrub: Scrub,
    trims: Trims,
}

impl Upkeep {
    pub fn new(config: &ShardConfig) -> Upkeep {
        Upkeep {
            retention: Retention::new(config.retention),
            compaction: Compaction::new(config.compaction, config.seed),
            scrub: Scrub::new(config.scrub),
            trims: Trims::default(),
        }
    }

    /// Settings that were changed while the server runs.
    pub fn reconfigure(&mut self, retention: RetentionConfig, compaction: CompactionConfig) {
        self.retention.reconfigure(retention);
        self.compaction.reconfigure(compaction);
    }

    /// Moves a partition's start up; answered when a checkpoint holds it.
    pub fn delete_records(
        &mut self,
        id: RequestId,
        partitions: &[DeleteRecordsPartition],
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        self.trims.delete_records(id, partitions, store, turn);
    }

    /// Retention and scrubbing.
    pub fn turn(&mut self, read: &mut Read, store: &mut Store, turn: &mut Turn<'_>) {
        let in_use = InUse { scrub: &self.scrub, compaction: &self.compaction };
        self.retention.turn(&in_use, read, store, turn);
        self.scrub.turn(store, turn);
        self.trims.turn(store, turn);
    }

    /// Compaction, the last of a turn: it may put a segment in another's place, and nothing may plan to read the old one
    /// after that.
    pub fn turn_compaction(&mut self, read: &Read, store: &mut Store, turn: &mut Turn<'_>) {
        self.compaction.turn(read, store, turn);
    }

    pub fn wants_checkpoint(&self) -> bool {
        self.trims.want_checkpoint()
            || self.retention.wants_checkpoint()
            || self.compaction.wants_checkpoint()
    }

    /// A checkpoint is being made of everything as of now.
    pub fn cover(&mut self, store: &Store) {
        self.trims.begin();
        self.retention.cover(store);
        self.compaction.cover(store);
    }

    /// The checkpoint is on stable storage.
    pub fn covered(&mut self, read: &mut Read, store: &mut Store, turn: &mut Turn<'_>) {
        self.trims.written(store, turn);
        let in_use = InUse { scrub: &self.scrub, compaction: &self.compaction };
        self.retention.covered(&in_use, read, store, turn);
        self.compaction.covered();
    }

    /// A full disk refused the checkpoint: what it would have held waits for the next.
    pub fn not_covered(&mut self) {
        self.trims.refused();
        self.retention.refused();
        self.compaction.refused();
    }

    /// A file of an old segment is gone, or will not go.
    pub fn deleted(&mut self, now: MonoNanos) {
        self.retention.deleted(now);
    }

    /// An old segment's file has its spare name, or keeps its own.
    pub fn spared(
        &mut self,
        slot: u32,
        past: PastSegment,
        is_made: bool,
        store: &mut Store,
        turn: &Turn<'_>,
    ) {
        self.retention.spared(slot, past, is_made, store, turn.now);
    }

    /// A log was cut.
    pub fn cut(&mut self, slot: u32) {
        self.compaction.forget(slot);
    }

    pub fn scrubbed(&mut self, outcome: Scrubbed, store: &mut Store, turn: &mut Turn<'_>) {
        self.scrub.scrubbed(outcome, store, turn);
    }

    pub fn compacted(&mut self, slot: u32, outcome: Compacted, store: &mut Store, turn: &mut Turn<'_>) {
        self.compaction.compacted(slot, outcome, store, turn);
    }

    /// What compaction left of a segment is in its place, or is not.
    pub fn swapped(
        &mut self,
        segment: SegmentId,
        outcome: Result<(), String>,
        read: &mut Read,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        self.compaction.swapped(segment, outcome, read, store, turn);
    }

    /// A partition has begun a new segment.
    pub fn rolled(&mut self, slot: u32) {
        self.retention.rolled(slot);
    }

    /// The disk has less space, or topics have other settings: what is kept for later use is looked at.
    pub fn review(&mut self) {
        self.retention.review_spares();
    }

    pub fn next_deadline(&self) -> MonoNanos {
        let segments = self.retention.next_deadline().min(self.compaction.next_deadline());
        segments.min(self.scrub.next_deadline()).min(self.trims.next_deadline())
    }

    /// Fills in this room's levels.
    pub fn gauges(&self, store: &Store, gauges: &mut ShardGauges) {
        gauges.scrub_left = self.scrub.left(store);
        (gauges.spares, gauges.spare_bytes) = self.retention.spares(store);
    }
}
