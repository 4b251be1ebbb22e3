//! Ids, ends of logs and enums, as the schema has them.

use flatbuffers::{FlatBufferBuilder, UnionWIPOffset, WIPOffset};

use super::super::control::{Drain, ForwardOutcome, Wants};
use super::super::error::FrameError;
use super::super::generated as wire;
use super::super::handshake::{LaneKind, Refusal};
use super::super::lanes::{CloseReason, Gap};
use super::super::quorum::{Resigned, VoteKind};
use crate::base::{LeaderEpoch, LogEnd, Offset, PartitionIndex, ServerId, TopicId, TopicPartition};
use crate::base::{Voter, VoterId};

pub(super) type Builder<'b> = FlatBufferBuilder<'b>;

/// A message in a builder: what it is, and where.
pub(super) type Body = (wire::Body, WIPOffset<UnionWIPOffset>);

pub(super) fn to_uuid(bytes: [u8; 16]) -> wire::Uuid {
    let halves = u128::from_be_bytes(bytes);
    let most = u64::try_from(halves >> 64).expect("the upper 64 of 128 bits");
    let least = u64::try_from(halves & u128::from(u64::MAX)).expect("the lower 64 of 128 bits");
    wire::Uuid::new(most, least)
}

pub(super) fn uuid(id: &wire::Uuid) -> [u8; 16] {
    (u128::from(id.most()) << 64 | u128::from(id.least())).to_be_bytes()
}

pub(super) fn to_voter(voter: Voter) -> wire::Voter {
    wire::Voter::new(&to_uuid(voter.id.0), voter.server.0)
}

pub(super) fn voter(voter: &wire::Voter) -> Voter {
    Voter { server: ServerId(voter.server()), id: VoterId(uuid(voter.id())) }
}

pub(super) fn to_log_end(log: LogEnd) -> wire::LogEnd {
    wire::LogEnd::new(log.end.0, log.last_epoch.0)
}

pub(super) fn log_end(log: &wire::LogEnd) -> LogEnd {
    LogEnd { last_epoch: LeaderEpoch(log.last_epoch()), end: Offset(log.end()) }
}

pub(super) fn to_partition(partition: TopicPartition) -> wire::TopicPartition {
    wire::TopicPartition::new(&to_uuid(partition.topic.0), partition.partition.0)
}

pub(super) fn partition(partition: &wire::TopicPartition) -> TopicPartition {
    let topic = TopicId(uuid(partition.topic()));
    TopicPartition { topic, partition: PartitionIndex(partition.partition()) }
}

/// An enum without data, as one byte.
pub(super) trait Code: Sized {
    type Wire;
    fn code(self) -> Self::Wire;
    /// # Errors
    /// When this version knows no such value.
    fn of(code: Self::Wire) -> Result<Self, FrameError>;
}

macro_rules! codes {
    ($($name:ident, $what:literal: $($value:ident)*;)*) => {$(
        impl Code for $name {
            type Wire = wire::$name;
            fn code(self) -> wire::$name {
                match self {
                    $($name::$value => wire::$name::$value,)*
                }
            }
            fn of(code: wire::$name) -> Result<$name, FrameError> {
                Ok(match code {
                    $(wire::$name::$value => $name::$value,)*
                    other => return Err(FrameError::UnknownValue { what: $what, value: other.0 }),
                })
            }
        }
    )*};
}

codes! {
    LaneKind, "a kind of lane": Data Control Vote;
    Refusal, "a refusal": OtherCluster Protocol OtherServer Removed NewerIncarnation Secret NotReady;
    Gap, "a gap": None Compacted Damaged;
    CloseReason, "a reason to close": Mismatch NoRoom Gone Epoch NotLeader Removed;
    VoteKind, "a kind of vote": Pre Real;
    Resigned, "a resignation": Storage Leadership;
    Wants, "a wish": Serve Stop;
    Drain, "a drain": None Leaderships Replicas;
    ForwardOutcome, "an outcome": Answered NotController Busy;
}
