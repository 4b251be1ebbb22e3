//! What a shard can be asked, and what it answers: small owned values that cross the mesh or, when the asking
//! connection lives on the owning shard, are passed by call.
//!
//! One message per (request, shard), never per partition. Everything here is `Send`, except a [`ShardReply`] that still
//! names this shard's own memory; [`ShardReply::detach`] makes that one copy when it must leave.

use std::sync::Arc;

use bytes::Bytes;

use crate::base::{
    LeaderEpoch, Offset, Payload, ProducerEpoch, ProducerId, Question, ServerId, ShardId, TimestampMs,
    TopicPartition,
};
use crate::controller::{ControllerReply, ControllerRequest, Join, RegisterError};
use crate::group::{GroupError, GroupReply, GroupRequest, ListedGroup};
use crate::pick;
use crate::record::{BatchError, Inside};

use super::offsets::{EpochEnd, EpochEndPartition, ListOffsetsPartition, ListedOffset};

/// Names a question: who asked, and the asker's own number for it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RequestId {
    pub origin: ShardId,
    pub number: u64,
}

#[derive(Clone, Debug)]
pub enum ShardRequest {
    Produce(ProduceRequest),
    Fetch(FetchRequest),
    /// A long-polling fetch this id asked for should answer at once with what there is: its siblings on other shards
    /// have enough. No answer of its own; unknown ids are ignored (the answer is already under way).
    FetchNow(RequestId),
    ListOffsets(Vec<ListOffsetsPartition>),
    OffsetForLeaderEpoch(Vec<EpochEndPartition>),
    DeleteRecords(Vec<DeleteRecordsPartition>),
    DescribePartitions(Vec<TopicPartition>),
    /// Questions to coordinators of this shard.
    Groups(Vec<GroupCall>),
    ListGroups,
    /// Shard 0 only.
    Controller(ControllerRequest),
    /// Shard 0 only: a data directory that belongs to no cluster yet asks for a server id.
    Join(Join),
}

/// A question to a shard, answered with `A`.
pub type ShardQuestion<A> = Question<ShardRequest, ShardReply, A>;

/// What is asked of a shard, with the kind of its answer. Lists are answered in their order.
impl ShardRequest {
    #[must_use]
    pub fn produce(request: ProduceRequest) -> ShardQuestion<Vec<ProduceResult>> {
        Question::new(ShardRequest::Produce(request), pick!(ShardReply::Produce))
    }

    #[must_use]
    pub fn fetch(request: FetchRequest) -> ShardQuestion<Vec<FetchResult>> {
        Question::new(ShardRequest::Fetch(request), pick!(ShardReply::Fetch))
    }

    #[must_use]
    pub fn list_offsets(partitions: Vec<ListOffsetsPartition>) -> ShardQuestion<Each<ListedOffset>> {
        Question::new(ShardRequest::ListOffsets(partitions), pick!(ShardReply::ListOffsets))
    }

    #[must_use]
    pub fn offset_for_leader_epoch(partitions: Vec<EpochEndPartition>) -> ShardQuestion<Each<EpochEnd>> {
        Question::new(ShardRequest::OffsetForLeaderEpoch(partitions), pick!(ShardReply::OffsetForLeaderEpoch))
    }

    /// Answered with each partition's log start.
    #[must_use]
    pub fn delete_records(partitions: Vec<DeleteRecordsPartition>) -> ShardQuestion<Each<Offset>> {
        Question::new(ShardRequest::DeleteRecords(partitions), pick!(ShardReply::DeleteRecords))
    }

    #[must_use]
    pub fn describe_partitions(partitions: Vec<TopicPartition>) -> ShardQuestion<Each<PartitionFacts>> {
        Question::new(ShardRequest::DescribePartitions(partitions), pick!(ShardReply::DescribePartitions))
    }

    #[must_use]
    pub fn groups(calls: Vec<GroupCall>) -> ShardQuestion<Vec<GroupReply>> {
        Question::new(ShardRequest::Groups(calls), pick!(ShardReply::Groups))
    }

    #[must_use]
    pub fn list_groups() -> ShardQuestion<Result<Vec<ListedGroup>, GroupError>> {
        Question::new(ShardRequest::ListGroups, pick!(ShardReply::ListGroups))
    }

    #[must_use]
    pub fn controller(request: ControllerRequest) -> ShardQuestion<ControllerReply> {
        Question::new(ShardRequest::Controller(request), pick!(ShardReply::Controller))
    }
}

/// One outcome for each partition that was asked about.
type Each<A> = Vec<Result<A, PartitionError>>;

/// `P` is [`Payload`] on the shard that owns the memory and [`Bytes`] in a mailbox.
#[derive(Clone, Debug)]
pub enum ShardReply<P = Payload> {
    /// In the order of the request's partitions.
    Produce(Vec<ProduceResult>),
    /// In the order they were looked at, without those the asker knows all about.
    Fetch(Vec<FetchResult<P>>),
    ListOffsets(Vec<Result<ListedOffset, PartitionError>>),
    OffsetForLeaderEpoch(Vec<Result<EpochEnd, PartitionError>>),
    /// Each partition's log start, in the order of the request.
    DeleteRecords(Vec<Result<Offset, PartitionError>>),
    /// In the order of the request's partitions.
    DescribePartitions(Vec<Result<PartitionFacts, PartitionError>>),
    /// In the order of the request's questions.
    Groups(Vec<GroupReply>),
    ListGroups(Result<Vec<ListedGroup>, GroupError>),
    Controller(ControllerReply),
    Join(Result<ServerId, RegisterError>),
}

impl ShardReply<Payload> {
    /// The reply in a form that may cross shards; the number of payload bytes this copied comes with it.
    #[must_use]
    pub fn detach(self) -> (ShardReply<Bytes>, u64) {
        let mut copied = 0;
        let reply = match self {
            ShardReply::Produce(results) => ShardReply::Produce(results),
            ShardReply::Fetch(results) => ShardReply::Fetch(
                results
                    .into_iter()
                    .map(|result| {
                        result.map_records(|payload| {
                            if let Payload::Chunk(slice) = payload {
                                copied += slice.len() as u64;
                            }
                            payload.detach()
                        })
                    })
                    .collect(),
            ),
            ShardReply::ListOffsets(results) => ShardReply::ListOffsets(results),
            ShardReply::OffsetForLeaderEpoch(results) => ShardReply::OffsetForLeaderEpoch(results),
            ShardReply::DeleteRecords(results) => ShardReply::DeleteRecords(results),
            ShardReply::DescribePartitions(results) => ShardReply::DescribePartitions(results),
            ShardReply::Groups(replies) => ShardReply::Groups(replies),
            ShardReply::ListGroups(listed) => ShardReply::ListGroups(listed),
            ShardReply::Controller(reply) => ShardReply::Controller(reply),
            ShardReply::Join(given) => ShardReply::Join(given),
        };
        (reply, copied)
    }
}

impl ShardReply<Bytes> {
    /// The reply as the asking connection uses it.
    #[must_use]
    pub fn attach(self) -> ShardReply<Payload> {
        match self {
            ShardReply::Produce(results) => ShardReply::Produce(results),
            ShardReply::Fetch(results) => ShardReply::Fetch(
                results
                    .into_iter()
                    .map(|result| result.map_records(|bytes| Payload::Bytes(bytes.clone())))
                    .collect(),
            ),
            ShardReply::ListOffsets(results) => ShardReply::ListOffsets(results),
            ShardReply::OffsetForLeaderEpoch(results) => ShardReply::OffsetForLeaderEpoch(results),
            ShardReply::DeleteRecords(results) => ShardReply::DeleteRecords(results),
            ShardReply::DescribePartitions(results) => ShardReply::DescribePartitions(results),
            ShardReply::Groups(replies) => ShardReply::Groups(replies),
            ShardReply::ListGroups(listed) => ShardReply::ListGroups(listed),
            ShardReply::Controller(reply) => ShardReply::Controller(reply),
            ShardReply::Join(given) => ShardReply::Join(given),
        }
    }
}

/// What administrators want to know of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionFacts {
    /// Size of all segments of the partition.
    pub size_bytes: u64,
    pub producers: Vec<ProducerFacts>,
}

/// An idempotent producer a partition remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerFacts {
    pub id: ProducerId,
    pub epoch: ProducerEpoch,
    /// -1 when it has written nothing yet.
    pub last_sequence: i32,
    pub last_timestamp: TimestampMs,
}

/// A question to the coordinator of a group, which lives on the shard that owns a partition of `__consumer_offsets`.
#[derive(Clone, Debug)]
pub struct GroupCall {
    pub partition: TopicPartition,
    pub request: GroupRequest,
}

/// Why a partition could not do what was asked. The api layer maps each to one Kafka error code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartitionError {
    #[error("this shard has no such partition")]
    NotHere,
    #[error("offset {requested} is outside {log_start}..{log_end}")]
    OffsetOutOfRange { requested: Offset, log_start: Offset, log_end: Offset },
    #[error("leader epoch {requested} is older than the current {current}")]
    FencedLeaderEpoch { requested: LeaderEpoch, current: LeaderEpoch },
    #[error("leader epoch {requested} is newer than the current {current}")]
    UnknownLeaderEpoch { requested: LeaderEpoch, current: LeaderEpoch },
    #[error("the batch was refused: {0}")]
    Batch(#[from] BatchError),
    #[error("producer {producer}: sequence {received} does not follow {expected}")]
    OutOfOrderSequence { producer: ProducerId, expected: i32, received: i32 },
    #[error("producer {producer}: epoch {received} is older than {current}")]
    InvalidProducerEpoch { producer: ProducerId, current: ProducerEpoch, received: ProducerEpoch },
    #[error("this server does not lead the partition")]
    NotLeader,
    #[error("too few replicas are in sync for what the topic demands")]
    NotEnoughReplicas,
    #[error("the batch is in the leader's log, and too few replicas are in sync to say that it stays")]
    NotEnoughReplicasAfterAppend,
    #[error("the replicas in sync have not answered in time")]
    TimedOut,
    #[error("the leader does not know yet how far its log is in sync")]
    NotSettled,
    #[error("the log directory is out of space")]
    DiskFull,
    #[error("the log directory has failed and accepts nothing more")]
    StorageFailed,
    #[error("bytes on disk at offset {offset} do not match their checksum")]
    Corrupt { offset: Offset },
    #[error("the lookup {timestamp} needs a newer request version or a remote log")]
    UnsupportedLookup { timestamp: i64 },
}

#[derive(Clone, Debug)]
pub struct ProduceRequest {
    pub partitions: Vec<ProducePartition>,
    /// zstd is refused below Produce v7.
    pub zstd_allowed: bool,
    pub acks: Acks,
    /// Longest wait for the in-sync replicas; what is not known then is answered with an error.
    pub timeout_ms: u32,
}

/// When an append is answered: Kafka's `acks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// 0: nobody waits. The answer is given at append all the same, so that errors can close the connection.
    None,
    /// 1: the batch is durable at the leader.
    Leader,
    /// -1: the batch is durable at every replica in sync.
    All,
}

#[derive(Clone, Debug)]
pub struct ProducePartition {
    pub partition: TopicPartition,
    /// Exactly one record batch, as it arrived or compressed anew. As it arrived, it is a slice of the connection's frame:
    /// moving it copies nothing.
    pub records: Bytes,
    /// What the connection's shard has found in it.
    pub inside: Inside,
}

/// Outcome of one partition's append: `Ok` once the batch is as durable as its topic demands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProduceResult {
    pub partition: TopicPartition,
    pub outcome: Result<Appended, PartitionError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    pub base_offset: Offset,
    /// [`TimestampMs::NONE`] unless the topic stamps at append.
    pub log_append_time: TimestampMs,
    pub log_start: Offset,
}

#[derive(Clone, Debug)]
pub struct FetchRequest {
    /// Shared with the session that asks: most of it is the same every time.
    pub partitions: Arc<Vec<FetchPartition>>,
    /// The partition that is looked at first; they take turns, for `bytes_max` may not do for all.
    pub first: usize,
    /// Longest wait for `bytes_min`, 0 = answer at once.
    pub wait_ms_max: u32,
    pub bytes_min: u32,
    /// Soft: the first batch of the first non-empty partition is returned whole even when larger.
    pub bytes_max: u32,
    pub read_committed: bool,
    pub by: FetchedBy,
}

/// Who fetches, and sees how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchedBy {
    /// A client: of what this server leads, up to the high watermark.
    Client,
    /// A state machine that lives on the partition: up to what is visible and durable here.
    Seat,
    /// A follower, through its lane: everything.
    Follower,
}

#[derive(Clone, Copy, Debug)]
pub struct FetchPartition {
    pub partition: TopicPartition,
    pub offset: Offset,
    /// -1 = unknown: not checked.
    pub current_leader_epoch: LeaderEpoch,
    /// -1 = unknown: divergence not checked.
    pub last_fetched_epoch: LeaderEpoch,
    pub bytes_max: u32,
    pub known: Known,
}

/// What the asker was told of a partition before. One that has no records for it and is still as it was is left out of
/// the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    pub high_watermark: Offset,
    pub log_start: Offset,
}

impl Known {
    /// Nothing: the partition is always in the reply.
    pub const NOTHING: Known = Known { high_watermark: Offset(-1), log_start: Offset(-1) };
}

#[derive(Clone, Debug)]
pub struct FetchResult<P = Payload> {
    /// Which of the request's partitions.
    pub index: u32,
    pub outcome: Result<Fetched<P>, PartitionError>,
}

impl<P> FetchResult<P> {
    fn map_records<Q>(self, convert: impl FnMut(&P) -> Q) -> FetchResult<Q> {
        FetchResult {
            index: self.index,
            outcome: self.outcome.map(|fetched| Fetched {
                high_watermark: fetched.high_watermark,
                last_stable_offset: fetched.last_stable_offset,
                log_start: fetched.log_start,
                diverging: fetched.diverging,
                records: fetched.records.iter().map(convert).collect(),
            }),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Fetched<P = Payload> {
    pub high_watermark: Offset,
    pub last_stable_offset: Offset,
    pub log_start: Offset,
    /// The largest epoch and its end at which this log and the fetcher's still agree, when they have diverged.
    pub diverging: Option<EpochEnd>,
    /// Whole batches back to back, possibly cut over several pieces.
    pub records: Vec<P>,
}

impl<P: std::ops::Deref<Target = [u8]>> Fetched<P> {
    #[must_use]
    pub fn records_bytes(&self) -> usize {
        self.records.iter().map(|piece| piece.len()).sum()
    }
}

#[derive(Clone, Copy, Debug)]
pub struct DeleteRecordsPartition {
    pub partition: TopicPartition,
    /// `None` = the high watermark.
    pub before: Option<Offset>,
}

/// The cluster's state as of one metadata version, shared read-only by every shard.
pub type Image = Arc<crate::controller::MetadataImage>;
