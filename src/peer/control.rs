//! Between a server and the controller: registration, heartbeats, changes of in-sync sets, forwarded requests.

use bytes::Bytes;

use crate::base::{
    BrokerEpoch, DirectoryId, IncarnationId, LeaderEpoch, Offset, PartitionEpoch, ServerId, TopicPartition,
    Voter, VoterId,
};

/// A new incarnation says who it is and what it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    pub server: ServerId,
    pub directory: DirectoryId,
    pub incarnation: IncarnationId,
    pub voter: VoterId,
    pub shards: u16,
    pub rack: Option<String>,
    /// Where clients find it: host and port.
    pub client: (String, u16),
    /// Where other servers find it: host and port.
    pub cluster: (String, u16),
    pub protocol_min: u16,
    pub protocol_max: u16,
    /// Whether every shard had stopped in order before.
    pub clean: bool,
    pub damaged: Damaged,
    /// The end of the metadata log as recovered, before anything was fetched: a directory restored from an old copy lacks its
    /// own last registration.
    pub metadata_end: Offset,
    /// The newest durable commit sequence as recovered.
    pub commit_sequence: u64,
    /// That of the last incarnation as the metadata log knows it; -1 is none.
    pub previous_broker_epoch: BrokerEpoch,
}

/// In which partitions recovery has found that something durable is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damaged {
    None,
    /// At most [`DAMAGED_MAX`](super::limits::DAMAGED_MAX); more are [`Damaged::All`].
    Some(Vec<TopicPartition>),
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registered {
    pub outcome: RegisterOutcome,
    pub session_ms: u32,
    pub heartbeat_ms: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RegisterOutcome {
    /// The record of the registration is committed; its offset is the epoch.
    Accepted { broker_epoch: BrokerEpoch },
    /// A live incarnation of another directory has the id.
    IdInUse,
    /// The id belongs to another directory, and nobody has said that it was replaced.
    OtherDirectory,
    /// Ask the leader, if it is known.
    NotLeader { leader: Option<Voter> },
    /// The id was never given, or its server was removed.
    UnknownId,
    /// The protocol that the cluster has agreed on is not among those offered.
    Protocol,
}

/// What a server tells the controller every few seconds, and at once when something of it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    pub server: ServerId,
    pub broker_epoch: BrokerEpoch,
    /// The version of the metadata that all shards of the server act on.
    pub applied: i64,
    /// How far the server's own copy of the metadata log is flushed.
    pub metadata_flushed: Offset,
    /// The newest durable commit sequence, the largest over the shards.
    pub commit_sequence: u64,
    pub wants: Wants,
    pub drain: Drain,
    /// Bytes.
    pub disk_total: u64,
    /// Bytes.
    pub disk_usable: u64,
    /// Bytes a second that producers send, shard by shard.
    pub produce_bytes: Vec<u64>,
    /// Bytes of partitions whose size has changed much since it was last told.
    pub sizes: Vec<(TopicPartition, u64)>,
    /// The server's own disk is what its in-sync sets wait for.
    pub slow_sync: bool,
    /// Milliseconds by the sender's monotonic clock; the answer says them again.
    pub sent: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Wants {
    Serve,
    Stop,
}

/// What is to leave a server that goes on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Drain {
    None,
    Leaderships,
    /// Leaderships too.
    Replicas,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeartbeatAnswer {
    pub outcome: HeartbeatOutcome,
    pub fenced: bool,
    pub may_stop: bool,
    /// That of the heartbeat: the lease begins when the heartbeat was sent.
    pub sent: u64,
    /// How long the lease lasts.
    pub session_ms: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeartbeatOutcome {
    Accepted,
    /// Ask the leader, if it is known.
    NotLeader {
        leader: Option<Voter>,
    },
    /// The incarnation is not the one that is registered.
    Unknown,
}

/// Leaders of partitions ask for other in-sync sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterIsr {
    /// The controller that is meant. Any other, also the same server in a later epoch, takes none of it: so a copy that was long
    /// under way is never granted.
    pub quorum_epoch: i32,
    pub server: ServerId,
    pub broker_epoch: BrokerEpoch,
    pub changes: Vec<IsrChange>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IsrChange {
    pub partition: TopicPartition,
    pub leader_epoch: LeaderEpoch,
    /// The change that the leader knows as the last.
    pub partition_epoch: PartitionEpoch,
    /// Members with the incarnations that the leader means.
    pub isr: Vec<(ServerId, BrokerEpoch)>,
    /// For the answer.
    pub number: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterIsrAnswer {
    /// As asked.
    pub quorum_epoch: i32,
    /// The version of the metadata that the answers were decided on.
    pub version: i64,
    /// By number of the change.
    pub answers: Vec<(u64, IsrOutcome)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IsrOutcome {
    Decided {
        partition_epoch: PartitionEpoch,
    },
    /// The set was this one already.
    SameAlready,
    /// The epochs asked with are the current ones, and a member may not join. Only such a refusal settles what was asked.
    Ineligible,
    /// The epochs asked with are not the current ones. Settles nothing: the change may have been granted, the image will tell.
    StaleEpoch,
    /// The server that asks does not lead the partition.
    NotLeader,
    UnknownPartition,
}

/// A client's request on its way to the controller. Whoever is asked answers by itself: a forwarded request is never forwarded
/// again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// For the answer; the asking server counts.
    pub id: u64,
    /// The client's address, for log lines.
    pub client: String,
    /// What the answer depends on besides the request: the connection's view and listener, as the asking server's api wrote them.
    pub facts: Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forwarded {
    pub id: u64,
    /// The version of the metadata that the answer depends on: it leaves when the asking server serves that version.
    pub version: i64,
    pub outcome: ForwardOutcome,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ForwardOutcome {
    /// The payload is the answer.
    Answered,
    /// Not decided here, though a record of it may still commit.
    NotController,
    /// Too many requests are on their way.
    Busy,
}
