//! The records of the metadata log: their meaning, and their bytes (schema/metadata.fbs).
//!
//! Bytes come from disk: they are verified under limits before anything is read from them, and whatever they hold
//! yields a record or an error, never a panic.

mod decode;
mod encode;

use std::collections::BTreeMap;

use crate::base::{
    BrokerEpoch, DirectoryId, Home, LeaderEpoch, PartitionIndex, ProducerId, ServerId, TopicId,
};

use super::image::{PartitionFault, PartitionState, Resource, ServerImage, Voter};

/// What this version writes, and the newest it understands.
const FORMAT_VERSION: u16 = 0;

/// One change of the cluster's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum MetadataRecord {
    Topic(TopicRecord),
    RemoveTopic {
        topic: TopicId,
    },
    Partitions(PartitionsRecord),
    /// `None` removes the override.
    Config {
        topic: TopicId,
        name: String,
        value: Option<String>,
    },
    ProducerIds(ProducerIdsRecord),
    /// `None` removes the override.
    ResourceConfig {
        resource: Resource,
        name: String,
        value: Option<String>,
    },
    /// An epoch of the metadata log begins.
    Leader {
        epoch: i32,
        server: ServerId,
    },
    Voters(Vec<Voter>),
    Feature {
        name: String,
        level: i16,
    },
    /// A server has registered. Without a broker epoch ([`BrokerEpoch::OWN_OFFSET`](crate::base::BrokerEpoch)), this record's
    /// offset is its epoch.
    Server {
        id: ServerId,
        server: ServerImage,
    },
    RemoveServer {
        id: ServerId,
    },
    ServerState(ServerStateRecord),
    /// A server id is given to a directory that has not registered with it yet.
    ServerId {
        id: ServerId,
        directory: DirectoryId,
    },
    PartitionStates(PartitionStatesRecord),
    PartitionChanges(PartitionChangesRecord),
    /// Counters as they are, whatever records moved them: no counter ever falls.
    Counters(Counters),
    SnapshotEnd {
        /// Records before this one.
        records: u64,
        /// CRC-32 of their bytes, each behind its length.
        crc: u32,
    },
}

/// A topic without partitions yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TopicRecord {
    pub id: TopicId,
    pub name: String,
    pub ordinal: u64,
    pub internal: bool,
    pub overrides: BTreeMap<String, String>,
}

/// All ids below `end` may have been handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ProducerIdsRecord {
    pub end: ProducerId,
    /// The server that got the block, and which life of it; `None` where the controller keeps the block itself.
    pub server: Option<(ServerId, BrokerEpoch)>,
}

/// What has become of a server that is registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ServerStateRecord {
    pub id: ServerId,
    pub broker_epoch: BrokerEpoch,
    pub fenced: bool,
    pub stopping: bool,
    /// The newest durable sequence of the server's commit logs that is known.
    pub sequence: u64,
}

/// Partitions of a topic that are there already, as they are from here on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PartitionChangesRecord {
    pub topic: TopicId,
    /// In the order of their indices.
    pub changes: Vec<(PartitionIndex, PartitionState)>,
}

/// Consecutive partitions as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PartitionStatesRecord {
    pub topic: TopicId,
    pub first: PartitionIndex,
    pub partitions: Vec<PartitionState>,
}

/// Counters of numbers that are given out once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Counters {
    /// Topics ever created.
    pub next_ordinal: u64,
    /// Above every server id ever registered.
    pub next_server: ServerId,
    /// Per server, the home of the next partition that it leads first; a server that is not here has given none.
    pub next_homes: BTreeMap<ServerId, Home>,
}

/// A run of consecutive partitions that are placed alike: one replica each, which leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PartitionsRecord {
    pub topic: TopicId,
    pub first: PartitionIndex,
    pub count: i32,
    pub leader: ServerId,
    pub leader_epoch: LeaderEpoch,
    /// The first partition's home; each further one has the next number. `None` in records of versions that knew no homes.
    pub home: Option<Home>,
}

/// Why a record of the metadata log cannot be folded. At start-up this ends the process: a state that lacks one change
/// is a wrong state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataRecordError {
    #[error("not a metadata record: {0}")]
    Malformed(#[from] flatbuffers::InvalidFlatbuffer),
    #[error(
        "metadata record format {found} is newer than this version of ringmain, which knows up to {known}"
    )]
    NewerFormat { found: u16, known: u16 },
    #[error("metadata record of unknown kind {0}: written by a newer version of ringmain")]
    UnknownKind(u8),
    #[error("metadata record changes topic {0}, which does not exist")]
    UnknownTopic(TopicId),
    #[error("metadata record creates topic '{name}' ({id}), which exists already")]
    TopicExists { name: String, id: TopicId },
    #[error("metadata record sets {count} partitions from {first} on a topic that has {existing}")]
    PartitionRun { first: i32, count: i32, existing: usize },
    #[error("metadata record sets partition {index} of topic {topic} to what cannot be: {fault}")]
    Partition { topic: TopicId, index: usize, fault: PartitionFault },
    #[error("metadata record gives {what} an earlier epoch than before")]
    EpochFell { what: String },
    #[error("metadata record changes server {0}, which is not registered with this epoch")]
    UnknownServer(ServerId),
    #[error("metadata record gives server {0} no shards")]
    NoShards(ServerId),
    #[error("metadata record gives {resource} configs that do not hold: {reason}")]
    Configs { resource: String, reason: String },
    #[error(
        "metadata record changes partitions of topic {0} in no order, or not as many as it has states for"
    )]
    Unordered(TopicId),
    #[error("the snapshot ends before its last record, or its records are not those that were written")]
    SnapshotDamaged,
    #[error("metadata record names a resource that cannot be: kind {kind}, '{name}'")]
    Resource { kind: u8, name: String },
}

impl MetadataRecordError {
    /// Whether the record is one of a version that is not known yet, which is no damage.
    #[must_use]
    pub fn is_newer(&self) -> bool {
        matches!(self, MetadataRecordError::NewerFormat { .. } | MetadataRecordError::UnknownKind(_))
    }
}

/// The voters that a record of the metadata log names, if it is such a record.
#[must_use]
pub fn voters_in(bytes: &[u8]) -> Option<Vec<Voter>> {
    match MetadataRecord::decode(bytes) {
        Ok(MetadataRecord::Voters(voters)) => Some(voters),
        _ => None,
    }
}

/// A record of the metadata log in words.
///
/// # Errors
/// When the bytes are no record, or one this version does not know.
pub fn describe_record(bytes: &[u8]) -> Result<String, MetadataRecordError> {
    MetadataRecord::decode(bytes).map(|record| format!("{record:?}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::base::{IncarnationId, PartitionEpoch, VoterId};

    use super::super::generated as wire;
    use super::super::testing::record_of;
    use super::*;

    fn resource(resource: Resource, value: Option<&str>) -> MetadataRecord {
        MetadataRecord::ResourceConfig { resource, name: "interval.ms".into(), value: value.map(Into::into) }
    }

    fn samples() -> Vec<MetadataRecord> {
        let topic = TopicId([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 255]);
        vec![
            MetadataRecord::Topic(TopicRecord {
                id: topic,
                name: "flights".into(),
                ordinal: u64::MAX,
                internal: true,
                overrides: BTreeMap::from([
                    ("retention.ms".into(), "-1".into()),
                    ("cleanup.policy".into(), "".into()),
                ]),
            }),
            MetadataRecord::RemoveTopic { topic },
            MetadataRecord::Partitions(PartitionsRecord {
                topic,
                first: PartitionIndex(3),
                count: 7,
                leader: ServerId(2),
                leader_epoch: LeaderEpoch(9),
                home: Some(Home(u32::MAX)),
            }),
            MetadataRecord::Partitions(PartitionsRecord {
                topic,
                first: PartitionIndex(0),
                count: 1,
                leader: ServerId(2),
                leader_epoch: LeaderEpoch(0),
                home: None,
            }),
            MetadataRecord::Config { topic, name: "segment.ms".into(), value: Some("1".into()) },
            MetadataRecord::Config { topic, name: "segment.ms".into(), value: None },
            MetadataRecord::ProducerIds(ProducerIdsRecord { end: ProducerId(i64::MAX), server: None }),
            MetadataRecord::ProducerIds(ProducerIdsRecord {
                end: ProducerId(1),
                server: Some((ServerId(2), BrokerEpoch(0))),
            }),
            resource(Resource::AllBrokers, Some("5")),
            resource(Resource::Broker(ServerId(7)), None),
            resource(Resource::ClientMetrics("all".into()), Some("")),
            resource(Resource::Group("g".into()), Some("x")),
            MetadataRecord::Leader { epoch: 7, server: ServerId(3) },
            MetadataRecord::Voters(vec![voter(1), voter(2)]),
            MetadataRecord::Feature { name: "ringmain.version".into(), level: -1 },
            MetadataRecord::Server { id: ServerId(2), server: server() },
            MetadataRecord::RemoveServer { id: ServerId(2) },
            MetadataRecord::PartitionStates(PartitionStatesRecord {
                topic,
                first: PartitionIndex(2),
                partitions: vec![state(Some(2)), state(None)],
            }),
            MetadataRecord::Counters(Counters {
                next_ordinal: 9,
                next_server: ServerId(4),
                next_homes: BTreeMap::from([(ServerId(1), Home(5)), (ServerId(-1), Home(u32::MAX))]),
            }),
            MetadataRecord::ServerState(ServerStateRecord {
                id: ServerId(2),
                broker_epoch: BrokerEpoch(77),
                fenced: true,
                stopping: true,
                sequence: u64::MAX,
            }),
            MetadataRecord::ServerId { id: ServerId(5), directory: DirectoryId([3; 16]) },
            MetadataRecord::PartitionChanges(PartitionChangesRecord {
                topic,
                changes: vec![(PartitionIndex(0), state(Some(2))), (PartitionIndex(7), state(None))],
            }),
            MetadataRecord::SnapshotEnd { records: 9, crc: u32::MAX },
        ]
    }

    fn voter(server: i32) -> Voter {
        Voter { server: ServerId(server), voter: VoterId([9; 16]), host: "host".into(), port: 9192 }
    }

    fn server() -> ServerImage {
        ServerImage {
            broker_epoch: BrokerEpoch::OWN_OFFSET,
            directory: DirectoryId([1; 16]),
            incarnation: IncarnationId([2; 16]),
            shards: 12,
            rack: Some("a".into()),
            client: ("clients.example".into(), 9092),
            cluster: ("cluster.example".into(), 9192),
            fenced: true,
            stopping: true,
            shard_ports: true,
            protocol: (1, 3),
            voter: VoterId([4; 16]),
            unfenced_epoch: Some(BrokerEpoch(55)),
            sequence: 1 << 40,
        }
    }

    fn state(leader: Option<i32>) -> PartitionState {
        PartitionState {
            replicas: vec![ServerId(2), ServerId(1), ServerId(3)],
            leader: leader.map(ServerId),
            leader_epoch: LeaderEpoch(57),
            partition_epoch: PartitionEpoch(99),
            unclean_epoch: leader.map(|_| LeaderEpoch(3)),
            isr: leader.into_iter().map(ServerId).collect(),
            elr: vec![ServerId(1)],
            last_known: vec![ServerId(3)],
            adding: vec![ServerId(3)],
            removing: Vec::new(),
            home: Home(12),
        }
    }

    #[test]
    fn records_survive_their_bytes() {
        for record in samples() {
            assert_eq!(MetadataRecord::decode(&record.encode()), Ok(record));
        }
    }

    /// A failover changes every partition of a server: 10,000 of them are to fit one batch.
    #[test]
    fn a_change_of_a_partition_takes_less_than_a_hundred_bytes() {
        let changed = |index| {
            let isr = vec![ServerId(1), ServerId(3)];
            let plain = PartitionState { elr: Vec::new(), last_known: Vec::new(), ..state(Some(1)) };
            (PartitionIndex(index), PartitionState { isr, adding: Vec::new(), ..plain })
        };
        let changes: Vec<_> = (0..1000).map(changed).collect();
        let topic = TopicId([7; 16]);
        let record = MetadataRecord::PartitionChanges(PartitionChangesRecord { topic, changes });
        let bytes = record.encode();
        assert!(bytes.len() < 100_000, "{} bytes", bytes.len());
        assert_eq!(MetadataRecord::decode(&bytes), Ok(record));
    }

    #[test]
    fn cut_or_foreign_bytes_are_errors() {
        for record in samples() {
            let bytes = record.encode();
            for end in 0..bytes.len() {
                // A cut may leave a readable record (trailing padding); it must never panic.
                let _ = MetadataRecord::decode(&bytes[..end]);
            }
        }
        assert!(MetadataRecord::decode(&[]).is_err());
        assert!(MetadataRecord::decode(&[0xFF; 64]).is_err());
    }

    fn check_root(version: u16, body_type: wire::Body, want: &MetadataRecordError) {
        assert_eq!(MetadataRecord::decode(&record_of(version, body_type)).as_ref(), Err(want));
    }

    #[test]
    fn records_of_a_newer_version_are_named() {
        let newer = MetadataRecordError::NewerFormat { found: 1, known: 0 };
        check_root(1, wire::Body::ProducerIdsRecord, &newer);
        check_root(0, wire::Body(99), &MetadataRecordError::UnknownKind(99));
    }

    proptest! {
        #[test]
        fn damaged_records_never_panic(which in 0usize..23, at in 0usize..400, byte: u8) {
            let mut bytes = samples()[which].encode();
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = MetadataRecord::decode(&bytes);
        }
    }
}
