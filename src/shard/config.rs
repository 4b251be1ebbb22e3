//! What a shard is given when it begins: settings, what recovery has found, and where memory comes from.

use crate::base::{Chunk, ShardId, TopicPartition};
use crate::commit::Start;
use crate::controller::Controller;
use crate::group::GroupLimits;
use crate::log::{LogLimits, RecoveredLog};

use super::request::Image;
use super::upkeep::{CompactionConfig, RetentionConfig, ScrubConfig};

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
}

/// What recovery hands a shard: plain data that may cross threads.
#[derive(Clone, Debug)]
pub struct ShardRecovery {
    pub commit: Start,
    pub partitions: Vec<(TopicPartition, RecoveredLog)>,
    pub image: Image,
    /// Shard 0 only.
    pub controller: Option<Controller>,
}

/// Memory of a given length, a multiple of 4096, initialised.
pub type ChunkAllocator = Box<dyn FnMut(usize) -> Chunk>;
