//! Produces records: finds leaders, sends what is due, retries, idempotence.
//!
//! Owns the requests in flight per node and the producer id; the batches themselves, from their first record on, are
//! `waiting`'s, and connections and who leads what are the cluster's. A batch that is full or has lingered is sent to its
//! partition's leader. Several requests per node and several batches per partition may be in flight. Without a producer
//! id a retry could pass a later batch, so then a partition has one batch in flight. With one, the broker refuses what
//! comes out of sequence, and a failed batch is sent again before its successors.
//!
//! Driven by its caller: nothing happens between calls, and `send` blocks while [`ProducerOptions::buffer_bytes`] wait.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use crate::base::rng::Rng;
use crate::base::{NodeId, Offset, PartitionIndex, Payload, ProducerEpoch, ProducerId, TimestampMs, TopicId};
use crate::protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use crate::protocol::messages::produce_response::PartitionProduceResponse;
use crate::protocol::messages::{
    InitProducerIdRequest, InitProducerIdResponse, ProduceRequest, ProduceResponse,
};
use crate::protocol::{ApiKey, ErrorCode, Records};
use crate::record::{Codec, Header, RecordToWrite};

use super::cluster::{Cluster, breaks_connection};
use super::connection::{Answer, wait_readable};
use super::error::{ClientError, check_code};
use super::partitioner::partition_of_key;
use super::waiting::{BatchAddress, Content, Flush, Identity, Waiting};

/// First Produce version that names topics by id, and last that names them by name.
const PRODUCE_BY_ID_FROM: i16 = 13;

/// How many replicas must have a record before it counts as delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    None,
    Leader,
    All,
}

impl Acks {
    /// Kafka's spelling: `0`, `1`, `-1` or `all`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Acks> {
        match text {
            "0" => Some(Acks::None),
            "1" => Some(Acks::Leader),
            "-1" | "all" => Some(Acks::All),
            _ => None,
        }
    }

    fn on_wire(self) -> i16 {
        match self {
            Acks::None => 0,
            Acks::Leader => 1,
            Acks::All => -1,
        }
    }
}

/// How a producer behaves; the defaults are those of Kafka's own producer where it has the setting.
#[derive(Clone, Debug)]
pub struct ProducerOptions {
    pub acks: Acks,
    pub codec: Codec,
    /// Bytes of records (before compression) that close a batch.
    pub batch_bytes: usize,
    /// How long a batch waits for more records.
    pub linger: Duration,
    /// Needs acks all.
    pub idempotent: bool,
    /// Requests in flight per node.
    pub in_flight_max: usize,
    /// Bytes of records waiting or in flight at which `send` blocks.
    pub buffer_bytes: usize,
    /// How long a batch may take from its first record to its answer, retries included.
    pub delivery_timeout: Duration,
    /// How long the broker may take for a request.
    pub request_timeout: Duration,
    /// Pause before the first retry; doubles up to `retry_backoff_max`.
    pub retry_backoff: Duration,
    pub retry_backoff_max: Duration,
    /// How long `send` waits for a topic to have leaders.
    pub topic_timeout: Duration,
}

impl Default for ProducerOptions {
    fn default() -> ProducerOptions {
        ProducerOptions {
            acks: Acks::All,
            codec: Codec::None,
            batch_bytes: 16 * 1024,
            linger: Duration::from_millis(5),
            idempotent: true,
            in_flight_max: 5,
            buffer_bytes: 32 * 1024 * 1024,
            delivery_timeout: Duration::from_secs(120),
            request_timeout: Duration::from_secs(30),
            retry_backoff: Duration::from_millis(100),
            retry_backoff_max: Duration::from_secs(1),
            topic_timeout: Duration::from_secs(10),
        }
    }
}

/// A record to be produced.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProducerRecord<'a> {
    pub topic: &'a str,
    /// `None`: by key, or any if there is none.
    pub partition: Option<PartitionIndex>,
    /// `None`: now.
    pub timestamp: Option<TimestampMs>,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: &'a [Header<'a>],
}

/// What became of one batch.
#[derive(Debug)]
pub struct Delivery {
    pub topic: Arc<str>,
    pub partition: PartitionIndex,
    pub records: usize,
    /// Offset of the first record; -1 where the broker did not say (acks 0, or a duplicate of long ago).
    pub result: Result<Offset, ClientError>,
}

#[derive(Debug)]
pub struct Producer {
    cluster: Cluster,
    options: ProducerOptions,
    waiting: Waiting,
    /// Per node the requests in flight, oldest first; each with the batches it carries.
    in_flight: HashMap<NodeId, VecDeque<Vec<BatchAddress>>>,
    /// What new partitions are produced under; `None` until asked for, and after a gap in some partition's sequence.
    identity: Option<Identity>,
    metadata_is_stale: bool,
    /// When batches were last looked through for what is due.
    dispatched: Instant,
}

impl Producer {
    /// A producer over a cluster. Idempotence is left out where acks do not allow it.
    #[must_use]
    pub fn new(cluster: Cluster, mut options: ProducerOptions) -> Producer {
        options.idempotent &= options.acks == Acks::All;
        assert!(
            options.in_flight_max > 0 && options.batch_bytes > 0,
            "a producer that never sends is of no use"
        );
        let rng = Rng::seeded(u64::from(std::process::id()) << 32 ^ wall_clock().0.unsigned_abs());
        Producer {
            cluster,
            waiting: Waiting::new(options.clone(), rng),
            options,
            in_flight: HashMap::new(),
            identity: None,
            metadata_is_stale: false,
            dispatched: Instant::now(),
        }
    }

    /// Takes a record into its partition's batch and sends what is due. Returns what was delivered meanwhile.
    pub fn send(&mut self, record: &ProducerRecord<'_>) -> Result<Vec<Delivery>, ClientError> {
        let mut deliveries = Vec::new();
        let topic = self.topic(record.topic)?;
        let index = self.partition_for(&topic, record)?;
        let has_closed = self.waiting.append(
            &topic,
            index,
            &RecordToWrite {
                timestamp: record.timestamp.unwrap_or_else(wall_clock),
                key: record.key,
                value: record.value,
                headers: record.headers,
            },
        );
        if has_closed || self.dispatched.elapsed() >= self.options.linger {
            self.dispatch(Instant::now(), Flush::Due, &mut deliveries)?;
        }
        while self.waiting.is_over_full() {
            self.step(Flush::All, &mut deliveries)?;
        }
        Ok(deliveries)
    }

    /// Sends what has lingered and takes the answers that are there; never waits. To be called every
    /// [`ProducerOptions::linger`] while no records come.
    pub fn poll(&mut self) -> Result<Vec<Delivery>, ClientError> {
        let mut deliveries = Vec::new();
        self.dispatch(Instant::now(), Flush::Due, &mut deliveries)?;
        self.receive(Duration::ZERO, &mut deliveries)?;
        Ok(deliveries)
    }

    /// Sends everything and waits until every batch was delivered or has failed.
    pub fn flush(&mut self) -> Result<Vec<Delivery>, ClientError> {
        let mut deliveries = Vec::new();
        while !self.waiting.is_empty() {
            self.step(Flush::All, &mut deliveries)?;
        }
        Ok(deliveries)
    }

    /// The cluster, with nothing in flight.
    pub fn into_cluster(self) -> Cluster {
        assert!(self.waiting.is_empty(), "records would be lost");
        self.cluster
    }

    fn topic(&mut self, name: &str) -> Result<Arc<str>, ClientError> {
        if let Some(known) = self.waiting.known(name) {
            return Ok(known);
        }
        let view = self.cluster.ready_topic(name, true, self.options.topic_timeout)?;
        Ok(self.waiting.add_topic(name, view.id, view.partitions.len()))
    }

    fn partition_for(&self, topic: &Arc<str>, record: &ProducerRecord<'_>) -> Result<usize, ClientError> {
        let state = self.waiting.topic(topic);
        let count = state.partitions();
        let index = match (record.partition, record.key) {
            (Some(partition), _) => usize::try_from(partition.0).unwrap_or(usize::MAX),
            (None, Some(key)) => {
                let count = u32::try_from(count).expect("partitions are counted in an i32");
                usize::try_from(partition_of_key(key, count).0).expect("it is not negative")
            }
            (None, None) => state.sticky,
        };
        if index < count {
            return Ok(index);
        }
        Err(ClientError::Kafka {
            code: ErrorCode::UnknownTopicOrPartition,
            subject: format!("topic {topic}"),
            message: Some(format!("it has {count} partitions, numbered from 0")),
        })
    }

    /// One round of sending and receiving that makes progress or waits for some.
    fn step(&mut self, flush: Flush, deliveries: &mut Vec<Delivery>) -> Result<(), ClientError> {
        self.dispatch(Instant::now(), flush, deliveries)?;
        if self.in_flight.values().any(|requests| !requests.is_empty()) {
            return self.receive(self.options.request_timeout * 2, deliveries);
        }
        // Everything waits for a retry's time.
        if let Some(at) = self.waiting.ready_at() {
            std::thread::sleep(at.saturating_duration_since(Instant::now()));
        }
        Ok(())
    }

    /// Closes batches that are due and sends to every leader what may be sent.
    fn dispatch(
        &mut self,
        now: Instant,
        flush: Flush,
        deliveries: &mut Vec<Delivery>,
    ) -> Result<(), ClientError> {
        self.dispatched = now;
        self.waiting.close_due(now, flush);
        self.expire(now, deliveries);
        loop {
            let ready = self.waiting.ready(now);
            if ready.is_empty() {
                return Ok(());
            }
            if self.metadata_is_stale {
                self.refresh_metadata();
            }
            let mut sent = false;
            for (node, batches) in self.by_leader(ready, now) {
                let in_flight = self.in_flight.get(&node).map_or(0, VecDeque::len);
                if in_flight < self.options.in_flight_max {
                    self.send_request(node, batches, deliveries)?;
                    sent = true;
                }
            }
            if !sent {
                return Ok(());
            }
        }
    }

    /// Gives up batches that never were answered in time.
    fn expire(&mut self, now: Instant, deliveries: &mut Vec<Delivery>) {
        let within = self.options.delivery_timeout;
        for batch in self.waiting.expired(now) {
            let subject = batch.subject();
            let last = ClientError::Kafka {
                code: ErrorCode::RequestTimedOut,
                subject: subject.clone(),
                message: Some("its leader could not be reached".to_owned()),
            };
            self.fail(
                &batch,
                ClientError::DeliveryTimeout { subject, within, last: Box::new(last) },
                deliveries,
            );
        }
    }

    fn by_leader(&mut self, ready: Vec<BatchAddress>, now: Instant) -> HashMap<NodeId, Vec<BatchAddress>> {
        let mut by_leader: HashMap<NodeId, Vec<BatchAddress>> = HashMap::new();
        for batch in ready {
            match self.cluster.leader(&batch.topic, batch.index()) {
                Some(leader) => by_leader.entry(leader).or_default().push(batch),
                None => {
                    self.metadata_is_stale = true;
                    let pause = self.options.retry_backoff;
                    self.waiting.batch(&batch).expect("it waits").pause(now, pause);
                }
            }
        }
        by_leader
    }

    /// Asks anew who leads. A failure is not the end: batches wait, and the next round asks again.
    fn refresh_metadata(&mut self) {
        let known = self.waiting.names();
        let names: Vec<&str> = known.iter().map(|name| &**name).collect();
        self.metadata_is_stale = self.cluster.refresh(Some(&names), false).is_err();
        for name in &known {
            let Some(view) = self.cluster.topic(name) else { continue };
            self.waiting.update_topic(name, view.id, view.partitions.len());
        }
    }

    fn send_request(
        &mut self,
        node: NodeId,
        batches: Vec<BatchAddress>,
        deliveries: &mut Vec<Delivery>,
    ) -> Result<(), ClientError> {
        let mut encoded = Vec::with_capacity(batches.len());
        for batch in &batches {
            encoded.push(self.encode(batch)?);
        }
        let sent = self.write_request(node, &batches, encoded);
        for batch in &batches {
            self.waiting.batch(batch).expect("it waits to be sent").sent();
        }
        match sent {
            Ok(()) if self.options.acks == Acks::None => {
                for batch in &batches {
                    self.deliver(batch, Ok(Offset(-1)), deliveries);
                }
            }
            Ok(()) => self.in_flight.entry(node).or_default().push_back(batches),
            Err(error) => {
                self.in_flight.entry(node).or_default().push_back(batches);
                self.lose(node, error, deliveries);
            }
        }
        Ok(())
    }

    fn write_request(
        &mut self,
        node: NodeId,
        batches: &[BatchAddress],
        encoded: Vec<Bytes>,
    ) -> Result<(), ClientError> {
        let acks = self.options.acks;
        let timeout_ms = i32::try_from(self.options.request_timeout.as_millis()).unwrap_or(i32::MAX);
        let by_id = batches.iter().all(|batch| self.waiting.topic(&batch.topic).id != TopicId::ZERO);
        let connection = self.cluster.connection(node)?;
        let version_max = if by_id { i16::MAX } else { PRODUCE_BY_ID_FROM - 1 };
        let version = connection.version_up_to::<ProduceRequest<'_>>(version_max)?;
        let mut topic_data: Vec<TopicProduceData<'_>> = Vec::new();
        for (batch, bytes) in batches.iter().zip(encoded) {
            let index = batch.index().0;
            let data = PartitionProduceData { index, records: Records::Gather(vec![Payload::from(bytes)]) };
            match topic_data.iter_mut().find(|topic| *topic.name == *batch.topic) {
                Some(topic) => topic.partition_data.push(data),
                None => topic_data.push(TopicProduceData {
                    name: (&*batch.topic).into(),
                    topic_id: self.waiting.topic(&batch.topic).id,
                    partition_data: vec![data],
                }),
            }
        }
        let request = ProduceRequest { transactional_id: None, acks: acks.on_wire(), timeout_ms, topic_data };
        match acks {
            Acks::None => connection.send_unanswered(&request, version),
            Acks::Leader | Acks::All => connection.send_version(&request, version),
        }
    }

    /// A batch's bytes, made when it is sent for the first time.
    fn encode(&mut self, address: &BatchAddress) -> Result<Bytes, ClientError> {
        let batch = self.waiting.batch(address).expect("it waits to be sent");
        let records = i32::try_from(batch.records).expect("a batch counts its records in an i32");
        let mut builder = match &batch.content {
            Content::Encoded(bytes) => return Ok(bytes.clone()),
            Content::Builder(builder) => (**builder).clone(),
        };
        if self.options.idempotent {
            let (identity, sequence) = self.sequence_of(address)?;
            builder = builder.producer(identity.id, identity.epoch, sequence);
            let next = sequence_after(sequence, records);
            *self.waiting.sequence(address) = Some((identity, next));
        }
        let bytes = Bytes::from(builder.finish().map_err(ClientError::Build)?);
        self.waiting.batch(address).expect("it waits to be sent").content = Content::Encoded(bytes.clone());
        Ok(bytes)
    }

    fn sequence_of(&mut self, address: &BatchAddress) -> Result<(Identity, i32), ClientError> {
        if let Some(sequence) = self.waiting.sequence(address) {
            return Ok(*sequence);
        }
        let identity = match self.identity {
            Some(identity) => identity,
            None => self.new_identity()?,
        };
        *self.waiting.sequence(address) = Some((identity, 0));
        Ok((identity, 0))
    }

    fn new_identity(&mut self) -> Result<Identity, ClientError> {
        let request = InitProducerIdRequest {
            transactional_id: None,
            transaction_timeout_ms: i32::MAX,
            producer_id: -1,
            producer_epoch: -1,
            ..Default::default()
        };
        let deadline = Instant::now() + self.options.topic_timeout;
        loop {
            let answered = self.cluster.ask_any(&request).and_then(|answer| identity_of(&answer));
            match answered {
                Ok(identity) => {
                    self.identity = Some(identity);
                    return Ok(identity);
                }
                Err(error) if error.is_retriable() && Instant::now() < deadline => {
                    std::thread::sleep(self.options.retry_backoff);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes the answers that come, waiting for the first of them.
    fn receive(&mut self, within: Duration, deliveries: &mut Vec<Delivery>) -> Result<(), ClientError> {
        let busy = |(node, requests): (&NodeId, &VecDeque<_>)| (!requests.is_empty()).then_some(*node);
        let nodes: Vec<NodeId> = self.in_flight.iter().filter_map(busy).collect();
        let mut descriptors = Vec::with_capacity(nodes.len());
        for node in &nodes {
            let connection = self.cluster.connected(*node).expect("requests in flight have a connection");
            descriptors.push(connection.descriptor());
        }
        let ready = wait_readable(&descriptors, within)
            .map_err(|source| ClientError::Lost { address: "every broker".to_owned(), source })?;
        if ready.iter().any(|ready| *ready) {
            for (node, _) in nodes.into_iter().zip(ready).filter(|(_, ready)| *ready) {
                self.receive_one(node, deliveries);
            }
        } else if !within.is_zero() {
            let timeout =
                |node| ClientError::Timeout { address: format!("node {node}"), api: ApiKey::Produce, within };
            nodes.into_iter().for_each(|node| self.lose(node, timeout(node), deliveries));
        }
        Ok(())
    }

    fn receive_one(&mut self, node: NodeId, deliveries: &mut Vec<Delivery>) {
        let connection = self.cluster.connected(node).expect("requests in flight have a connection");
        match connection.receive() {
            Ok(answer) => {
                let requests = self.in_flight.get_mut(&node).expect("it was in flight");
                let batches = requests.pop_front().expect("it was in flight");
                if let Err(error) = self.answered(&batches, &answer, deliveries) {
                    self.in_flight.entry(node).or_default().push_front(batches);
                    self.lose(node, error, deliveries);
                }
            }
            Err(error) => self.lose(node, error, deliveries),
        }
    }

    fn answered(
        &mut self,
        batches: &[BatchAddress],
        answer: &Answer,
        deliveries: &mut Vec<Delivery>,
    ) -> Result<(), ClientError> {
        let response: ProduceResponse<'_> = answer.decode()?;
        for batch in batches {
            let id = self.waiting.topic(&batch.topic).id;
            let of_topic = response.responses.iter().find(|topic| {
                if answer.version() >= PRODUCE_BY_ID_FROM {
                    topic.topic_id == id
                } else {
                    *topic.name == *batch.topic
                }
            });
            let mut partitions = of_topic.iter().flat_map(|topic| &topic.partition_responses);
            match partitions.find(|partition| partition.index == batch.index().0) {
                Some(partition) => self.settle(batch, result_of(batch, partition), deliveries),
                None => {
                    let what = batch.subject();
                    let incomplete = ClientError::Incomplete { api: ApiKey::Produce, what };
                    self.settle(batch, Err(incomplete), deliveries);
                }
            }
        }
        Ok(())
    }

    /// Every request in flight to a node has failed.
    fn lose(&mut self, node: NodeId, error: ClientError, deliveries: &mut Vec<Delivery>) {
        if breaks_connection(&error) || self.in_flight.get(&node).is_some_and(|requests| requests.len() > 1) {
            self.cluster.disconnect(node);
        }
        self.metadata_is_stale = true;
        let batches: Vec<BatchAddress> =
            self.in_flight.remove(&node).into_iter().flatten().flatten().collect();
        let is_retriable = error.is_retriable();
        let text = error.to_string();
        let mut first = Some(error);
        for batch in &batches {
            // The error itself goes to one batch; the others quote it.
            let error = first.take().unwrap_or_else(|| ClientError::Kafka {
                code: if is_retriable { ErrorCode::NetworkException } else { ErrorCode::UnknownServerError },
                subject: batch.subject(),
                message: Some(text.clone()),
            });
            self.settle(batch, Err(error), deliveries);
        }
    }

    /// A batch has its answer: delivered, to be sent again, or failed.
    fn settle(
        &mut self,
        address: &BatchAddress,
        result: Result<Offset, ClientError>,
        deliveries: &mut Vec<Delivery>,
    ) {
        let error = match result {
            Ok(offset) => return self.deliver(address, Ok(offset), deliveries),
            Err(error) => error,
        };
        let now = Instant::now();
        let (backoff, backoff_max) = (self.options.retry_backoff, self.options.retry_backoff_max);
        let within = self.options.delivery_timeout;
        let is_first = self.waiting.is_first(address);
        // A gap in the sequence is what a failed predecessor leaves; once that is delivered, there is none.
        let is_gap = error.code() == Some(ErrorCode::OutOfOrderSequenceNumber);
        let batch = self.waiting.batch(address).expect("it is in flight");
        batch.in_flight = false;
        if !(error.is_retriable() || is_gap && !is_first) {
            return self.fail(address, error, deliveries);
        }
        if now.duration_since(batch.since) > within {
            let (subject, last) = (address.subject(), Box::new(error));
            return self.fail(address, ClientError::DeliveryTimeout { subject, within, last }, deliveries);
        }
        batch.back_off(now, backoff, backoff_max);
        self.metadata_is_stale |= !is_gap;
    }

    /// What follows a lost batch in its partition cannot continue the sequence: it gets a new producer id.
    fn fail(&mut self, address: &BatchAddress, error: ClientError, deliveries: &mut Vec<Delivery>) {
        *self.waiting.sequence(address) = None;
        self.identity = None;
        self.deliver(address, Err(error), deliveries);
    }

    fn deliver(
        &mut self,
        address: &BatchAddress,
        result: Result<Offset, ClientError>,
        deliveries: &mut Vec<Delivery>,
    ) {
        let batch = self.waiting.settled(address);
        let (topic, partition) = (address.topic.clone(), address.index());
        deliveries.push(Delivery { topic, partition, records: batch.records, result });
    }
}

/// Sequence numbers wrap at 2^31, as Kafka's do.
fn sequence_after(sequence: i32, records: i32) -> i32 {
    let next = (i64::from(sequence) + i64::from(records)) % (i64::from(i32::MAX) + 1);
    i32::try_from(next).expect("the remainder has 31 bits")
}

fn result_of(batch: &BatchAddress, answer: &PartitionProduceResponse<'_>) -> Result<Offset, ClientError> {
    // The broker has these records from an earlier attempt, and no longer knows where.
    if answer.error_code == ErrorCode::DuplicateSequenceNumber.code() {
        return Ok(Offset(-1));
    }
    let of_record =
        answer.record_errors.first().and_then(|record| record.batch_index_error_message.as_deref());
    let message = answer.error_message.as_deref().or(of_record);
    check_code(answer.error_code, message, || batch.subject()).map(|()| Offset(answer.base_offset))
}

fn identity_of(answer: &Answer) -> Result<Identity, ClientError> {
    let response: InitProducerIdResponse = answer.decode()?;
    check_code(response.error_code, None, || "a producer id".to_owned())?;
    Ok(Identity { id: ProducerId(response.producer_id), epoch: ProducerEpoch(response.producer_epoch) })
}

fn wall_clock() -> TimestampMs {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    TimestampMs(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acks_are_spelled_as_in_kafka() {
        for (text, expected) in [
            ("0", Some(Acks::None)),
            ("1", Some(Acks::Leader)),
            ("-1", Some(Acks::All)),
            ("all", Some(Acks::All)),
            ("2", None),
        ] {
            assert_eq!(Acks::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn sequences_wrap() {
        assert_eq!(sequence_after(0, 3), 3);
        assert_eq!(sequence_after(i32::MAX, 1), 0);
        assert_eq!(sequence_after(i32::MAX - 1, 5), 3);
    }
}
