//! A data directory whose metadata log was written before partitions had homes: every topic is there, and every partition on the
//! shard where it was.

use std::fs;

use ringmain::base::{Offset, PartitionIndex, ShardId, TimestampMs, TopicPartition, VoterId};
use ringmain::config::{CommitLimits, Config};
use ringmain::controller::{ControllerConfig, MetadataImage};
use ringmain::record::BatchBuilder;
use ringmain::runtime::layout::{partition_folder, segment_file};
use ringmain::runtime::recovery::{Origin, Recovered, Recovery};

use crate::from_hex;

const RECORDS: &str = include_str!("metadata.tsv");
/// Creation number and partitions of each topic.
const TOPICS: [(&str, u64, usize); 2] = [("flights", 5, 5), ("trains", 8, 1)];

fn records() -> impl Iterator<Item = Vec<u8>> {
    let lines = RECORDS.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| from_hex(line.split_once('\t').unwrap().1))
}

fn opened(shards: u16) -> Recovered {
    let directory = tempfile::tempdir().unwrap();
    let folder = partition_folder(directory.path(), TopicPartition::METADATA);
    fs::create_dir_all(&folder).unwrap();
    let mut batch = BatchBuilder::new(TimestampMs(1));
    for record in records() {
        batch.append(None, Some(&record));
    }
    fs::write(segment_file(&folder, Offset(0), "log"), batch.finish().unwrap()).unwrap();
    let own = ControllerConfig::new("0123456789abcdefghijkl".into(), &Config::default());
    let recovery = Recovery {
        data_dir: directory.path(),
        directory: [7; 16],
        origin: Origin::Founded,
        voter: VoterId([8; 16]),
        commit: CommitLimits { file_bytes: 2 << 20, files_max: 4 },
        controller: ControllerConfig { shards, ..own },
    };
    recovery.run().unwrap()
}

/// As every version before homes did it.
fn shard_of(ordinal: u64, index: usize, shards: u16) -> ShardId {
    let number = ordinal + u64::try_from(index).unwrap();
    ShardId(u16::try_from(number % u64::from(shards)).unwrap())
}

fn check_topics(image: &MetadataImage) {
    for (name, ordinal, partitions) in TOPICS {
        let topic = &image.topics[name];
        assert_eq!((topic.ordinal, topic.partitions.len()), (ordinal, partitions), "{name}");
        for partition in &topic.partitions {
            let leader = image.here.server;
            assert_eq!((partition.leader(), partition.replicas()), (Some(leader), &[leader][..]));
            assert_eq!(partition.isr().collect::<Vec<_>>(), [leader]);
        }
    }
    let of = |name: &str| image.settings(&image.topics[name]);
    assert_eq!((of("flights").retention_ms, of("trains").retention_ms), (Some(77), Some(9)));
    assert_eq!(of("trains").segment_ms, 5000);
}

#[test]
fn partitions_stay_on_their_shards() {
    for shards in [1, 2, 3, 5] {
        let recovered = opened(shards);
        check_topics(&recovered.image);
        assert_eq!(recovered.shards.len(), usize::from(shards));
        for (name, ordinal, partitions) in TOPICS {
            let topic = recovered.image.topics[name].id;
            for index in 0..partitions {
                let partition = PartitionIndex(i32::try_from(index).unwrap());
                let id = TopicPartition { topic, partition };
                let holds =
                    |at: &usize| recovered.shards[*at].partitions.iter().any(|(found, _)| *found == id);
                let shard = usize::from(shard_of(ordinal, index, shards).0);
                let holders: Vec<usize> = (0..recovered.shards.len()).filter(holds).collect();
                assert_eq!(holders, [shard], "{name}-{index} of {shards} shards");
            }
        }
    }
}
