//! Questions about the offsets and epochs of a partition, and what a shard answers to them.

use crate::base::{LeaderEpoch, Offset, TimestampMs, TopicPartition};

#[derive(Clone, Copy, Debug)]
pub struct ListOffsetsPartition {
    pub partition: TopicPartition,
    pub current_leader_epoch: LeaderEpoch,
    pub lookup: OffsetLookup,
    pub read_committed: bool,
}

/// What ListOffsets' special timestamps mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetLookup {
    /// -1: the high watermark (or last stable offset).
    Latest,
    /// -2: the log start offset.
    Earliest,
    /// -3: the record with the largest timestamp.
    MaxTimestamp,
    /// -4: the earliest offset held locally; without remote storage the log start offset.
    EarliestLocal,
    /// -5: the latest offset in remote storage; without one there is none.
    LatestTiered,
    /// -6: the earliest offset waiting for upload; without remote storage there is none.
    EarliestPendingUpload,
    /// The first record at or after this time.
    AtOrAfter(TimestampMs),
}

/// Offset -1 and timestamp -1 when no record answers the lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedOffset {
    pub offset: Offset,
    pub timestamp: TimestampMs,
    pub leader_epoch: LeaderEpoch,
}

#[derive(Clone, Copy, Debug)]
pub struct EpochEndPartition {
    pub partition: TopicPartition,
    pub current_leader_epoch: LeaderEpoch,
    pub epoch: LeaderEpoch,
}

/// The largest epoch not above the asked one, and where it ends; both -1 when unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    pub epoch: LeaderEpoch,
    pub end: Offset,
}
