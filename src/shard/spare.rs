//! Spares: when a partition that fills its segments fast loses an old one, the file is kept for its next segment
//! ([`crate::log`]'s `spare` says why that is safe).
//!
//! Such a partition's retention is looked at when it rolls, and a checkpoint made soon: otherwise many segments would go at
//! once at the next check, and but one of them be of use. A spare is let go, and deleted like any other old segment, when
//! its partition has not used it for a while, its topic's settings do not suit it any more, or the disk is low. What a stop
//! or a crash leaves, the next start removes.

use std::collections::BTreeMap;

use crate::base::io::IoOp;
use crate::base::{MonoNanos, Now, Offset, TopicPartition};
use crate::log::{PastSegment, suits};

use super::io::IoContext;
use super::retain::Doomed;
use super::{Effect, Shard, Stop};

/// Between two checkpoints that nothing but spares asks for.
const CHECKPOINT_PAUSE_MS: u64 = 1000;

/// How files are used again.
#[derive(Clone, Copy, Debug)]
pub struct SpareConfig {
    /// A partition that fills a segment within this time gets its next one from a spare.
    pub fills_within_ms: u64,
    /// A spare that is not used within this time is deleted.
    pub kept_ms: u64,
}

impl Default for SpareConfig {
    fn default() -> SpareConfig {
        SpareConfig { fills_within_ms: 3 * 60_000, kept_ms: 5 * 60_000 }
    }
}

#[derive(Debug, Default)]
pub(super) struct Spares {
    /// Partitions that have been given a spare; they may have used it since.
    kept: BTreeMap<u32, Kept>,
    /// Partitions that have begun a new segment since the last turn.
    rolled: Vec<u32>,
    next_checkpoint: MonoNanos,
    /// When spares are to be looked at: at once, if something has changed that may tell against any of them; never later
    /// than the first of them ends.
    review_at: Option<MonoNanos>,
}

#[derive(Clone, Copy, Debug)]
enum Kept {
    /// Its file is being renamed.
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
}

impl Shard {
    /// A partition may have begun a new segment: the one it had began at `before`.
    pub(super) fn note_roll(&mut self, slot: u32, before: Offset) {
        let rolled = self.partitions.get(slot).is_some_and(|it| it.log.active_base() > before);
        if rolled && self.retention.config.spares.is_some() {
            self.spares.rolled.push(slot);
        }
    }

    /// Looks at the retention of those that have rolled, and lets go of what is not wanted any more.
    pub(super) fn turn_spares(&mut self, now: Now) {
        for slot in std::mem::take(&mut self.spares.rolled) {
            self.retain_rolled(now, slot);
        }
        if now.mono < self.spares.next_deadline() {
            return;
        }
        self.spares.review_at = None;
        let kept: Vec<u32> = self.spares.kept.keys().copied().collect();
        kept.into_iter().for_each(|slot| self.review_spare(slot));
    }

    /// Keeps the file of a segment that is out of its log and that nobody reads, if its partition will want one soon. Tells
    /// whether it does.
    pub(super) fn keep_spare(&mut self, slot: u32, past: PastSegment, effects: &mut Vec<Effect>) -> bool {
        let wanted = self.partitions.get(slot).is_some_and(|partition| {
            let used = partition.log.spare().is_none();
            let has_one = match self.spares.kept.get(&slot) {
                None => false,
                Some(Kept::Making) => true,
                Some(Kept::Until(_)) => !used,
            };
            !has_one && self.wants_spare(slot, past.bytes, |config| config.fills_within_ms)
        });
        if wanted {
            self.spares.kept.insert(slot, Kept::Making);
            let op = IoOp::SpareSegment { segment: past.segment };
            self.issue(IoContext::Spare { slot, past }, op, effects);
        }
        wanted
    }

    /// The file has its spare name.
    pub(super) fn spare_made(&mut self, slot: u32, past: PastSegment) {
        let Some(config) = self.retention.config.spares else { return };
        if self.partitions.is_serving(slot)
            && let Some(partition) = self.partitions.get_mut(slot)
        {
            partition.log.keep_spare(past);
        }
        self.spares.kept.insert(slot, Kept::Until(self.mono.plus_ms(config.kept_ms)));
        self.review_spare(slot);
    }

    /// It has not: it goes like any other.
    pub(super) fn spare_not_made(&mut self, slot: u32, past: PastSegment) {
        self.spares.kept.remove(&slot);
        self.retention.doom(Doomed { slot, past, is_spare: false });
    }

    /// How many there are, and their bytes.
    pub(super) fn spares(&self) -> (usize, u64) {
        let spares = self.spares.kept.keys().filter_map(|slot| self.partitions.get(*slot)?.log.spare());
        spares.fold((0, 0), |(count, bytes), spare| (count + 1, bytes + spare.bytes))
    }

    fn review_spare(&mut self, slot: u32) {
        let Some(Kept::Until(end)) = self.spares.kept.get(&slot).copied() else { return };
        let spare = self.partitions.get(slot).filter(|_| self.partitions.is_serving(slot));
        let spare = spare.and_then(|partition| partition.log.spare());
        let stays = |past: PastSegment| {
            end > self.mono && self.wants_spare(slot, past.bytes, |config| config.kept_ms)
        };
        if spare.is_some_and(stays) {
            return self.spares.review_by(end);
        }
        self.spares.kept.remove(&slot);
        if let Some(past) = spare {
            self.partitions.get_mut(slot).and_then(|partition| partition.log.take_spare());
            self.retention.doom(Doomed { slot, past, is_spare: true });
        }
    }

    /// Whether a file of `bytes` is of use to a partition that has filled its last segment within the time given.
    fn wants_spare(&self, slot: u32, bytes: u64, within_ms: impl Fn(&SpareConfig) -> u64) -> bool {
        let Some(config) = self.retention.config.spares else { return false };
        let has_room = !self.disk_low && !self.disk_full;
        let runs = self.stop == Stop::Running && self.failed.is_none();
        let partition = self.partitions.get(slot).filter(|_| self.partitions.is_serving(slot));
        has_room
            && runs
            && partition.is_some_and(|partition| {
                suits(bytes, &partition.settings) && partition.log.fills_within(within_ms(&config), self.mono)
            })
    }

    /// Moves the start of a log that fills segments fast, so that the next checkpoint lets an old one go.
    fn retain_rolled(&mut self, now: Now, slot: u32) {
        let Some(config) = self.retention.config.spares else { return };
        let Some(partition) = self.partitions.get_mut(slot) else { return };
        if partition.log.id == TopicPartition::METADATA
            || !partition.log.fills_within(config.fills_within_ms, now.mono)
        {
            return;
        }
        let start = partition.log.retained_from(now.wall, &partition.settings);
        partition.log.advance_start(start);
        if partition.log.has_below(partition.log.past_end()) && self.spares.next_checkpoint <= now.mono {
            self.spares.next_checkpoint = now.mono.plus_ms(CHECKPOINT_PAUSE_MS);
            self.retention.want_checkpoint();
        }
    }
}
