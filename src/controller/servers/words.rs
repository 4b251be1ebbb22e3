//! What servers say to the controller, what it answers, and what it wants done. Field names are those of the frames between
//! servers; the shard turns the one into the other.

use std::collections::BTreeSet;

use crate::base::{
    BrokerEpoch, DirectoryId, IncarnationId, LeaderEpoch, NodeId, Offset, PartitionEpoch, ServerId,
    TopicPartition, VoterId,
};
use crate::controller::batch::Batches;
use crate::controller::image::Voter;

/// A server registers, once in each life of its process, when it has caught up with the metadata log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    pub server: ServerId,
    pub directory: DirectoryId,
    pub incarnation: IncarnationId,
    /// The vote that the server would have.
    pub voter: VoterId,
    pub shards: u16,
    pub rack: Option<String>,
    /// Where clients find it: host and port.
    pub client: (String, u16),
    /// Each shard has a port of its own for clients.
    pub shard_ports: bool,
    /// Where other servers find it: host and port.
    pub cluster: (String, u16),
    /// Least and newest version of the protocol between servers that it speaks.
    pub protocol: (u16, u16),
    /// The last checkpoint of every shard was that of an orderly stop.
    pub clean: bool,
    pub damaged: Damage,
    /// The end of the local metadata log as recovery found it, before anything was fetched.
    pub recovered_end: Offset,
    /// The newest durable sequence of the commit logs, as recovery found it.
    pub sequence: u64,
}

/// What recovery knows to have lost of what was durable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Damage {
    #[default]
    Nothing,
    Partitions(BTreeSet<TopicPartition>),
    Everything,
}

/// Partitions that [`Damage`] names one by one; with more of them it is everything.
pub const DAMAGED_MAX: usize = 1000;

/// The largest server id: each server has a thousand node ids.
pub(in crate::controller) const SERVER_ID_MAX: ServerId = ServerId(i32::MAX / NodeId::PER_SERVER - 1);

/// Shards of one server, each with a node id of its own beside the server's.
pub(in crate::controller) const SHARDS_MAX: u16 = 999;

const _: () = assert!(SHARDS_MAX as i32 + 1 == NodeId::PER_SERVER, "a node id for each shard");

/// A registration is decided: to be answered once the records handed out until then are folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registered {
    pub server: ServerId,
    pub incarnation: IncarnationId,
    pub broker_epoch: BrokerEpoch,
}

/// Why a server may not register.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegisterError {
    #[error("this server does not lead the metadata quorum")]
    NotController,
    #[error(
        "server {0} was removed from the cluster; its id is never given again: join with an empty directory"
    )]
    Removed(ServerId),
    #[error("server id {0} was never given to this data directory: join the cluster first")]
    UnknownId(ServerId),
    #[error(
        "server {0} is registered with another data directory; if that one is lost, join anew with --replace"
    )]
    OtherDirectory(ServerId),
    #[error("server {0} is running with another data directory: two servers have one node.id")]
    InUse(ServerId),
    #[error("a registration names no shards, or more than a server may have")]
    NoShards,
    #[error("server ids are 0 to 2147482, not {0}")]
    NoSuchId(ServerId),
    #[error("too many registrations wait")]
    TooMany,
}

/// A data directory that belongs to no cluster yet asks for a server id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Join {
    pub directory: DirectoryId,
    /// The wanted id; `None` takes the next free one.
    pub server: Option<ServerId>,
    pub replace: Replace,
}

/// Whether a directory may take the place of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replace {
    No,
    /// The directory that is registered with the id is lost.
    Lost,
}

/// Said by each registered server at every interval, and at once when something in it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    pub server: ServerId,
    pub broker_epoch: BrokerEpoch,
    /// Version of the image that the server serves: the end of what it has folded.
    pub applied: Offset,
    /// The durable end of its metadata log.
    pub flushed: Offset,
    /// The newest durable sequence of its commit logs.
    pub sequence: u64,
    pub wants: Wants,
    /// The server's own disk is what holds its followers up.
    pub slow_sync: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    Serve,
    /// To hand everything over and stop.
    Stop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeartbeatAnswer {
    pub fenced: bool,
    /// Nothing is left that another server could take over.
    pub may_stop: bool,
    /// How long the server may go on without another answer, from when it *sent* its heartbeat.
    pub lease_ms: u64,
}

/// Why a heartbeat counts for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeartbeatError {
    #[error("this server does not lead the metadata quorum")]
    NotController,
    #[error("the server is not registered, or another life of it is")]
    StaleBrokerEpoch,
}

/// Whether somebody was found at a server's cluster address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialled {
    /// Nobody listens there any more.
    Refused,
    /// No answer in time.
    Silent,
    /// Somebody answered: the registered life, with its broker epoch, or one that is not registered.
    Answered(Option<BrokerEpoch>),
}

/// A leader asks for other in-sync replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterIsr {
    pub server: ServerId,
    pub broker_epoch: BrokerEpoch,
    /// The controller that is asked: any other one refuses, so that a copy that comes late is never granted (D1).
    pub quorum_epoch: LeaderEpoch,
    pub partitions: Vec<IsrAsked>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IsrAsked {
    pub partition: TopicPartition,
    pub leader_epoch: LeaderEpoch,
    pub partition_epoch: PartitionEpoch,
    /// All members, each with the broker epoch that the leader's image names.
    pub isr: Vec<(ServerId, BrokerEpoch)>,
    /// Ascends with each ask of the server, and with each copy of one.
    pub number: u64,
}

/// What has become of one partition that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IsrOutcome {
    Decided,
    /// The ISR is the one that was asked for.
    SameAlready,
    /// The epochs are right, and a member may not join.
    Ineligible,
    /// Asked on another state of the partition than there is: settles nothing, the image will.
    StaleEpoch,
    NotLeader,
    UnknownPartition,
}

/// What the controller wants done. Whoever asks it hands one in, and performs what is in it afterwards.
#[derive(Debug, Default)]
pub struct ControllerOutput {
    pub batches: Batches,
    /// Servers to be dialled at their cluster address; each result comes back by [`Controller::dialled`].
    ///
    /// [`Controller::dialled`]: crate::controller::Controller::dialled
    pub dial: Vec<ServerId>,
    pub registered: Vec<Registered>,
    /// Who shall vote. The quorum says whether that can be now (Q7); then [`Controller::set_voters`] decides it.
    ///
    /// [`Controller::set_voters`]: crate::controller::Controller::set_voters
    pub voters: Option<Vec<Voter>>,
}
