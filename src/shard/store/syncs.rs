//! Syncs of segments, gathered: partitions that have written what they had wait for each other.

use crate::base::io::IoOp;
use crate::log::{LogOp, Purpose};

/// Segments that wait for a sync, and those served by the one under way.
#[derive(Debug, Default)]
pub(super) struct Syncs {
    pub(super) waiting: Vec<WantedSync>,
    pub(super) under_way: Vec<WantedSync>,
}

#[derive(Debug)]
pub(super) struct WantedSync {
    pub(super) slot: u32,
    pub(super) purpose: Purpose,
    pub(super) op: IoOp,
}

impl Syncs {
    pub(super) fn want(&mut self, slot: u32, op: LogOp) {
        assert!(matches!(op.op, IoOp::SyncSegment { .. }), "only syncs are gathered");
        self.waiting.push(WantedSync { slot, purpose: op.purpose, op: op.op });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.under_way.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.under_way.len()
    }
}
