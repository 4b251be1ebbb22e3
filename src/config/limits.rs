//! The parts of a [`Config`](super::Config): plain values, one struct a subject.

use std::ops::RangeInclusive;

/// What clients may take of this server, over all shards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConnectionLimits {
    pub count_max: u32,
    pub per_ip_max: u32,
    /// `None` = silent connections stay.
    pub idle_ms: Option<u64>,
    /// A larger request closes its connection.
    pub request_bytes_max: u32,
    /// Requests read and not yet answered.
    pub queued_request_bytes: u64,
    /// `None` = by how near the peer is.
    pub send_buffer_bytes: Option<u32>,
    /// `None` = as the kernel tunes it.
    pub receive_buffer_bytes: Option<u32>,
    pub backlog: u32,
}

/// Compaction, over all shards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CleanerLimits {
    pub enabled: bool,
    pub backoff_ms: u64,
    /// For maps of keys.
    pub memory_bytes: u64,
    /// Read and written.
    pub bytes_per_second: u64,
}

/// Verification in the background, over all shards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ScrubLimits {
    /// `None` = never.
    pub period_ms: Option<u64>,
    pub bytes_per_second: u64,
}

/// The commit log of each shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CommitLimits {
    /// A multiple of 4096.
    pub file_bytes: u64,
    pub files_max: usize,
}

/// Bounds and delays of consumer groups, above all classic ones.
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

/// How `__consumer_offsets` is made when the first group asks for its coordinator.
#[derive(Clone, Copy, Debug)]
pub struct OffsetsTopic {
    pub partitions: i32,
    /// Bytes.
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
    /// Names of the ways to assign, the default first.
    pub assignors: Vec<String>,
    /// Classic groups become consumer groups when a new-style member joins.
    pub upgrade: bool,
    /// Consumer groups become classic groups when the last new-style member leaves.
    pub downgrade: bool,
}

/// The times that a group may be told to go by instead of the broker's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupTimeLimits {
    pub session_timeouts_ms: RangeInclusive<i32>,
    pub heartbeat_intervals_ms: RangeInclusive<i32>,
}

/// How topics come to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TopicCreation {
    pub partitions: i32,
    pub replication_factor: i16,
    pub auto_create: bool,
    pub delete_enabled: bool,
    /// Most partitions of all topics together.
    pub partitions_max: u32,
    /// Most partitions of one topic.
    pub topic_partitions_max: u32,
}
