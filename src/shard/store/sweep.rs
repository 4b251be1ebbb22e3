//! Whose turn it is to be released. A hand goes round the partitions, a part of the circle for every file or two that is
//! begun, so that each is released once in a circle and the disk sees the same work all the time.
//!
//! A circle takes as many files as make a release worth its while: whatever it brings, it costs a write, a share of a sync,
//! and the rest of a block that is logged again. The fewer partitions are written to, the smaller the circle, and with it
//! the commit log that a start after a crash must read.

use std::collections::VecDeque;

/// What is logged of a partition between two releases, on average. Each dirties an inode and a block of extents, which the
/// next sync writes, 4 KiB each: with 1,024 partitions and 256 KiB these were a quarter of all that the disk was asked to do,
/// and it took a tenth less in all than with 1 MiB. With 10,000 partitions and 7 KiB the commit log took 1.6 times what was
/// produced, with 100 KiB 1.05 times.
const RELEASE_BYTES: u64 = 1024 * 1024;
/// The commit files that the smallest circle takes.
const CIRCLE_FILES_MIN: u64 = 2;
/// The hand goes round a circle in about this many steps, each with a sync of its own. A circle of fewer files has a step
/// for each file.
const STEPS: u64 = 6;
/// A checkpoint is worth writing when it frees the files of a circle divided by this.
const CHECKPOINTS: u64 = 4;

#[derive(Debug, Default)]
pub(super) struct Sweep {
    /// The slot from which the next step goes on.
    hand: u32,
    /// The serial of the file that was being filled when the last step began.
    stepped_at: u64,
    /// The next step begins when the file of this serial is being filled.
    due_at: u64,
}

/// How far the commit log extends, as much of it as matters here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    /// The serial of the file being filled.
    pub(super) current: u64,
    pub(super) file_bytes: u64,
    /// How many may be in use before anything has to wait.
    pub(super) usable: u64,
}

/// Partitions to be released: those that need files up to `serial`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) serial: u64,
    pub(super) slots: VecDeque<u32>,
    /// Files that are filled from this step to the next.
    pub(super) files: u64,
    /// A checkpoint is worth writing when it frees this many files.
    pub(super) worth: usize,
}

impl Sweep {
    /// Whether it is time for a step, now that the file `current` is being filled.
    pub(super) fn is_due(&self, current: u64) -> bool {
        current >= self.due_at
    }

    /// The next step. `needs` lists the slots in ascending order, with the oldest file each needs.
    ///
    /// The hand passes over a partition that needs only files of the last half circle: the next round releases it. So no
    /// partition ever needs a file that is older than a circle and a half.
    pub(super) fn step(&mut self, needs: &[(u32, Option<u64>)], log: Extent) -> Step {
        let in_need = needs.iter().filter(|(_, oldest)| oldest.is_some()).count() as u64;
        // In use are a circle and a half, a quarter that awaits its checkpoint, the file being filled and one to spare.
        let longest = (log.usable.saturating_sub(3) * 4 / 7).max(CIRCLE_FILES_MIN);
        let circle = (in_need * RELEASE_BYTES).div_ceil(log.file_bytes).clamp(CIRCLE_FILES_MIN, longest);
        let begun = log.current - self.stepped_at;
        let ahead = (circle / STEPS).max(1);
        (self.stepped_at, self.due_at) = (log.current, log.current + ahead);
        let worth = usize::try_from(circle / CHECKPOINTS).expect("files are few").max(1);
        let mut step = Step { serial: 0, slots: VecDeque::new(), files: ahead, worth };
        let Some(serial) = log.current.checked_sub(circle / 2) else { return step };
        step.serial = serial;
        let visited = (needs.len() as u64 * begun).div_ceil(circle).min(needs.len() as u64);
        let visited = usize::try_from(visited).expect("no more than there are");
        let first = needs.partition_point(|(slot, _)| *slot < self.hand);
        let round = needs.iter().cycle().skip(first);
        for (slot, oldest) in round.take(visited) {
            self.hand = slot + 1;
            if oldest.is_some_and(|oldest| oldest <= serial) {
                step.slots.push_back(*slot);
            }
        }
        step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: Extent = Extent { current: 0, file_bytes: 32 << 20, usable: 31 };

    /// Every partition in `busy` logs something in each file. Returns the sizes of the steps, and how many files were ever
    /// needed at once.
    fn run(partitions: u32, busy: impl Fn(u32) -> bool, files: u64) -> (Vec<usize>, u64) {
        let mut sweep = Sweep::default();
        let mut needs: Vec<(u32, Option<u64>)> = (0..partitions).map(|slot| (slot * 3, None)).collect();
        let (mut steps, mut most) = (Vec::new(), 0);
        for current in 0..files {
            for (slot, oldest) in &mut needs {
                if busy(*slot / 3) {
                    oldest.get_or_insert(current);
                }
            }
            if sweep.is_due(current) {
                let step = sweep.step(&needs, Extent { current, ..LOG });
                for slot in &step.slots {
                    let released = &mut needs[*slot as usize / 3].1;
                    assert!(released.expect("it was in need") <= step.serial);
                    *released = Some(current);
                }
                steps.push(step.slots.len());
            }
            let oldest = needs.iter().filter_map(|(_, oldest)| *oldest).min().unwrap_or(current);
            most = most.max(current - oldest + 1);
            assert!(most + 1 + LOG.usable / 8 <= LOG.usable, "{most} in use");
        }
        (steps, most)
    }

    #[test]
    fn many_partitions_take_turns_evenly_and_leave_room_in_the_log() {
        let (steps, most) = run(5_000, |_| true, 200);
        let steady = &steps[30..];
        assert!(steady.iter().all(|step| (600..=800).contains(step)), "{steady:?}");
        assert!((15..=24).contains(&most), "{most}");
        run(100_000, |_| true, 200);
    }

    #[test]
    fn few_busy_partitions_keep_the_log_short() {
        let (_, most) = run(4, |_| true, 100);
        assert!(most <= 4, "{most}");
        let (steps, most) = run(5_000, |slot| slot == 4_321, 100);
        assert!(most <= 4, "{most}");
        assert!(steps.iter().sum::<usize>() >= 30, "{steps:?}");
    }

    #[test]
    fn whoever_is_due_is_released_though_there_are_hardly_any_files() {
        let mut sweep = Sweep::default();
        let log = Extent { current: 1, file_bytes: 2 << 20, usable: 2 };
        let step = sweep.step(&[(0, Some(0)), (1, Some(1)), (2, None)], log);
        assert_eq!(step, Step { serial: 0, slots: [0].into(), files: 1, worth: 1 });
        assert!(!sweep.is_due(1));
    }
}
