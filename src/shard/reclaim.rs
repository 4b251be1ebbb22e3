//! Freeing commit files: what they cover is brought into synced segments, tails are logged again, a checkpoint is
//! written; then files may be filled anew. Partitions take turns ([`super::sweep`]), and those whose turn it is while a file
//! is being filled are released as it fills, so that the disk has the same to do all the time.
//!
//! A sync of one file costs a commit of the file system's journal, whatever else waits for one. So partitions that have
//! written what they had wait for each other, and one sync of everything serves them all: thousands of partitions cost
//! what a few do.

use std::collections::{BTreeSet, VecDeque};

use crate::base::MonoNanos;
use crate::base::io::IoOp;
use crate::commit::{Checkpoint, FileAge};
use crate::log::{LogOp, Purpose};

use super::io::IoContext;
use super::sweep::{Files, Sweep};
use super::{Effect, Shard, Stop};

/// Partitions whose blocks are on their way to their segments at once.
const WRITING_MAX: usize = 32;
/// Partitions that wait for the next sync at most.
const WAITING_MAX: usize = 4096;
/// From this many on, one sync of everything costs less than one of each, even if others have written to the same file
/// system meanwhile and their pages must go first.
const TOGETHER_MIN: usize = 64;
/// A step that its file paces is over after this long all the same: what was released waits for its sync meanwhile.
const STEP_MS_MAX: u64 = 1_000;
/// How often a step is looked at where nothing else happens.
const LOOK_MS: u64 = 50;
/// Direct runs bypass the commit log; after this many of their bytes a checkpoint is written all the same, so that
/// recovery's scans stay bounded: a gibibyte is verified in well under a second.
const DIRECT_BYTES_PER_CHECKPOINT: u64 = 1024 * 1024 * 1024;

#[derive(Debug, Default)]
pub(super) struct Reclaim {
    sweep: Sweep,
    releasing: Option<Releasing>,
    /// Files that nobody needs any more, up to this one; enough of them for a checkpoint.
    freeable: Option<FileAge>,
    checkpoint: Checkpointing,
    pub(super) syncs: Syncs,
    /// Partitions that something has happened to since the last turn: their release may have ended.
    touched: Vec<u32>,
    /// Since the last checkpoint.
    pub(super) direct_bytes: u64,
}

/// The checkpoint under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Checkpointing {
    #[default]
    None,
    /// Files are free once it is written.
    Freeing,
    /// It only keeps what has been decided: starts of logs, what compaction may touch.
    Keeping,
}

/// Partitions that need files up to `age` are released.
#[derive(Debug)]
struct Releasing {
    age: u64,
    todo: VecDeque<u32>,
    running: BTreeSet<u32>,
    pace: Option<Pace>,
    /// As many free files are worth a checkpoint.
    worth: usize,
}

/// How fast a step goes.
#[derive(Debug)]
struct Pace {
    partitions: u64,
    from: u64,
    /// Done when the log has come this many bytes further.
    span: u64,
    began: MonoNanos,
}

impl Pace {
    /// How many of the step's partitions may have been begun.
    fn allowed(&self, head: u64, now: MonoNanos) -> usize {
        let part = |done: u64, whole: u64| self.partitions.saturating_mul(done).div_ceil(whole);
        let by_log = part(head - self.from, self.span);
        let by_time = part(now.since(self.began), STEP_MS_MAX * 1_000_000);
        usize::try_from(by_log.max(by_time).min(self.partitions)).expect("no more than there are")
    }
}

impl Reclaim {
    pub(super) fn next_deadline(&self, now: MonoNanos) -> MonoNanos {
        let is_paced = self.releasing.as_ref().is_some_and(|it| it.pace.is_some() && !it.todo.is_empty());
        if is_paced { now.plus_ms(LOOK_MS) } else { MonoNanos::NEVER }
    }
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
        // What is over at once may have been a step of a few partitions, which freed nothing. With the log full, nothing comes
        // in that would bring another turn: all of them are begun in this one.
        for _few_then_all in 0..2 {
            self.begin_step();
            self.release_partitions(effects);
            if self.reclaim.releasing.is_some() || self.commit.short_of_files().is_none() {
                break;
            }
        }
        self.checkpoint_if_due(effects);
    }

    /// Something has happened to a partition that may end its release.
    pub(super) fn touch(&mut self, slot: u32) {
        if self.reclaim.releasing.is_some() {
            self.reclaim.touched.push(slot);
        }
    }

    fn begin_step(&mut self) {
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
        let Some(FileAge(current)) = self.commit.current_age() else { return };
        if short.is_none() && !self.reclaim.sweep.is_due(current) {
            return;
        }
        let needs = self.needs_of_partitions();
        let releasing = if let Some(FileAge(age)) = short {
            let todo = needs.iter().filter(|(_, oldest)| oldest.is_some_and(|oldest| oldest <= age));
            let todo = todo.map(|(slot, _)| *slot).collect();
            Releasing { age, todo, running: BTreeSet::new(), pace: None, worth: 1 }
        } else {
            let file_bytes = self.commit.file_bytes();
            let usable = self.commit.usable_files() as u64;
            let step = self.reclaim.sweep.step(&needs, Files { current, file_bytes, usable });
            let span = step.files * file_bytes / 4 * 3;
            let (from, began, partitions) = (self.commit.head(), self.mono, step.slots.len() as u64);
            let pace = Some(Pace { partitions, from, span, began });
            Releasing { age: step.age, todo: step.slots, running: BTreeSet::new(), pace, worth: step.worth }
        };
        self.reclaim.touched.clear();
        self.reclaim.releasing = Some(releasing);
    }

    fn release_partitions(&mut self, effects: &mut Vec<Effect>) {
        let Some(mut step) = self.reclaim.releasing.take() else { return };
        // Partitions may have been dropped since the step began: nothing is written to those any more.
        let needs = |shard: &Shard, slot: u32| {
            let serving = shard.partitions.get(slot).filter(|_| shard.partitions.is_serving(slot));
            let oldest = serving.and_then(|partition| partition.log.needs_commit_file());
            oldest.is_some_and(|oldest| oldest <= step.age)
        };
        for slot in std::mem::take(&mut self.reclaim.touched) {
            if !needs(self, slot) {
                step.running.remove(&slot);
            }
        }
        let allowed = match &step.pace {
            Some(pace) => {
                let left = pace.allowed(self.commit.head(), self.mono) + step.todo.len();
                left.saturating_sub(usize::try_from(pace.partitions).expect("a shard has fewer"))
            }
            None => usize::MAX,
        };
        let mut begun = 0;
        while begun < allowed
            && step.running.len() < WRITING_MAX + self.reclaim.syncs.len().min(WAITING_MAX)
            && let Some(slot) = step.todo.pop_front()
        {
            begun += 1;
            if needs(self, slot) {
                let limits = self.limits;
                self.with_log_and_memory(slot, effects, |log, allocate, out| {
                    log.release(&limits, allocate, out)
                });
            }
            if needs(self, slot) {
                step.running.insert(slot);
            }
        }
        if step.running.is_empty() && step.todo.is_empty() {
            let needed = self.needs_of_partitions().into_iter().filter_map(|(_, oldest)| oldest).min();
            let freeable = self.commit.freeable(needed.map(FileAge));
            self.reclaim.freeable = freeable.filter(|(_, files)| *files >= step.worth).map(|(age, _)| age);
        } else {
            self.reclaim.releasing = Some(step);
            // What was logged again waits for the next group.
            self.write_commit_group(effects);
        }
    }

    /// The oldest file that each partition needs, by slot.
    fn needs_of_partitions(&self) -> Vec<(u32, Option<u64>)> {
        let of = |slot| Some((slot, self.partitions.get(slot)?.log.needs_commit_file()));
        self.partitions.slots().into_iter().filter_map(of).collect()
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
        let is_joined =
            self.stop == Stop::Running
                && self.reclaim.syncs.len() < WAITING_MAX
                && self.reclaim.releasing.as_ref().is_some_and(|step| {
                    step.running.len() > self.reclaim.syncs.len() || !step.todo.is_empty()
                });
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
        self.reclaim.checkpoint = Checkpointing::None;
    }

    /// A full disk refused the checkpoint: the files stay in use; try again at the next turn.
    pub(super) fn reclaim_refused(&mut self, age: Option<u64>) {
        self.reclaim.freeable = self.reclaim.freeable.max(age.map(FileAge));
        self.reclaim.checkpoint = Checkpointing::None;
    }

    fn checkpoint_if_due(&mut self, effects: &mut Vec<Effect>) {
        let is_wanted = self.reclaim.freeable.is_some()
            || self.trims.want_checkpoint()
            || self.retention.wants_checkpoint()
            || self.compaction.wants_checkpoint()
            || self.reclaim.direct_bytes >= DIRECT_BYTES_PER_CHECKPOINT;
        if is_wanted && self.reclaim.checkpoint == Checkpointing::None {
            self.write_checkpoint(effects);
        }
    }

    fn write_checkpoint(&mut self, effects: &mut Vec<Effect>) {
        let age = self.reclaim.freeable.take();
        let replay_from = age.map_or(self.commit.replay_from(), |age| self.commit.replay_from_after(age));
        self.reclaim.checkpoint = if age.is_some() { Checkpointing::Freeing } else { Checkpointing::Keeping };
        self.reclaim.direct_bytes = 0;
        self.trims.begin();
        self.cover_starts();
        self.cover_finished();
        let bytes = self.checkpoint(replay_from, false);
        let age = age.map(|age| age.0);
        self.issue(IoContext::Checkpoint { age }, IoOp::WriteCheckpoint { bytes }, effects);
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
