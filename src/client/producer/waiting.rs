//! A producer's batches, each from its first record to its delivery.
//!
//! Owns the batches that are not delivered: for each partition the open batch, and the closed ones in the order of their
//! records, waiting or in flight. Decides when a batch is due, when it may be sent or sent again, and when it is too late;
//! and which partition takes records without key. Knows no nodes, requests or errors: the producer finds the leaders,
//! sends, and reports the result of each batch.
//!
//! Limits: a batch is closed at [`ProducerOptions::batch_bytes`]; the producer waits at [`ProducerOptions::buffer_bytes`]
//! over all partitions; at most [`IN_FLIGHT_PER_PARTITION`] batches of a partition are in flight (one without
//! idempotence).

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::base::rng::Rng;
use crate::base::{PartitionIndex, ProducerEpoch, ProducerId, TopicId};
use crate::record::{BatchBuilder, RecordToWrite};

use super::ProducerOptions;

/// Most batches of a partition in flight. A broker remembers the last five batches of a producer and partition (Kafka's
/// limit for idempotence).
const IN_FLIGHT_PER_PARTITION: usize = 5;

#[derive(Debug)]
pub(super) struct Waiting {
    /// The producer's options, which never change.
    options: ProducerOptions,
    topics: HashMap<Arc<str>, TopicBatches>,
    batch_next: u64,
    buffered_bytes: usize,
    rng: Rng,
}

#[derive(Debug)]
pub(super) struct TopicBatches {
    pub id: TopicId,
    partitions: Vec<PartitionBatches>,
    /// Index of the partition that takes records without key until its open batch closes.
    pub sticky: usize,
}

#[derive(Debug, Default)]
struct PartitionBatches {
    open: Option<OpenBatch>,
    /// Closed batches in the order of their records: in flight, or waiting.
    queue: VecDeque<ClosedBatch>,
    /// The producer id and the next sequence number of this partition. The producer sets them when it sends.
    sequence: Option<(Identity, i32)>,
}

#[derive(Debug)]
struct OpenBatch {
    builder: BatchBuilder,
    since: Instant,
}

#[derive(Debug)]
pub(super) struct ClosedBatch {
    number: u64,
    pub content: Content,
    pub records: usize,
    /// Bytes that the batch counts in the producer's buffer.
    bytes: usize,
    pub since: Instant,
    pub in_flight: bool,
    attempts: u32,
    not_before: Instant,
}

/// A batch gets its sequence numbers, and with them its bytes, when it is first sent; a retry sends the same bytes.
#[derive(Debug)]
pub(super) enum Content {
    Builder(Box<BatchBuilder>),
    Encoded(Bytes),
}

#[derive(Clone, Debug)]
pub(super) struct BatchAddress {
    pub topic: Arc<str>,
    pub partition: usize,
    number: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub id: ProducerId,
    pub epoch: ProducerEpoch,
}

/// Which open batches a round closes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Flush {
    Due,
    All,
}

impl Waiting {
    pub fn new(options: ProducerOptions, rng: Rng) -> Waiting {
        Waiting { options, topics: HashMap::new(), batch_next: 0, buffered_bytes: 0, rng }
    }

    pub fn is_empty(&self) -> bool {
        self.buffered_bytes == 0
    }

    /// Whether more bytes are buffered than the options allow.
    pub fn is_over_full(&self) -> bool {
        self.buffered_bytes > self.options.buffer_bytes
    }

    pub fn known(&self, name: &str) -> Option<Arc<str>> {
        self.topics.get_key_value(name).map(|(known, _)| known.clone())
    }

    pub fn names(&self) -> Vec<Arc<str>> {
        self.topics.keys().cloned().collect()
    }

    pub fn topic(&self, name: &Arc<str>) -> &TopicBatches {
        &self.topics[name]
    }

    /// Adds a topic that was not known.
    pub fn add_topic(&mut self, name: &str, id: TopicId, partitions: usize) -> Arc<str> {
        let known: Arc<str> = name.into();
        let partitions = (0..partitions).map(|_| PartitionBatches::default()).collect();
        self.topics.insert(known.clone(), TopicBatches { id, partitions, sticky: 0 });
        self.move_sticky(&known);
        known
    }

    /// Updates a known topic to what the cluster has now.
    pub fn update_topic(&mut self, name: &Arc<str>, id: TopicId, partitions: usize) {
        let topic = self.topics.get_mut(name).expect("topics stay known");
        topic.id = id;
        while topic.partitions.len() < partitions {
            topic.partitions.push(PartitionBatches::default());
        }
    }

    /// Adds a record to its partition's open batch. True if the batch is closed by that.
    pub fn append(&mut self, topic: &Arc<str>, index: usize, record: &RecordToWrite<'_>) -> bool {
        let partition = self.partition(topic, index);
        let open = partition.open.get_or_insert_with(|| OpenBatch {
            builder: BatchBuilder::new(record.timestamp),
            since: Instant::now(),
        });
        let before = open.builder.bytes();
        let was_empty = open.builder.is_empty();
        open.builder.append_record(record);
        let after = open.builder.bytes();
        self.buffered_bytes += if was_empty { after } else { after - before };
        let is_full = after >= self.options.batch_bytes;
        if is_full {
            self.close(topic, index);
        }
        is_full
    }

    /// Closes a partition's open batch, which then waits to be sent.
    fn close(&mut self, topic: &Arc<str>, index: usize) {
        let (number, codec) = (self.batch_next, self.options.codec);
        let Some(open) = self.partition(topic, index).open.take() else { return };
        self.batch_next += 1;
        let batch = ClosedBatch {
            number,
            records: open.builder.len(),
            bytes: open.builder.bytes(),
            content: Content::Builder(Box::new(open.builder.codec(codec))),
            since: open.since,
            in_flight: false,
            attempts: 0,
            not_before: open.since,
        };
        self.partition(topic, index).queue.push_back(batch);
        if self.topics[topic].sticky == index {
            self.move_sticky(topic);
        }
    }

    fn move_sticky(&mut self, topic: &Arc<str>) {
        let random = self.rng.next_u64();
        let state = self.topics.get_mut(topic).expect("topics stay known");
        let count = u64::try_from(state.partitions.len()).expect("a count fits");
        state.sticky = usize::try_from(random % count).expect("less than the count");
    }

    fn partition(&mut self, topic: &Arc<str>, index: usize) -> &mut PartitionBatches {
        &mut self.topics.get_mut(topic).expect("topics stay known").partitions[index]
    }

    pub fn close_due(&mut self, now: Instant, flush: Flush) {
        let linger = self.options.linger;
        let is_due = |open: &OpenBatch| match flush {
            Flush::All => true,
            Flush::Due => now.duration_since(open.since) >= linger,
        };
        let mut due = Vec::new();
        for (name, topic) in &self.topics {
            for (index, partition) in topic.partitions.iter().enumerate() {
                if partition.open.as_ref().is_some_and(is_due) {
                    due.push((name.clone(), index));
                }
            }
        }
        for (topic, index) in due {
            self.close(&topic, index);
        }
    }

    /// Batches that were not delivered in time.
    pub fn expired(&self, now: Instant) -> Vec<BatchAddress> {
        let within = self.options.delivery_timeout;
        let late = |batch: &ClosedBatch| !batch.in_flight && now.duration_since(batch.since) > within;
        let mut expired = Vec::new();
        for (name, topic) in &self.topics {
            for (index, partition) in topic.partitions.iter().enumerate() {
                let numbers = partition.queue.iter().filter(|batch| late(batch)).map(|batch| batch.number);
                expired.extend(numbers.map(|number| address(name, index, number)));
            }
        }
        expired
    }

    /// The first waiting batch of every partition that may send one.
    pub fn ready(&self, now: Instant) -> Vec<BatchAddress> {
        let in_flight_max = if self.options.idempotent { IN_FLIGHT_PER_PARTITION } else { 1 };
        let mut ready = Vec::new();
        for (name, topic) in &self.topics {
            for (index, partition) in topic.partitions.iter().enumerate() {
                let in_flight = partition.queue.iter().filter(|batch| batch.in_flight).count();
                let Some(at) = partition.queue.iter().position(|batch| !batch.in_flight) else { continue };
                // A failed batch waits until the batches after it were answered: when those are sent again, it must come before them.
                let passed = partition.queue.iter().skip(at).any(|batch| batch.in_flight);
                let batch = &partition.queue[at];
                if !passed && in_flight < in_flight_max && batch.not_before <= now {
                    ready.push(address(name, index, batch.number));
                }
            }
        }
        ready
    }

    /// When the first closed batch may be sent.
    pub fn ready_at(&self) -> Option<Instant> {
        let waiting = self.topics.values().flat_map(|topic| &topic.partitions).flat_map(|p| &p.queue);
        waiting.map(|batch| batch.not_before).min()
    }

    pub fn batch(&mut self, address: &BatchAddress) -> Option<&mut ClosedBatch> {
        let queue = &mut self.partition(&address.topic, address.partition).queue;
        queue.iter_mut().find(|batch| batch.number == address.number)
    }

    /// Whether the batch is the first of its partition that is not delivered.
    pub fn is_first(&self, address: &BatchAddress) -> bool {
        let queue = &self.topics[&address.topic].partitions[address.partition].queue;
        queue.front().map(|batch| batch.number) == Some(address.number)
    }

    /// The producer id and the next sequence number of the batch's partition.
    pub fn sequence(&mut self, address: &BatchAddress) -> &mut Option<(Identity, i32)> {
        &mut self.partition(&address.topic, address.partition).sequence
    }

    /// Removes a batch that was delivered, or that has failed.
    pub fn settled(&mut self, address: &BatchAddress) -> ClosedBatch {
        let queue = &mut self.partition(&address.topic, address.partition).queue;
        let at = queue.iter().position(|batch| batch.number == address.number);
        let batch = at.and_then(|at| queue.remove(at)).expect("a batch is settled once");
        self.buffered_bytes -= batch.bytes;
        batch
    }
}

impl TopicBatches {
    pub fn partitions(&self) -> usize {
        self.partitions.len()
    }
}

impl ClosedBatch {
    pub fn sent(&mut self) {
        self.in_flight = true;
        self.attempts += 1;
    }

    /// Lets the batch wait in its place for `pause`.
    pub fn pause(&mut self, now: Instant, pause: Duration) {
        self.not_before = now + pause;
    }

    /// Lets the batch wait; each wait is longer than the one before.
    pub fn back_off(&mut self, now: Instant, backoff: Duration, backoff_max: Duration) {
        let doubled = backoff.saturating_mul(1 << (self.attempts - 1).min(10));
        self.pause(now, doubled.min(backoff_max));
    }
}

impl BatchAddress {
    pub fn index(&self) -> PartitionIndex {
        PartitionIndex(i32::try_from(self.partition).expect("partitions are counted in an i32"))
    }

    pub fn subject(&self) -> String {
        format!("{} partition {}", self.topic, self.partition)
    }
}

fn address(topic: &Arc<str>, partition: usize, number: u64) -> BatchAddress {
    BatchAddress { topic: topic.clone(), partition, number }
}

#[cfg(test)]
mod tests {
    use crate::base::TimestampMs;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn waiting(options: ProducerOptions) -> (Waiting, Arc<str>) {
        let mut waiting = Waiting::new(options, Rng::seeded(1));
        let topic = waiting.add_topic("t", TopicId::ZERO, 2);
        (waiting, topic)
    }

    /// Adds one record to each of the partitions, and returns whether their batches are closed.
    fn append(waiting: &mut Waiting, topic: &Arc<str>, partitions: &[usize]) -> Vec<bool> {
        let record =
            RecordToWrite { timestamp: TimestampMs(1), value: Some(&[7; 100]), ..Default::default() };
        partitions.iter().map(|index| waiting.append(topic, *index, &record)).collect()
    }

    fn numbers(batches: &[BatchAddress]) -> Vec<(usize, u64)> {
        let mut numbers: Vec<_> = batches.iter().map(|batch| (batch.partition, batch.number)).collect();
        numbers.sort_unstable();
        numbers
    }

    #[test]
    fn a_batch_is_due_once_full_or_lingered() {
        let options = ProducerOptions { batch_bytes: 300, linger: SECOND * 60, ..Default::default() };
        let (mut waiting, topic) = waiting(options);
        assert_eq!(append(&mut waiting, &topic, &[0, 0, 1, 0]), [false, false, false, true]);
        let now = Instant::now();
        waiting.close_due(now, Flush::Due);
        assert_eq!(numbers(&waiting.ready(now)), [(0, 0)]);
        waiting.close_due(now + SECOND * 60, Flush::Due);
        assert_eq!(numbers(&waiting.ready(now)), [(0, 0), (1, 1)]);
        append(&mut waiting, &topic, &[1]);
        waiting.close_due(Instant::now(), Flush::All);
        assert_eq!(waiting.topics[&topic].partitions[1].queue.len(), 2);
    }

    #[test]
    fn a_batch_to_be_sent_again_is_first_in_its_partition() {
        for (idempotent, in_flight_max) in [(true, IN_FLIGHT_PER_PARTITION), (false, 1)] {
            let options = ProducerOptions { batch_bytes: 1, idempotent, ..Default::default() };
            let (mut waiting, topic) = waiting(options);
            append(&mut waiting, &topic, &[0; IN_FLIGHT_PER_PARTITION + 1]);
            let now = Instant::now();
            let mut sent = Vec::new();
            while let Some(batch) = waiting.ready(now).pop() {
                waiting.batch(&batch).expect("ready").sent();
                sent.push(batch);
            }
            assert_eq!(sent.len(), in_flight_max);
            let first = waiting.batch(&sent[0]).expect("in flight");
            first.in_flight = false;
            first.back_off(now, SECOND, SECOND * 10);
            assert!(waiting.is_first(&sent[0]));
            for successor in &sent[1..] {
                assert!(waiting.ready(now + SECOND).is_empty(), "a successor is still on its way");
                waiting.batch(successor).expect("in flight").in_flight = false;
            }
            assert!(waiting.ready(now).is_empty(), "it pauses, and nothing passes it");
            assert_eq!(numbers(&waiting.ready(now + SECOND)), [(0, 0)]);
        }
    }

    #[test]
    fn pauses_double_up_to_their_limit() {
        let (mut waiting, topic) = waiting(ProducerOptions { batch_bytes: 1, ..Default::default() });
        append(&mut waiting, &topic, &[0]);
        let now = Instant::now();
        for pause in [1, 2, 4, 5, 5] {
            let batch = waiting.batch(&address(&topic, 0, 0)).expect("it waits");
            batch.sent();
            batch.back_off(now, SECOND, SECOND * 5);
            assert_eq!(waiting.ready_at(), Some(now + SECOND * pause));
        }
    }

    #[test]
    fn the_buffer_counts_until_delivery() {
        let options = ProducerOptions { batch_bytes: 1, buffer_bytes: 400, ..Default::default() };
        let (mut waiting, topic) = waiting(options);
        append(&mut waiting, &topic, &[0, 1]);
        assert!(!waiting.is_over_full());
        append(&mut waiting, &topic, &[1]);
        let late = waiting.expired(Instant::now() + waiting.options.delivery_timeout + SECOND);
        assert_eq!(numbers(&late), [(0, 0), (1, 1), (1, 2)]);
        assert!(waiting.is_over_full());
        assert_eq!(late.iter().map(|batch| waiting.settled(batch).records).sum::<usize>(), 3);
        assert!(waiting.is_empty());
    }
}
