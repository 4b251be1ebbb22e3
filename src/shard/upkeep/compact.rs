//! Compaction rounds, one at a time on a shard: choose the partition that needs it most, map its keys, clean its segments
//! one after another, oldest first, and put each in its place when nobody reads from it.
//!
//! Where the last round ended is kept in memory only: after a restart a log counts as never compacted, which costs one
//! round of work and makes no difference to what it holds.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::base::io::{Cleaned, IoOp, SegmentId};
use crate::base::keys::KeyOffsets;
use crate::base::{MonoNanos, Offset, mark};
use crate::log::{Dirt, PartitionLog, SparseIndex, ToCompact};

use super::super::config::CompactionConfig;
use super::super::effect::Effect;
use super::super::event::{Compacted, Operation};
use super::super::read::Read;
use super::super::store::{Partition, Store};
use super::super::turn::Turn;
use super::share::{Haste, Share};

/// While a segment is being read from, its successor waits, and asks again after this time.
const SWAP_RETRY_MS: u64 = 5;

#[derive(Debug)]
pub(super) struct Compaction {
    config: CompactionConfig,
    seeds: [u64; 2],
    partitions: BTreeMap<u32, Progress>,
    round: Option<Round>,
    share: Share,
    next_look: Option<MonoNanos>,
    /// Segments are finished but no checkpoint says so yet.
    wants_checkpoint: bool,
    /// What the checkpoint under way says of each partition.
    covering: Vec<(u32, Offset)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// Compacted below.
    to: Offset,
    /// The segment in which recovery would begin.
    covered: Offset,
    /// A segment is damaged: compaction would lose what could be saved.
    damaged: bool,
}

#[derive(Debug)]
struct Round {
    slot: u32,
    keys: Option<Arc<KeyOffsets>>,
    todo: VecDeque<SegmentId>,
    /// Cleaned, to be put in its place.
    ready: Option<(SegmentId, Cleaned)>,
    swap_at: MonoNanos,
    /// An operation is under way.
    busy: bool,
    /// Something has waited for longer than `max.compaction.lag.ms`.
    overdue: bool,
}

impl Compaction {
    pub(super) fn new(config: CompactionConfig, seed: u64) -> Compaction {
        Compaction {
            config,
            seeds: [seed, seed.rotate_left(32) ^ 0x9E37_79B9_7F4A_7C15],
            partitions: BTreeMap::new(),
            round: None,
            share: Share::default(),
            next_look: None,
            wants_checkpoint: false,
            covering: Vec::new(),
        }
    }

    /// Whether segments of a partition are being read or written for it.
    pub(super) fn works_on(&self, slot: u32) -> bool {
        self.round.as_ref().is_some_and(|round| round.slot == slot && round.busy)
    }

    pub(super) fn wants_checkpoint(&self) -> bool {
        self.wants_checkpoint
    }

    pub(super) fn next_deadline(&self) -> MonoNanos {
        match &self.round {
            _ if !self.config.enabled => MonoNanos::NEVER,
            Some(round) if round.ready.is_some() && !round.busy => round.swap_at,
            Some(_) => self.share.next_look(),
            None => self.next_look.unwrap_or(MonoNanos(0)),
        }
    }

    pub(super) fn refused(&mut self) {
        self.covering.clear();
    }

    /// Settings that were changed while the server runs.
    pub(super) fn reconfigure(&mut self, config: CompactionConfig) {
        self.config = config;
    }

    pub(super) fn turn(&mut self, read: &Read, store: &mut Store, turn: &mut Turn<'_>) {
        if !self.config.enabled || !store.is_running() {
            return;
        }
        if self.round.is_some() {
            self.set_pace(store, turn);
            return self.swap_if_quiet(read, store, turn);
        }
        let now = turn.now.mono;
        let due = *self.next_look.get_or_insert(now.plus_ms(self.config.backoff_ms));
        if due <= now {
            self.next_look = Some(now.plus_ms(self.config.backoff_ms));
            self.begin_round(store, turn);
        }
    }

    /// A checkpoint is being made: of segments before the one it begins with, recovery touches nothing.
    pub(super) fn cover(&mut self, store: &Store) {
        let slots = store.partitions.slots().into_iter();
        let compacted = slots.filter_map(|slot| {
            let partition = store.partitions.get(slot)?;
            partition.settings().compact.then(|| (slot, partition.log().recovery_base()))
        });
        self.covering = compacted.collect();
        self.wants_checkpoint = false;
    }

    /// The checkpoint is on stable storage.
    pub(super) fn covered(&mut self) {
        for (slot, covered) in std::mem::take(&mut self.covering) {
            self.partitions.entry(slot).or_default().covered = covered;
        }
        if self.round.is_none() {
            // What waited for this checkpoint need not wait for the next look as well.
            self.next_look = self.next_look.map(|_| MonoNanos(0));
        }
    }

    /// Looks for the partition with the largest share of what was never compacted, and begins with that.
    fn begin_round(&mut self, store: &mut Store, turn: &mut Turn<'_>) {
        let Some((slot, dirt)) = self.dirtiest(store, turn) else { return };
        let segments = dirt.segments.iter().skip(dirt.clean).map(|it| (it.segment, it.size)).collect();
        let from = self.progress(slot).to;
        let keys = KeyOffsets::new(from, self.config.keys_max, self.seeds);
        self.round = Some(Round {
            slot,
            keys: None,
            todo: VecDeque::new(),
            ready: None,
            swap_at: MonoNanos(0),
            busy: true,
            overdue: dirt.overdue,
        });
        self.share = Share::default();
        self.set_pace(store, turn);
        store.issue(Operation::Clean { slot }, IoOp::MapKeys { segments, keys }, turn);
    }

    fn dirtiest(&mut self, store: &Store, turn: &Turn<'_>) -> Option<(u32, Dirt)> {
        let mut best: Option<(u32, Dirt)> = None;
        let mut is_uncovered = false;
        for slot in store.partitions.slots() {
            let Some(partition) = store.partitions.get(slot) else { continue };
            let (log, settings) = (partition.log(), partition.settings());
            let progress = self.progress(slot);
            if !settings.compact || progress.damaged || partition.is_being_cut() {
                continue;
            }
            let look = |covered| log.dirt(turn.now.wall, progress.to, covered, settings);
            let dirt = look(progress.covered);
            if !dirt.is_due(settings) {
                is_uncovered |= look(log.recovery_base()).is_due(settings);
            } else if best.as_ref().is_none_or(|(_, best)| dirt.ratio > best.ratio) {
                best = Some((slot, dirt));
            }
        }
        self.wants_checkpoint |= is_uncovered && best.is_none();
        best
    }

    /// A log is cut: whatever was compacted of it may not be there any more, and may come again otherwise.
    pub(super) fn forget(&mut self, slot: u32) {
        self.partitions.remove(&slot);
        self.covering.retain(|(it, _)| *it != slot);
        self.round = self.round.take().filter(|round| round.slot != slot);
    }

    fn progress(&self, slot: u32) -> Progress {
        self.partitions.get(&slot).copied().unwrap_or_default()
    }

    /// Part of a round is done, or cannot be.
    pub(super) fn compacted(
        &mut self,
        slot: u32,
        outcome: Compacted,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        if store.partitions.get(slot).is_some_and(Partition::is_being_cut) {
            mark("a log is to be cut while it is compacted");
            return self.forget(slot);
        }
        match outcome {
            Compacted::Failed(reason) => self.give_up(slot, &reason, store, turn),
            Compacted::DiskFull => {
                self.round = None;
                self.next_look = Some(turn.now.mono.plus_ms(self.config.backoff_ms));
            }
            outcome => {
                let round = self.round.as_mut().filter(|round| round.slot == slot);
                if let Some(round) = round {
                    assert!(round.busy, "a round waits for one operation at a time");
                    round.busy = false;
                    self.go_on(slot, outcome, store, turn);
                }
            }
        }
    }

    fn go_on(&mut self, slot: u32, outcome: Compacted, store: &mut Store, turn: &mut Turn<'_>) {
        let progress = self.progress(slot);
        let Some(round) = &mut self.round else { return };
        match outcome {
            Compacted::Keys(keys) => {
                let to = keys.to();
                round.keys = Some(Arc::new(keys));
                let Some(partition) = store.partitions.get(slot) else { return self.round = None };
                let (log, settings) = (partition.log(), partition.settings());
                let dirt = log.dirt(turn.now.wall, progress.to, progress.covered, settings);
                round.todo =
                    dirt.segments.into_iter().map(|it| it.segment).filter(|it| it.base < to).collect();
            }
            Compacted::Cleaned(Some(cleaned)) => {
                // The next turn puts it in its place: only at its end is it sure that nobody plans to read the old one.
                if let Some(segment) = round.todo.front().copied() {
                    round.ready = Some((segment, cleaned));
                }
                return;
            }
            Compacted::Cleaned(None) => {
                round.todo.pop_front();
            }
            Compacted::Durable | Compacted::Failed(_) | Compacted::DiskFull => {}
        }
        self.clean_next(store, turn);
    }

    /// A round cannot go on: the log stays as it is.
    fn give_up(&mut self, slot: u32, reason: &str, store: &mut Store, turn: &mut Turn<'_>) {
        self.partitions.entry(slot).or_default().damaged = true;
        store.counters.compactions_failed += 1;
        if let Some(partition) = store.partitions.get(slot) {
            let id = partition.log().id;
            turn.notice(format!("{id} is not compacted until the next start: {reason}"));
        }
        self.round = None;
    }

    /// What stays of a segment is in its place, or is not.
    pub(super) fn swapped(
        &mut self,
        segment: SegmentId,
        outcome: Result<(), String>,
        read: &mut Read,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        let Some(round) = &mut self.round else { return };
        let slot = round.slot;
        let Some((ready, cleaned)) = round.ready.take() else { return };
        assert_eq!(ready, segment, "a round puts one segment in its place at a time");
        if let Err(reason) = outcome {
            return self.give_up(slot, &reason, store, turn);
        }
        round.todo.pop_front();
        round.busy = true;
        read.forget(segment);
        let Cleaned { length, index, time_index } = cleaned;
        let sparse = SparseIndex::decode(&index, &time_index, length);
        if let Some(partition) = store.partitions.get_mut(slot) {
            let before = partition.log().size_bytes();
            let kept = partition.change(|log, _| log.compacted(segment, length, sparse));
            let after = partition.log().size_bytes();
            store.counters.compacted_bytes += before.saturating_sub(after);
            if let Some(bytes) = kept {
                read.index_kept(slot, segment, bytes, store);
            }
        }
        let op = IoOp::SyncCleaned { segment, index, time_index };
        store.issue(Operation::Compact { slot }, op, turn);
    }

    fn clean_next(&mut self, store: &mut Store, turn: &mut Turn<'_>) {
        let Some(round) = &mut self.round else { return };
        let slot = round.slot;
        let serving = store.partitions.get(slot).filter(|_| store.partitions.is_serving(slot));
        let (Some(keys), Some(partition)) = (round.keys.clone(), serving) else { return self.round = None };
        if store.is_stopping() {
            return self.round = None;
        }
        let Some(next) = next_segment(&mut round.todo, partition.log()) else {
            self.partitions.entry(slot).or_default().to = keys.to();
            store.counters.compactions += 1;
            // There may be more to do: the map may have been full, and other partitions wait.
            self.next_look = Some(turn.now.mono);
            return self.round = None;
        };
        round.busy = true;
        let op = IoOp::CleanSegment {
            segment: next.segment,
            length: next.size,
            keys,
            now: turn.now.wall,
            delete_retention_ms: partition.settings().delete_retention_ms,
            staying: partition.log().staying_batches(next.segment),
        };
        store.issue(Operation::Clean { slot }, op, turn);
    }

    /// A disk that fills up needs what compaction gives back more than producers need their share.
    fn set_pace(&mut self, store: &Store, turn: &mut Turn<'_>) {
        let Some(round) = &self.round else { return };
        let haste = if round.overdue || store.is_disk_low() { Haste::Overdue } else { Haste::None };
        let (all, appended) = (self.config.bytes_per_second, store.counters.bytes_appended);
        if let Some(bytes_per_second) = self.share.look(turn.now.mono, appended, all, haste) {
            turn.effect(Effect::CleanerRate { bytes_per_second });
        }
    }

    fn swap_if_quiet(&mut self, read: &Read, store: &Store, turn: &mut Turn<'_>) {
        let Some(round) = &mut self.round else { return };
        let slot = round.slot;
        let Some((segment, _)) = round.ready else { return };
        if round.busy || turn.now.mono < round.swap_at {
            return;
        }
        let whole = store.partitions.get(slot).filter(|it| !it.is_being_cut());
        let is_there = whole.is_some_and(|it| it.log().finished(segment).is_some());
        if !is_there || !store.partitions.is_serving(slot) {
            self.round = None;
        } else if read.reads(segment) {
            round.swap_at = turn.now.mono.plus_ms(SWAP_RETRY_MS);
        } else {
            turn.effect(Effect::Swap(segment));
        }
    }
}

/// The first segment that is still to be cleaned: retention may have taken some since the round began.
fn next_segment(todo: &mut VecDeque<SegmentId>, log: &PartitionLog) -> Option<ToCompact> {
    loop {
        match log.finished(*todo.front()?) {
            Some(found) => return Some(found),
            None => todo.pop_front(),
        };
    }
}
