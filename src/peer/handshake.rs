//! How a lane begins: Hello, and Welcome or Refused.

use bytes::Bytes;

use super::limits::WHY_BYTES_MAX;
use crate::base::{BrokerEpoch, DirectoryId, IncarnationId, ServerId, ShardId, Voter, VoterId};

/// What this version speaks. Messages that an older protocol lacks are not sent to whoever has chosen it.
pub const PROTOCOL_MIN: u16 = 1;
pub const PROTOCOL_MAX: u16 = 1;

/// What a lane is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum LaneKind {
    /// Streams of partitions that the dialled shard leads.
    Data,
    /// Shard 0 to the quorum's leader: the metadata log's stream, registration, heartbeats, requests.
    Control,
    /// Voter to voter.
    Vote,
}

/// Who dials, whom it means, and what it offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    pub protocol_min: u16,
    pub protocol_max: u16,
    /// The cluster's id.
    pub cluster: String,
    pub server: ServerId,
    pub directory: DirectoryId,
    pub incarnation: IncarnationId,
    pub voter: VoterId,
    /// -1 before the incarnation is registered.
    pub broker_epoch: BrokerEpoch,
    /// The shard that dials, and how many its server has.
    pub shard: ShardId,
    pub shards: u16,
    /// Whom it means, perhaps [`Hello::ANYBODY`]: another server refuses, another shard passes the connection on.
    pub to_server: ServerId,
    pub to_shard: ShardId,
    pub kind: LaneKind,
    /// Payload bytes that may be sent before the first credit.
    pub window: u32,
    /// The newest epoch of the quorum that the dialler knows, and its leader: so a new leader is found by whomever it dials.
    pub quorum_epoch: i32,
    pub quorum_leader: Option<Voter>,
    /// Shows that the dialler knows the cluster's secret. Empty where there is none.
    pub proof: Bytes,
}

impl Hello {
    /// The server at the address, whoever that is: the dialler does not know yet.
    pub const ANYBODY: ServerId = ServerId(-1);
}

/// Who answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The protocol chosen.
    pub protocol: u16,
    pub server: ServerId,
    pub directory: DirectoryId,
    pub incarnation: IncarnationId,
    pub voter: VoterId,
    /// -1 before the incarnation is registered.
    pub broker_epoch: BrokerEpoch,
    pub shards: u16,
    pub quorum_epoch: i32,
    pub quorum_leader: Option<Voter>,
}

/// Why a lane is refused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Refusal {
    OtherCluster,
    /// No protocol in common.
    Protocol,
    /// The address belongs to another server than the one meant.
    OtherServer,
    /// The dialling server was removed from the cluster.
    Removed,
    /// A newer incarnation of the dialling server is known.
    NewerIncarnation,
    /// The proof is not of this cluster's secret.
    Secret,
    /// Not yet able to accept lanes: dial again.
    NotReady,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub reason: Refusal,
    /// For the log line at the dialler.
    pub why: String,
}

impl Refused {
    /// A refusal whose words are cut to what a frame may hold.
    #[must_use]
    pub fn new(reason: Refusal, why: &str) -> Refused {
        let cut = (0..=why.len().min(WHY_BYTES_MAX)).rev().find(|at| why.is_char_boundary(*at));
        Refused { reason, why: why[..cut.unwrap_or(0)].to_owned() }
    }
}
