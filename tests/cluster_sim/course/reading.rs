//! Reads every log from its start to its end, and holds it against what is known.

use ringmain::base::{LeaderEpoch, ShardId, TopicPartition, joined};
use ringmain::shard::{ListOffsetsPartition, OffsetLookup, ShardReply, ShardRequest};

use super::Course;
use crate::checks::{Invariant, require};
use crate::clients::{fetch, read_batches};
use crate::net::At;
use crate::oracle::RecordNumber;
use crate::queue::Span;

/// A log of a cluster that is well can be read within this.
const PATIENCE: Span = Span::seconds(10);

/// Where a log starts and ends, and its records.
type Whole = (i64, i64, Vec<(i64, RecordNumber)>);

impl Course {
    pub(super) fn check_everything(&mut self) {
        self.say(|| "everything is read".to_owned());
        self.look_for_the_deleted();
        let partitions = self.oracle.live().to_vec();
        for partition in partitions {
            if self.oracle.topic(partition.topic).is_none_or(|topic| topic.kind.is_internal()) {
                continue;
            }
            let (start, end, found) = self.read_for_long(partition);
            self.note(&[10, end.unsigned_abs(), found.len() as u64]);
            self.oracle.whole(partition, start, end, &found);
        }
    }

    /// Who says that it leads a partition.
    fn leader(&mut self, partition: TopicPartition) -> Option<(At, ShardId)> {
        (0..self.servers.len()).find_map(|server| Some((server, self.owner(server, partition)?)))
    }

    /// Reads a log while retention takes some of it, and while its leader changes.
    fn read_for_long(&mut self, partition: TopicPartition) -> Whole {
        let until = self.queue.now().plus(PATIENCE);
        loop {
            let why = match self.leader(partition) {
                Some((server, shard)) => match self.read_whole(server, shard, partition) {
                    Ok(read) => return read,
                    Err(why) => format!("server {server}: {why}"),
                },
                None => "nobody leads".to_owned(),
            };
            require(Invariant::Liveness, self.queue.now() < until, || {
                format!("{partition} cannot be read though all is well: {why}")
            });
            self.run_for(Span::ms(50));
        }
    }

    fn read_whole(&mut self, server: At, shard: ShardId, partition: TopicPartition) -> Result<Whole, String> {
        let start = self.end_of(server, shard, partition, OffsetLookup::Earliest)?;
        let end = self.end_of(server, shard, partition, OffsetLookup::Latest)?;
        let mut all = Vec::new();
        let mut next = start;
        while next < end {
            let request = fetch(partition, next, LeaderEpoch(-1), LeaderEpoch(-1), 0);
            let Some(ShardReply::Fetch(results)) = self.ask(server, shard, request) else {
                return Err("no answer to a fetch".to_owned());
            };
            let fetched = results[0].outcome.as_ref().map_err(ToString::to_string)?;
            let (found, read_to, _) = read_batches(&joined(&fetched.records));
            if read_to <= next {
                return Err(format!("nothing at {next}, though the log ends at {end}"));
            }
            let wanted = found.iter().filter(|record| record.offset >= next);
            all.extend(wanted.map(|record| (record.offset, record.number)));
            next = read_to;
        }
        Ok((start, end, all))
    }

    fn end_of(
        &mut self,
        server: At,
        shard: ShardId,
        partition: TopicPartition,
        lookup: OffsetLookup,
    ) -> Result<i64, String> {
        let current_leader_epoch = LeaderEpoch(-1);
        let asked = ListOffsetsPartition { partition, current_leader_epoch, lookup, read_committed: false };
        match self.ask(server, shard, ShardRequest::ListOffsets(vec![asked])) {
            Some(ShardReply::ListOffsets(listed)) => match &listed[0] {
                Ok(listed) => Ok(listed.offset.0),
                Err(error) => Err(error.to_string()),
            },
            other => Err(format!("{other:?}")),
        }
    }
}
