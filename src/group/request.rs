//! Requests to a group coordinator and its replies, as small owned values.

use std::sync::Arc;

use bytes::Bytes;

use crate::base::TopicId;

use super::consumer::{DescribedConsumerGroup, Heartbeat, HeartbeatRequest};
pub use super::error::GroupError;

/// The number of a request whose answer somebody waits for. The shard counts them; coordinators only give them back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(pub u64);

/// A request to the coordinator of one group.
#[derive(Clone, Debug)]
pub enum GroupRequest {
    Join(JoinRequest),
    Sync(SyncRequest),
    Heartbeat { group: Arc<str>, member: MemberRef },
    Leave { group: Arc<str>, members: Vec<LeavingMember> },
    CommitOffsets(CommitRequest),
    FetchOffsets(FetchOffsetsRequest),
    Describe { group: Arc<str> },
    Delete { group: Arc<str> },
    DeleteOffsets { group: Arc<str>, partitions: Vec<(Arc<str>, i32)> },
    ConsumerHeartbeat(HeartbeatRequest),
    DescribeConsumers { group: Arc<str> },
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GroupReply {
    Join(Result<Joined, JoinRefused>),
    Sync(Result<Synced, GroupError>),
    Heartbeat(Result<(), GroupError>),
    /// In the order of the request's members.
    Leave(Result<Vec<Result<(), GroupError>>, GroupError>),
    /// In the order of the request's partitions.
    CommitOffsets(Result<Vec<Result<(), GroupError>>, GroupError>),
    FetchOffsets(Result<Vec<FetchedOffset>, GroupError>),
    Describe(Result<DescribedGroup, GroupError>),
    Delete(Result<(), GroupError>),
    /// In the order of the request's partitions.
    DeleteOffsets(Result<Vec<Result<(), GroupError>>, GroupError>),
    ConsumerHeartbeat(Result<Heartbeat, GroupError>),
    DescribeConsumers(Result<DescribedConsumerGroup, GroupError>),
}

impl GroupRequest {
    /// Whether the request makes the group if there is none.
    #[must_use]
    pub fn makes_group(&self) -> bool {
        match self {
            GroupRequest::Join(request) => request.member_id.is_empty(),
            GroupRequest::CommitOffsets(request) => request.member.generation < 0,
            GroupRequest::ConsumerHeartbeat(request) => request.joins(),
            _ => false,
        }
    }

    #[must_use]
    pub fn group(&self) -> &Arc<str> {
        match self {
            GroupRequest::Join(JoinRequest { group, .. })
            | GroupRequest::Sync(SyncRequest { group, .. })
            | GroupRequest::CommitOffsets(CommitRequest { group, .. })
            | GroupRequest::FetchOffsets(FetchOffsetsRequest { group, .. })
            | GroupRequest::Heartbeat { group, .. }
            | GroupRequest::Leave { group, .. }
            | GroupRequest::Describe { group }
            | GroupRequest::Delete { group }
            | GroupRequest::DeleteOffsets { group, .. }
            | GroupRequest::ConsumerHeartbeat(HeartbeatRequest { group, .. })
            | GroupRequest::DescribeConsumers { group } => group,
        }
    }

    /// The reply that refuses the whole request with `error`.
    #[must_use]
    pub fn refused(&self, error: GroupError) -> GroupReply {
        match self {
            GroupRequest::Join(request) => {
                GroupReply::Join(Err(JoinRefused { error, member_id: request.member_id.clone() }))
            }
            GroupRequest::Sync(_) => GroupReply::Sync(Err(error)),
            GroupRequest::Heartbeat { .. } => GroupReply::Heartbeat(Err(error)),
            GroupRequest::Leave { .. } => GroupReply::Leave(Err(error)),
            GroupRequest::CommitOffsets(_) => GroupReply::CommitOffsets(Err(error)),
            GroupRequest::FetchOffsets(_) => GroupReply::FetchOffsets(Err(error)),
            GroupRequest::Describe { .. } => GroupReply::Describe(Err(error)),
            GroupRequest::Delete { .. } => GroupReply::Delete(Err(error)),
            GroupRequest::DeleteOffsets { .. } => GroupReply::DeleteOffsets(Err(error)),
            GroupRequest::ConsumerHeartbeat(_) => GroupReply::ConsumerHeartbeat(Err(error)),
            GroupRequest::DescribeConsumers { .. } => GroupReply::DescribeConsumers(Err(error)),
        }
    }
}

impl GroupReply {
    /// The reply that refuses with `error` in place of this one.
    #[must_use]
    pub fn refused(self, error: GroupError) -> GroupReply {
        match self {
            GroupReply::Join(Ok(joined)) => {
                GroupReply::Join(Err(JoinRefused { error, member_id: joined.member_id }))
            }
            GroupReply::Join(Err(refused)) => GroupReply::Join(Err(refused)),
            GroupReply::Sync(_) => GroupReply::Sync(Err(error)),
            GroupReply::Heartbeat(_) => GroupReply::Heartbeat(Err(error)),
            GroupReply::Leave(_) => GroupReply::Leave(Err(error)),
            GroupReply::CommitOffsets(_) => GroupReply::CommitOffsets(Err(error)),
            GroupReply::FetchOffsets(_) => GroupReply::FetchOffsets(Err(error)),
            GroupReply::Describe(_) => GroupReply::Describe(Err(error)),
            GroupReply::Delete(_) => GroupReply::Delete(Err(error)),
            GroupReply::DeleteOffsets(_) => GroupReply::DeleteOffsets(Err(error)),
            GroupReply::ConsumerHeartbeat(_) => GroupReply::ConsumerHeartbeat(Err(error)),
            GroupReply::DescribeConsumers(_) => GroupReply::DescribeConsumers(Err(error)),
        }
    }
}

/// A member as a request names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberRef {
    /// Generation of a classic group, member epoch of a consumer group; -1 outside membership.
    pub generation: i32,
    pub member_id: Arc<str>,
    pub instance_id: Option<Arc<str>>,
}

#[derive(Clone, Debug)]
pub struct JoinRequest {
    pub group: Arc<str>,
    /// Empty when the member joins for the first time.
    pub member_id: Arc<str>,
    pub instance_id: Option<Arc<str>>,
    pub client_id: Arc<str>,
    pub client_host: Arc<str>,
    pub session_timeout_ms: i32,
    pub rebalance_timeout_ms: i32,
    pub protocol_type: Arc<str>,
    /// The member's protocols in order of preference, each with the member's metadata for the assignor.
    pub protocols: Vec<(Arc<str>, Bytes)>,
    /// KIP-394: the client must join again with the member id that it is given.
    pub id_required: bool,
    /// KIP-814: the client understands "you lead, but do not assign".
    pub can_skip_assignment: bool,
}

/// One generation, as one member sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Joined {
    pub generation: i32,
    pub protocol_type: Option<Arc<str>>,
    pub protocol: Option<Arc<str>>,
    pub leader: Arc<str>,
    pub skip_assignment: bool,
    pub member_id: Arc<str>,
    /// All members with their metadata, for the leader; empty for the others.
    pub members: Vec<JoinedMember>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JoinedMember {
    pub member_id: Arc<str>,
    pub instance_id: Option<Arc<str>>,
    pub metadata: Bytes,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JoinRefused {
    pub error: GroupError,
    /// After [`GroupError::MemberIdRequired`] the id to join again with, else the id of the request.
    pub member_id: Arc<str>,
}

#[derive(Clone, Debug)]
pub struct SyncRequest {
    pub group: Arc<str>,
    pub member: MemberRef,
    /// Not checked when absent.
    pub protocol_type: Option<Arc<str>>,
    pub protocol: Option<Arc<str>>,
    /// The leader's assignments, by member id. Empty from other members.
    pub assignments: Vec<(Arc<str>, Bytes)>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Synced {
    pub protocol_type: Option<Arc<str>>,
    pub protocol: Option<Arc<str>>,
    pub assignment: Bytes,
}

#[derive(Clone, Debug)]
pub struct LeavingMember {
    pub member_id: Arc<str>,
    pub instance_id: Option<Arc<str>>,
}

#[derive(Clone, Debug)]
pub struct CommitRequest {
    pub group: Arc<str>,
    pub member: MemberRef,
    /// A retention of its own, which clients before OffsetCommit v5 could ask for; `None` = the broker's retention.
    pub retention_ms: Option<i64>,
    /// The request's version knows GROUP_ID_NOT_FOUND, which is then told apart from a wrong generation.
    pub knows_group_id_not_found: bool,
    pub partitions: Vec<CommitPartition>,
}

#[derive(Clone, Debug)]
pub struct CommitPartition {
    pub topic: Arc<str>,
    pub topic_id: TopicId,
    pub partition: i32,
    pub offset: i64,
    /// -1 = unknown.
    pub leader_epoch: i32,
    pub metadata: Arc<str>,
}

#[derive(Clone, Debug)]
pub struct FetchOffsetsRequest {
    pub group: Arc<str>,
    /// The member that the request says it comes from (OffsetFetch v9). Checked for consumer groups only.
    pub member: Option<MemberRef>,
    /// `None` = everything the group has committed.
    pub partitions: Option<Vec<(Arc<str>, i32)>>,
}

/// A committed offset as OffsetFetch answers it. The offset is -1 when nothing is committed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchedOffset {
    pub topic: Arc<str>,
    pub partition: i32,
    pub offset: i64,
    pub leader_epoch: i32,
    pub metadata: Arc<str>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DescribedGroup {
    pub state: &'static str,
    pub protocol_type: Arc<str>,
    /// Empty unless the group is stable.
    pub protocol: Arc<str>,
    pub members: Vec<DescribedMember>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DescribedMember {
    pub member_id: Arc<str>,
    pub instance_id: Option<Arc<str>>,
    pub client_id: Arc<str>,
    pub client_host: Arc<str>,
    pub metadata: Bytes,
    pub assignment: Bytes,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListedGroup {
    pub group: Arc<str>,
    pub protocol_type: Arc<str>,
    pub state: &'static str,
    /// Kafka's group type: `classic` or `consumer`.
    pub kind: &'static str,
}
