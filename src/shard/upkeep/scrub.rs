//! Scrubbing: every finished segment is read and verified once in a period, so that rot is found while it can be mended
//! and not when the record is needed (latent errors: Bairavasundaram et al., FAST 2008).
//!
//! One piece of one segment at a time, within a budget of bytes, on the thread that also compacts. What is damaged is
//! named in the log, counted and quarantined: it stays where it is and is
//! refused to readers. A pass begins a minute after the start, or after a period if that is shorter, and the next one a period
//! after it began.

use crate::base::io::{Damage, IoOp, SegmentId};
use crate::base::{MonoNanos, Offset};

use super::super::config::ScrubConfig;
use super::super::event::{Operation, Scrubbed};
use super::super::store::Store;
use super::super::turn::Turn;

/// Verified at a time.
const PIECE_BYTES: u64 = 4 * 1024 * 1024;
const FIRST_PASS_MS: u64 = 60_000;

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

    pub(super) fn turn(&mut self, store: &mut Store, turn: &mut Turn<'_>) {
        let Some(period_ms) = self.config.period_ms else { return };
        if self.busy || !store.is_running() {
            return;
        }
        let now = turn.now.mono;
        let due = *self.due.get_or_insert(now.plus_ms(period_ms.min(FIRST_PASS_MS)));
        if due > now {
            return;
        }
        let mut pass = self.pass.unwrap_or(Pass { began: now, at: None, segment: None });
        let progress = match pass.segment.filter(|it| it.is_as_it_was(store)) {
            Some(progress) => Some(progress),
            None => Progress::after(pass.at, store),
        };
        let Some(progress) = progress else {
            store.counters.scrub_passes += 1;
            self.pass = None;
            // Never without a pause, however short the period and the logs are.
            self.due = Some(pass.began.plus_ms(period_ms).max(now.plus_ms(1)));
            return;
        };
        pass.at = Some((progress.slot, progress.segment.base));
        pass.segment = Some(progress);
        self.pass = Some(pass);
        self.busy = true;
        let Progress { slot, segment, position, length, next, .. } = progress;
        let end = store.partitions.get(slot).map(|partition| partition.log().end_of(segment.base));
        let offsets = next..end.unwrap_or(next);
        let op = IoOp::VerifySegment { segment, position, length, bytes: PIECE_BYTES, offsets };
        store.issue(Operation::Scrub { slot }, op, turn);
    }

    /// A piece has been read, or could not be.
    pub(super) fn scrubbed(&mut self, outcome: Scrubbed, store: &mut Store, turn: &mut Turn<'_>) {
        self.busy = false;
        self.due = Some(turn.now.mono.plus_ms(1));
        let Some(progress) = self.pass.as_mut().and_then(|pass| pass.segment.take()) else { return };
        match outcome {
            Scrubbed::To { to, next, damage } => self.verified(progress, (to, next), damage, store, turn),
            Scrubbed::Unreadable(reason) if progress.is_as_it_was(store) => {
                store.counters.scrub_segments += 1;
                store.counters.scrub_damaged += 1;
                let SegmentId { partition, base } = progress.segment;
                let at = progress.position;
                turn.notice(format!("segment {base} of {partition} cannot be read at byte {at}: {reason}"));
            }
            Scrubbed::Unreadable(_) | Scrubbed::NotRead => {}
        }
    }

    /// A piece has been verified, up to where a batch begins with `next` or above.
    fn verified(
        &mut self,
        progress: Progress,
        (to, next): (u64, Offset),
        damage: Vec<Damage>,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        let read = to.saturating_sub(progress.position);
        store.counters.scrub_bytes += read;
        let pause_ms = read.saturating_mul(1000) / self.config.bytes_per_second.max(1);
        self.due = Some(turn.now.mono.plus_ms(pause_ms.max(1)));
        if !progress.is_as_it_was(store) {
            // Retention took it, or compaction wrote it anew, since the piece was asked for.
            return;
        }
        let is_whole = damage.is_empty();
        quarantine(&progress, damage, store, turn);
        let progress = Progress { position: to, next, damaged: progress.damaged || !is_whole, ..progress };
        if to < progress.length && read > 0 {
            if let Some(pass) = &mut self.pass {
                pass.segment = Some(progress);
            }
            return;
        }
        store.counters.scrub_segments += 1;
        store.counters.scrub_damaged += u64::from(progress.damaged);
    }

    /// Finished segments that the pass has yet to verify.
    pub(super) fn left(&self, store: &Store) -> usize {
        let Some(pass) = &self.pass else { return 0 };
        let slots = store.partitions.slots().into_iter();
        let left = slots.filter(|slot| pass.at.is_none_or(|(at, _)| *slot >= at)).filter_map(|slot| {
            let after = pass.at.filter(|(at, _)| *at == slot).map(|(_, base)| base);
            Some(store.partitions.get(slot)?.log().finished_after(after).count())
        });
        left.sum()
    }
}

impl Progress {
    /// The beginning of the finished segment after a place: a slot, and the base offset of a segment there.
    fn after(at: Option<(u32, Offset)>, store: &Store) -> Option<Progress> {
        let slots = store.partitions.slots().into_iter();
        slots.filter(|slot| at.is_none_or(|(last, _)| *slot >= last)).find_map(|slot| {
            let after = at.filter(|(last, _)| *last == slot).map(|(_, base)| base);
            let partition = store.partitions.get(slot).filter(|it| !it.is_being_cut())?;
            let found = partition.log().finished_after(after).next()?;
            let (segment, next, length) = (found.segment, found.segment.base, found.size);
            Some(Progress { slot, segment, position: 0, next, length, damaged: false })
        })
    }

    /// Whether the segment is still part of its log, and as long as it was.
    fn is_as_it_was(&self, store: &Store) -> bool {
        // A dropped partition's files go while their pieces are read.
        let serving = store.partitions.get(self.slot).filter(|_| store.partitions.is_serving(self.slot));
        let whole = serving.filter(|partition| !partition.is_being_cut());
        let found = whole.and_then(|partition| partition.log().finished(self.segment));
        found.is_some_and(|found| found.size == self.length)
    }
}

/// Names what is damaged, and refuses it to readers from now on.
fn quarantine(progress: &Progress, damage: Vec<Damage>, store: &mut Store, turn: &mut Turn<'_>) {
    let Some(partition) = store.partitions.get_mut(progress.slot) else { return };
    let SegmentId { partition: id, base } = progress.segment;
    if progress.position == 0 {
        partition.change(|log, _| log.verified(base));
    }
    for Damage { position, offsets, what } in damage {
        turn.notice(format!(
            "segment {base} of {id} is damaged at byte {position}: {what}; offsets {} to {} are refused to readers",
            offsets.start,
            offsets.end.plus(-1),
        ));
        partition.change(|log, _| log.quarantine(offsets));
    }
}
