//! Making the commit files that a partition still needs unnecessary: its release.
//!
//! A release writes the whole blocks that only the commit log holds, syncs the segment, and puts the rest of the last block
//! into the commit log anew: an acknowledged byte is never overwritten.

use crate::base::mark;
use crate::log::limits::LogLimits;
use crate::log::op::{LogEffects, ToCommitLog};
use crate::log::tail::Allocate;

use super::PartitionLog;
use super::coverage::Release;

impl PartitionLog {
    /// Bytes of this partition went into a group of the commit file `serial`.
    pub fn entered_commit_file(&mut self, serial: u64) {
        self.coverage.entered(serial);
    }

    /// The oldest commit file the partition still needs.
    #[must_use]
    pub fn needs_commit_file(&self) -> Option<u64> {
        self.coverage.oldest
    }

    /// Makes the commit files up to now unnecessary: whole blocks are written and synced, the rest of the last block is
    /// put into the commit log again. A release ends by itself; then [`PartitionLog::needs_commit_file`] is newer.
    pub fn release(&mut self, limits: &LogLimits, allocate: Allocate<'_>, out: &mut LogEffects) {
        if self.coverage.release != Release::None || self.coverage.oldest.is_none() {
            return;
        }
        if self.cut_needs_commit_file() {
            mark("a release waits for a cut");
            return;
        }
        let sync = self.active.size > 0;
        if sync {
            self.active.create(&mut self.spare, &mut out.ops);
            if let Some(write) = self.active.tail.early_write(self.grid(limits), allocate) {
                self.active.write(write, &mut out.ops);
            }
            self.active.want_sync(&mut out.ops);
            self.active.write_marks(limits.marks_step_bytes, &mut out.ops);
        }
        let remainder = self.remainder_to_commit_log(out);
        self.coverage.release = Release::Running { sync, remainder };
        self.end_release();
    }

    /// The rest of the last block is durable that [`PartitionLog::release`] has put into the commit log again.
    pub fn remainder_durable(&mut self) {
        self.coverage.remainder_ended();
        self.end_release();
    }

    fn remainder_to_commit_log(&mut self, out: &mut LogEffects) -> bool {
        let Some((position, rest)) = self.active.tail.remainder() else { return false };
        out.to_commit_log.push(ToCommitLog {
            segment: self.active.id,
            position,
            flushed: self.flushed,
            high_watermark: self.finished_end(),
            data: [Some(rest), None],
            append: None,
        });
        true
    }

    pub(super) fn end_release(&mut self) {
        let finished = self.coverage.release == Release::Running { sync: false, remainder: false };
        if finished && self.draining.is_empty() {
            self.coverage.end_release();
        }
    }

    /// The sync that a release awaits has succeeded, or a segment's sealing takes its place.
    pub(super) fn release_synced(&mut self) {
        self.coverage.sync_ended();
    }

    /// All segments are sealed, and nothing was appended since: no commit file holds what they lack.
    pub(super) fn release_sealed(&mut self) {
        let nothing_unsynced = self.draining.is_empty() && self.active.size == 0;
        if nothing_unsynced && self.coverage.release == Release::None {
            self.coverage.oldest = None;
        }
    }
}
