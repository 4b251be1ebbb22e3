//! Reads partitions from given positions, without a group and without commits.
//!
//! One fetch per leader is in flight at a time, for all partitions that the node leads. The node that answers first is
//! read first. A batch's checksum is verified before its records are read. Transactions are ignored: everything below the
//! high watermark is read.

mod batch;
mod offsets;
mod options;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::base::{NodeId, Offset, PartitionIndex, TopicId};
use crate::protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use crate::protocol::messages::fetch_response::PartitionData;
use crate::protocol::messages::{FetchRequest, FetchResponse};
use crate::protocol::{ApiKey, ErrorCode, Records, decode_body};

use super::cluster::{Cluster, Missing, breaks_connection};
use super::connection::wait_readable;
use super::error::{ClientError, check_code};
pub use batch::{ConsumedRecord, FetchedBatch};
use batch::{damaged, partition_subject, whole_batch};
pub use options::{ConsumerOptions, OutOfRange, Position};

/// First Fetch version that names topics by id.
const FETCH_BY_ID_FROM: i16 = 13;
/// Pause before asking a partition again that answered with a retriable error.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub struct Consumer {
    cluster: Cluster,
    options: ConsumerOptions,
    topics: HashMap<Arc<str>, TopicId>,
    /// The partitions that are read, in the order of the next fetch. The order is rotated, so that a partition that fills the
    /// answer does not keep others from being read.
    assigned: Vec<Assigned>,
    /// Nodes that have not answered their fetch yet.
    asked: HashSet<NodeId>,
    /// Since when every attempt has failed; `None` after a success.
    failing_since: Option<Instant>,
    metadata_is_stale: bool,
}

#[derive(Clone, Debug)]
struct Assigned {
    topic: Arc<str>,
    partition: PartitionIndex,
    next: Offset,
    /// The high watermark as last seen: the end of what can be read.
    high_watermark: Option<Offset>,
    not_before: Option<Instant>,
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
        let view = self.cluster.ready_topic(topic, Missing::Fail, self.options.recovery_timeout)?;
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

    /// Where a partition is read next.
    #[must_use]
    pub fn position(&self, topic: &str, partition: PartitionIndex) -> Option<Offset> {
        let is_it = |known: &&Assigned| &*known.topic == topic && known.partition == partition;
        self.assigned.iter().find(is_it).map(|known| known.next)
    }

    /// Whether all partitions were read up to their last known high watermarks.
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

    /// Sends a fetch to every leader that has none in flight, then takes the answers that have come.
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
        // A partition whose pause after an error ends must not wait for the answers about others.
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
        self.cluster.refresh(Some(&names), Missing::Fail)?;
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
        // A node without a connection will not answer any more.
        let cluster = &mut self.cluster;
        self.asked.retain(|node| cluster.connected(*node).is_some());
        if error.code().is_none() {
            std::thread::sleep(RETRY_PAUSE);
        }
        Ok(())
    }
}
