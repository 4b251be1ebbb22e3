//! The parts of a [`Config`](super::Config): plain values, one struct a subject.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// Limits on clients' connections and requests, over all shards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConnectionLimits {
    pub count_max: u32,
    pub per_ip_max: u32,
    /// How long a connection may be idle; `None` = for ever.
    pub idle_ms: Option<u64>,
    /// Largest request. A larger one closes its connection.
    pub request_bytes_max: u32,
    /// Most bytes of requests that were read and are not yet answered.
    pub queued_request_bytes: u64,
    /// Size of sockets' send buffers; `None` = chosen by the distance to the peer.
    pub send_buffer_bytes: Option<u32>,
    /// Size of sockets' receive buffers; `None` = tuned by the kernel.
    pub receive_buffer_bytes: Option<u32>,
    pub backlog: u32,
}

/// Compaction, over all shards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CleanerLimits {
    pub enabled: bool,
    pub backoff_ms: u64,
    /// Memory for maps of keys.
    pub memory_bytes: u64,
    /// Bytes read and written in a second.
    pub bytes_per_second: u64,
}

/// Verification in the background, over all shards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ScrubLimits {
    /// Time in which every finished segment is verified once; `None` = no scrubbing.
    pub period_ms: Option<u64>,
    pub bytes_per_second: u64,
}

/// The commit log of each shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CommitLimits {
    /// Size of a commit file: a multiple of 4096.
    pub file_bytes: u64,
    pub files_max: usize,
}

/// Limits and delays of groups. Those of the consumer protocol alone are in `consumer`.
#[derive(Clone, Debug)]
pub struct GroupLimits {
    /// `group.min.session.timeout.ms` to `group.max.session.timeout.ms`.
    pub session_timeout_ms: RangeInclusive<i32>,
    /// `group.initial.rebalance.delay.ms`.
    pub initial_rebalance_delay_ms: u64,
    /// Groups of one shard's coordinators: its part of `ringmain.groups.max`.
    pub count_max: usize,
    /// `group.max.size`.
    pub size_max: usize,
    /// `offset.metadata.max.bytes`, which Kafka counts in UTF-16 units.
    pub metadata_max: usize,
    /// `offsets.retention.minutes`: how long an empty group's offsets are kept.
    pub retention_ms: i64,
    /// `offsets.retention.check.interval.ms`.
    pub retention_check_ms: u64,
    pub consumer: ConsumerGroups,
}

/// How `__consumer_offsets` is created when the first group asks for its coordinator.
#[derive(Clone, Copy, Debug)]
pub struct OffsetsTopic {
    pub partitions: i32,
    /// Size at which a segment of the topic is closed.
    pub segment_bytes: i64,
}

/// Groups of the new protocol (KIP-848).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsumerGroups {
    pub session_timeout_ms: u64,
    pub heartbeat_interval_ms: i32,
    pub told: GroupTimeLimits,
    /// Most members of a group.
    pub size_max: usize,
    /// Names of the assignors, the default first.
    pub assignors: Vec<String>,
    /// Classic groups become consumer groups when a member of the new protocol joins.
    pub upgrade: bool,
    /// Consumer groups become classic groups when the last member of the new protocol leaves.
    pub downgrade: bool,
}

/// Limits on the times that a group's own configs may set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupTimeLimits {
    pub session_timeouts_ms: RangeInclusive<i32>,
    pub heartbeat_intervals_ms: RangeInclusive<i32>,
}

/// How topics are created and deleted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TopicCreation {
    pub partitions: i32,
    /// `None`: as many as there are servers, up to three.
    pub replication_factor: Option<i16>,
    pub auto_create: bool,
    pub delete_enabled: bool,
    /// Most partitions of all topics together.
    pub partitions_max: u32,
    /// Most partitions of one topic.
    pub topic_partitions_max: u32,
}

/// How the servers of a cluster wait for each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClusterLimits {
    /// `broker.session.timeout.ms`
    pub session_ms: u64,
    /// `broker.heartbeat.interval.ms`
    pub heartbeat_ms: u64,
    /// How long a server whose connection was closed may be silent before it is taken for gone.
    pub closed_ms: u64,
    /// `replica.lag.time.max.ms`
    pub replica_lag_ms: u64,
    /// Whether leaderships return to the preferred replicas by themselves, and how often that is checked.
    pub rebalance: bool,
    pub imbalance_check_ms: u64,
    /// How many servers vote at most.
    pub voters: usize,
}

/// Broker settings changed while the server runs, by name: those of all brokers, and this one's own, which win.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    pub all: BTreeMap<String, String>,
    pub own: BTreeMap<String, String>,
}
