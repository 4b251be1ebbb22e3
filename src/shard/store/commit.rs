//! Commit groups: what waits for the commit log goes into one write, and is durable when that is done.

use crate::base::io::IoOp;
use crate::base::mark;
use crate::commit::{Logged, Receipt};

use super::super::event::Operation;
use super::super::turn::Turn;
use super::state::Store;

impl Store {
    /// Writes the next group, if something waits for one and none is being written.
    pub fn write_commit_group(&mut self, turn: &mut Turn<'_>) {
        if self.is_failed() {
            return;
        }
        let Some(write) = self.commit.gather(&mut *self.allocate) else { return };
        for receipt in self.commit.issued() {
            if let Some(partition) = self.partitions.get_mut(receipt.slot) {
                partition.change(|log, _| log.entered_commit_file(write.serial.0));
            }
        }
        if let Some(since) = self.waiting_since.take() {
            self.commit_wait.record(turn.now.mono.since(since));
        }
        self.waiting_since = (self.commit.pending_bytes() > 0).then_some(turn.now.mono);
        self.counters.commit_groups += 1;
        self.counters.commit_bytes += write.data.len() as u64;
        let op = IoOp::WriteCommit { file: write.file, position: write.position, data: write.data };
        self.issue(Operation::CommitGroup, op, turn);
    }

    /// The group being written is durable.
    pub fn commit_group_written(&mut self, turn: &mut Turn<'_>) {
        let receipts = self.commit.written();
        self.are_durable(receipts, turn);
    }

    /// The entries of these receipts are durable, in the commit log or otherwise.
    pub(super) fn are_durable(&mut self, receipts: Vec<Receipt>, turn: &mut Turn<'_>) {
        let next_sequence = self.commit.next_sequence();
        for Receipt { slot, logged } in receipts {
            if logged == Logged::Drop {
                self.delete_partition(slot, turn);
                continue;
            }
            if self.partitions.is_being_deleted(slot) {
                mark("what was still to be logged of a dropped partition comes to nothing");
                continue;
            }
            let moved = self.with_log(slot, turn, |log, out| match logged {
                Logged::Append(number) => log.durable(number),
                Logged::Tail => {
                    log.remainder_durable();
                    false
                }
                Logged::Cut => {
                    log.cut_entry_durable(next_sequence, out);
                    false
                }
                Logged::Drop => false,
            });
            if moved == Some(true) {
                self.progressed(slot, turn);
            }
        }
    }

    /// Makes another file of the commit log, if only the reserve is left.
    pub fn make_commit_file(&mut self, turn: &mut Turn<'_>) {
        if let Some((file, bytes)) = self.commit.create() {
            self.issue(Operation::CommitFile { file }, IoOp::CreateCommitFile { file, bytes }, turn);
        }
    }

    /// A file of the commit log is made, or cannot be: then the commit log goes on with those there are.
    pub fn commit_file_ended(&mut self, file: u32, is_made: bool) {
        if is_made {
            self.commit.created(file);
        } else {
            self.commit.create_failed();
        }
    }
}
