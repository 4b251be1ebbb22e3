//! Shards that get no turn but after what comes in, as the runtime gives them.

use ringmain::base::io::IoOp;

use super::{Asked, PATIENCE, World};
use crate::disk::Fault;

/// Enough to fill each shard's commit log several times.
const STEPS: usize = 10_000;
const TOPICS: usize = 25;
/// Longer than whatever a shard tries again after a full disk.
const PAUSE_MS: u64 = 1000;

impl World {
    /// Many partitions, whose segments are written so slowly that the commit log is full again and again.
    pub fn fill_the_commit_log_again_and_again(mut self) {
        self.begin_life();
        (0..TOPICS).for_each(|_| self.create_topic());
        self.calm_down();
        self.go_on_without_time(STEPS, true);
        self.begin_life();
    }

    /// Work goes on and every operation ends well, but time stands still: what waits must be brought on by what ends, not by
    /// a timer that happens to come. Where segments lag, their operations end when nothing else is under way.
    pub(super) fn go_on_without_time(&mut self, steps: usize, segments_lag: bool) {
        self.now.mono = self.now.mono.plus_ms(PAUSE_MS);
        self.machine.shard_ids().for_each(|at| self.turn_of(at));
        for _ in 0..steps {
            if self.chance(60) {
                self.produce();
            } else {
                self.finish_next(segments_lag);
            }
            self.take_turns();
        }
        let mut left = PATIENCE;
        while !self.machine.under_way().is_empty() && !self.machine.has_failed() {
            self.finish_next(segments_lag);
            self.take_turns();
            left -= 1;
            assert!(left > 0, "never done\n{:#?}", self.last_events);
        }
        if !self.machine.has_failed() {
            self.check_quiet();
        }
        let waits = self.asked.values().find(|it| matches!(it, Asked::Produce { .. }));
        assert!(
            waits.is_none() || self.machine.has_failed(),
            "never answered: {waits:?}\n{:#?}",
            self.last_events
        );
    }

    fn finish_next(&mut self, segments_lag: bool) {
        if self.machine.under_way().is_empty() || self.machine.has_failed() {
            return;
        }
        let is_prompt = |op: &IoOp| matches!(op, IoOp::WriteCommit { .. } | IoOp::CreateCommitFile { .. });
        let mut under_way = self.machine.under_way().iter();
        let prompt = under_way.position(|it| segments_lag && is_prompt(&it.op));
        let any = self.any_under_way();
        self.finish(prompt.unwrap_or(any), Fault::None);
    }

    fn take_turns(&mut self) {
        for shard in self.machine.take_given() {
            self.turn_of(shard);
        }
        let forgotten = self.waits_without(|_| true);
        assert!(!forgotten || self.machine.has_failed(), "appends wait for nothing\n{:#?}", self.last_events);
    }
}
