//! A whole data directory for tests: a metadata log, commit logs, files; and what a start makes of it.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::super::{Origin, Recovered, Recovery, RecoveryError};
use crate::base::rng::Rng;
use crate::base::{
    Chunk, ChunkWriter, LeaderEpoch, Offset, PartitionIndex, ServerId, ShardId, TimestampMs, TopicId,
    TopicPartition, VoterId,
};
use crate::commit::{self, Checkpoint, CommitLog, CommitStart, EntryHeader, Pending, Receipt, Says};
use crate::config::{CommitLimits, Config};
use crate::controller::{
    Controller, ControllerConfig, ControllerReply, ControllerRequest, NewTopic, Voter, voters_record,
};
use crate::log::{PartitionSnapshot, RecoveredLog};
use crate::record::BatchBuilder;
use crate::runtime::layout::{commit_file, commit_folder, partition_folder, segment_file};
use crate::shard::DirectoryRecovery;

pub(super) const HERE: ServerId = ServerId(1);
pub(super) const VOTER: VoterId = VoterId([5; 16]);
const IDENTITY: [u8; 16] = [3; 16];

pub(super) struct Directory {
    data: TempDir,
    pub(super) shards: u16,
    pub(super) origin: Origin,
    /// What its next vote is made with.
    pub(super) voter: VoterId,
}

/// An entry of the commit log.
#[derive(Clone)]
pub(super) struct Logged<'a> {
    says: Says,
    bytes: &'a [u8],
}

impl<'a> Logged<'a> {
    /// These bytes belong at `position` of the segment at `base`; what was durable and committed then.
    pub(super) fn bytes(
        partition: TopicPartition,
        (base, position): (i64, u64),
        (flushed, high_watermark): (i64, i64),
        bytes: &'a [u8],
    ) -> Logged<'a> {
        let (segment_base, flushed) = (Offset(base), Offset(flushed));
        let high_watermark = Offset(high_watermark);
        let header = EntryHeader { partition, segment_base, position, flushed, high_watermark };
        Logged { says: Says::Append(header), bytes }
    }

    pub(super) fn cut(says: Says) -> Logged<'a> {
        Logged { says, bytes: &[] }
    }
}

impl Directory {
    pub(super) fn new() -> Directory {
        // Memory will do: no power is cut.
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let data = tempfile::tempdir_in(place).expect("a scratch directory");
        Directory { data, shards: 1, origin: Origin::Founded, voter: VOTER }
    }

    pub(super) fn path(&self) -> &Path {
        self.data.path()
    }

    pub(super) fn config(&self) -> ControllerConfig {
        let own = ControllerConfig::new("0123456789abcdefghijkl".into(), &Config::default());
        ControllerConfig { server: HERE, shards: self.shards, ..own }
    }

    pub(super) fn try_run(&self) -> Result<Recovered, RecoveryError> {
        let recovery = Recovery {
            data_dir: self.path(),
            directory: IDENTITY,
            origin: self.origin,
            voter: self.voter,
            commit: CommitLimits { file_bytes: 2 << 20, files_max: 4 },
            controller: self.config(),
        };
        recovery.run()
    }

    /// Starts; and once more, as after a crash at the end of recovery, which must find the same.
    pub(super) fn run(&self) -> Recovered {
        self.try_run().expect("it starts")
    }

    pub(super) fn segment(&self, partition: TopicPartition, base: i64) -> PathBuf {
        segment_file(&partition_folder(self.path(), partition), Offset(base), "log")
    }

    /// A segment's file, as if it had been written and synced.
    pub(super) fn put(&self, partition: TopicPartition, base: i64, bytes: &[u8]) {
        let path = self.segment(partition, base);
        fs::create_dir_all(path.parent().expect("in a folder")).expect("writable");
        fs::write(path, bytes).expect("writable");
    }

    /// Replaces a shard's checkpoint.
    pub(super) fn checkpoint(&self, shard: u16, replay_from: u64, partitions: &[PartitionSnapshot]) {
        let partitions = partitions.iter().map(PartitionSnapshot::encode).collect();
        let checkpoint = Checkpoint { identity: IDENTITY, replay_from, clean: false, partitions };
        let folder = commit_folder(self.path(), ShardId(shard));
        fs::write(folder.join("checkpoint"), checkpoint.encode()).expect("writable");
    }

    /// Writes groups to the commit log that a start has begun, each of some entries, and gives the sequence of the first.
    pub(super) fn commit(&self, shard: u16, start: &CommitStart, groups: &[Vec<Logged<'_>>]) -> u64 {
        let mut log = CommitLog::new(start.clone());
        let folder = commit_folder(self.path(), ShardId(shard));
        for group in groups {
            for entry in group {
                log.push(pending(entry));
            }
            let write = log.gather(&mut Chunk::heap).expect("something waits");
            let path = commit_file(&folder, write.file);
            let mut file = fs::read(&path).expect("made by the start");
            let at = usize::try_from(write.position).expect("small");
            file[at..at + write.data.len()].copy_from_slice(&write.data.all());
            fs::write(path, file).expect("writable");
            log.written();
        }
        start.next_sequence
    }
}

fn pending(entry: &Logged<'_>) -> Pending {
    let receipt = Receipt { slot: 0, logged: commit::Logged::Append(0) };
    if entry.bytes.is_empty() {
        return Pending { says: entry.says, data: [None, None], receipt };
    }
    let mut writer = ChunkWriter::new(Chunk::heap(entry.bytes.len().next_multiple_of(4096)));
    writer.append(entry.bytes);
    let data = [Some(writer.slice(0..entry.bytes.len())), None];
    Pending { says: entry.says, data, receipt }
}

/// A batch of the metadata log with these records.
pub(super) fn batch(base: i64, epoch: i32, records: &[Vec<u8>]) -> Vec<u8> {
    let mut batch = BatchBuilder::new(TimestampMs(1)).placed(Offset(base), LeaderEpoch(epoch));
    records.iter().for_each(|record| batch.append(None, Some(record)));
    batch.finish().expect("small")
}

/// Records that create topics of some partitions each, on an empty state; and the topics' ids.
pub(super) fn topics(config: &ControllerConfig, names: &[(&str, i32)]) -> (Vec<Vec<u8>>, Vec<TopicId>) {
    let (mut controller, mut rng) = (Controller::new(config.clone()), Rng::seeded(7));
    let topics = names.iter().map(|(name, partitions)| NewTopic {
        name: (*name).into(),
        partitions: *partitions,
        replication_factor: 1,
        assignments: Vec::new(),
        configs: [].into(),
        internal: false,
    });
    let request = ControllerRequest::CreateTopics { topics: topics.collect(), validate_only: false };
    let decision = controller.decide(&request, &mut rng);
    let ControllerReply::CreateTopics(created) = decision.reply else { panic!("{:?}", decision.reply) };
    let ids = created.into_iter().map(|topic| topic.expect("a good topic").id).collect();
    (decision.records, ids)
}

pub(super) fn partition(topic: TopicId, index: i32) -> TopicPartition {
    TopicPartition { topic, partition: PartitionIndex(index) }
}

/// A record that names the voters.
pub(super) fn voters(voters: &[(i32, VoterId)]) -> Vec<u8> {
    let voter = |(server, voter): &(i32, VoterId)| Voter {
        server: ServerId(*server),
        voter: *voter,
        host: "localhost".into(),
        port: 9192,
    };
    voters_record(voters.iter().map(voter).collect())
}

impl Recovered {
    pub(super) fn directory(&self) -> &DirectoryRecovery {
        self.shards[0].directory.as_ref().expect("shard 0 is told")
    }

    pub(super) fn recovered(&self, id: TopicPartition) -> &RecoveredLog {
        let mut all = self.shards.iter().flat_map(|shard| &shard.partitions);
        &all.find(|(known, _)| *known == id).expect("it is there").1
    }

    /// Start and end of a partition's log, with the shard that has it.
    pub(super) fn log(&self, id: TopicPartition) -> Option<(usize, i64, i64)> {
        let found = self.shards.iter().enumerate().flat_map(|(at, shard)| {
            shard.partitions.iter().map(move |(known, log)| (at, *known, log.log_start.0, log.log_end.0))
        });
        found.filter(|(_, known, ..)| *known == id).map(|(at, _, start, end)| (at, start, end)).next()
    }
}
