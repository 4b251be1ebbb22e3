//! Questions of the world's clients, and what they make of the answers.

use ringmain::base::{PartitionIndex, ShardId, TopicPartition};
use ringmain::controller::ControllerReply;
use ringmain::shard::{PartitionError, RequestId, ShardReply, ShardRequest};

use super::{Asked, World};
use crate::client::{joined, read_batches};
use crate::machine::Said;
use crate::topics::Kind;

impl World {
    pub(super) fn ask(&mut self, shard: ShardId, asked: Option<Asked>, request: ShardRequest) {
        let number = self.next_ask;
        self.next_ask += 1;
        if let Some(asked) = asked {
            self.note(|| format!("ask {number}: {asked:?}"));
            self.asked.insert(number, asked);
        }
        let id = RequestId { origin: ShardId(0), number };
        self.machine.ask(self.now, shard, id, request);
        self.hear();
    }

    pub(super) fn hear(&mut self) {
        for said in self.machine.heard() {
            match said {
                Said::Reply { to, reply } => self.replied(to.number, reply),
                Said::Fatal { reason } => self.note(|| format!("fatal: {reason}")),
            }
        }
    }

    fn replied(&mut self, number: u64, reply: ShardReply) {
        let Some(asked) = self.asked.remove(&number) else {
            self.told = Some(reply);
            return;
        };
        match (asked, reply) {
            (Asked::Produce { partition, records, is_idempotent }, ShardReply::Produce(results)) => {
                let outcome = results[0].outcome.clone();
                self.note(|| format!("{number} produced: {outcome:?}"));
                self.produced(partition, &records, is_idempotent, outcome.map(|it| it.base_offset.0));
            }
            (Asked::Fetch { partition }, ShardReply::Fetch(results)) => match &results[0].outcome {
                Ok(fetched) => {
                    let bytes = joined(&fetched.records);
                    let found = read_batches(&bytes);
                    self.note(|| format!("{number} fetched {} records", found.len()));
                    if let Some(known) = self.model.get(partition) {
                        found.iter().for_each(|(offset, record)| known.found(*offset, *record));
                        known.bounds(fetched.log_start.0, fetched.high_watermark.0);
                    }
                }
                Err(PartitionError::OffsetOutOfRange { .. } | PartitionError::NotHere) => {}
                // The notice of it follows.
                Err(PartitionError::StorageFailed) => {}
                Err(error) => panic!("a fetch: {error}"),
            },
            (Asked::Ends { partition }, ShardReply::ListOffsets(results)) => {
                if let (Ok(listed), Some(known)) = (&results[0], self.model.get(partition)) {
                    known.bounds(0, listed.offset.0);
                }
            }
            (Asked::Delete { partition }, ShardReply::DeleteRecords(results)) => {
                if let (Ok(start), Some(known)) = (&results[0], self.model.get(partition)) {
                    known.deleted_before(start.0);
                }
            }
            (Asked::Create { kind }, ShardReply::Controller(ControllerReply::CreateTopics(created))) => {
                if let Ok(created) = &created[0] {
                    for index in 0..created.partitions {
                        let partition =
                            TopicPartition { topic: created.id, partition: PartitionIndex(index) };
                        self.model.born(partition, kind == Kind::Compacted);
                        if kind == Kind::Busy {
                            self.busy.insert(partition);
                        }
                    }
                }
            }
            (Asked::Drop { partitions }, ShardReply::Controller(ControllerReply::DeleteTopics(_))) => {
                partitions.iter().for_each(|partition| self.model.gone(*partition));
            }
            (asked, reply) => panic!("{asked:?} was answered {reply:?}"),
        }
    }

    fn produced(
        &mut self,
        partition: TopicPartition,
        sent: &[u64],
        is_idempotent: bool,
        outcome: Result<i64, PartitionError>,
    ) {
        if let (Ok(base), Some(known)) = (&outcome, self.model.get(partition)) {
            known.acknowledged(*base, sent);
        }
        if is_idempotent {
            let producer = self.producers.get_mut(&partition).unwrap();
            producer.is_waiting = false;
            if outcome.is_ok() {
                producer.unknown = None;
            }
        }
        match outcome {
            Ok(_) | Err(PartitionError::NotHere | PartitionError::DiskFull) => {}
            Err(PartitionError::StorageFailed) => {}
            Err(error) => panic!("a batch was refused: {error}"),
        }
    }
}
