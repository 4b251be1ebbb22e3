//! Streams: one partition on one lane, from its leader to one follower.
//!
//! A stream has a number that its follower gives; a lane never uses one twice, so that what is still on its way for a stream that
//! is over is told from what belongs to the next stream of the partition.

use crate::base::{LeaderEpoch, LogEnd, Offset, StreamNumber, TopicPartition};

/// A follower asks for a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenStream {
    pub stream: StreamNumber,
    pub partition: TopicPartition,
    /// The epoch that the follower's image gives the leader.
    pub leader_epoch: LeaderEpoch,
    /// Where the follower's log ends.
    pub log_end: LogEnd,
    pub flushed: Offset,
    pub log_start: Offset,
}

/// The leader's answer to one [`OpenStream`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenedStream {
    pub stream: StreamNumber,
    pub outcome: OpenOutcome,
    /// The leader's, with [`OpenOutcome::Begin`] and [`OpenOutcome::From`]; means nothing with the others.
    pub high_watermark: Offset,
    /// The leader's, with [`OpenOutcome::Begin`] and [`OpenOutcome::From`]; means nothing with the others.
    pub log_start: Offset,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenOutcome {
    /// The epoch asked with is over: wait for the image.
    Fenced { current: LeaderEpoch },
    /// The leader's image does not know the epoch, the partition or the follower's incarnation yet: ask again.
    NotYet,
    /// Not the leader, or the follower is no replica: wait for the image.
    Refused,
    /// The follower's log has nothing to go on from: begin an empty one here.
    Begin {
        at: Offset,
        /// The epoch of the last record before `at`, -1 if there never was one: without it an empty log would look as if it had
        /// nothing behind it.
        epoch_before: LeaderEpoch,
    },
    /// The logs part: the leader's newest epoch that is not above the follower's last one, and where that ends.
    Diverging { epoch: LeaderEpoch, end: Offset },
    /// The logs agree; runs begin here, at the follower's log end.
    From { next: Offset },
    /// The leader's metadata log begins later: a snapshot comes first.
    Snapshot { offset: Offset, epoch: LeaderEpoch },
}

/// A run on a stream, or news of the stream without one: whole batches of one epoch, back to back.
///
/// A part without bytes tells the high watermark and the log's start; its `end` is its `base` unless it tells of a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    pub stream: StreamNumber,
    /// How much of the payload is this run.
    pub bytes: u32,
    /// The base offset of the first batch: where the follower's log ends, or beyond that across a gap.
    pub base: Offset,
    /// Where the follower's log ends with the run.
    pub end: Offset,
    pub epoch: LeaderEpoch,
    pub gap: Gap,
    pub high_watermark: Offset,
    pub log_start: Offset,
}

/// Whether offsets may be missing before, between and behind a run's batches.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Gap {
    None,
    /// Compaction has removed them.
    Compacted,
    /// The leader's copy is damaged: they are lost there, and the follower notes the range as damaged and goes on.
    Damaged,
}

/// What a follower has, for all streams of the lane that have news.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    pub acked: Vec<Acked>,
    /// Payload bytes that were flushed or dropped since the last ack: so many more may be sent.
    pub credit: u32,
}

/// What a follower has of one stream's partition. Ends are cumulative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acked {
    pub stream: StreamNumber,
    pub log_end: Offset,
    pub flushed: Offset,
    pub log_start: Offset,
    /// A consumer waits at the follower: a new high watermark is to be told at once.
    pub wants_high_watermark: bool,
    /// What was sent last failed the follower's checks: the leader's copy of it is damaged.
    pub damaged: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClosedStream {
    pub stream: StreamNumber,
    pub reason: CloseReason,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum CloseReason {
    /// A run did not fit the log or its own header.
    Mismatch,
    /// The follower's disk takes nothing more.
    NoRoom,
    /// The partition is gone, or the follower is no replica any more.
    Gone,
    /// A new leader epoch.
    Epoch,
    /// The sender of the close leads no more.
    NotLeader,
    /// The follower's server was removed from the cluster.
    Removed,
}

/// A piece of a snapshot of the metadata, in the order of `position`; the payload holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotPart {
    pub stream: StreamNumber,
    /// The snapshot stands for everything before this offset.
    pub offset: Offset,
    /// The epoch of the last record before `offset`.
    pub epoch: LeaderEpoch,
    /// Where in the snapshot's file the piece lies.
    pub position: u64,
    /// The length of the snapshot's file.
    pub total: u64,
    pub is_last: bool,
}
