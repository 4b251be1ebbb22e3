//! Reads partitions from given positions: no group, no commits.
//!
//! One fetch per leader is in flight at a time, for all partitions that node leads; whichever node answers first is
//! served first. Batches are checked against their checksum before a record is looked at. Transactions are not looked
//! at: everything below the high watermark is read.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::base::{NodeId, Offset, PartitionIndex, TimestampMs, TopicId};
use crate::protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use crate::protocol::messages::fetch_response::PartitionData;
use crate::protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use crate::protocol::messages::{FetchRequest, FetchResponse, ListOffsetsRequest, ListOffsetsResponse};
use crate::protocol::{ApiKey, ErrorCode, Records, decode_body};
use crate::record::{BatchError, BatchHeader, batch_crc, records};

use super::cluster::{Cluster, breaks_connection};
use super::connection::{Answer, wait_readable};
use super::error::{ClientError, check_code};

/// First Fetch version that names topics by id.
const FETCH_BY_ID_FROM: i16 = 13;
/// First ListOffsets version that knows the record with the largest timestamp (KIP-734).
const MAX_TIMESTAMP_FROM: i16 = 7;
/// Pause before asking a partition again that answered with a retriable error.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;

/// Where to begin reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    Earliest,
    /// After the last record.
    Latest,
    Offset(Offset),
    /// So many records before the end, as far as there are so many.
    BeforeEnd(u64),
    /// The first record at or after that time; the end if there is none.
    Timestamp(TimestampMs),
    /// The record with the largest timestamp.
    MaxTimestamp,
}

/// What to do when a position lies outside a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutOfRange {
    Fail,
    Earliest,
    Latest,
}

#[derive(Clone, Debug)]
pub struct ConsumerOptions {
    /// Bytes the broker gathers before it answers, within `wait`.
    pub min_bytes: i32,
    /// Bytes of an answer; exceeded by a single batch that is larger.
    pub max_bytes: i32,
    pub partition_max_bytes: i32,
    /// How long the broker waits for records.
    pub wait: Duration,
    pub out_of_range: OutOfRange,
    /// How long leaders may be away before that is an error.
    pub recovery_timeout: Duration,
}

impl Default for ConsumerOptions {
    fn default() -> ConsumerOptions {
        ConsumerOptions {
            min_bytes: 1,
            max_bytes: 50 * 1024 * 1024,
            partition_max_bytes: 1024 * 1024,
            wait: Duration::from_millis(500),
            out_of_range: OutOfRange::Fail,
            recovery_timeout: Duration::from_secs(30),
        }
    }
}

#[derive(Debug)]
pub struct Consumer {
    cluster: Cluster,
    options: ConsumerOptions,
    topics: HashMap<Arc<str>, TopicId>,
    /// In the order they are asked for; rotated, so that a full answer starves nobody.
    assigned: Vec<Assigned>,
    /// Nodes that owe an answer.
    asked: HashSet<NodeId>,
    /// Since when nothing works; `None` while something does.
    failing_since: Option<Instant>,
    metadata_is_stale: bool,
}

#[derive(Clone, Debug)]
struct Assigned {
    topic: Arc<str>,
    partition: PartitionIndex,
    next: Offset,
    /// As last seen; the end of what can be read.
    high_watermark: Option<Offset>,
    not_before: Option<Instant>,
}

/// A batch as it came, its checksum verified.
#[derive(Clone, Debug)]
pub struct FetchedBatch {
    pub topic: Arc<str>,
    pub partition: PartitionIndex,
    pub header: BatchHeader,
    bytes: Bytes,
    /// Records below were not asked for: a batch is sent whole, whichever of its offsets was.
    from: Offset,
}

/// A record, borrowed from its batch.
#[derive(Clone, Debug)]
pub struct ConsumedRecord<'a> {
    pub topic: &'a str,
    pub partition: PartitionIndex,
    pub offset: Offset,
    pub timestamp: TimestampMs,
    /// The broker's time of append, not the producer's time of creation.
    pub is_log_append_time: bool,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: Vec<(&'a [u8], Option<&'a [u8]>)>,
}

impl FetchedBatch {
    /// The batch as it came over the wire.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Calls `each` with every record that was asked for, until it returns false.
    pub fn records(&self, mut each: impl FnMut(&ConsumedRecord<'_>) -> bool) -> Result<(), ClientError> {
        if self.header.is_control() {
            return Ok(());
        }
        let walked = records(&self.bytes, |header, record| {
            let offset = record.offset(header);
            offset < self.from
                || each(&ConsumedRecord {
                    topic: &self.topic,
                    partition: self.partition,
                    offset,
                    timestamp: record.timestamp(header),
                    is_log_append_time: header.is_log_append_time(),
                    key: record.key,
                    value: record.value,
                    headers: record.headers().collect(),
                })
        });
        walked.map_err(|source| damaged(&self.topic, self.partition, self.header.base_offset, source))
    }
}

impl Consumer {
    #[must_use]
    pub fn new(cluster: Cluster, options: ConsumerOptions) -> Consumer {
        Consumer {
            cluster,
            options,
            topics: HashMap::new(),
            assigned: Vec::new(),
            asked: HashSet::new(),
            failing_since: None,
            metadata_is_stale: false,
        }
    }

    /// Adds partitions of a topic (`None`: all) to what is read.
    pub fn assign(
        &mut self,
        topic: &str,
        partitions: Option<&[PartitionIndex]>,
        position: Position,
    ) -> Result<(), ClientError> {
        let view = self.cluster.ready_topic(topic, false, self.options.recovery_timeout)?;
        let all: Vec<PartitionIndex> = view.partitions.iter().map(|partition| partition.index).collect();
        let chosen = partitions.unwrap_or(&all);
        if let Some(unknown) = chosen.iter().find(|partition| !all.contains(partition)) {
            return Err(ClientError::Kafka {
                code: ErrorCode::UnknownTopicOrPartition,
                subject: partition_subject(topic, *unknown),
                message: Some(format!("the topic has {} partitions, numbered from 0", all.len())),
            });
        }
        let topic: Arc<str> = topic.into();
        self.topics.insert(topic.clone(), view.id);
        for partition in chosen {
            let next = self.find(&topic, *partition, position)?;
            self.assigned.retain(|known| (&known.topic, known.partition) != (&topic, *partition));
            let (topic, partition) = (topic.clone(), *partition);
            self.assigned.push(Assigned { topic, partition, next, high_watermark: None, not_before: None });
        }
        Ok(())
    }

    /// The offset a position stands for now.
    pub fn find(
        &mut self,
        topic: &str,
        partition: PartitionIndex,
        position: Position,
    ) -> Result<Offset, ClientError> {
        let mut lookup = |timestamp| self.list_offset(topic, partition, timestamp);
        match position {
            Position::Offset(offset) => Ok(offset),
            Position::Earliest => lookup(EARLIEST)?.ok_or_else(|| no_offset(topic, partition)),
            Position::Latest => lookup(LATEST)?.ok_or_else(|| no_offset(topic, partition)),
            Position::BeforeEnd(count) => {
                let end = lookup(LATEST)?.ok_or_else(|| no_offset(topic, partition))?;
                let start = lookup(EARLIEST)?.ok_or_else(|| no_offset(topic, partition))?;
                let wanted = end.0.saturating_sub(i64::try_from(count).unwrap_or(i64::MAX));
                Ok(start.max(Offset(wanted)))
            }
            Position::Timestamp(TimestampMs(at)) => match lookup(at)? {
                Some(offset) => Ok(offset),
                None => lookup(LATEST)?.ok_or_else(|| no_offset(topic, partition)),
            },
            Position::MaxTimestamp => match lookup(MAX_TIMESTAMP)? {
                Some(offset) => Ok(offset),
                None => lookup(LATEST)?.ok_or_else(|| no_offset(topic, partition)),
            },
        }
    }

    /// Where a partition is read next.
    #[must_use]
    pub fn position(&self, topic: &str, partition: PartitionIndex) -> Option<Offset> {
        let is_it = |known: &&Assigned| &*known.topic == topic && known.partition == partition;
        self.assigned.iter().find(is_it).map(|known| known.next)
    }

    /// Whether everything that could be read at the last answers has been.
    #[must_use]
    pub fn is_at_end(&self) -> bool {
        self.assigned.iter().all(|known| known.high_watermark.is_some_and(|end| known.next >= end))
    }

    /// Waits at most `within` for batches. Positions move behind what is returned.
    pub fn poll(&mut self, within: Duration) -> Result<Vec<FetchedBatch>, ClientError> {
        let deadline = Instant::now() + within;
        loop {
            match self.round(deadline) {
                Ok(batches) if !batches.is_empty() => return Ok(batches),
                Ok(_) => {}
                Err(error) => self.survive(error)?,
            }
            if Instant::now() >= deadline || self.assigned.is_empty() {
                return Ok(Vec::new());
            }
        }
    }

    /// Asks every leader that owes no answer, then takes the answers that come first.
    fn round(&mut self, deadline: Instant) -> Result<Vec<FetchedBatch>, ClientError> {
        if self.metadata_is_stale {
            self.refresh()?;
        }
        self.ask()?;
        let left = deadline.saturating_duration_since(Instant::now());
        if self.asked.is_empty() {
            std::thread::sleep(left.min(RETRY_PAUSE));
            return Ok(Vec::new());
        }
        let nodes: Vec<NodeId> = self.asked.iter().copied().collect();
        let mut descriptors = Vec::with_capacity(nodes.len());
        for node in &nodes {
            let connection = self.cluster.connected(*node).expect("who was asked has a connection");
            descriptors.push(connection.descriptor());
        }
        // Partitions that pause after an error must not wait for those that have nothing to say.
        let ready = wait_readable(&descriptors, left.min(self.pause_left()))
            .map_err(|source| ClientError::Lost { address: "every broker".to_owned(), source })?;
        let mut batches = Vec::new();
        for (node, _) in nodes.into_iter().zip(ready).filter(|(_, ready)| *ready) {
            self.take_answer(node, &mut batches)?;
        }
        Ok(batches)
    }

    fn pause_left(&self) -> Duration {
        let now = Instant::now();
        let pauses = self.assigned.iter().filter_map(|known| known.not_before).filter(|at| *at > now);
        pauses.map(|at| at - now).min().unwrap_or(Duration::MAX)
    }

    fn refresh(&mut self) -> Result<(), ClientError> {
        let names: Vec<Arc<str>> = self.topics.keys().cloned().collect();
        let names: Vec<&str> = names.iter().map(|name| &**name).collect();
        self.cluster.refresh(Some(&names), false)?;
        for (name, id) in &mut self.topics {
            if let Some(view) = self.cluster.topic(name) {
                *id = view.id;
            }
        }
        self.metadata_is_stale = false;
        Ok(())
    }

    fn ask(&mut self) -> Result<(), ClientError> {
        let now = Instant::now();
        let mut by_leader: HashMap<NodeId, Vec<usize>> = HashMap::new();
        for (at, known) in self.assigned.iter().enumerate() {
            if known.not_before.is_some_and(|until| until > now) {
                continue;
            }
            match self.cluster.leader(&known.topic, known.partition) {
                Some(leader) if self.asked.contains(&leader) => {}
                Some(leader) => by_leader.entry(leader).or_default().push(at),
                None => self.metadata_is_stale = true,
            }
        }
        for (node, assigned) in by_leader {
            let sent = self.ask_node(node, &assigned);
            if sent.as_ref().is_err_and(breaks_connection) {
                self.cluster.disconnect(node);
            }
            sent?;
            self.asked.insert(node);
        }
        if !self.assigned.is_empty() {
            self.assigned.rotate_left(1);
        }
        Ok(())
    }

    fn ask_node(&mut self, node: NodeId, assigned: &[usize]) -> Result<(), ClientError> {
        let mut topics: Vec<FetchTopic<'_>> = Vec::new();
        for known in assigned.iter().map(|at| &self.assigned[*at]) {
            let epoch = self.cluster.partition(&known.topic, known.partition).map(|view| view.leader_epoch);
            let partition = FetchPartition {
                partition: known.partition.0,
                current_leader_epoch: epoch.map_or(-1, |epoch| epoch.0),
                fetch_offset: known.next.0,
                partition_max_bytes: self.options.partition_max_bytes,
                ..Default::default()
            };
            match topics.iter_mut().find(|topic| *topic.topic == *known.topic) {
                Some(topic) => topic.partitions.push(partition),
                None => topics.push(FetchTopic {
                    topic: (&*known.topic).into(),
                    topic_id: self.topics[&known.topic],
                    partitions: vec![partition],
                }),
            }
        }
        let by_id = topics.iter().all(|topic| topic.topic_id != TopicId::ZERO);
        let request = FetchRequest {
            max_wait_ms: i32::try_from(self.options.wait.as_millis()).unwrap_or(i32::MAX),
            min_bytes: self.options.min_bytes,
            max_bytes: self.options.max_bytes,
            session_id: 0,
            session_epoch: -1,
            topics,
            ..Default::default()
        };
        let connection = self.cluster.connection(node)?;
        let version_max = if by_id { i16::MAX } else { FETCH_BY_ID_FROM - 1 };
        let version = connection.version_up_to::<FetchRequest<'_>>(version_max)?;
        connection.send_version(&request, version)
    }

    fn take_answer(&mut self, node: NodeId, batches: &mut Vec<FetchedBatch>) -> Result<(), ClientError> {
        self.asked.remove(&node);
        let connection = self.cluster.connected(node).expect("who was asked has a connection");
        let received = connection.receive();
        if received.as_ref().is_err_and(breaks_connection) {
            self.cluster.disconnect(node);
        }
        let (_, version, frame, body_at) = received?.into_frame();
        let body = frame.get(body_at..).unwrap_or_default();
        let response: FetchResponse<'_> = decode_body(body, version)
            .map_err(|source| ClientError::Decode { api: ApiKey::Fetch, source })?;
        check_code(response.error_code, None, || format!("node {node}"))?;
        for topic in &response.responses {
            let name = self.topics.iter().find(|(name, id)| {
                if version >= FETCH_BY_ID_FROM { **id == topic.topic_id } else { ***name == *topic.topic }
            });
            let Some(name) = name.map(|(name, _)| name.clone()) else { continue };
            for partition in &topic.partitions {
                self.take_partition(&name, partition, &frame, batches)?;
            }
        }
        Ok(())
    }

    fn take_partition(
        &mut self,
        topic: &Arc<str>,
        data: &PartitionData<'_>,
        frame: &Bytes,
        batches: &mut Vec<FetchedBatch>,
    ) -> Result<(), ClientError> {
        let index = PartitionIndex(data.partition_index);
        let is_it = |known: &Assigned| known.topic == *topic && known.partition == index;
        let Some(at) = self.assigned.iter().position(is_it) else { return Ok(()) };
        let checked = check_code(data.error_code, None, || partition_subject(topic, index));
        if let Err(error) = checked {
            return self.partition_failed(at, error);
        }
        self.failing_since = None;
        let known = &mut self.assigned[at];
        known.high_watermark = Some(Offset(data.high_watermark));
        known.not_before = None;
        let Records::Borrowed(mut rest) = data.records else { return Ok(()) };
        while let Some((header, bytes)) =
            whole_batch(rest).map_err(|e| damaged(topic, index, known.next, e))?
        {
            rest = rest.get(bytes.len()..).unwrap_or_default();
            let from = known.next;
            if header.last_offset() < from {
                continue;
            }
            known.next = header.last_offset().plus(1);
            let (topic, bytes) = (topic.clone(), frame.slice_ref(bytes));
            batches.push(FetchedBatch { topic, partition: index, header, bytes, from });
        }
        Ok(())
    }

    fn partition_failed(&mut self, at: usize, error: ClientError) -> Result<(), ClientError> {
        let known = &mut self.assigned[at];
        if error.code() == Some(ErrorCode::OffsetOutOfRange) {
            let position = match self.options.out_of_range {
                OutOfRange::Fail => return Err(error),
                OutOfRange::Earliest => Position::Earliest,
                OutOfRange::Latest => Position::Latest,
            };
            let (topic, partition) = (known.topic.clone(), known.partition);
            let next = self.find(&topic, partition, position)?;
            self.assigned[at].next = next;
            return Ok(());
        }
        known.not_before = Some(Instant::now() + RETRY_PAUSE);
        self.survive(error)
    }

    /// Goes on after an error that may pass, for as long as [`ConsumerOptions::recovery_timeout`].
    fn survive(&mut self, error: ClientError) -> Result<(), ClientError> {
        let since = *self.failing_since.get_or_insert_with(Instant::now);
        if !error.is_retriable() || since.elapsed() > self.options.recovery_timeout {
            return Err(error);
        }
        self.metadata_is_stale = true;
        // Who has no connection any more owes no answer.
        let cluster = &mut self.cluster;
        self.asked.retain(|node| cluster.connected(*node).is_some());
        if error.code().is_none() {
            std::thread::sleep(RETRY_PAUSE);
        }
        Ok(())
    }

    fn list_offset(
        &mut self,
        topic: &str,
        partition: PartitionIndex,
        timestamp: i64,
    ) -> Result<Option<Offset>, ClientError> {
        let deadline = Instant::now() + self.options.recovery_timeout;
        loop {
            match self.list_offset_once(topic, partition, timestamp) {
                Err(error) if error.is_retriable() && Instant::now() < deadline => {
                    std::thread::sleep(RETRY_PAUSE);
                    // The next attempt tells better what is wrong.
                    let _ = self.cluster.refresh(Some(&[topic]), false);
                }
                result => return result,
            }
        }
    }

    fn list_offset_once(
        &mut self,
        topic: &str,
        partition: PartitionIndex,
        timestamp: i64,
    ) -> Result<Option<Offset>, ClientError> {
        let request = ListOffsetsRequest {
            replica_id: -1,
            topics: vec![ListOffsetsTopic {
                name: topic.into(),
                partitions: vec![ListOffsetsPartition {
                    partition_index: partition.0,
                    current_leader_epoch: -1,
                    timestamp,
                }],
            }],
            timeout_ms: 30_000,
            ..Default::default()
        };
        let leader = self.cluster.leader(topic, partition).ok_or_else(|| ClientError::Kafka {
            code: ErrorCode::LeaderNotAvailable,
            subject: partition_subject(topic, partition),
            message: None,
        })?;
        if timestamp == MAX_TIMESTAMP {
            let connection = self.cluster.connection(leader)?;
            if connection.version_up_to::<ListOffsetsRequest<'_>>(i16::MAX)? < MAX_TIMESTAMP_FROM {
                let (address, api) = (connection.address().to_owned(), ApiKey::ListOffsets);
                return Err(ClientError::Version { address, api });
            }
        }
        let answer = self.offsets_answer(leader, &request)?;
        let response: ListOffsetsResponse<'_> = answer.decode()?;
        let found = response.topics.first().and_then(|topic| topic.partitions.first());
        let found = found.ok_or_else(|| no_offset(topic, partition))?;
        check_code(found.error_code, None, || partition_subject(topic, partition))?;
        Ok((found.offset >= 0).then_some(Offset(found.offset)))
    }

    /// Answers come in order, so a fetch in flight to that node is waited for, as long as its long poll takes.
    fn offsets_answer(
        &mut self,
        leader: NodeId,
        request: &ListOffsetsRequest<'_>,
    ) -> Result<Answer, ClientError> {
        if self.asked.contains(&leader) {
            let owed = self.cluster.connected(leader).map_or(0, |connection| connection.in_flight());
            for _ in 0..owed {
                // The fetch is asked again from the same position: its answer may be dropped.
                let connection = self.cluster.connected(leader).expect("it owes an answer");
                connection.receive()?;
            }
            self.asked.remove(&leader);
        }
        self.cluster.ask(leader, request)
    }
}

/// The first batch of fetched bytes, its checksum verified; `None` where only a part of one is left, which brokers may
/// send at the end of an answer.
fn whole_batch(bytes: &[u8]) -> Result<Option<(BatchHeader, &[u8])>, BatchError> {
    let header = match BatchHeader::parse(bytes) {
        Ok(header) => header,
        Err(BatchError::Short { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let Some(batch) = bytes.get(..header.total_bytes()) else { return Ok(None) };
    let computed = batch_crc(batch);
    if computed == header.crc {
        Ok(Some((header, batch)))
    } else {
        Err(BatchError::Crc { claimed: header.crc, computed })
    }
}

fn partition_subject(topic: &str, partition: PartitionIndex) -> String {
    format!("{topic} partition {partition}")
}

fn damaged(topic: &str, partition: PartitionIndex, offset: Offset, source: BatchError) -> ClientError {
    ClientError::Batch { subject: partition_subject(topic, partition), offset: offset.0, source }
}

fn no_offset(topic: &str, partition: PartitionIndex) -> ClientError {
    let what = format!("an offset for {}", partition_subject(topic, partition));
    ClientError::Incomplete { api: ApiKey::ListOffsets, what }
}

#[cfg(test)]
mod tests {
    use crate::record::BatchBuilder;

    use super::*;

    fn batch(base: i64, records: u8) -> Vec<u8> {
        let mut builder = BatchBuilder::new(TimestampMs(5)).placed(Offset(base), crate::base::LeaderEpoch(0));
        for value in 0..records {
            builder.append(None, Some(&[value]));
        }
        builder.finish().expect("a batch")
    }

    #[test]
    fn batches_are_taken_whole_and_checked() {
        let mut bytes = batch(0, 3);
        let first = bytes.len();
        bytes.extend(batch(3, 2));
        let (header, taken) = whole_batch(&bytes).expect("sound").expect("whole");
        assert_eq!((taken.len(), header.last_offset()), (first, Offset(2)));
        for cut in 0..first {
            assert!(whole_batch(&bytes[..cut]).expect("a part is no damage").is_none(), "{cut}");
        }
        bytes[first - 1] ^= 1;
        assert!(matches!(whole_batch(&bytes), Err(BatchError::Crc { .. })));
    }

    #[test]
    fn records_before_the_position_are_left_out() {
        let bytes = Bytes::from(batch(10, 5));
        let (header, _) = whole_batch(&bytes).expect("sound").expect("whole");
        let from = Offset(13);
        let fetched = FetchedBatch { topic: "t".into(), partition: PartitionIndex(0), header, bytes, from };
        let mut offsets = Vec::new();
        fetched
            .records(|record| {
                offsets.push(record.offset.0);
                true
            })
            .expect("sound");
        assert_eq!(offsets, [13, 14]);
    }
}
