//! A segment that is complete: synced, cut to its exact length, never written again.

use crate::base::io::SegmentId;
use crate::base::{Offset, TimestampMs};
use crate::log::index::SparseIndex;
use crate::log::tail::Tail;

use super::OpenSegment;

/// A finished segment.
#[derive(Debug)]
pub struct SealedSegment {
    pub id: SegmentId,
    pub size: u64,
    /// The largest timestamp, and the last offset of the batch that has it.
    pub max_timestamp: Option<(TimestampMs, Offset)>,
    /// What memory still holds of it.
    pub tail: Tail,
    /// Loaded when a reader needs it.
    pub index: Option<SparseIndex>,
}

impl SealedSegment {
    #[must_use]
    pub fn of(segment: OpenSegment) -> SealedSegment {
        SealedSegment {
            max_timestamp: segment.index.max_timestamp(segment.id.base),
            id: segment.id,
            size: segment.size,
            tail: segment.tail,
            index: None,
        }
    }
}
