//! Settings of simulated servers: small, so that what takes a server hours takes a course minutes.

use std::sync::Arc;

use ringmain::base::{ServerId, ShardId};
use ringmain::config::{CommitLimits, Config};
use ringmain::controller::{ControllerConfig, MetadataImage};
use ringmain::log::LogLimits;
use ringmain::shard::{
    ClusterConfig, CompactionConfig, RetentionConfig, ScrubConfig, ShardConfig, SpareConfig,
};

use crate::settings::with_segments_of;
use ringmain::base::rng::Rng;

/// Segments of a topic, in bytes: less than Kafka lets a topic ask for.
const SEGMENT_BYTES: u64 = 48 << 10;
/// The largest commit group, and the size of a commit file: as many groups as a file must hold.
pub const GROUP_BYTES: usize = 32 << 10;
const COMMIT_FILE_BYTES: u64 = 4 * GROUP_BYTES as u64;

/// What all lives of one server have in common.
#[derive(Clone, Debug)]
pub struct Settings {
    pub controller: ControllerConfig,
    pub commit: CommitLimits,
    shard: ShardConfig,
}

impl Settings {
    /// A server's settings, which differ a little from one to the next.
    pub fn any(server: ServerId, shards: u16, cluster_id: &str, rng: &mut Rng) -> Settings {
        let config = Config::default();
        let own = ControllerConfig::new(cluster_id.to_owned(), &config);
        let controller = ControllerConfig { server, shards, ..own };
        let more = if rng.below(2) == 0 { rng.below(3) } else { 3 + rng.below(6) };
        let files_max = 3 + usize::try_from(more).unwrap();
        let commit = CommitLimits { file_bytes: COMMIT_FILE_BYTES, files_max };
        Settings { controller, commit, shard: shard(&config, shards, rng) }
    }

    pub fn of_shard(&self, shard: ShardId, seed: u64, cluster: Option<Arc<ClusterConfig>>) -> ShardConfig {
        ShardConfig { shard, seed, cluster, ..self.shard.clone() }
    }
}

fn shard(config: &Config, shards: u16, rng: &mut Rng) -> ShardConfig {
    let spares = SpareConfig { fills_within_ms: 60_000, kept_ms: 1_000 + rng.below(20_000) };
    let read_cache_bytes = if rng.below(2) == 0 { 4 << 20 } else { 64 << 10 };
    ShardConfig {
        shard: ShardId(0),
        shards,
        limits: LogLimits {
            direct_run_bytes: 8 << 10,
            chunk_bytes_max: 8 << 10,
            create_allocate_bytes: 16 << 10,
            marks_step_bytes: 4 << 10,
        },
        cache_bytes: 64 << 10,
        read_cache_bytes,
        index_bytes: 64 << 10,
        read_bytes_max: 2 * read_cache_bytes,
        producers_max: 1000,
        unflushed_bytes_max: 64 << 10,
        groups: config.groups.clone(),
        retention: RetentionConfig {
            check_ms: 5_000,
            producer_expiration_ms: u64::MAX,
            spares: (rng.below(10) < 7).then_some(spares),
        },
        compaction: CompactionConfig {
            enabled: true,
            backoff_ms: 5_000,
            keys_max: 1000,
            bytes_per_second: u64::MAX,
        },
        scrub: ScrubConfig { period_ms: Some(60_000), bytes_per_second: 100 << 20 },
        seed: 0,
        cluster: None,
    }
}

/// The cluster's state as shards are to have it: every topic has small segments.
pub fn adapted(image: &Arc<MetadataImage>) -> Arc<MetadataImage> {
    with_segments_of(image, |_| Some(SEGMENT_BYTES))
}
