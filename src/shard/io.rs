//! Operations under way: who waits for which, and what a completion means.

use crate::base::hash::IdMap;
use crate::base::io::{IoDone, IoOp, SegmentId};
use crate::base::{MonoNanos, Now};
use crate::log::{PastSegment, Purpose};

use super::writeback::Writeback;
use super::{Effect, IoId, IoRequest, Shard, Stop};

/// How long to wait before trying again what a full disk refused.
const RETRY_MS: u64 = 500;

/// Who issued an operation.
#[derive(Clone, Copy, Debug)]
pub(super) enum IoContext {
    Log {
        slot: u32,
        purpose: Purpose,
    },
    Commit,
    /// The sync that many segments share.
    SyncAll,
    CommitFile {
        file: u32,
    },
    /// `age`: the commit files up to it are free once the checkpoint is written. `None`: the clean one at stop, or one
    /// that frees nothing.
    Checkpoint {
        age: Option<u64>,
    },
    /// A segment's index is read for a reader.
    Index {
        reader: u64,
        slot: u32,
        segment: SegmentId,
    },
    /// It is made anew, for any number of readers.
    Mend {
        slot: u32,
        segment: SegmentId,
    },
    /// A part of a segment is verified.
    Scrub,
    /// A part of a segment is read, for any number of readers.
    Window {
        window: u64,
    },
    Delete {
        slot: u32,
    },
    /// An old segment's file gets its spare name.
    Spare {
        slot: u32,
        past: PastSegment,
    },
    /// Part of a compaction round.
    Compact {
        slot: u32,
    },
    /// The long part of one: a stop does not wait for it.
    Clean {
        slot: u32,
    },
}

impl IoContext {
    /// The partition that must not be deleted under the operation.
    fn holds(&self) -> Option<u32> {
        match self {
            IoContext::Log { slot, .. }
            | IoContext::Spare { slot, .. }
            | IoContext::Mend { slot, .. }
            | IoContext::Compact { slot }
            | IoContext::Clean { slot } => Some(*slot),
            _ => None,
        }
    }

    /// Whether few of its kind are under way at once.
    fn is_writeback(&self) -> bool {
        matches!(self, IoContext::Log { purpose, .. } if Writeback::takes(*purpose))
    }

    /// Whether it may take long and be left unfinished: the next start finds nothing but files to remove.
    fn is_background(&self) -> bool {
        matches!(
            self,
            IoContext::Clean { .. }
                | IoContext::Scrub
                | IoContext::Mend { .. }
                | IoContext::Delete { .. }
                | IoContext::Log { purpose: Purpose::Delete, .. }
        )
    }
}

#[derive(Debug, Default)]
pub(super) struct IoTable {
    under_way: IdMap<u64, Issued>,
    next: u64,
    /// Refused by a full disk, to be tried again.
    refused: Vec<(IoContext, IoOp)>,
    retry_at: Option<MonoNanos>,
    /// An operator has been told that there is no space, and not yet that there is again.
    told_full: bool,
}

#[derive(Debug)]
struct Issued {
    context: IoContext,
    /// Kept for operations that a full disk may refuse and that must be done all the same.
    again: Option<IoOp>,
    was_refused: bool,
}

impl IoTable {
    /// Whether nothing is under way that a stop must wait for.
    pub(super) fn is_empty(&self) -> bool {
        self.under_way.values().all(|issued| issued.context.is_background()) && self.refused.is_empty()
    }

    pub(super) fn next_retry(&self) -> MonoNanos {
        self.retry_at.unwrap_or(MonoNanos::NEVER)
    }
}

impl Shard {
    pub(super) fn issue(&mut self, context: IoContext, op: IoOp, effects: &mut Vec<Effect>) {
        self.issue_again(context, op, false, effects);
    }

    fn issue_again(&mut self, context: IoContext, op: IoOp, was_refused: bool, effects: &mut Vec<Effect>) {
        if let Some(slot) = context.holds() {
            self.partitions.op_issued(slot);
        }
        let again =
            matches!(op, IoOp::CreateSegment { .. } | IoOp::WriteSegment { .. } | IoOp::SealSegment { .. });
        let id = IoId(self.io.next);
        self.io.next += 1;
        self.writeback.under_way += usize::from(context.is_writeback());
        self.io.under_way.insert(id.0, Issued { context, again: again.then(|| op.clone()), was_refused });
        effects.push(Effect::Io(IoRequest { id, op }));
    }

    /// An operation has ended. Every [`Effect::Io`] comes back here exactly once.
    pub fn io_done(&mut self, now: Now, id: IoId, done: IoDone, effects: &mut Vec<Effect>) {
        self.mono = now.mono;
        let issued = self.io.under_way.remove(&id.0).expect("a completion belongs to an operation under way");
        if let Some(slot) = issued.context.holds() {
            self.partitions.op_done(slot);
        }
        self.writeback.under_way -= usize::from(issued.context.is_writeback());
        if matches!(issued.context, IoContext::Log { purpose: Purpose::Delete, .. }) {
            self.retention.deleted(now.mono);
        }
        match done {
            IoDone::Failed(reason) => self.io_failed(now, issued.context, reason, effects),
            IoDone::DiskFull => self.io_refused(now, issued, effects),
            done => {
                self.tell_space(issued.was_refused, effects);
                self.io_succeeded(now, issued.context, done, effects);
            }
        }
        self.go_on_writing_back(effects);
        self.delete_finished(effects);
        self.answer_woken(effects);
    }

    fn io_succeeded(&mut self, now: Now, context: IoContext, done: IoDone, effects: &mut Vec<Effect>) {
        match (context, done) {
            (IoContext::Compact { slot } | IoContext::Clean { slot }, done) => {
                self.compact_done(now, slot, done, effects)
            }
            (IoContext::Log { slot, purpose }, _) => {
                let moved = self.with_log(slot, effects, |log, out| log.done(purpose, out));
                if moved == Some(true) {
                    self.flushed(slot, effects);
                }
            }
            (IoContext::Commit, _) => self.commit_written(effects),
            (IoContext::SyncAll, _) => self.all_synced(effects),
            (IoContext::CommitFile { file }, _) => self.commit.created(file),
            (IoContext::Checkpoint { age }, _) => self.checkpoint_written(age, effects),
            (IoContext::Scrub, IoDone::Verified { to, next, damage }) => {
                self.scrubbed(now, (to, next), damage, effects)
            }
            (IoContext::Scrub, _) => self.not_scrubbed(now, None, effects),
            (IoContext::Window { window }, IoDone::Read(bytes)) => {
                self.window_read(window, Ok(bytes), effects)
            }
            (IoContext::Window { window }, _) => self.window_read(window, Err(()), effects),
            (IoContext::Index { reader, slot, segment }, IoDone::Index { index, time_index }) => {
                self.index_read((slot, segment), (&index, &time_index), reader, effects);
            }
            (IoContext::Index { reader, .. }, _) => self.cold_read(reader, Err(()), effects),
            (IoContext::Mend { slot, segment }, IoDone::Index { index, time_index }) => {
                self.index_mended((slot, segment), Some((&index, &time_index)), effects);
            }
            (IoContext::Mend { slot, segment }, _) => self.index_mended((slot, segment), None, effects),
            (IoContext::Delete { slot }, _) => self.partition_deleted(slot),
            (IoContext::Spare { slot, past }, _) => self.spare_made(slot, past),
        }
    }

    fn io_failed(&mut self, now: Now, context: IoContext, reason: String, effects: &mut Vec<Effect>) {
        match context {
            // A read that fails costs its reader; nothing acknowledged depends on it.
            IoContext::Index { reader, .. } => self.cold_read(reader, Err(()), effects),
            IoContext::Mend { slot, segment } => self.index_mended((slot, segment), None, effects),
            IoContext::Window { window } => self.window_read(window, Err(()), effects),
            IoContext::Scrub => self.not_scrubbed(now, Some(reason), effects),
            IoContext::Log { slot, purpose } if !purpose.must_succeed() => {
                self.with_log(slot, effects, |log, out| log.done(purpose, out));
            }
            IoContext::Delete { slot } => self.partition_deleted(slot),
            // Nothing was synced, so nothing is uncertain: a file is under either name, and goes.
            IoContext::Spare { slot, past } => self.spare_not_made(slot, past),
            IoContext::Compact { slot } | IoContext::Clean { slot } => {
                self.compact_failed(slot, &reason, effects)
            }
            IoContext::CommitFile { .. } => self.commit.create_failed(),
            IoContext::Log { .. } | IoContext::Commit | IoContext::SyncAll | IoContext::Checkpoint { .. } => {
                self.fail(reason, effects)
            }
        }
    }

    fn io_refused(&mut self, now: Now, issued: Issued, effects: &mut Vec<Effect>) {
        match (issued.context, issued.again) {
            (context @ IoContext::Log { slot, .. }, Some(op)) => {
                self.disk_full = true;
                self.spares.review();
                self.tell_full(effects);
                self.partitions.op_issued(slot);
                self.io.refused.push((context, op));
                self.io.retry_at.get_or_insert(now.mono.plus_ms(RETRY_MS));
            }
            (IoContext::Log { slot, purpose }, None) if !purpose.must_succeed() => {
                self.with_log(slot, effects, |log, out| log.done(purpose, out));
            }
            (IoContext::CommitFile { .. }, _) => self.commit.create_failed(),
            (IoContext::Checkpoint { age }, _) => self.checkpoint_refused(age),
            (IoContext::Index { reader, .. }, _) => self.cold_read(reader, Err(()), effects),
            (IoContext::Mend { slot, segment }, _) => self.index_mended((slot, segment), None, effects),
            (IoContext::Window { window }, _) => self.window_read(window, Err(()), effects),
            (IoContext::Scrub, _) => self.not_scrubbed(now, None, effects),
            (IoContext::Delete { slot }, _) => self.partition_deleted(slot),
            (IoContext::Spare { slot, past }, _) => self.spare_not_made(slot, past),
            (IoContext::Compact { .. } | IoContext::Clean { .. }, _) => self.compact_refused(now),
            (IoContext::Commit | IoContext::SyncAll | IoContext::Log { .. }, _) => {
                self.fail(
                    "space that was given is gone: the disk lost blocks it had promised".to_owned(),
                    effects,
                );
            }
        }
    }

    /// Tries again what a full disk refused; appends are taken again once nothing is refused any more.
    pub(super) fn retry_full_disk(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.io.retry_at.is_none_or(|at| now.mono < at) {
            return;
        }
        self.io.retry_at = None;
        self.disk_full = false;
        for (context, op) in std::mem::take(&mut self.io.refused) {
            if let IoContext::Log { slot, .. } = context {
                self.partitions.op_done(slot);
            }
            self.issue_again(context, op, true, effects);
        }
    }

    fn tell_full(&mut self, effects: &mut Vec<Effect>) {
        if !std::mem::replace(&mut self.io.told_full, true) {
            effects.push(Effect::Notice(
                "the disk has no space for what was written: producing is refused until it has".to_owned(),
            ));
        }
    }

    fn tell_space(&mut self, was_refused: bool, effects: &mut Vec<Effect>) {
        if was_refused && std::mem::take(&mut self.io.told_full) {
            effects.push(Effect::Notice("the disk has space again: producing goes on".to_owned()));
        }
    }

    fn checkpoint_written(&mut self, age: Option<u64>, effects: &mut Vec<Effect>) {
        self.counters.checkpoints += 1;
        self.trims_written(effects);
        self.starts_covered(effects);
        self.finished_covered();
        self.reclaim_done(age);
        if self.stop == Stop::Checkpointing {
            self.stop = Stop::Stopped;
        }
    }

    fn checkpoint_refused(&mut self, age: Option<u64>) {
        self.trims.refused();
        self.retention.refused();
        self.compaction.refused();
        self.reclaim_refused(age);
        if self.stop == Stop::Checkpointing {
            // Without a clean checkpoint the next start replays and scans; nothing is lost.
            self.stop = Stop::Stopped;
        }
    }
}
