//! Scrubbing: every finished segment is read and verified once in a period, so that rot is found while it can be mended
//! and not when the record is needed (RELIABILITY.md; latent errors: Bairavasundaram et al., FAST 2008).
//!
//! One piece of one segment at a time, within a budget of bytes, on the thread that also compacts. What is damaged is
//! named in the log, counted and quarantined: it stays where it is and is refused to readers. A pass begins a minute after the start, or after a period if that is shorter, and the next one a period after it began.

use crate::base::io::{Damage, IoOp, SegmentId};
use crate::base::{MonoNanos, Now, Offset};

use super::io::IoContext;
use super::{Effect, Shard, Stop};

/// Verified at a time.
const PIECE_BYTES: u64 = 4 * 1024 * 1024;
const FIRST_PASS_MS: u64 = 60_000;

#[derive(Clone, Copy, Debug)]
pub struct ScrubConfig {
    /// From the beginning of a pass to that of the next; `None` = never.
    pub period_ms: Option<u64>,
    /// Of this shard.
    pub bytes_per_second: u64,
}

#[derive(Debug)]
pub(super) struct Scrub {
    config: ScrubConfig,
    /// When the next pass, or the next piece of this one, is due; `None` until the first turn.
    due: Option<MonoNanos>,
    pass: Option<Pass>,
    /// A piece is being read.
    busy: bool,
}

#[derive(Clone, Copy, Debug)]
struct Pass {
    began: MonoNanos,
    /// The last segment looked at, and its partition's slot.
    at: Option<(u32, Offset)>,
    segment: Option<Progress>,
}

/// A segment under verification: up to here, of so many bytes.
#[derive(Clone, Copy, Debug)]
struct Progress {
    slot: u32,
    segment: SegmentId,
    position: u64,
    /// The batch at `position` begins here or above.
    next: Offset,
    length: u64,
    damaged: bool,
}

impl Scrub {
    pub(super) fn new(config: ScrubConfig) -> Scrub {
        Scrub { config, due: None, pass: None, busy: false }
    }

    /// Whether a piece of this segment is being read.
    pub(super) fn reads(&self, segment: SegmentId) -> bool {
        let progress = self.pass.and_then(|pass| pass.segment);
        self.busy && progress.is_some_and(|progress| progress.segment == segment)
    }

    pub(super) fn next_deadline(&self) -> MonoNanos {
        match self.due {
            _ if self.busy || self.config.period_ms.is_none() => MonoNanos::NEVER,
            due => due.unwrap_or(MonoNanos(0)),
        }
    }
}

impl Shard {
    pub(super) fn turn_scrub(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let Some(period_ms) = self.scrub.config.period_ms else { return };
        if self.scrub.busy || self.stop != Stop::Running || self.failed.is_some() {
            return;
        }
        let due = *self.scrub.due.get_or_insert(now.mono.plus_ms(period_ms.min(FIRST_PASS_MS)));
        if due > now.mono {
            return;
        }
        let mut pass = self.scrub.pass.unwrap_or(Pass { began: now.mono, at: None, segment: None });
        let progress = match pass.segment.filter(|it| self.is_as_it_was(it)) {
            Some(progress) => Some(progress),
            None => self.segment_after(pass.at),
        };
        let Some(progress) = progress else {
            self.counters.scrub_passes += 1;
            self.scrub.pass = None;
            // Never without a pause, however short the period and the logs are.
            self.scrub.due = Some(pass.began.plus_ms(period_ms).max(now.mono.plus_ms(1)));
            return;
        };
        pass.at = Some((progress.slot, progress.segment.base));
        pass.segment = Some(progress);
        self.scrub.pass = Some(pass);
        self.scrub.busy = true;
        let Progress { slot, segment, position, length, next, .. } = progress;
        let end = self.partitions.get(slot).map(|partition| partition.log.end_of(segment.base));
        let offsets = next..end.unwrap_or(next);
        let op = IoOp::VerifySegment { segment, position, length, bytes: PIECE_BYTES, offsets };
        self.issue(IoContext::Scrub, op, effects);
    }

    /// A piece has been read, up to where a batch begins with `next` or above.
    pub(super) fn scrubbed(
        &mut self,
        now: Now,
        (to, next): (u64, Offset),
        damage: Vec<Damage>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(progress) = self.take_scrubbed(now) else { return };
        let read = to.saturating_sub(progress.position);
        self.counters.scrub_bytes += read;
        let pause_ms = read.saturating_mul(1000) / self.scrub.config.bytes_per_second.max(1);
        self.scrub.due = Some(now.mono.plus_ms(pause_ms.max(1)));
        if !self.is_as_it_was(&progress) {
            // Retention took it, or compaction wrote it anew, since the piece was asked for.
            return;
        }
        let is_whole = damage.is_empty();
        let Some(partition) = self.partitions.get_mut(progress.slot) else { return };
        if progress.position == 0 {
            partition.log.verified(progress.segment.base);
        }
        for Damage { position, offsets, what } in damage {
            let SegmentId { partition: id, base } = progress.segment;
            effects.push(Effect::Notice(format!(
                "segment {base} of {id} is damaged at byte {position}: {what}; offsets {} to {} are refused to readers",
                offsets.start,
                offsets.end.plus(-1),
            )));
            partition.log.quarantine(offsets);
        }
        let progress = Progress { position: to, next, damaged: progress.damaged || !is_whole, ..progress };
        if to < progress.length && read > 0 {
            if let Some(pass) = &mut self.scrub.pass {
                pass.segment = Some(progress);
            }
            return;
        }
        self.counters.scrub_segments += 1;
        self.counters.scrub_damaged += u64::from(progress.damaged);
    }

    /// A piece could not be read.
    pub(super) fn not_scrubbed(&mut self, now: Now, reason: Option<String>, effects: &mut Vec<Effect>) {
        let Some(progress) = self.take_scrubbed(now) else { return };
        let Some(reason) = reason.filter(|_| self.is_as_it_was(&progress)) else { return };
        self.counters.scrub_segments += 1;
        self.counters.scrub_damaged += 1;
        let SegmentId { partition, base } = progress.segment;
        let at = progress.position;
        effects.push(Effect::Notice(format!(
            "segment {base} of {partition} cannot be read at byte {at}: {reason}"
        )));
    }

    fn take_scrubbed(&mut self, now: Now) -> Option<Progress> {
        self.scrub.busy = false;
        self.scrub.due = Some(now.mono.plus_ms(1));
        self.scrub.pass.as_mut()?.segment.take()
    }

    /// Finished segments that the pass has yet to verify.
    pub(super) fn scrub_left(&self) -> usize {
        let Some(pass) = &self.scrub.pass else { return 0 };
        let slots = self.partitions.slots().into_iter();
        let left = slots.filter(|slot| pass.at.is_none_or(|(at, _)| *slot >= at)).filter_map(|slot| {
            let after = pass.at.filter(|(at, _)| *at == slot).map(|(_, base)| base);
            Some(self.partitions.get(slot)?.log.finished_after(after).count())
        });
        left.sum()
    }

    fn is_as_it_was(&self, progress: &Progress) -> bool {
        // A dropped partition's files go while their pieces are read.
        let serving =
            self.partitions.get(progress.slot).filter(|_| self.partitions.is_serving(progress.slot));
        let found = serving.and_then(|partition| partition.log.finished(progress.segment));
        found.is_some_and(|found| found.size == progress.length)
    }

    fn segment_after(&self, at: Option<(u32, Offset)>) -> Option<Progress> {
        let slots = self.partitions.slots().into_iter();
        slots.filter(|slot| at.is_none_or(|(last, _)| *slot >= last)).find_map(|slot| {
            let after = at.filter(|(last, _)| *last == slot).map(|(_, base)| base);
            let found = self.partitions.get(slot)?.log.finished_after(after).next()?;
            let SegmentId { base, .. } = found.segment;
            let segment = found.segment;
            Some(Progress { slot, segment, position: 0, next: base, length: found.size, damaged: false })
        })
    }
}
