//! Shards that get no turn but after what comes in, as the runtime gives them.

use ringmain::base::ShardId;
use ringmain::base::io::IoOp;

use super::World;
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
                let prompt =
                    |op: &IoOp| matches!(op, IoOp::WriteCommit { .. } | IoOp::CreateCommitFile { .. });
                let first = self.under_way.iter().position(|(_, _, op)| segments_lag && prompt(op));
                let any = self.rng.below(self.under_way.len().max(1) as u64);
                let at = first.unwrap_or_else(|| usize::try_from(any).unwrap());
                if at < self.under_way.len() {
                    self.finish(at, Fault::None);
                }
            }
            for shard in std::mem::take(&mut self.given) {
                self.turn_of(usize::from(shard.0));
            }
            if self.has_failed {
                return;
            }
            let forgotten = (0..).map(ShardId).zip(&self.shards).find(|(at, shard)| {
                let works = self.under_way.iter().any(|(by, ..)| by == at);
                shard.gauges().commit_pending_bytes > 0 && !works
            });
            assert!(forgotten.is_none(), "appends wait for nothing\n{:#?}", self.last_events);
        }
    }
}
