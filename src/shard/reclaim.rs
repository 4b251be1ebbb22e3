//! Freeing commit files: what they cover is brought into synced segments, tails are logged again, a checkpoint is
//! written; then the file may be filled anew. A few partitions at a time, so that the disk stays with the foreground.
//!
//! A sync of one file costs a commit of the file system's journal, whatever else waits for one. So partitions that have
//! written what they had wait for each other, and one sync of everything serves them all: thousands of partitions cost
//! what a few do.

use std::collections::{BTreeSet, VecDeque};

use crate::base::io::IoOp;
use crate::commit::{Checkpoint, FileAge};
use crate::log::{LogOp, Purpose};

use super::io::IoContext;
use super::{Effect, Shard, Stop};

/// Partitions whose blocks are on their way to their segments at once.
const WRITING_MAX: usize = 32;
/// Partitions that wait for the next sync at most.
const WAITING_MAX: usize = 4096;
/// From this many on, one sync of everything costs less than one of each, even if others have written to the same file
/// system meanwhile and their pages must go first.
const TOGETHER_MIN: usize = 64;
/// Direct runs bypass the commit log; after this many of their bytes a checkpoint is written all the same, so that
/// recovery's scans stay bounded: a gibibyte is verified in well under a second.
const DIRECT_BYTES_PER_CHECKPOINT: u64 = 1024 * 1024 * 1024;

#[derive(Debug, Default)]
pub(super) struct Reclaim {
    state: State,
    pub(super) syncs: Syncs,
    /// Partitions that something has happened to since the last turn: their release may have ended.
    touched: Vec<u32>,
    /// Since the last checkpoint.
    pub(super) direct_bytes: u64,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Idle,
    /// Partitions still need files up to `age`.
    Releasing {
        age: u64,
        todo: VecDeque<u32>,
        running: BTreeSet<u32>,
    },
    Checkpointing,
}

/// Syncs of segments, gathered.
#[derive(Debug, Default)]
pub(super) struct Syncs {
    waiting: Vec<Wanted>,
    /// Served by the one under way.
    under_way: Vec<Wanted>,
}

#[derive(Debug)]
struct Wanted {
    slot: u32,
    purpose: Purpose,
    op: IoOp,
}

impl Syncs {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.under_way.is_empty()
    }

    fn len(&self) -> usize {
        self.waiting.len() + self.under_way.len()
    }
}

impl Shard {
    /// Goes on with freeing commit files.
    pub(super) fn reclaim_commit_files(&mut self, effects: &mut Vec<Effect>) {
        if self.stop != Stop::Running || self.failed.is_some() {
            return;
        }
        if matches!(self.reclaim.state, State::Idle) {
            self.begin_reclaim(effects);
        }
        if !matches!(self.reclaim.state, State::Releasing { .. }) {
            return;
        }
        let State::Releasing { age, mut todo, mut running } = std::mem::take(&mut self.reclaim.state) else {
            return;
        };
        let needs = |shard: &Shard, slot: u32| {
            let oldest = shard.partitions.get(slot).and_then(|partition| partition.log.needs_commit_file());
            oldest.is_some_and(|oldest| oldest <= age)
        };
        for slot in std::mem::take(&mut self.reclaim.touched) {
            if !needs(self, slot) {
                running.remove(&slot);
            }
        }
        while running.len() < WRITING_MAX + self.reclaim.syncs.len().min(WAITING_MAX)
            && let Some(slot) = todo.pop_front()
        {
            if needs(self, slot) {
                self.with_log(slot, effects, |log, out| log.release(out));
            }
            if needs(self, slot) {
                running.insert(slot);
            }
        }
        if running.is_empty() && todo.is_empty() {
            self.reclaim.state = State::Checkpointing;
            let replay_from = self.commit.replay_from_after(FileAge(age));
            self.write_checkpoint(replay_from, Some(age), effects);
        } else {
            self.reclaim.state = State::Releasing { age, todo, running };
            // What was logged again waits for the next group.
            self.write_commit_group(effects);
        }
    }

    /// Something has happened to a partition that may end its release.
    pub(super) fn touch(&mut self, slot: u32) {
        if matches!(self.reclaim.state, State::Releasing { .. }) {
            self.reclaim.touched.push(slot);
        }
    }

    /// A log wants a segment synced: it shares the next sync.
    pub(super) fn want_sync(&mut self, slot: u32, op: LogOp) {
        assert!(matches!(op.op, IoOp::SyncSegment { .. }), "only syncs are gathered");
        self.partitions.op_issued(slot);
        self.reclaim.syncs.waiting.push(Wanted { slot, purpose: op.purpose, op: op.op });
    }

    /// Syncs what has been written, when nothing more is about to join.
    pub(super) fn sync_segments(&mut self, effects: &mut Vec<Effect>) {
        if self.reclaim.syncs.waiting.is_empty() || self.failed.is_some() {
            return;
        }
        let is_joined = match &self.reclaim.state {
            State::Releasing { todo, running, .. } if self.stop == Stop::Running => {
                let writing = running.len().saturating_sub(self.reclaim.syncs.len());
                self.reclaim.syncs.len() < WAITING_MAX && (writing > 0 || !todo.is_empty())
            }
            _ => false,
        };
        if is_joined || !self.reclaim.syncs.under_way.is_empty() {
            return;
        }
        let together = std::mem::take(&mut self.reclaim.syncs.waiting);
        if together.len() >= TOGETHER_MIN {
            self.counters.syncs_of_all += 1;
            self.issue(IoContext::SyncAll, IoOp::SyncAll, effects);
            self.reclaim.syncs.under_way = together;
            return;
        }
        for Wanted { slot, purpose, op } in together {
            self.partitions.op_done(slot);
            self.counters.segment_syncs += 1;
            self.issue(IoContext::Log { slot, purpose }, op, effects);
        }
    }

    /// Everything that was written when the sync began is on stable storage.
    pub(super) fn all_synced(&mut self, effects: &mut Vec<Effect>) {
        for Wanted { slot, purpose, .. } in std::mem::take(&mut self.reclaim.syncs.under_way) {
            self.partitions.op_done(slot);
            self.with_log(slot, effects, |log, out| log.done(purpose, out));
        }
    }

    /// The bytes of a checkpoint of everything as of now.
    pub(super) fn checkpoint(&self, replay_from: u64, clean: bool) -> Vec<u8> {
        let snapshots = self.partitions.slots().into_iter().filter_map(|slot| self.partitions.get(slot));
        let partitions = snapshots
            .filter(|partition| partition.log.log_end().0 > 0)
            .map(|partition| partition.log.snapshot().encode())
            .collect();
        Checkpoint { identity: self.commit.identity(), replay_from, clean, partitions }.encode()
    }

    /// The checkpoint is written; commit files up to `age` are free.
    pub(super) fn reclaim_done(&mut self, age: Option<u64>) {
        if let Some(age) = age {
            self.commit.reclaimed(FileAge(age));
        }
        self.reclaim.state = State::Idle;
    }

    /// A full disk refused the checkpoint: the files stay in use; try again at the next turn.
    pub(super) fn reclaim_refused(&mut self, _age: Option<u64>) {
        self.reclaim.state = State::Idle;
    }

    fn begin_reclaim(&mut self, effects: &mut Vec<Effect>) {
        if let Some(age) = self.commit.reclaim() {
            let todo = self.partitions.slots().into();
            self.reclaim.touched.clear();
            self.reclaim.state = State::Releasing { age: age.0, todo, running: BTreeSet::new() };
        } else if self.trims.want_checkpoint()
            || self.retention.wants_checkpoint()
            || self.compaction.wants_checkpoint()
            || self.reclaim.direct_bytes >= DIRECT_BYTES_PER_CHECKPOINT
        {
            self.reclaim.state = State::Checkpointing;
            self.write_checkpoint(self.commit.replay_from(), None, effects);
        }
    }

    fn write_checkpoint(&mut self, replay_from: u64, age: Option<u64>, effects: &mut Vec<Effect>) {
        self.reclaim.direct_bytes = 0;
        self.trims.begin();
        self.cover_starts();
        self.cover_finished();
        let bytes = self.checkpoint(replay_from, false);
        self.issue(IoContext::Checkpoint { age }, IoOp::WriteCheckpoint { bytes }, effects);
    }
}
