//! What clients ask of the machine, at random.

use bytes::Bytes;
use ringmain::base::rng::Rng;
use ringmain::base::{Offset, PartitionIndex, ProducerEpoch, ProducerId, ShardId, TopicPartition};
use ringmain::controller::{ControllerRequest, TopicName};
use ringmain::record::{BatchBuilder, Inside};
use ringmain::shard::{
    Acks, DeleteRecordsPartition, OffsetLookup, ProducePartition, ProduceRequest, ShardRequest,
};

use super::{Asked, WAITING_MAX, World};
use crate::client::{fetch, lookup};
use crate::topics::Kind;

const KEYS: u64 = 7;

impl World {
    pub(super) fn produce(&mut self) {
        if self.asked.len() >= WAITING_MAX {
            return;
        }
        let busy = self.busy.iter().next_back().copied().filter(|it| self.model.get(*it).is_some());
        let busy = busy.filter(|_| self.chance(20));
        let Some(partition) = busy.or_else(|| self.any_partition()) else { return };
        let Some(owner) = self.owner(partition) else { return };
        // The first partition of each topic belongs to an idempotent producer, who waits for each answer.
        let is_idempotent = partition.partition == PartitionIndex(0) && !self.busy.contains(&partition);
        let (sequence, numbers) = match is_idempotent {
            true => {
                let fresh = self.fresh_records(partition);
                let producer = self.producers.entry(partition).or_default();
                if producer.is_waiting {
                    return;
                }
                producer.is_waiting = true;
                let next = producer.next_sequence;
                if producer.unknown.is_none() {
                    producer.next_sequence += i32::try_from(fresh.len()).unwrap();
                }
                producer.unknown.get_or_insert((next, fresh)).clone()
            }
            false => (-1, self.fresh_records(partition)),
        };
        let batch = self.batch(partition, &numbers, sequence);
        let request = ProduceRequest {
            partitions: vec![ProducePartition { partition, records: batch, inside: Inside::Unread }],
            zstd_allowed: true,
            acks: Acks::All,
            timeout_ms: 30_000,
        };
        let asked = Asked::Produce { partition, records: numbers, is_idempotent };
        self.ask(owner, Some(asked), ShardRequest::Produce(request));
    }

    fn fresh_records(&mut self, partition: TopicPartition) -> Vec<u64> {
        let count = 1 + self.rng.below(4);
        let numbers: Vec<u64> = (self.next_record..self.next_record + count).collect();
        self.next_record += count;
        let known = self.model.get(partition).unwrap();
        numbers.iter().for_each(|number| known.send(*number, number % KEYS));
        numbers
    }

    /// A batch of these records; of the same size whenever it is made.
    fn batch(&mut self, partition: TopicPartition, numbers: &[u64], sequence: i32) -> Bytes {
        let mut sizes = Rng::seeded(numbers[0]);
        let mut builder = BatchBuilder::new(self.now.wall);
        if sequence >= 0 {
            let id = ProducerId(1 + i64::from(partition.topic.0[0]));
            builder = builder.producer(id, ProducerEpoch(0), sequence);
        }
        for number in numbers {
            let is_busy = self.busy.contains(&partition);
            let size = match sizes.below(10) {
                0..4 if is_busy => 5000 + sizes.below(40_000),
                0 => 40_000 + sizes.below(60_000),
                1..4 => sizes.below(6000),
                _ => sizes.below(300),
            };
            let key = format!("k{}", number % KEYS);
            let value = format!("{number}:{}", "x".repeat(usize::try_from(size).unwrap()));
            builder.append(Some(key.as_bytes()), Some(value.as_bytes()));
        }
        builder.finish().unwrap().into()
    }

    /// Reads from somewhere, or asks for the end.
    pub(super) fn look(&mut self) {
        let Some(partition) = self.any_partition() else { return };
        let Some(owner) = self.owner(partition) else { return };
        let known = self.model.get(partition).unwrap();
        let (start, end) = (known.seen_start(), known.end());
        if self.chance(20) {
            let request = ShardRequest::ListOffsets(vec![lookup(partition, OffsetLookup::Latest)]);
            return self.ask(owner, Some(Asked::Ends { partition }), request);
        }
        let span = u64::try_from(end - start).unwrap() + 1;
        let offset = start + i64::try_from(self.rng.below(span)).unwrap();
        self.ask(owner, Some(Asked::Fetch { partition }), fetch(partition, offset));
    }

    pub(super) fn delete_records(&mut self) {
        let Some(partition) = self.any_partition() else { return };
        let Some(owner) = self.owner(partition) else { return };
        let known = self.model.get(partition).unwrap();
        let (start, end) = (known.seen_start(), known.end());
        let span = u64::try_from(end - start).unwrap() / 2 + 1;
        let before = Some(Offset(start + i64::try_from(self.rng.below(span)).unwrap()));
        let request = ShardRequest::DeleteRecords(vec![DeleteRecordsPartition { partition, before }]);
        self.ask(owner, Some(Asked::Delete { partition }), request);
    }

    pub(super) fn create_topic(&mut self) {
        let kind = Kind::any(&mut self.rng);
        self.create(kind);
    }

    pub(super) fn create(&mut self, kind: Kind) {
        let topic = kind.topic(self.next_topic, &mut self.rng);
        self.next_topic += 1;
        let request = ControllerRequest::CreateTopics { topics: vec![topic], validate_only: false };
        self.ask(ShardId(0), Some(Asked::Create { kind }), ShardRequest::Controller(request));
    }

    pub(super) fn drop_topic(&mut self) {
        let Some(partition) = self.any_partition() else { return };
        let of_topic = self.model.partitions().filter(|it| it.topic == partition.topic);
        let partitions: Vec<TopicPartition> = of_topic.collect();
        let topics = vec![TopicName::Id(partition.topic)];
        let request = ShardRequest::Controller(ControllerRequest::DeleteTopics { topics });
        self.ask(ShardId(0), Some(Asked::Drop { partitions }), request);
    }

    pub(super) fn owner(&self, partition: TopicPartition) -> Option<ShardId> {
        let image = self.machine.image();
        let topic = image.topic_by_id(partition.topic)?;
        image.replica_here(topic.partition(partition.partition)?)
    }

    fn any_partition(&mut self) -> Option<TopicPartition> {
        let all: Vec<TopicPartition> = self.model.partitions().collect();
        let at = self.rng.below(all.len().max(1) as u64);
        all.get(usize::try_from(at).unwrap()).copied()
    }
}
