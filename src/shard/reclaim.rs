//! Freeing commit files: what they cover is brought into synced segments, tails are logged again, a checkpoint is
//! written; then the file may be filled anew. A few partitions at a time, so that the disk stays with the foreground.

use std::collections::VecDeque;

use crate::base::io::IoOp;
use crate::commit::{Checkpoint, FileAge};

use super::io::IoContext;
use super::{Effect, Shard, Stop};

/// Partitions being brought into their segments at once.
const RELEASES_MAX: usize = 32;
/// Direct runs bypass the commit log; after this many of their bytes a checkpoint is written all the same, so that
/// recovery's scans stay bounded: a gibibyte is verified in well under a second.
const DIRECT_BYTES_PER_CHECKPOINT: u64 = 1024 * 1024 * 1024;

#[derive(Debug, Default)]
pub(super) struct Reclaim {
    state: State,
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
        running: Vec<u32>,
    },
    Checkpointing,
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
        running.retain(|slot| needs(self, *slot));
        while running.len() < RELEASES_MAX
            && let Some(slot) = todo.pop_front()
        {
            if needs(self, slot) {
                self.with_log(slot, effects, |log, out| log.release(out));
                running.push(slot);
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
            self.reclaim.state = State::Releasing { age: age.0, todo, running: Vec::new() };
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
