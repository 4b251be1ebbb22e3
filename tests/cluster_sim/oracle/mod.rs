//! What must be true whatever happens: an account kept beside the servers, of values and not of structures.
//!
//! The oracle hears what clients send, are told and read, and which images servers publish. It shares no code with the servers
//! but the reading of batches.

mod images;
mod log;
mod replicas;
mod topics;

use std::collections::BTreeMap;

use ringmain::base::rng::Rng;
use ringmain::base::{ServerId, TopicId, TopicPartition};

pub use log::{Log, RecordNumber, Sent};
pub use replicas::Look;
pub use topics::{Kind, Topic};

use crate::checks::{Invariant, require};
use crate::clients::Acks;
use crate::net::At;
use images::Images;
use replicas::Replicas;

/// Whether the servers are one cluster, or each one its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    Apart,
    Together,
}

/// Everything known.
pub struct Oracle {
    pub layout: Layout,
    topics: BTreeMap<TopicId, Topic>,
    logs: BTreeMap<TopicPartition, Log>,
    /// Partitions of topics that are there.
    live: Vec<TopicPartition>,
    /// Every record that was ever sent, by number.
    sent: Vec<Sent>,
    pub images: Images,
    pub replicas: Replicas,
    names: u64,
}

impl Oracle {
    pub fn new(layout: Layout) -> Oracle {
        Oracle {
            layout,
            topics: BTreeMap::new(),
            logs: BTreeMap::new(),
            live: Vec::new(),
            sent: Vec::new(),
            images: Images::default(),
            replicas: Replicas::default(),
            names: 0,
        }
    }

    // Topics

    /// A number for a name.
    pub fn fresh_name(&mut self) -> u64 {
        self.names += 1;
        self.names
    }

    /// A topic was created.
    pub fn born(&mut self, id: TopicId, topic: Topic) {
        let partitions = 0..topic.partitions;
        self.topics.insert(id, topic);
        self.add_partitions(id, partitions);
    }

    pub fn grown(&mut self, id: TopicId, partitions: i32) {
        let Some(topic) = self.topics.get_mut(&id) else { return };
        let old = std::mem::replace(&mut topic.partitions, partitions);
        self.add_partitions(id, old..partitions);
    }

    /// A topic's deletion was asked for: nothing more is asked of it.
    pub fn doomed(&mut self, id: TopicId) {
        self.live.retain(|partition| partition.topic != id);
    }

    /// A topic's deletion was acknowledged.
    pub fn gone(&mut self, id: TopicId) {
        self.doomed(id);
        self.topics.remove(&id);
        for log in self.logs.iter_mut().filter(|(partition, _)| partition.topic == id).map(|(_, log)| log) {
            log.is_gone = true;
        }
    }

    /// The topics whose deletion nobody has asked for.
    pub fn live_topics(&self) -> Vec<TopicId> {
        let mut found: Vec<TopicId> = self.live.iter().map(|partition| partition.topic).collect();
        found.dedup();
        found
    }

    pub fn topic(&self, id: TopicId) -> Option<&Topic> {
        self.topics.get(&id)
    }

    pub fn live(&self) -> &[TopicPartition] {
        &self.live
    }

    pub fn is_live(&self, partition: TopicPartition) -> bool {
        self.live.contains(&partition)
    }

    /// Any partition that clients may use.
    pub fn any_partition(&self, rng: &mut Rng) -> Option<TopicPartition> {
        let of_clients: Vec<TopicPartition> =
            self.live.iter().filter(|it| !self.topics[&it.topic].kind.is_internal()).copied().collect();
        let at = rng.below(of_clients.len().max(1) as u64);
        of_clients.get(usize::try_from(at).unwrap()).copied()
    }

    /// The server that a request about a topic goes to, if it matters which.
    pub fn server_for(&self, topic: TopicId, any: At) -> At {
        match self.layout {
            Layout::Apart => self.topics.get(&topic).map_or(any, |topic| topic.server),
            Layout::Together => any,
        }
    }

    fn add_partitions(&mut self, topic: TopicId, partitions: std::ops::Range<i32>) {
        let is_compacted = self.topics[&topic].kind.is_compacted();
        for index in partitions {
            let partition = TopicPartition { topic, partition: ringmain::base::PartitionIndex(index) };
            self.logs.insert(partition, Log::new(partition, is_compacted));
            self.live.push(partition);
        }
    }

    // Records

    /// Numbers for records that are about to be sent for the first time.
    pub fn send(
        &mut self,
        partition: TopicPartition,
        count: u64,
        acks: Acks,
        is_idempotent: bool,
    ) -> Vec<RecordNumber> {
        let known_end = self.logs.get(&partition).map_or(0, Log::exposed);
        let first = self.sent.len() as u64;
        for _ in 0..count {
            self.sent.push(Sent { partition, acks, is_idempotent, known_end, at: None });
        }
        (first..first + count).map(RecordNumber).collect()
    }

    /// A producer was told that its records are there.
    pub fn acknowledged(&mut self, partition: TopicPartition, base: i64, numbers: &[RecordNumber]) {
        let Some(log) = self.logs.get_mut(&partition) else { return };
        log.acknowledged(base, numbers, &mut self.sent);
    }

    /// Records were served to a consumer.
    pub fn served(&mut self, partition: TopicPartition, offset: i64, number: RecordNumber) {
        let Some(log) = self.logs.get_mut(&partition) else { return };
        log.found(offset, number, &mut self.sent);
    }

    /// Where a log was seen to start, how far it was acknowledged by all or served record by record, and how far it was shown.
    pub fn promised(&self, partition: TopicPartition) -> (i64, i64, i64) {
        let promised = |log: &Log| (log.seen_start(), log.acknowledged_end(), log.exposed());
        self.logs.get(&partition).map_or((0, 0, 0), promised)
    }

    /// A server that has heard of everything serves a partition.
    pub fn serves(&self, server: ServerId, partition: TopicPartition) {
        let is_gone = self.logs.get(&partition).is_some_and(|log| log.is_gone);
        require(Invariant::NoResurrection, !is_gone, || format!("server {server} still serves {partition}"));
    }

    pub fn log(&mut self, partition: TopicPartition) -> Option<&mut Log> {
        self.logs.get_mut(&partition)
    }

    /// A whole log as it was read from its start to its end.
    pub fn whole(&mut self, partition: TopicPartition, start: i64, end: i64, found: &[(i64, RecordNumber)]) {
        let Some(log) = self.logs.get_mut(&partition) else { return };
        log.whole(start, end, found, &mut self.sent);
    }

    pub fn sent_count(&self) -> usize {
        self.sent.len()
    }

    /// A server has said where a log ends for consumers.
    pub fn exposed(&mut self, partition: TopicPartition, start: i64, high_watermark: i64) {
        let Some(log) = self.logs.get_mut(&partition) else { return };
        log.expose(start, high_watermark);
    }
}

impl Sent {
    /// The acknowledgement of a record binds: it will be there for ever.
    fn binds(&self) -> bool {
        self.acks == Acks::All
    }
}
