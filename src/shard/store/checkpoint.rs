//! Checkpoints: where recovery begins. One is written when commit files can be freed, when a room wants what it has decided
//! to be durable, and after a bounded number of bytes that bypassed the commit log.

use crate::base::io::IoOp;
use crate::commit::{Checkpoint, FileSerial};

use super::super::event::Operation;
use super::super::turn::Turn;
use super::partition::Partition;
use super::reclaim::Checkpointing;
use super::state::Store;

/// Direct runs bypass the commit log; after this many of their bytes a checkpoint is written all the same, so that
/// recovery's scans stay bounded: a gibibyte is verified in well under a second.
const DIRECT_BYTES_PER_CHECKPOINT: u64 = 1024 * 1024 * 1024;

impl Store {
    /// Whether a checkpoint is to be written now; `is_wanted` by some other room.
    pub fn is_checkpoint_due(&self, is_wanted: bool) -> bool {
        let is_wanted = is_wanted
            || self.reclaim.freeable.is_some()
            || self.starts_to_name
            || self.reclaim.direct_bytes >= DIRECT_BYTES_PER_CHECKPOINT;
        self.is_running() && is_wanted && self.reclaim.checkpoint == Checkpointing::None
    }

    /// Writes a checkpoint of everything as of now.
    pub fn write_checkpoint(&mut self, turn: &mut Turn<'_>) {
        assert_eq!(self.reclaim.checkpoint, Checkpointing::None, "one checkpoint is written at a time");
        let serial = self.reclaim.freeable.take();
        let replay_from =
            serial.map_or(self.commit.replay_from(), |serial| self.commit.replay_from_after(serial));
        self.reclaim.checkpoint =
            if serial.is_some() { Checkpointing::Freeing } else { Checkpointing::Keeping };
        self.reclaim.direct_bytes = 0;
        self.starts_to_name = false;
        let bytes = self.checkpoint(replay_from, CheckpointAt::Running);
        let serial = serial.map(|serial| serial.0);
        self.issue(Operation::Checkpoint { serial }, IoOp::WriteCheckpoint { bytes }, turn);
    }

    /// The last checkpoint of an orderly stop: nothing is to be replayed after it.
    pub(super) fn write_clean_checkpoint(&mut self, turn: &mut Turn<'_>) {
        let bytes = self.checkpoint(self.commit.next_sequence(), CheckpointAt::Stop);
        self.issue(Operation::Checkpoint { serial: None }, IoOp::WriteCheckpoint { bytes }, turn);
    }

    /// The checkpoint is on stable storage; commit files up to `serial` are free.
    pub fn checkpoint_written(&mut self, serial: Option<u64>, turn: &mut Turn<'_>) {
        self.counters.checkpoints += 1;
        for slot in self.partitions.slots() {
            let is_news = self.partitions.get_mut(slot).is_some_and(Partition::start_named);
            if is_news {
                // A leader waits to hear that nothing below comes back (R4).
                self.moved(slot, turn);
            }
        }
        if let Some(serial) = serial {
            self.commit.reclaimed(FileSerial(serial));
        }
        self.reclaim.checkpoint = Checkpointing::None;
        self.end_stop();
    }

    /// A full disk refused the checkpoint: the files stay in use; the next turn tries again.
    pub fn checkpoint_refused(&mut self, serial: Option<u64>) {
        self.reclaim.freeable = self.reclaim.freeable.max(serial.map(FileSerial));
        self.reclaim.checkpoint = Checkpointing::None;
        // Without a clean checkpoint the next start replays and scans; nothing is lost.
        self.end_stop();
    }

    fn checkpoint(&mut self, replay_from: u64, at: CheckpointAt) -> Vec<u8> {
        let clean = at == CheckpointAt::Stop;
        for slot in self.partitions.slots() {
            if let Some(partition) = self.partitions.get_mut(slot) {
                partition.naming_start();
            }
        }
        let serving = self.partitions.slots().into_iter().filter_map(|slot| self.partitions.get(slot));
        let partitions = serving
            .filter(|partition| partition.log().log_end().0 > 0)
            .map(|partition| partition.log().snapshot().encode())
            .collect();
        Checkpoint { identity: self.commit.identity(), replay_from, clean, partitions }.encode()
    }
}

/// When a checkpoint is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum CheckpointAt {
    /// While the shard runs: recovery replays what the commit log has from there on.
    Running,
    /// At the end of an orderly stop: nothing is left to replay.
    Stop,
}
