//! How a server's memory, and what else its settings give to all of it, is shared out to one shard.
//!
//! Pure: from settings to numbers. Knows no connection and counts nothing; who takes of a share is counted by
//! [`Pool`](super::pool::Pool)s and by the shard.

use std::rc::Rc;

use crate::api::DiskSpace;
use crate::base::ShardId;
use crate::base::keys::KEY_ENTRY_BYTES;
use crate::config::Config;
use crate::log::LogLimits;
use crate::shard::{
    CompactionConfig, PRODUCER_BYTES, RetentionConfig, ScrubConfig, ShardConfig, SpareConfig,
};

use super::holdings::Pools;
use super::pool::Pool;

/// Kept free of a large disk.
const RESERVE_BYTES_MAX: u64 = 1 << 30;
/// Allocated when a segment begins with a direct run.
const CREATE_ALLOCATE_BYTES: u64 = 4 * 1024 * 1024;
/// After a crash, so much of a segment that was being appended to has no index: a lookup reads that in a few milliseconds.
const MARKS_STEP_BYTES: u64 = 4 * 1024 * 1024;
/// A shard's tail cache is this part of its memory; frames in progress get a quarter.
const CACHE_SHARE: u64 = 2;
/// What is read from segments, and kept for the next reader, gets this part; their indexes get a quarter of that.
const READ_CACHE_SHARE: u64 = 8;
const INDEX_SHARE: u64 = 4 * READ_CACHE_SHARE;
/// Idempotent producers are remembered in this part.
const PRODUCERS_SHARE: u64 = 32;
/// Bytes on their way to the disk without anybody waiting for them get this part, and at most some milliseconds' worth of a
/// fast disk.
const UNFLUSHED_SHARE: u64 = 8;
const UNFLUSHED_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Answers that sockets have not taken get this part.
const ANSWERS_SHARE: u64 = 8;
/// A fetch is answered with at least this much if there is as much, however many answers wait.
const ANSWER_BYTES_MIN: usize = 64 * 1024;
/// Requests whose batches are read slice by slice at one time: each holds a decoder, and takes its turn on the processor.
const READINGS_MAX: usize = 2;

/// The pools that the connections of one shard draw on.
pub(super) fn pools(config: &Config) -> Pools {
    let pool = |bytes: u64| Rc::new(Pool::new(share(bytes, config)));
    Pools {
        frames: pool(config.connections.queued_request_bytes),
        answers: pool(config.memory_bytes / ANSWERS_SHARE),
        readings: Rc::new(Pool::new(READINGS_MAX)),
    }
}

/// What one fetch may bring while `fetching` others are in progress: answers count when they are ready, and theirs are
/// still to come.
pub(super) fn answer_bytes_max(answers: &Pool, fetching: usize) -> u32 {
    let share = answers.share_beside(fetching);
    u32::try_from(share.max(ANSWER_BYTES_MIN)).unwrap_or(u32::MAX)
}

/// Free space that producing must leave.
pub(super) fn reserve_bytes(config: &Config, disk: DiskSpace) -> u64 {
    let automatic = u64::try_from(disk.total_bytes / 20).unwrap_or(0).min(RESERVE_BYTES_MAX);
    config.disk_reserve_bytes.unwrap_or(automatic)
}

/// What the shard may take. The seed must differ from that of every earlier life.
pub(super) fn shard_config(here: ShardId, config: &Config, seed: u64) -> ShardConfig {
    let indexes = config.memory_bytes / INDEX_SHARE;
    let read_cache = config.memory_bytes / READ_CACHE_SHARE - indexes;
    ShardConfig {
        shard: here,
        shards: config.shards(),
        limits: LogLimits {
            direct_run_bytes: config.direct_run_bytes,
            chunk_bytes_max: config.chunk_bytes,
            create_allocate_bytes: CREATE_ALLOCATE_BYTES,
            marks_step_bytes: MARKS_STEP_BYTES,
        },
        cache_bytes: share(config.memory_bytes / CACHE_SHARE, config),
        read_cache_bytes: share(read_cache, config),
        index_bytes: share(indexes, config),
        read_bytes_max: share(read_cache + config.memory_bytes / ANSWERS_SHARE, config),
        producers_max: share(config.memory_bytes / PRODUCERS_SHARE, config) / PRODUCER_BYTES,
        unflushed_bytes_max: share(config.memory_bytes / UNFLUSHED_SHARE, config).min(UNFLUSHED_BYTES_MAX),
        groups: config.groups.clone(),
        retention: retention(config),
        compaction: compaction(config),
        scrub: ScrubConfig {
            period_ms: config.scrub.period_ms,
            bytes_per_second: config.scrub.bytes_per_second / u64::from(config.shards()),
        },
        seed,
        cluster: None,
    }
}

/// Connections that one shard may hold: its part of all, rounded up.
pub(super) fn connections_max(config: &Config) -> usize {
    config.connections.count_max.div_ceil(u32::from(config.shards())) as usize
}

/// Fetch sessions that one shard may hold: its part of all, rounded up.
pub(super) fn fetch_sessions_max(config: &Config) -> usize {
    config.fetch_sessions_max.div_ceil(usize::from(config.shards()))
}

pub(super) fn retention(config: &Config) -> RetentionConfig {
    RetentionConfig {
        check_ms: config.retention_check_ms,
        producer_expiration_ms: config.producer_id_expiration_ms,
        spares: config.segment_recycle.then(SpareConfig::default),
    }
}

pub(super) fn compaction(config: &Config) -> CompactionConfig {
    let memory = usize::try_from(config.cleaner.memory_bytes / u64::from(config.shards()));
    CompactionConfig {
        enabled: config.cleaner.enabled,
        backoff_ms: config.cleaner.backoff_ms,
        keys_max: memory.unwrap_or(usize::MAX) / KEY_ENTRY_BYTES,
        bytes_per_second: config.cleaner.bytes_per_second / u64::from(config.shards()),
    }
}

/// One shard's part of what the whole server may take.
fn share(bytes: u64, config: &Config) -> usize {
    usize::try_from(bytes / u64::from(config.shards())).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_all_shards_are_no_more_than_the_whole() {
        for shards in [1, 2, 3, 64] {
            let mut config = Config::default();
            config.shard_cpus = (0..shards).collect();
            let shard = shard_config(ShardId(0), &config, 7);
            let kept = shard.cache_bytes + shard.read_cache_bytes + shard.index_bytes;
            let answers = pools(&config).answers.left();
            let used = (kept + answers) as u64 * u64::from(config.shards());
            assert!(used <= config.memory_bytes, "{shards} shards take {used}");
        }
    }

    #[test]
    fn a_fetch_brings_its_part_of_what_is_left_and_never_next_to_nothing() {
        let answers = Pool::new(1 << 20);
        assert_eq!(answer_bytes_max(&answers, 3), 1 << 18);
        answers.take(1 << 20);
        assert_eq!(answer_bytes_max(&answers, 0), 64 << 10);
    }
}
