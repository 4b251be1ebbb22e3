//! What a change of the cluster's state costs: one partition of up to 100,000 gets another leader epoch.
//!
//! Shard 0 folds the record into its image (`fold`); then every shard takes the new image over (`follow`).

use std::collections::BTreeMap;
use std::hint::black_box;
use std::rc::Rc;
use std::time::{Duration, Instant};

use criterion::Criterion;
use ringmain::base::rng::Rng;
use ringmain::base::{Chunk, MonoNanos, Now, ShardId, TimestampMs, TopicId};
use ringmain::commit::{CommitStart, FILES_MIN, GROUP_BYTES_MAX};
use ringmain::config::{Config, TopicCreation};
use ringmain::controller::{Controller, ControllerConfig, ControllerRequest, NewTopic, Published};
use ringmain::log::LogLimits;
use ringmain::shard::{CompactionConfig, RetentionConfig, ScrubConfig, Shard, ShardConfig, ShardRecovery};

use crate::verify;

/// Topics of ten partitions: a small cluster and a large one.
const CLUSTERS: [(&str, usize); 2] = [("10 topics x 10", 10), ("10000 topics x 10", 10_000)];
const PARTITIONS: i32 = 10;
const SHARDS: u16 = 4;
const NOW: Now = Now { mono: MonoNanos(1), wall: TimestampMs(1) };
/// The partition's leader epoch after two changes.
const EXPECTED: u32 = 0xf700_6846;

/// A PartitionsRecord of one partition; where its topic, partition and leader epoch are.
const RECORD: [u8; 80] = [
    16, 0, 0, 0, 0, 0, 10, 0, 14, 0, 0, 0, 7, 0, 8, 0, 10, 0, 0, 0, 0, 0, 0, 3, 20, 0, 0, 0, 0, 0, 14, 0, 36,
    0, 4, 0, 20, 0, 24, 0, 28, 0, 32, 0, 14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0,
];
const TOPIC_AT: usize = 48;
const PARTITION_AT: usize = 64;
const EPOCH_AT: usize = 76;

pub fn bench(criterion: &mut Criterion) {
    for (name, topics) in CLUSTERS {
        let mut cluster = Cluster::new(topics);
        cluster.change();
        cluster.change();
        verify("image", &cluster.epoch_served().to_le_bytes(), EXPECTED);
        let mut group = criterion.benchmark_group("one leader epoch");
        group.bench_function(format!("fold {name}"), |bencher| {
            bencher.iter_custom(|times| (0..times).map(|_| cluster.change().0).sum());
        });
        group.bench_function(format!("follow {name}"), |bencher| {
            bencher.iter_custom(|times| (0..times).map(|_| cluster.change().1).sum());
        });
        group.finish();
    }
}

/// Shard 0's controller, and one of the shards.
struct Cluster {
    controller: Controller,
    shard: Shard,
    topic: TopicId,
    epoch: i32,
}

impl Cluster {
    fn new(topics: usize) -> Cluster {
        let config = Config::default();
        let own = ControllerConfig::new("0123456789abcdefghijkl".into(), &config);
        let limits = TopicCreation { partitions_max: 1_000_000, ..own.topics };
        let mut controller = Controller::new(ControllerConfig { shards: SHARDS, topics: limits, ..own });
        let mut rng = Rng::seeded(7);
        for name in 0..topics {
            let topics = vec![topic(format!("topic-{name}"))];
            let request = ControllerRequest::CreateTopics { topics, validate_only: false };
            for record in &controller.decide(&request, &mut rng).records {
                let offset = controller.version();
                controller.replay(record, offset).expect("the controller's own record");
            }
        }
        let image = controller.image();
        let topic = image.topics.by_name("topic-5").expect("created").id;
        let recovered = ShardRecovery {
            commit: commit_log(&config),
            partitions: vec![],
            image,
            controller: None,
            directory: None,
            unplaced: std::sync::Arc::default(),
        };
        let shard = Shard::new(shard_config(&config), recovered, Box::new(Chunk::heap), Rc::default());
        Cluster { controller, shard, topic, epoch: 0 }
    }

    /// Gives one partition of this shard the next leader epoch: how long the fold takes, and how long the shard.
    fn change(&mut self) -> (Duration, Duration) {
        self.epoch += 1;
        let record = record(self.topic, self.partition(), self.epoch);
        let began = Instant::now();
        let from_version = self.controller.version();
        let change = self.controller.replay(&record, from_version).expect("fits");
        let published = Published { image: self.controller.image(), from_version, changes: vec![change] };
        let folded = began.elapsed();
        let mut effects = Vec::new();
        let began = Instant::now();
        self.shard.image(NOW, black_box(&published), &mut effects);
        let followed = began.elapsed();
        assert!(effects.is_empty(), "a new epoch alone wants nothing of the disk");
        (folded, followed)
    }

    /// The topic's first partition on this shard.
    fn partition(&self) -> i32 {
        let image = self.controller.image();
        let topic = image.topic_by_id(self.topic).expect("created");
        let mut partitions = (0..).zip(&topic.partitions);
        let here = partitions.find(|(_, partition)| image.replica_here(partition) == Some(ShardId(0)));
        here.expect("four shards share ten partitions").0
    }

    fn epoch_served(&self) -> i32 {
        let index = usize::try_from(self.partition()).expect("positive");
        self.shard.current_image().topic_by_id(self.topic).expect("created").partitions[index]
            .leader_epoch()
            .0
    }
}

fn record(topic: TopicId, partition: i32, epoch: i32) -> Vec<u8> {
    let mut record = RECORD.to_vec();
    let halves = u128::from_be_bytes(topic.0);
    let (most, least) = (halves >> 64, halves & u128::from(u64::MAX));
    record[TOPIC_AT..][..8].copy_from_slice(&most.to_le_bytes()[..8]);
    record[TOPIC_AT + 8..][..8].copy_from_slice(&least.to_le_bytes()[..8]);
    record[PARTITION_AT..][..4].copy_from_slice(&partition.to_le_bytes());
    record[EPOCH_AT..][..4].copy_from_slice(&epoch.to_le_bytes());
    record
}

fn topic(name: String) -> NewTopic {
    NewTopic {
        name,
        partitions: PARTITIONS,
        replication_factor: 1,
        assignments: vec![],
        configs: BTreeMap::new(),
        internal: false,
    }
}

fn commit_log(config: &Config) -> CommitStart {
    CommitStart {
        identity: [7; 16],
        next_sequence: 1,
        files: (0..u32::try_from(FILES_MIN).expect("few")).collect(),
        file_bytes: config.commit.file_bytes,
        files_max: config.commit.files_max.max(FILES_MIN),
        group_bytes_max: GROUP_BYTES_MAX,
    }
}

fn shard_config(config: &Config) -> ShardConfig {
    ShardConfig {
        shard: ShardId(0),
        shards: SHARDS,
        limits: LogLimits {
            direct_run_bytes: config.direct_run_bytes,
            chunk_bytes_max: config.chunk_bytes,
            create_allocate_bytes: 4 << 20,
            marks_step_bytes: 4 << 20,
        },
        cache_bytes: 256 << 20,
        read_cache_bytes: 16 << 20,
        index_bytes: 4 << 20,
        read_bytes_max: 32 << 20,
        producers_max: 1000,
        unflushed_bytes_max: 32 << 20,
        groups: config.groups.clone(),
        retention: RetentionConfig {
            spares: None,
            check_ms: config.retention_check_ms,
            producer_expiration_ms: config.producer_id_expiration_ms,
        },
        compaction: CompactionConfig {
            enabled: false,
            backoff_ms: 1000,
            keys_max: 1000,
            bytes_per_second: 1,
        },
        scrub: ScrubConfig { period_ms: None, bytes_per_second: 1 },
        seed: 7,
        cluster: None,
    }
}
