//! The settings of the one shard of a transcript.

use ringmain::base::ShardId;
use ringmain::config::{CommitLimits, Config};
use ringmain::log::LogLimits;
use ringmain::shard::{CompactionConfig, RetentionConfig, ScrubConfig, ShardConfig, SpareConfig};

use crate::words::Words;

/// What a transcript may set, by name; everything else is fixed.
pub struct Server {
    pub shards: u16,
    pub commit: CommitLimits,
    cache_bytes: usize,
    read_cache_bytes: usize,
    read_bytes_max: usize,
    unflushed_bytes_max: usize,
    direct_run_bytes: usize,
    retention_check_ms: u64,
    compaction_backoff_ms: Option<u64>,
    scrub_period_ms: Option<u64>,
    spares: Option<SpareConfig>,
}

impl Default for Server {
    fn default() -> Server {
        Server {
            shards: 1,
            commit: CommitLimits { file_bytes: 2 << 20, files_max: 4 },
            cache_bytes: 8 << 20,
            read_cache_bytes: 1 << 20,
            read_bytes_max: 2 << 20,
            unflushed_bytes_max: 1 << 20,
            direct_run_bytes: 64 << 10,
            retention_check_ms: 1_000_000,
            compaction_backoff_ms: None,
            scrub_period_ms: None,
            spares: None,
        }
    }
}

impl Server {
    /// `cache_bytes 4096 commit_files 3 ...`
    pub fn set(&mut self, words: &mut Words<'_>) {
        while !words.is_empty() {
            match words.word() {
                "shards" => self.shards = words.parse(),
                "commit_files" => self.commit.files_max = words.parse(),
                "cache_bytes" => self.cache_bytes = words.parse(),
                "read_cache_bytes" => self.read_cache_bytes = words.parse(),
                "read_bytes_max" => self.read_bytes_max = words.parse(),
                "unflushed_bytes_max" => self.unflushed_bytes_max = words.parse(),
                "direct_run_bytes" => self.direct_run_bytes = words.parse(),
                "retention_check_ms" => self.retention_check_ms = words.parse(),
                "compaction_backoff_ms" => self.compaction_backoff_ms = Some(words.parse()),
                "scrub_period_ms" => self.scrub_period_ms = Some(words.parse()),
                "spares_kept_ms" => {
                    self.spares = Some(SpareConfig { fills_within_ms: 60_000, kept_ms: words.parse() });
                }
                other => panic!("a transcript cannot set '{other}'"),
            }
        }
    }

    pub fn shard_config(&self, settings: &Config) -> ShardConfig {
        ShardConfig {
            shard: ShardId(0),
            shards: self.shards,
            limits: LogLimits {
                direct_run_bytes: self.direct_run_bytes,
                chunk_bytes_max: 16 << 10,
                create_allocate_bytes: 64 << 10,
                marks_step_bytes: 1 << 20,
            },
            cache_bytes: self.cache_bytes,
            read_cache_bytes: self.read_cache_bytes,
            index_bytes: 1 << 20,
            read_bytes_max: self.read_bytes_max,
            producers_max: 1000,
            unflushed_bytes_max: self.unflushed_bytes_max,
            groups: settings.groups.clone(),
            retention: RetentionConfig {
                check_ms: self.retention_check_ms,
                producer_expiration_ms: u64::MAX,
                spares: self.spares,
            },
            compaction: CompactionConfig {
                enabled: self.compaction_backoff_ms.is_some(),
                backoff_ms: self.compaction_backoff_ms.unwrap_or_default(),
                keys_max: 1000,
                bytes_per_second: u64::MAX,
            },
            scrub: ScrubConfig { period_ms: self.scrub_period_ms, bytes_per_second: 100 << 20 },
            seed: 1,
            cluster: None,
        }
    }
}
