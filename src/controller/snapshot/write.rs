//! A state as records, some at a time.

use std::sync::Arc;

use crate::base::PartitionIndex;

use super::checksum;
use crate::controller::image::{PartitionImage, TopicImage};
use crate::controller::record::{MetadataRecord, PartitionStatesRecord, ProducerIdsRecord, TopicRecord};
use crate::controller::state::State;

/// Partitions that one record states: far fewer tables than a reader takes in one record.
const RECORD_PARTITIONS_MAX: usize = 1000;

/// Writes a state out. The state stays as it was when this began, whatever is folded meanwhile.
#[derive(Debug)]
pub struct SnapshotWriter {
    state: State,
    cursor: Cursor,
    written: u64,
    hasher: crc32fast::Hasher,
    ended: bool,
}

impl SnapshotWriter {
    pub(in crate::controller) fn new(state: State) -> SnapshotWriter {
        SnapshotWriter {
            state,
            cursor: Cursor::default(),
            written: 0,
            hasher: crc32fast::Hasher::new(),
            ended: false,
        }
    }

    /// The records of the next piece, of at least `bytes` unless it is the last; `None` after that.
    pub fn next_piece(&mut self, bytes: usize) -> Option<Vec<Vec<u8>>> {
        let mut piece: Vec<Vec<u8>> = Vec::new();
        let mut taken = 0;
        while taken < bytes && !self.ended {
            let Some(records) = self.cursor.next(&self.state) else {
                let (records, crc) = (self.written, self.hasher.clone().finalize());
                piece.push(MetadataRecord::SnapshotEnd { records, crc }.encode());
                self.ended = true;
                break;
            };
            for record in records {
                let encoded = record.encode();
                checksum(&mut self.hasher, &encoded);
                (self.written, taken) = (self.written + 1, taken + encoded.len());
                piece.push(encoded);
            }
        }
        (!piece.is_empty()).then_some(piece)
    }
}

/// How much of a state is written.
#[derive(Clone, Debug, Default)]
pub(super) enum Cursor {
    #[default]
    Cluster,
    /// This topic is next, from this partition on; behind the last one come the counters.
    Topics {
        name: Option<Arc<str>>,
        partition: usize,
    },
    End,
}

impl Cursor {
    /// The next few records; `None` when all are written.
    pub fn next(&mut self, state: &State) -> Option<Vec<MetadataRecord>> {
        match self {
            Cursor::Cluster => {
                *self = Cursor::topics(state.cluster.topics.first());
                Some(cluster(state))
            }
            Cursor::Topics { name: Some(name), partition } => {
                let topic = &state.cluster.topics[name];
                let records = topic_records(topic, *partition);
                *partition += RECORD_PARTITIONS_MAX;
                if *partition >= topic.partitions.len() {
                    *self = Cursor::topics(state.cluster.topics.after(&topic.name));
                }
                Some(records)
            }
            Cursor::Topics { name: None, .. } => {
                *self = Cursor::End;
                let end = ProducerIdsRecord { end: state.producer_ids_end, server: None };
                Some(vec![MetadataRecord::ProducerIds(end), MetadataRecord::Counters(state.counters.clone())])
            }
            Cursor::End => None,
        }
    }

    fn topics(next: Option<&Arc<str>>) -> Cursor {
        Cursor::Topics { name: next.cloned(), partition: 0 }
    }
}

/// Who the cluster is: its quorum, features and servers; and configs, for what they say of minimums must not be news to the
/// partitions that come after.
fn cluster(state: &State) -> Vec<MetadataRecord> {
    let mut records = Vec::new();
    let quorum = &state.cluster.quorum;
    if let Some(server) = quorum.leader {
        records.push(MetadataRecord::Leader { epoch: quorum.epoch, server });
    }
    if !quorum.voters.is_empty() {
        records.push(MetadataRecord::Voters(quorum.voters.clone()));
    }
    let features = state.cluster.features.iter();
    records
        .extend(features.map(|(name, level)| MetadataRecord::Feature { name: name.clone(), level: *level }));
    records.extend(state.removed.iter().map(|id| MetadataRecord::RemoveServer { id: *id }));
    let servers = state.cluster.servers.iter();
    records
        .extend(servers.map(|(id, server)| MetadataRecord::Server { id: *id, server: (**server).clone() }));
    let given = state.given.iter();
    records.extend(given.map(|(id, directory)| MetadataRecord::ServerId { id: *id, directory: *directory }));
    for (resource, configs) in state.cluster.configs.iter() {
        records.extend(configs.iter().map(|(name, value)| MetadataRecord::ResourceConfig {
            resource: resource.clone(),
            name: name.clone(),
            value: Some(value.clone()),
        }));
    }
    records
}

/// A topic's next partitions, and the topic itself before the first ones.
fn topic_records(topic: &TopicImage, from: usize) -> Vec<MetadataRecord> {
    let mut records = Vec::new();
    if from == 0 {
        records.push(MetadataRecord::Topic(TopicRecord {
            id: topic.id,
            name: topic.name.to_string(),
            ordinal: topic.ordinal,
            internal: topic.internal,
            overrides: topic.overrides.clone(),
        }));
    }
    let partitions = topic.partitions.get(from..).unwrap_or_default();
    let partitions: Vec<_> =
        partitions.iter().take(RECORD_PARTITIONS_MAX).map(PartitionImage::state).collect();
    if !partitions.is_empty() {
        let first = PartitionIndex(i32::try_from(from).expect("partition counts fit i32"));
        let states = PartitionStatesRecord { topic: topic.id, first, partitions };
        records.push(MetadataRecord::PartitionStates(states));
    }
    records
}
