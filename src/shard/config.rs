//! What a shard is given when it begins: settings, what recovery has found, and where memory comes from.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::base::{Chunk, DirectoryId, IncarnationId, ServerId, ShardId, TopicPartition, VoterId};
use crate::commit::CommitStart;
use crate::controller::Controller;
use crate::group::GroupLimits;
use crate::log::{LogLimits, RecoveredLog};

use super::directory::DirectoryRecovery;
use super::request::Image;

/// Settings of one shard.
#[derive(Clone, Debug)]
pub struct ShardConfig {
    pub shard: ShardId,
    pub shards: u16,
    pub limits: LogLimits,
    /// Memory for tails that are already in segments; beyond, the oldest are let go.
    pub cache_bytes: usize,
    /// Memory for what was read from segments, and for what is being read.
    pub read_cache_bytes: usize,
    /// Memory for the indexes of finished segments.
    pub index_bytes: usize,
    /// With more than this of it alive, in answers that no socket has taken, nothing further is read.
    pub read_bytes_max: usize,
    /// Idempotent producers that the logs remember, all together.
    pub producers_max: usize,
    /// With more than this on its way to the disk, nobody is answered before it is there.
    pub unflushed_bytes_max: usize,
    pub groups: GroupLimits,
    pub retention: RetentionConfig,
    pub compaction: CompactionConfig,
    pub scrub: ScrubConfig,
    /// From the kernel's entropy, or the simulator's seed.
    pub seed: u64,
    /// `None`: a server that knows no others.
    pub cluster: Option<Arc<ClusterConfig>>,
}

/// Who this server is in its cluster.
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    /// The cluster's id.
    pub cluster: String,
    pub server: ServerId,
    /// Made with the data directory.
    pub directory: DirectoryId,
    /// Drawn at each start of the process.
    pub incarnation: IncarnationId,
    /// The id of this server's vote, from the file that keeps it.
    pub voter: VoterId,
    pub rack: Option<String>,
    /// Where clients find this server: host and port.
    pub client: (String, u16),
    /// Where other servers find it: host and port.
    pub address: (String, u16),
    /// Servers that are asked for the quorum's leader while no image names one.
    pub seeds: Vec<Seed>,
    pub timers: ClusterTimers,
}

/// A server that may know the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seed {
    pub server: ServerId,
    pub host: String,
    pub port: u16,
}

/// Kafka's settings of these names.
#[derive(Clone, Copy, Debug)]
pub struct ClusterTimers {
    /// `controller.quorum.election.timeout.ms`.
    pub election_ms: u64,
    /// `controller.quorum.fetch.timeout.ms`.
    pub fetch_timeout_ms: u64,
    /// `replica.lag.time.max.ms`.
    pub lag_ms: u64,
    /// `broker.heartbeat.interval.ms`.
    pub heartbeat_ms: u64,
    /// `metadata.log.max.record.bytes.between.snapshots`, and the size of the metadata log's segments.
    pub snapshot_bytes: u64,
    /// `metadata.log.max.snapshot.interval.ms`.
    pub snapshot_ms: u64,
}

impl Default for ClusterTimers {
    fn default() -> ClusterTimers {
        ClusterTimers {
            election_ms: 1000,
            fetch_timeout_ms: 2000,
            lag_ms: 3000,
            heartbeat_ms: 2000,
            snapshot_bytes: 4 << 20,
            snapshot_ms: 3_600_000,
        }
    }
}

/// What recovery hands a shard: plain data that may cross threads.
#[derive(Clone, Debug)]
pub struct ShardRecovery {
    pub commit: CommitStart,
    pub partitions: Vec<(TopicPartition, RecoveredLog)>,
    pub image: Image,
    /// Shard 0 only.
    pub controller: Option<Controller>,
    /// Shard 0 only.
    pub directory: Option<DirectoryRecovery>,
    /// Partitions in shard 0's keeping that may belong to any shard.
    pub unplaced: Arc<BTreeSet<TopicPartition>>,
}

/// Memory of a given length, a multiple of 4096, initialised.
pub type ChunkAllocator = Box<dyn FnMut(usize) -> Chunk>;

/// How a shard keeps to its topics' retention.
#[derive(Clone, Copy, Debug)]
pub struct RetentionConfig {
    /// `log.retention.check.interval.ms`.
    pub check_ms: u64,
    /// Producers silent for longer are forgotten.
    pub producer_expiration_ms: u64,
    /// `ringmain.segment.recycle`; `None` = no file is used again.
    pub spares: Option<SpareConfig>,
}

/// How a shard compacts.
#[derive(Clone, Copy, Debug)]
pub struct CompactionConfig {
    /// `log.cleaner.enable`.
    pub enabled: bool,
    /// `log.cleaner.backoff.ms`.
    pub backoff_ms: u64,
    /// Keys that one round may look at.
    pub keys_max: usize,
    /// Read and written, at most; less beside a busy foreground, unless something is overdue.
    pub bytes_per_second: u64,
}

#[derive(Clone, Copy, Debug)]
pub struct ScrubConfig {
    /// From the beginning of a pass to that of the next; `None` = never.
    pub period_ms: Option<u64>,
    /// What this shard may read in a second.
    pub bytes_per_second: u64,
}

/// How files are used again.
#[derive(Clone, Copy, Debug)]
pub struct SpareConfig {
    /// A partition that fills a segment within this time gets its next one from a spare.
    pub fills_within_ms: u64,
    /// A spare that is not used within this time is deleted.
    pub kept_ms: u64,
}

impl Default for SpareConfig {
    fn default() -> SpareConfig {
        SpareConfig { fills_within_ms: 3 * 60_000, kept_ms: 5 * 60_000 }
    }
}
