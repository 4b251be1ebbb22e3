//! What the shards of one server tell each other.
//!
//! Nothing of this is on the way of records: in-sync sets change rarely, and what a heartbeat says goes a few times in a second.

use crate::base::{BrokerEpoch, LeaderEpoch, MonoNanos, PartitionEpoch, ServerId, TopicPartition};
use crate::peer::IsrOutcome;

#[derive(Clone, Debug)]
pub enum Note {
    /// To shard 0: leaders here ask the controller for other in-sync sets.
    IsrWanted(Vec<IsrWanted>),
    /// From shard 0: what the controller says to one of them.
    IsrAnswered { partition: TopicPartition, number: u64, outcome: IsrOutcome },
    /// From shard 0: until then nobody else leads what this server leads.
    Lease { until: MonoNanos },
    /// To shard 0: for the next heartbeat.
    Status(ShardStatus),
}

/// A leader asks for another in-sync set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IsrWanted {
    pub partition: TopicPartition,
    pub leader_epoch: LeaderEpoch,
    /// The change that the leader knows as the last.
    pub partition_epoch: PartitionEpoch,
    pub isr: Vec<(ServerId, BrokerEpoch)>,
    /// The leader's own count, for the answer.
    pub number: u64,
}

/// What a shard has for a heartbeat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardStatus {
    /// The newest durable commit group.
    pub commit_sequence: u64,
    /// The shard's own disk is what its in-sync sets wait for.
    pub slow_sync: bool,
}
