//! Compaction rounds, one at a time on a shard: choose the partition that needs it most, map its keys, clean its segments
//! one after another, oldest first, and put each in its place when nobody reads from it.
//!
//! Where the last round ended is kept in memory only: after a restart a log counts as never compacted, which costs one
//! round of work and makes no difference to what it holds.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::base::io::{Cleaned, IoDone, IoOp, SegmentId};
use crate::base::keys::KeyOffsets;
use crate::base::{MonoNanos, Now, Offset};
use crate::log::{Dirt, SparseIndex};

use super::background::Share;
use super::io::IoContext;
use super::{Effect, Shard, Stop};

/// While a segment is being read from, its successor waits, and asks again after this time.
const SWAP_RETRY_MS: u64 = 5;

/// How a shard compacts.
#[derive(Clone, Copy, Debug)]
pub struct CompactionConfig {
    /// `log.cleaner.enable`.
    pub enabled: bool,
    /// `log.cleaner.backoff.ms`.
    pub backoff_ms: u64,
    /// Keys that one round may look at.
    pub keys_max: usize,
    /// Read and written, at most; less beside a busy foreground, unless something is overdue.
    pub bytes_per_second: u64,
}

#[derive(Debug)]
pub(super) struct Compaction {
    pub(super) config: CompactionConfig,
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
}

impl Shard {
    pub(super) fn turn_compaction(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let config = self.compaction.config;
        if !config.enabled || self.stop != Stop::Running || self.failed.is_some() {
            return;
        }
        if self.compaction.round.is_some() {
            self.pace_compaction(now, effects);
            return self.swap_if_quiet(now, effects);
        }
        let due = *self.compaction.next_look.get_or_insert(now.mono.plus_ms(config.backoff_ms));
        if due <= now.mono {
            self.compaction.next_look = Some(now.mono.plus_ms(config.backoff_ms));
            self.begin_round(now, effects);
        }
    }

    /// A checkpoint is being made: of segments before the one it begins with, recovery touches nothing.
    pub(super) fn cover_finished(&mut self) {
        let slots = self.partitions.slots().into_iter();
        let compacted = slots.filter_map(|slot| {
            let partition = self.partitions.get(slot)?;
            partition.settings.compact.then(|| (slot, partition.log.recovery_base()))
        });
        self.compaction.covering = compacted.collect();
        self.compaction.wants_checkpoint = false;
    }

    pub(super) fn finished_covered(&mut self) {
        for (slot, covered) in std::mem::take(&mut self.compaction.covering) {
            self.compaction.partitions.entry(slot).or_default().covered = covered;
        }
        if self.compaction.round.is_none() {
            // What waited for this checkpoint need not wait for the next look as well.
            self.compaction.next_look = self.compaction.next_look.map(|_| MonoNanos(0));
        }
    }

    /// Looks for the partition with the largest share of what was never compacted.
    fn begin_round(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let mut best: Option<(u32, Dirt)> = None;
        let mut uncovered = false;
        for slot in self.partitions.slots() {
            let Some(partition) = self.partitions.get(slot) else { continue };
            if !partition.settings.compact {
                continue;
            }
            let progress = self.compaction.partitions.get(&slot).copied().unwrap_or_default();
            let look = |covered| partition.log.dirt(now.wall, progress.to, covered, &partition.settings);
            let dirt = look(progress.covered);
            if progress.damaged {
                continue;
            }
            if dirt.is_due(&partition.settings) {
                if best.as_ref().is_none_or(|(_, best)| dirt.ratio > best.ratio) {
                    best = Some((slot, dirt));
                }
            } else {
                uncovered |= look(partition.log.recovery_base()).is_due(&partition.settings);
            }
        }
        self.compaction.wants_checkpoint |= uncovered && best.is_none();
        let Some((slot, dirt)) = best else { return };
        let segments = dirt.segments.iter().skip(dirt.clean).map(|it| (it.segment, it.size)).collect();
        let from = self.compaction.partitions.get(&slot).copied().unwrap_or_default().to;
        let keys = KeyOffsets::new(from, self.compaction.config.keys_max, self.compaction.seeds);
        self.compaction.round = Some(Round {
            slot,
            keys: None,
            todo: VecDeque::new(),
            ready: None,
            swap_at: MonoNanos(0),
            busy: true,
            overdue: dirt.overdue,
        });
        self.compaction.share = Share::default();
        self.pace_compaction(now, effects);
        self.issue(IoContext::Clean { slot }, IoOp::MapKeys { segments, keys }, effects);
    }

    /// Part of a round is done.
    pub(super) fn compact_done(&mut self, now: Now, slot: u32, done: IoDone, effects: &mut Vec<Effect>) {
        let Some(round) = self.compaction.round.as_mut().filter(|round| round.slot == slot) else { return };
        round.busy = false;
        match done {
            IoDone::Keys(keys) => {
                let to = keys.to();
                round.keys = Some(Arc::new(keys));
                let progress = self.compaction.partitions.get(&slot).copied().unwrap_or_default();
                let Some(partition) = self.partitions.get(slot) else { return self.end_round() };
                let dirt = partition.log.dirt(now.wall, progress.to, progress.covered, &partition.settings);
                let todo = dirt.segments.into_iter().map(|it| it.segment).filter(|it| it.base < to);
                if let Some(round) = &mut self.compaction.round {
                    round.todo = todo.collect();
                }
                self.clean_next(now, effects);
            }
            IoDone::Cleaned(Some(cleaned)) => {
                // The next turn puts it in its place: only at its end is it sure that nobody plans to read the old one.
                if let Some(segment) = round.todo.front().copied() {
                    round.ready = Some((segment, cleaned));
                }
            }
            IoDone::Cleaned(None) => {
                round.todo.pop_front();
                self.clean_next(now, effects);
            }
            _ => self.clean_next(now, effects),
        }
    }

    /// A round cannot go on: the log stays as it is.
    pub(super) fn compact_failed(&mut self, slot: u32, reason: &str, effects: &mut Vec<Effect>) {
        let id = self.partitions.get(slot).map(|partition| partition.log.id);
        self.compaction.partitions.entry(slot).or_default().damaged = true;
        self.counters.compactions_failed += 1;
        if let Some(id) = id {
            effects.push(Effect::Notice(format!("{id} is not compacted until the next start: {reason}")));
        }
        self.end_round();
    }

    /// There is no space for what stays of a segment beside the segment itself.
    pub(super) fn compact_refused(&mut self, now: Now) {
        self.end_round();
        self.compaction.next_look = Some(now.mono.plus_ms(self.compaction.config.backoff_ms));
    }

    /// What stays of a segment is in its place, or is not.
    pub fn swapped(&mut self, segment: SegmentId, outcome: Result<(), String>, effects: &mut Vec<Effect>) {
        let Some(round) = &mut self.compaction.round else { return };
        let slot = round.slot;
        let Some((_, cleaned)) = round.ready.take() else { return };
        if let Err(reason) = outcome {
            return self.compact_failed(slot, &reason, effects);
        }
        round.todo.pop_front();
        round.busy = true;
        self.cache.forget(segment);
        let index = SparseIndex::decode(&cleaned.index, &cleaned.time_index, cleaned.length);
        if let Some(partition) = self.partitions.get_mut(slot) {
            let before = partition.log.size_bytes();
            let kept = partition.log.compacted(segment, cleaned.length, index);
            self.counters.compacted_bytes += before.saturating_sub(partition.log.size_bytes());
            if let Some(bytes) = kept {
                self.index_kept(slot, segment, bytes);
            }
        }
        let Cleaned { index, time_index, .. } = cleaned;
        self.issue(IoContext::Compact { slot }, IoOp::SyncCleaned { segment, index, time_index }, effects);
    }

    fn clean_next(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let Some(round) = &mut self.compaction.round else { return };
        let slot = round.slot;
        let Some(keys) = round.keys.clone() else { return self.end_round() };
        if !self.partitions.is_serving(slot) || self.stop != Stop::Running {
            return self.end_round();
        }
        let Some(partition) = self.partitions.get(slot) else { return self.end_round() };
        // Retention may have taken some since.
        let next = loop {
            let Some(segment) = round.todo.front().copied() else { break None };
            match partition.log.finished(segment) {
                Some(found) => break Some(found),
                None => round.todo.pop_front(),
            };
        };
        let Some(next) = next else {
            self.compaction.partitions.entry(slot).or_default().to = keys.to();
            self.counters.compactions += 1;
            // There may be more to do: the map may have been full, and other partitions wait.
            self.compaction.next_look = Some(now.mono);
            return self.end_round();
        };
        round.busy = true;
        let op = IoOp::CleanSegment {
            segment: next.segment,
            length: next.size,
            keys,
            now: now.wall,
            delete_retention_ms: partition.settings.delete_retention_ms,
        };
        self.issue(IoContext::Clean { slot }, op, effects);
    }

    /// A disk that fills up needs what compaction gives back more than producers need their share.
    fn pace_compaction(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let Some(round) = &self.compaction.round else { return };
        let (all, in_haste) = (self.compaction.config.bytes_per_second, round.overdue || self.disk_low);
        let appended = self.counters.bytes_appended;
        if let Some(bytes_per_second) = self.compaction.share.look(now.mono, appended, all, in_haste) {
            effects.push(Effect::CleanerRate { bytes_per_second });
        }
    }

    fn swap_if_quiet(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let Some(round) = &mut self.compaction.round else { return };
        let slot = round.slot;
        let Some((segment, _)) = round.ready else { return };
        if round.busy || now.mono < round.swap_at {
            return;
        }
        let is_there = self.partitions.get(slot).is_some_and(|it| it.log.finished(segment).is_some());
        if !is_there || !self.partitions.is_serving(slot) {
            return self.end_round();
        }
        if self.fetch.reads(segment) || self.lookups.reads(segment) || self.cache.reads(segment) {
            round.swap_at = now.mono.plus_ms(SWAP_RETRY_MS);
            return;
        }
        effects.push(Effect::Swap(segment));
    }

    fn end_round(&mut self) {
        self.compaction.round = None;
    }
}
