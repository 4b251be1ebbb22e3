//! In which states the file of an open segment may be, how far it is stable, and how much is allocated ahead.

use crate::base::Offset;

/// Allocation ahead of the first direct run, and of each following step up to [`ALLOCATE_STEP_BYTES_MAX`].
pub(super) const ALLOCATE_STEP_BYTES_MIN: u64 = 1024 * 1024;
pub(super) const ALLOCATE_STEP_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// What a segment that grows in small pieces gets at first, so that thousands of small ones stay small, and what it gets
/// more once it grows. Each step is an extent, and few of them have room in the inode.
pub(super) const ALLOCATE_LITTLE_BYTES_FIRST: u64 = 32 * 1024;
pub(super) const ALLOCATE_LITTLE_BYTES_MIN: u64 = 256 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileState {
    Missing,
    Creating,
    Ready,
    Sealing,
}

/// Whether the names of the file and its directories are on stable storage. What the commit log covers does not need them
/// before it is released, but a direct run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// Not yet.
    Unsynced,
    /// Not yet either, and what is held needs them to be.
    Wanted,
    /// Yes.
    Durable,
}

/// What space is allocated for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AllocateFor {
    /// Writes that the commit log covers.
    Covered,
    DirectRuns,
}

/// What of the segment is on stable storage in its own file.
#[derive(Clone, Debug)]
pub(super) struct Stable {
    /// Everything below this position is.
    pub(super) end: u64,
    /// What the sync under way will add.
    pub(super) syncing_to: u64,
    /// Direct runs completed beyond `end`.
    runs: Vec<(u64, u64)>,
    /// The last batch known to lie at or below `end`: its position and base offset. Where a scan may begin.
    pub(super) scan_from: (u64, Offset),
}

/// How much of the index is in the file of [`crate::log::marks`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Marked {
    /// So many of the index's entries, from the first on.
    pub(super) entries: usize,
    /// Length of the file.
    pub(super) bytes: u64,
    /// Where the segment was stable to then.
    pub(super) to: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SyncState {
    Idle,
    Wanted,
    Syncing,
}

impl Stable {
    /// Everything below `end` is stable; a scan may begin with the batch at `scan_from`.
    pub(super) fn to(end: u64, scan_from: (u64, Offset)) -> Stable {
        Stable { end, syncing_to: 0, runs: Vec::new(), scan_from }
    }

    /// See [`OpenSegment::scan_from`](super::OpenSegment::scan_from).
    pub(super) fn scan_from(&self) -> (u64, Offset) {
        self.scan_from
    }

    pub(super) fn run_done(&mut self, from: u64, to: u64) {
        assert!(from < to, "a direct run has bytes");
        self.runs.push((from, to));
        self.advance(self.end);
    }

    /// Everything below `end` is stable; direct runs that adjoin add theirs.
    pub(super) fn advance(&mut self, end: u64) {
        self.end = self.end.max(end);
        while let Some(at) = self.runs.iter().position(|(from, _)| *from <= self.end) {
            let (_, to) = self.runs.swap_remove(at);
            self.end = self.end.max(to);
        }
    }
}
