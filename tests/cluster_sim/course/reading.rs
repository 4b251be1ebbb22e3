//! Reads every log from its start to its end, and holds it against what is known.

use ringmain::base::{LeaderEpoch, ShardId, TopicPartition, joined};
use ringmain::shard::{ListOffsetsPartition, OffsetLookup, PartitionError, ShardReply, ShardRequest};

use super::Course;
use crate::clients::{fetch, read_batches};
use crate::net::At;
use crate::oracle::RecordNumber;

/// Where a log starts and ends, and its records.
type Whole = (i64, i64, Vec<(i64, RecordNumber)>);

impl Course {
    pub(super) fn check_everything(&mut self) {
        self.say(|| "everything is read".to_owned());
        let partitions = self.oracle.live().to_vec();
        for partition in partitions {
            if self.oracle.topic(partition.topic).is_none_or(|topic| topic.kind.is_internal()) {
                continue;
            }
            let Some((server, shard)) = self.leader(partition) else {
                panic!("{partition} has no leader though all is well")
            };
            // Retention may take what is being read.
            let (start, end, found) = loop {
                if let Some(read) = self.read_whole(server, shard, partition) {
                    break read;
                }
            };
            self.note(&[10, end.unsigned_abs(), found.len() as u64]);
            self.oracle.whole(partition, start, end, &found);
        }
    }

    /// Who says that it leads a partition.
    fn leader(&mut self, partition: TopicPartition) -> Option<(At, ShardId)> {
        (0..self.servers.len()).find_map(|server| Some((server, self.owner(server, partition)?)))
    }

    fn read_whole(&mut self, server: At, shard: ShardId, partition: TopicPartition) -> Option<Whole> {
        let start = self.end_of(server, shard, partition, OffsetLookup::Earliest);
        let end = self.end_of(server, shard, partition, OffsetLookup::Latest);
        let mut all = Vec::new();
        let mut next = start;
        while next < end {
            let request = fetch(partition, next, LeaderEpoch(-1), LeaderEpoch(-1), 0);
            let Some(ShardReply::Fetch(results)) = self.ask(server, shard, request) else {
                panic!("no fetch is answered otherwise")
            };
            let bytes = match &results[0].outcome {
                Ok(fetched) => joined(&fetched.records),
                Err(PartitionError::OffsetOutOfRange { requested, log_start, .. })
                    if requested < log_start =>
                {
                    return None;
                }
                Err(error) => panic!("{partition} at {next}: {error}"),
            };
            let (found, read_to) = read_batches(&bytes);
            assert!(read_to > next, "{partition}, which ends at {end}, has nothing at {next}");
            let wanted = found.iter().filter(|record| record.offset >= next);
            all.extend(wanted.map(|record| (record.offset, record.number)));
            next = read_to;
        }
        Some((start, end, all))
    }

    fn end_of(&mut self, server: At, shard: ShardId, partition: TopicPartition, lookup: OffsetLookup) -> i64 {
        let asked = ListOffsetsPartition {
            partition,
            current_leader_epoch: LeaderEpoch(-1),
            lookup,
            read_committed: false,
        };
        match self.ask(server, shard, ShardRequest::ListOffsets(vec![asked])) {
            Some(ShardReply::ListOffsets(listed)) => match &listed[0] {
                Ok(listed) => listed.offset.0,
                Err(error) => panic!("{partition}: {error}"),
            },
            other => panic!("{partition}: {other:?}"),
        }
    }
}
