//! How long operations on a disk take.

use ringmain::base::io::IoOp;

use crate::queue::{Instant, Span};
use ringmain::base::rng::Rng;

/// A disk's pace, which a nemesis may change.
#[derive(Clone, Debug)]
pub struct DiskTimes {
    /// 1 is usual.
    pub slowness: u64,
    /// Nothing that begins before ends before.
    pub stalled_until: Instant,
}

impl Default for DiskTimes {
    fn default() -> DiskTimes {
        DiskTimes { slowness: 1, stalled_until: Instant(0) }
    }
}

impl DiskTimes {
    /// When an operation that begins now ends.
    pub fn end(&self, now: Instant, op: &IoOp, rng: &mut Rng) -> Instant {
        let (least, varies) = usual_micros(op);
        let micros = (least + rng.below(varies)) * self.slowness;
        now.max(self.stalled_until).plus(Span::micros(micros))
    }
}

/// The least time, and by how much it varies.
fn usual_micros(op: &IoOp) -> (u64, u64) {
    match op {
        IoOp::WriteCommit { .. } => (80, 400),
        IoOp::WriteSegment { durable: true, .. } => (100, 500),
        IoOp::WriteSegment { .. } | IoOp::WriteMarks { .. } => (30, 300),
        IoOp::ReadSegment { .. } | IoOp::ReadIndex { .. } => (60, 300),
        IoOp::SyncSegment { .. } | IoOp::SealSegment { .. } | IoOp::SyncCleaned { .. } => (400, 3_000),
        IoOp::SyncAll => (1_000, 8_000),
        IoOp::WriteCheckpoint { .. } => (800, 3_000),
        IoOp::CreateSegment { .. } | IoOp::Allocate { .. } => (100, 1_500),
        IoOp::CreateCommitFile { .. } => (5_000, 50_000),
        IoOp::DeleteSegment { .. }
        | IoOp::DeleteSpare { .. }
        | IoOp::SpareSegment { .. }
        | IoOp::DeletePartition { .. } => (500, 20_000),
        _ => (1_000, 40_000),
    }
}
