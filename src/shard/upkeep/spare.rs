//! Spares: when a partition that fills its segments fast loses an old one, the file is kept for its next segment
//! ([`crate::log`]'s `spare` says why that is safe).
//!
//! Retention looks at such a partition whenever it begins a new segment, and a checkpoint follows soon. Otherwise many of its
//! segments would go at once, at the next check of retention, and only one of them could become a spare. A spare is let go, and deleted like any other old segment, when
//! its partition has not used it for a while, its topic's settings do not suit it any more, or the disk is low. What a stop
//! or a crash leaves, the next start removes.

use std::collections::BTreeMap;

use crate::base::io::IoOp;
use crate::base::{MonoNanos, TopicPartition};
use crate::log::{PastSegment, suits};

use super::super::config::SpareConfig;
use super::super::event::Operation;
use super::super::store::Store;
use super::super::turn::Turn;

/// Between two checkpoints that nothing but spares asks for.
const CHECKPOINT_PAUSE_MS: u64 = 1000;

/// A file to be deleted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Doomed {
    pub(super) slot: u32,
    pub(super) past: PastSegment,
    /// The file was kept to be used again, and has another name.
    pub(super) is_spare: bool,
}

#[derive(Debug, Default)]
pub(super) struct Spares {
    /// Partitions that have been given a spare; they may have used it since.
    kept: BTreeMap<u32, Kept>,
    /// Partitions that have begun a new segment since the last turn.
    rolled: Vec<u32>,
    next_checkpoint: MonoNanos,
    /// When spares are to be looked at: at once, if something has changed that may tell against any of them; no later than
    /// when the first of them is no longer kept.
    review_at: Option<MonoNanos>,
}

#[derive(Clone, Copy, Debug)]
enum Kept {
    /// The file is being renamed.
    Making,
    Until(MonoNanos),
}

impl Spares {
    pub(super) fn next_deadline(&self) -> MonoNanos {
        self.review_at.unwrap_or(MonoNanos::NEVER)
    }

    /// Topics have other settings, a log was emptied, or the disk has less space.
    pub(super) fn review(&mut self) {
        self.review_by(MonoNanos(0));
    }

    fn review_by(&mut self, at: MonoNanos) {
        self.review_at = Some(self.next_deadline().min(at)).filter(|_| !self.kept.is_empty());
    }

    /// A partition has begun a new segment.
    pub(super) fn rolled(&mut self, slot: u32) {
        self.rolled.push(slot);
    }

    /// Moves the starts of logs that have rolled and fill segments fast, so that the next checkpoint lets old segments go.
    /// Tells whether a checkpoint is wanted for them.
    pub(super) fn retain_rolled(
        &mut self,
        config: SpareConfig,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) -> bool {
        let now = turn.now;
        let mut wants_checkpoint = false;
        for slot in std::mem::take(&mut self.rolled) {
            let Some(partition) = store.partitions.get_mut(slot) else { continue };
            let (log, leads) = (partition.log(), partition.leads());
            if log.id == TopicPartition::METADATA
                || !leads
                || !log.fills_within(config.fills_within_ms, now.mono)
            {
                continue;
            }
            let (has_moved, has_below) = partition.change(|log, settings| {
                let before = log.log_start();
                let has_moved = log.advance_start(log.retained_from(now.wall, settings)) > before;
                (has_moved, log.has_below(log.past_end()))
            });
            if has_moved {
                store.moved(slot, turn);
            }
            if has_below && self.next_checkpoint <= now.mono {
                self.next_checkpoint = now.mono.plus_ms(CHECKPOINT_PAUSE_MS);
                wants_checkpoint = true;
            }
        }
        wants_checkpoint
    }

    /// Lets go of the spares that are not wanted any more.
    pub(super) fn turn(
        &mut self,
        config: Option<SpareConfig>,
        store: &mut Store,
        now: MonoNanos,
    ) -> Vec<Doomed> {
        if now < self.next_deadline() {
            return Vec::new();
        }
        self.review_at = None;
        let kept: Vec<u32> = self.kept.keys().copied().collect();
        kept.into_iter().filter_map(|slot| self.review_one(slot, config, store, now)).collect()
    }

    /// Keeps the file of a segment that is out of its log and that nobody reads, if its partition will want one soon. Tells
    /// whether it does.
    pub(super) fn keep(
        &mut self,
        slot: u32,
        past: PastSegment,
        config: SpareConfig,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) -> bool {
        let is_used = store.partitions.get(slot).is_some_and(|it| it.log().spare().is_none());
        let has_one = match self.kept.get(&slot) {
            None => false,
            Some(Kept::Making) => true,
            Some(Kept::Until(_)) => !is_used,
        };
        let is_wanted = !has_one && is_of_use(slot, past.bytes, config.fills_within_ms, store, turn.now.mono);
        if is_wanted {
            self.kept.insert(slot, Kept::Making);
            let op = IoOp::SpareSegment { segment: past.segment };
            store.issue(Operation::Spare { slot, past }, op, turn);
        }
        is_wanted
    }

    /// A file has its spare name. Tells what to delete if it is not wanted any more.
    pub(super) fn made(
        &mut self,
        slot: u32,
        past: PastSegment,
        config: SpareConfig,
        store: &mut Store,
        now: MonoNanos,
    ) -> Option<Doomed> {
        if store.partitions.is_serving(slot)
            && let Some(partition) = store.partitions.get_mut(slot)
        {
            partition.change(|log, _| log.keep_spare(past));
        }
        self.kept.insert(slot, Kept::Until(now.plus_ms(config.kept_ms)));
        self.review_one(slot, Some(config), store, now)
    }

    /// A file could not be given its spare name.
    pub(super) fn not_made(&mut self, slot: u32) {
        self.kept.remove(&slot);
    }

    /// How many there are, and their bytes.
    pub(super) fn count(&self, store: &Store) -> (usize, u64) {
        let spares = self.kept.keys().filter_map(|slot| store.partitions.get(*slot)?.log().spare());
        spares.fold((0, 0), |(count, bytes), spare| (count + 1, bytes + spare.bytes))
    }

    fn review_one(
        &mut self,
        slot: u32,
        config: Option<SpareConfig>,
        store: &mut Store,
        now: MonoNanos,
    ) -> Option<Doomed> {
        let Some(Kept::Until(end)) = self.kept.get(&slot).copied() else { return None };
        let serving = store.partitions.get(slot).filter(|_| store.partitions.is_serving(slot));
        let spare = serving.and_then(|partition| partition.log().spare());
        let kept_ms = config.filter(|_| end > now).map(|config| config.kept_ms);
        let stays = |past: PastSegment| kept_ms.is_some_and(|ms| is_of_use(slot, past.bytes, ms, store, now));
        if spare.is_some_and(stays) {
            self.review_by(end);
            return None;
        }
        self.kept.remove(&slot);
        let past = spare?;
        if let Some(partition) = store.partitions.get_mut(slot) {
            partition.change(|log, _| log.take_spare());
        }
        Some(Doomed { slot, past, is_spare: true })
    }
}

/// Whether a file of `bytes` is of use to a partition that has filled its last segment within the time given.
fn is_of_use(slot: u32, bytes: u64, within_ms: u64, store: &Store, now: MonoNanos) -> bool {
    let has_room = !store.is_disk_low() && !store.is_disk_full();
    let partition = store.partitions.get(slot).filter(|_| store.partitions.is_serving(slot));
    has_room
        && store.is_running()
        && partition.is_some_and(|partition| {
            !partition.is_being_cut()
                && suits(bytes, partition.settings())
                && partition.log().fills_within(within_ms, now)
        })
}
