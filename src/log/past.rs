//! Segments that a log has left behind: the file of one, and how fast they were filled.

use crate::base::MonoNanos;
use crate::base::io::SegmentId;

/// A segment that is not part of its log any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PastSegment {
    pub segment: SegmentId,
    /// Length of its file.
    pub bytes: u64,
}

/// How fast segments are filled.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Filling {
    /// When the last segment was full.
    full_at: Option<MonoNanos>,
    /// How long the last segment took to fill, in nanoseconds; known if the one before was rolled because it was full.
    took: Option<u64>,
}

impl Filling {
    /// A segment is full.
    pub(super) fn filled(&mut self, now: MonoNanos) {
        self.took = self.full_at.map(|before| now.since(before));
        self.full_at = Some(now);
    }

    pub(super) fn is_within(&self, now: MonoNanos, ms: u64) -> bool {
        let nanos = ms.saturating_mul(1_000_000);
        let lately = self.full_at.is_some_and(|at| now.since(at) <= nanos);
        lately && self.took.is_some_and(|took| took <= nanos)
    }
}
