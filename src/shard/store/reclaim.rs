//! Freeing commit files: what they cover is brought into synced segments, tails are logged again, a checkpoint is
//! written; then files may be filled anew. Partitions take turns ([`super::sweep`]), and those whose turn it is while a file
//! is being filled are released as it fills, so that the disk has the same to do all the time.
//!
//! A sync of one file costs a commit of the file system's journal, whatever else waits for one. So partitions that have
//! written what they had wait for each other, and one sync of everything serves them all: thousands of partitions cost
//! what a few do.

use std::collections::{BTreeSet, VecDeque};

use crate::base::MonoNanos;
use crate::commit::FileSerial;

use super::sweep::Sweep;

/// A step that its file paces is over after this long all the same: what was released waits for its sync meanwhile.
const STEP_MS_MAX: u64 = 1_000;
/// How often a step is looked at where nothing else happens.
const LOOK_MS: u64 = 50;
#[derive(Debug, Default)]
pub(super) struct Reclaim {
    pub(super) sweep: Sweep,
    pub(super) releasing: Option<Releasing>,
    /// Files that nobody needs any more, up to this one; enough of them for a checkpoint.
    pub(super) freeable: Option<FileSerial>,
    pub(super) checkpoint: Checkpointing,
    /// Partitions that something has happened to since the last turn: their release may have ended.
    pub(super) touched: Vec<u32>,
    /// Bytes of direct runs since the last checkpoint.
    pub(super) direct_bytes: u64,
}

/// The checkpoint under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Checkpointing {
    #[default]
    None,
    /// Files are free once it is written.
    Freeing,
    /// The checkpoint frees nothing and keeps what has been decided: starts of logs, what compaction may touch.
    Keeping,
}

/// Partitions that need files up to `serial` are released.
#[derive(Debug)]
pub(super) struct Releasing {
    pub(super) serial: u64,
    pub(super) todo: VecDeque<u32>,
    pub(super) running: BTreeSet<u32>,
    /// `None`: as fast as may be.
    pub(super) pace: Option<Pace>,
    /// As many free files are worth a checkpoint.
    pub(super) worth: usize,
}

/// How fast a step goes.
#[derive(Debug)]
pub(super) struct Pace {
    pub(super) partitions: u64,
    pub(super) from: u64,
    /// Done when the commit log has come this many bytes further.
    pub(super) span: u64,
    pub(super) began: MonoNanos,
}

impl Pace {
    /// How many of the step's partitions may have been begun.
    pub(super) fn allowed(&self, head: u64, now: MonoNanos) -> usize {
        let part = |done: u64, whole: u64| self.partitions.saturating_mul(done).div_ceil(whole);
        let by_log = part(head - self.from, self.span);
        let by_time = part(now.since(self.began), STEP_MS_MAX * 1_000_000);
        usize::try_from(by_log.max(by_time).min(self.partitions)).expect("no more than there are")
    }
}

impl Reclaim {
    /// Something has happened to a partition that may end its release.
    pub(super) fn touch(&mut self, slot: u32) {
        if self.releasing.is_some() {
            self.touched.push(slot);
        }
    }

    pub(super) fn next_deadline(&self, now: MonoNanos) -> MonoNanos {
        let is_paced = self.releasing.as_ref().is_some_and(|it| it.pace.is_some() && !it.todo.is_empty());
        if is_paced { now.plus_ms(LOOK_MS) } else { MonoNanos::NEVER }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_goes_as_its_file_fills_and_ends_without() {
        let began = MonoNanos(5_000_000_000);
        let pace = Pace { partitions: 400, from: 1000, span: 8000, began };
        assert_eq!(pace.allowed(1000, began), 0);
        assert_eq!(pace.allowed(1020, began), 1);
        assert_eq!(pace.allowed(3000, began), 100);
        assert_eq!(pace.allowed(20_000, began), 400);
        assert_eq!(pace.allowed(1000, began.plus_ms(STEP_MS_MAX / 2)), 200);
        assert_eq!(pace.allowed(1000, began.plus_ms(STEP_MS_MAX * 3)), 400);
    }
}
