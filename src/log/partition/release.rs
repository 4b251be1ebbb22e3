//! Which commit files a partition still needs, and making them unnecessary: its release.
//!
//! A release writes the whole blocks that only the commit log holds, syncs the segment, and puts the rest of the last block
//! into the commit log anew: an acknowledged byte is never overwritten.

use crate::log::tail::Allocate;

use super::{LogEffects, LogLimits, PartitionLog, ToCommitLog};

/// Which commit files the partition still needs. Ages are the commit log's; opaque but ordered.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Coverage {
    /// The oldest file with bytes that are in no synced segment.
    oldest: Option<u64>,
    /// The oldest file with bytes that went into the commit log since the release under way began.
    since_release: Option<u64>,
    release: Release,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Release {
    #[default]
    None,
    /// What must still happen: the active segment's sync, and the commit log's write of the last block's rest.
    Running { sync: bool, remainder: bool },
}

impl Coverage {
    /// Bytes went into the commit file `age`; ages ascend.
    fn entered(&mut self, age: u64) {
        let known = self.since_release.or(self.oldest);
        assert!(known.is_none_or(|known| known <= age), "commit files are filled in order");
        match self.release {
            Release::None => _ = self.oldest.get_or_insert(age),
            Release::Running { .. } => _ = self.since_release.get_or_insert(age),
        }
    }

    /// The part of a release that is awaited ends, if it is awaited.
    fn sync_ended(&mut self) {
        if let Release::Running { remainder, .. } = self.release {
            self.release = Release::Running { sync: false, remainder };
        }
    }

    fn remainder_ended(&mut self) {
        if let Release::Running { sync, .. } = self.release {
            self.release = Release::Running { sync, remainder: false };
        }
    }

    /// Nothing is awaited any more: only files filled since the release began are needed.
    fn end_release(&mut self) {
        assert!(
            self.since_release.is_none_or(|since| self.oldest.is_some_and(|oldest| oldest <= since)),
            "a release leaves later commit files than it began with"
        );
        *self = Coverage { oldest: self.since_release, since_release: None, release: Release::None };
    }
}

impl PartitionLog {
    /// Bytes of this partition went into a group of the commit file `age`.
    pub fn entered_commit_file(&mut self, age: u64) {
        self.coverage.entered(age);
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
