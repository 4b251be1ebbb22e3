//! A commit log that is full and cannot be freed.

use ringmain::base::ShardId;
use ringmain::base::io::IoOp;
use ringmain::shard::Shard;

use super::{Asked, PATIENCE, World};
use crate::disk::Fault;

impl World {
    /// Fills the commit log while no segment is synced, so that appends wait for a file that nobody can free; then stops.
    pub fn stop_with_the_commit_log_full(mut self) {
        self.begin_life();
        self.create_topic();
        let mut steps = 0;
        loop {
            self.produce();
            self.pass_time();
            self.machine.shard_ids().for_each(|at| self.turn_of(at));
            if self.waits_without(|op| !is_sync(op)) {
                break;
            }
            while let Some(at) = self.machine.under_way().iter().position(|it| !is_sync(&it.op)) {
                self.finish(at, Fault::None);
            }
            steps += 1;
            assert!(steps < PATIENCE, "never full");
        }
        self.stop();
        assert!(!self.machine.has_failed());
        let unanswered = self.asked.values().filter(|it| matches!(it, Asked::Produce { .. })).count();
        assert_eq!(unanswered, 0, "what was appended is durable");
        self.begin_life();
    }

    /// Whether appends wait for a shard's commit log while no operation that could let them go on is under way.
    pub(super) fn waits_without(&self, helps: impl Fn(&IoOp) -> bool) -> bool {
        let waits = |it: &Shard| it.gauges().commit_pending_bytes > 0;
        let works = |at: ShardId| self.machine.under_way().iter().any(|it| it.shard == at && helps(&it.op));
        (0..).map(ShardId).zip(self.machine.shards()).any(|(at, it)| waits(it) && !works(at))
    }
}

/// Without these no commit file is ever free again.
fn is_sync(op: &IoOp) -> bool {
    matches!(op, IoOp::SyncSegment { .. } | IoOp::SyncAll)
}
