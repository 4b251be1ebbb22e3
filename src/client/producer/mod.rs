//! Produces records: finds leaders, sends what is due, retries, idempotence.
//!
//! Owns the requests in flight per node and the producer id. `waiting` owns the batches from their first record on; the
//! cluster owns the connections and knows the leaders. A batch that is full or has lingered is sent to its partition's
//! leader. Several requests per node and several batches per partition may be in flight. Without a producer id a retried
//! batch could come after a later one, so a partition then has only one batch in flight. With a producer id the broker
//! refuses batches that come out of sequence, and a failed batch is sent again before its successors.
//!
//! The producer works only while it is called: nothing happens between calls. `send` blocks while
//! [`ProducerOptions::buffer_bytes`] of records wait.

mod answers;
mod options;
mod partitioner;
mod requests;
mod waiting;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::base::rng::Rng;
use crate::base::{NodeId, Offset, PartitionIndex, TimestampMs};
use crate::protocol::ErrorCode;
use crate::record::{Header, RecordToWrite};

use super::cluster::{Cluster, Missing};
use super::error::ClientError;
pub use options::{Acks, ProducerOptions};
pub use partitioner::{murmur2, partition_of_key};
use waiting::{BatchAddress, Flush, Identity, Waiting};

/// First Produce version that names topics by id; earlier ones name them by name.
const PRODUCE_BY_ID_FROM: i16 = 13;

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

/// The result of one batch.
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
    /// The requests in flight per node, oldest first, each as the list of batches it carries.
    in_flight: HashMap<NodeId, VecDeque<Vec<BatchAddress>>>,
    /// The producer id and epoch for partitions that have none yet; `None` until the broker was asked, and after a batch has
    /// failed.
    identity: Option<Identity>,
    metadata_is_stale: bool,
    /// When the batches were last searched for due ones.
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
        let view = self.cluster.ready_topic(name, Missing::Create, self.options.topic_timeout)?;
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
        // All batches wait for the time of their next attempt.
        if let Some(at) = self.waiting.ready_at() {
            std::thread::sleep(at.saturating_duration_since(Instant::now()));
        }
        Ok(())
    }
}

fn wall_clock() -> TimestampMs {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    TimestampMs(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}
