//! The orderly stop: everything into sealed segments, one sync, a clean checkpoint.

use crate::base::io::IoOp;

use super::super::event::Operation;
use super::super::request::PartitionError;
use super::super::turn::Turn;
use super::state::{Stop, Store};

impl Store {
    /// Begins the stop. New appends must not come any more.
    pub fn begin_stop(&mut self, turn: &mut Turn<'_>) {
        if self.stop != Stop::Running {
            return;
        }
        self.stop = Stop::Draining;
        self.writeback.is_hurried = true;
        for slot in self.partitions.slots() {
            self.with_log(slot, turn, |log, out| log.finish(out));
        }
        self.advance_stop(turn);
    }

    /// Goes on with the stop as far as what has ended allows.
    pub fn advance_stop(&mut self, turn: &mut Turn<'_>) {
        if !self.io.is_quiet() || self.is_failed() {
            return;
        }
        match self.stop {
            // What still waits for the commit log, which may have no room left, is in the segments too.
            Stop::Draining if self.syncs.is_empty() && self.partitions.all_finished() => {
                self.stop = Stop::Syncing;
                // Segments were sealed without a sync each.
                self.issue(Operation::SyncAll, IoOp::SyncAll, turn);
            }
            Stop::Syncing => {
                assert!(self.partitions.all_finished(), "nothing is appended after the stop");
                let waited = self.commit.give_up();
                self.are_durable(waited, turn);
                self.fail_remaining_acks(turn);
                self.stop = Stop::Checkpointing;
                self.write_clean_checkpoint(turn);
            }
            _ => {}
        }
    }

    /// Who still waits for other servers is told that this one leads no more: nobody here will see their acks.
    fn fail_remaining_acks(&mut self, turn: &mut Turn<'_>) {
        for slot in self.partitions.slots() {
            self.fail_acks(slot, &PartitionError::NotLeader, turn);
        }
    }

    /// A checkpoint is written, or could not be.
    pub(super) fn end_stop(&mut self) {
        if self.stop == Stop::Checkpointing {
            assert_eq!(self.produce.len(), 0, "whoever waited for durability was answered");
            self.stop = Stop::Stopped;
        }
    }

    /// Everything is in sealed segments and the clean checkpoint is written; or storage has failed.
    pub fn is_stopped(&self) -> bool {
        self.stop == Stop::Stopped || self.is_failed()
    }
}
