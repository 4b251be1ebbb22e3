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
        (0..self.shards.len()).for_each(|at| self.turn_of(at));
        for _ in 0..steps {
            if self.chance(60) {
                self.produce();
            } else {
                self.finish_next(segments_lag);
            }
            self.take_turns();
        }
        let mut left = PATIENCE;
        while !self.under_way.is_empty() && !self.has_failed {
            self.finish_next(segments_lag);
            self.take_turns();
            left -= 1;
            assert!(left > 0, "never done\n{:#?}", self.last_events);
        }
        let waits = self.asked.values().find(|it| matches!(it, Asked::Produce { .. }));
        assert!(waits.is_none() || self.has_failed, "never answered: {waits:?}\n{:#?}", self.last_events);
    }

    fn finish_next(&mut self, segments_lag: bool) {
        if self.under_way.is_empty() || self.has_failed {
            return;
        }
        let is_prompt = |op: &IoOp| matches!(op, IoOp::WriteCommit { .. } | IoOp::CreateCommitFile { .. });
        let prompt = self.under_way.iter().position(|(_, _, op)| segments_lag && is_prompt(op));
        let any = self.rng.below(self.under_way.len() as u64);
        self.finish(prompt.unwrap_or_else(|| usize::try_from(any).unwrap()), Fault::None);
    }

    fn take_turns(&mut self) {
        for shard in std::mem::take(&mut self.given) {
            self.turn_of(usize::from(shard.0));
        }
        let forgotten = self.waits_without(|_| true);
        assert!(!forgotten || self.has_failed, "appends wait for nothing\n{:#?}", self.last_events);
    }
}
