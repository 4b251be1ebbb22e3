//! Releasing partitions, so that commit files may be filled anew: their blocks go to their segments, those are synced, and
//! the rest of the last block is logged again.

use std::collections::{BTreeSet, VecDeque};

use crate::base::io::IoOp;
use crate::commit::FileSerial;

use super::super::event::Operation;
use super::super::turn::Turn;
use super::reclaim::{Checkpointing, Pace, Releasing};
use super::state::{Stop, Store};
use super::sweep::Extent;
use super::syncs::WantedSync;

/// Partitions whose blocks are on their way to their segments at once.
const WRITING_MAX: usize = 32;
/// Partitions that wait for the next sync at most.
const WAITING_MAX: usize = 4096;
/// From this many on, one sync of everything costs less than one of each, even if others have written to the same file
/// system meanwhile and their pages must go first.
const TOGETHER_MIN: usize = 64;

impl Store {
    /// Goes on with freeing commit files.
    pub fn free_commit_files(&mut self, turn: &mut Turn<'_>) {
        if !self.is_running() {
            return;
        }
        self.release_step(turn);
        if self.reclaim.releasing.is_none() && self.commit.short_of_files().is_some() {
            // What was over at once may have been a step of a few partitions, which freed nothing. With the log full, nothing
            // comes in that would bring another turn: now all partitions that need its files are released.
            self.release_step(turn);
        }
    }

    fn release_step(&mut self, turn: &mut Turn<'_>) {
        self.begin_step(turn);
        self.release_partitions(turn);
    }

    fn begin_step(&mut self, turn: &Turn<'_>) {
        let short = self.commit.short_of_files();
        self.writeback.is_hurried = short.is_some();
        if let Some(releasing) = &mut self.reclaim.releasing {
            // What is under way goes on, without regard for the foreground: that waits for it.
            if short.is_some() {
                releasing.pace = None;
                releasing.worth = 1;
            }
            return;
        }
        if self.reclaim.freeable.is_some() || self.reclaim.checkpoint == Checkpointing::Freeing {
            return;
        }
        let Some(FileSerial(current)) = self.commit.current_serial() else { return };
        if short.is_none() && !self.reclaim.sweep.is_due(current) {
            return;
        }
        let needs = self.needs_of_partitions();
        let releasing = match short {
            Some(FileSerial(serial)) => release_all(&needs, serial),
            None => self.release_a_part(&needs, current, turn),
        };
        self.reclaim.touched.clear();
        self.reclaim.releasing = Some(releasing);
    }

    /// A part of the circle, at the pace in which the log fills.
    fn release_a_part(&mut self, needs: &[(u32, Option<u64>)], current: u64, turn: &Turn<'_>) -> Releasing {
        let file_bytes = self.commit.file_bytes();
        let usable = self.commit.usable_files() as u64;
        let step = self.reclaim.sweep.step(needs, Extent { current, file_bytes, usable });
        let span = step.files * file_bytes / 4 * 3;
        let (from, began, partitions) = (self.commit.head(), turn.now.mono, step.slots.len() as u64);
        let pace = Some(Pace { partitions, from, span, began });
        Releasing { serial: step.serial, todo: step.slots, running: BTreeSet::new(), pace, worth: step.worth }
    }

    fn release_partitions(&mut self, turn: &mut Turn<'_>) {
        let Some(mut step) = self.reclaim.releasing.take() else { return };
        for slot in std::mem::take(&mut self.reclaim.touched) {
            if !self.needs_release(slot, step.serial) {
                step.running.remove(&slot);
            }
        }
        let mut left = self.allowed_by_pace(&step, turn);
        while left > 0
            && step.running.len() < WRITING_MAX + self.syncs.len().min(WAITING_MAX)
            && let Some(slot) = step.todo.pop_front()
        {
            left -= 1;
            if self.needs_release(slot, step.serial) {
                let limits = self.limits;
                self.with_log_and_memory(slot, turn, |log, allocate, out| {
                    log.release(&limits, allocate, out)
                });
            }
            if self.needs_release(slot, step.serial) {
                step.running.insert(slot);
            }
        }
        if step.running.is_empty() && step.todo.is_empty() {
            self.end_step(&step);
        } else {
            self.reclaim.releasing = Some(step);
            // What was logged again waits for the next group.
            self.write_commit_group(turn);
        }
    }

    /// How many more of the step's partitions may be begun now.
    fn allowed_by_pace(&self, step: &Releasing, turn: &Turn<'_>) -> usize {
        let Some(pace) = &step.pace else { return usize::MAX };
        let left = pace.allowed(self.commit.head(), turn.now.mono) + step.todo.len();
        left.saturating_sub(usize::try_from(pace.partitions).expect("a shard has fewer"))
    }

    fn end_step(&mut self, step: &Releasing) {
        let needed = self.needs_of_partitions().into_iter().filter_map(|(_, oldest)| oldest).min();
        let freeable = self.commit.freeable(needed.map(FileSerial));
        self.reclaim.freeable = freeable.filter(|(_, files)| *files >= step.worth).map(|(serial, _)| serial);
    }

    /// Whether a partition still needs a commit file up to `serial`. Nothing is written to partitions that were dropped since.
    fn needs_release(&self, slot: u32, serial: u64) -> bool {
        let serving = self.partitions.get(slot).filter(|_| self.partitions.is_serving(slot));
        let oldest = serving.and_then(|partition| partition.log().needs_commit_file());
        oldest.is_some_and(|oldest| oldest <= serial)
    }

    /// The oldest file that each partition needs, by slot.
    fn needs_of_partitions(&self) -> Vec<(u32, Option<u64>)> {
        let of = |slot| Some((slot, self.partitions.get(slot)?.log().needs_commit_file()));
        self.partitions.slots().into_iter().filter_map(of).collect()
    }

    /// Syncs what has been written, when nothing more is about to join.
    pub fn sync_segments(&mut self, turn: &mut Turn<'_>) {
        if self.syncs.waiting.is_empty() || self.is_failed() {
            return;
        }
        let is_joined = self.stop == Stop::Running
            && self.syncs.len() < WAITING_MAX
            && self
                .reclaim
                .releasing
                .as_ref()
                .is_some_and(|step| step.running.len() > self.syncs.len() || !step.todo.is_empty());
        if is_joined || !self.syncs.under_way.is_empty() {
            return;
        }
        let together = std::mem::take(&mut self.syncs.waiting);
        if together.len() >= TOGETHER_MIN {
            self.counters.syncs_of_all += 1;
            self.issue(Operation::SyncAll, IoOp::SyncAll, turn);
            self.syncs.under_way = together;
            return;
        }
        for WantedSync { slot, purpose, op } in together {
            self.partitions.op_done(slot);
            self.counters.segment_syncs += 1;
            self.issue(Operation::Log { slot, purpose }, op, turn);
        }
    }

    /// Everything that was written when the sync began is on stable storage.
    pub fn all_synced(&mut self, turn: &mut Turn<'_>) {
        for WantedSync { slot, purpose, .. } in std::mem::take(&mut self.syncs.under_way) {
            self.partitions.op_done(slot);
            self.with_log(slot, turn, |log, out| log.done(purpose, out));
        }
    }
}

/// Every partition that needs a file up to `serial`, at once.
fn release_all(needs: &[(u32, Option<u64>)], serial: u64) -> Releasing {
    let todo: VecDeque<u32> = needs
        .iter()
        .filter(|(_, oldest)| oldest.is_some_and(|oldest| oldest <= serial))
        .map(|(slot, _)| *slot)
        .collect();
    Releasing { serial, todo, running: BTreeSet::new(), pace: None, worth: 1 }
}
