//! The records of the metadata log: their meaning, and their bytes (schema/metadata.fbs).
//!
//! Bytes come from disk: they are verified under limits before anything is read from them, and whatever they hold
//! yields a record or an error, never a panic.

use std::collections::BTreeMap;

use flatbuffers::{FlatBufferBuilder, VerifierOptions, WIPOffset};

use crate::base::{LeaderEpoch, PartitionIndex, ProducerId, ServerId, TopicId};

use super::generated as wire;
use super::image::Resource;

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
    /// All ids below `end` may have been handed out.
    ProducerIds {
        end: ProducerId,
    },
    /// `None` removes the override.
    ResourceConfig {
        resource: Resource,
        name: String,
        value: Option<String>,
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

/// A run of consecutive partitions that are placed alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PartitionsRecord {
    pub topic: TopicId,
    pub first: PartitionIndex,
    pub count: i32,
    pub leader: ServerId,
    pub leader_epoch: LeaderEpoch,
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
    #[error("metadata record gives {resource} configs that do not hold: {reason}")]
    Configs { resource: String, reason: String },
    #[error("metadata record names a resource that cannot be: kind {kind}, '{name}'")]
    Resource { kind: u8, name: String },
}

/// A record of the metadata log in words.
///
/// # Errors
/// When the bytes are no record, or one this version does not know.
pub fn describe_record(bytes: &[u8]) -> Result<String, MetadataRecordError> {
    MetadataRecord::decode(bytes).map(|record| format!("{record:?}"))
}

impl MetadataRecord {
    /// The record's bytes, as the value of a record of the metadata log.
    pub fn encode(&self) -> Vec<u8> {
        let mut builder = FlatBufferBuilder::new();
        let (body_type, body) = match self {
            MetadataRecord::Topic(topic) => (wire::Body::TopicRecord, encode_topic(&mut builder, topic)),
            MetadataRecord::RemoveTopic { topic } => {
                let args = wire::RemoveTopicRecordArgs { id: Some(&uuid(*topic)) };
                let body = wire::RemoveTopicRecord::create(&mut builder, &args).as_union_value();
                (wire::Body::RemoveTopicRecord, body)
            }
            MetadataRecord::Partitions(run) => (wire::Body::PartitionsRecord, encode_run(&mut builder, run)),
            MetadataRecord::Config { topic, name, value } => {
                let name = builder.create_string(name);
                let value = value.as_ref().map(|value| builder.create_string(value));
                let args = wire::ConfigRecordArgs { topic: Some(&uuid(*topic)), name: Some(name), value };
                (wire::Body::ConfigRecord, wire::ConfigRecord::create(&mut builder, &args).as_union_value())
            }
            MetadataRecord::ProducerIds { end } => {
                let args = wire::ProducerIdsRecordArgs { end: end.0 };
                (
                    wire::Body::ProducerIdsRecord,
                    wire::ProducerIdsRecord::create(&mut builder, &args).as_union_value(),
                )
            }
            MetadataRecord::ResourceConfig { resource, name, value } => {
                let (kind, of) = encode_resource(resource);
                let of = builder.create_string(&of);
                let name = builder.create_string(name);
                let value = value.as_ref().map(|value| builder.create_string(value));
                let args =
                    wire::ResourceConfigRecordArgs { kind, resource: Some(of), name: Some(name), value };
                (
                    wire::Body::ResourceConfigRecord,
                    wire::ResourceConfigRecord::create(&mut builder, &args).as_union_value(),
                )
            }
        };
        let args = wire::MetadataRecordArgs { version: FORMAT_VERSION, body_type, body: Some(body) };
        let root = wire::MetadataRecord::create(&mut builder, &args);
        wire::finish_metadata_record_buffer(&mut builder, root);
        builder.finished_data().to_vec()
    }

    /// # Errors
    /// When the bytes are no record, or one this version does not know.
    pub fn decode(bytes: &[u8]) -> Result<MetadataRecord, MetadataRecordError> {
        let root = wire::root_as_metadata_record_with_opts(&limits(), bytes)?;
        if root.version() > FORMAT_VERSION {
            return Err(MetadataRecordError::NewerFormat { found: root.version(), known: FORMAT_VERSION });
        }
        let unknown = || MetadataRecordError::UnknownKind(root.body_type().0);
        Ok(match root.body_type() {
            wire::Body::TopicRecord => {
                MetadataRecord::Topic(decode_topic(&root.body_as_topic_record().ok_or_else(unknown)?))
            }
            wire::Body::RemoveTopicRecord => {
                let body = root.body_as_remove_topic_record().ok_or_else(unknown)?;
                MetadataRecord::RemoveTopic { topic: topic_id(body.id()) }
            }
            wire::Body::PartitionsRecord => {
                MetadataRecord::Partitions(decode_run(&root.body_as_partitions_record().ok_or_else(unknown)?))
            }
            wire::Body::ConfigRecord => {
                let body = root.body_as_config_record().ok_or_else(unknown)?;
                MetadataRecord::Config {
                    topic: topic_id(body.topic()),
                    name: body.name().to_owned(),
                    value: body.value().map(str::to_owned),
                }
            }
            wire::Body::ProducerIdsRecord => {
                let body = root.body_as_producer_ids_record().ok_or_else(unknown)?;
                MetadataRecord::ProducerIds { end: ProducerId(body.end()) }
            }
            wire::Body::ResourceConfigRecord => {
                let body = root.body_as_resource_config_record().ok_or_else(unknown)?;
                MetadataRecord::ResourceConfig {
                    resource: decode_resource(body.kind(), body.resource())?,
                    name: body.name().to_owned(),
                    value: body.value().map(str::to_owned),
                }
            }
            _ => return Err(unknown()),
        })
    }
}

/// Far above what [`MetadataRecord::encode`] produces, far below what would cost memory or time.
fn limits() -> VerifierOptions {
    VerifierOptions {
        max_depth: 8,
        max_tables: 4096,
        max_apparent_size: 16 << 20,
        ignore_missing_null_terminator: false,
    }
}

fn encode_topic(
    builder: &mut FlatBufferBuilder<'_>,
    topic: &TopicRecord,
) -> WIPOffset<flatbuffers::UnionWIPOffset> {
    let name = builder.create_string(&topic.name);
    let entries: Vec<_> = topic
        .overrides
        .iter()
        .map(|(name, value)| {
            let name = builder.create_string(name);
            let value = builder.create_string(value);
            wire::ConfigEntry::create(
                builder,
                &wire::ConfigEntryArgs { name: Some(name), value: Some(value) },
            )
        })
        .collect();
    let configs = builder.create_vector(&entries);
    let args = wire::TopicRecordArgs {
        id: Some(&uuid(topic.id)),
        name: Some(name),
        ordinal: topic.ordinal,
        internal: topic.internal,
        configs: Some(configs),
    };
    wire::TopicRecord::create(builder, &args).as_union_value()
}

fn decode_topic(body: &wire::TopicRecord<'_>) -> TopicRecord {
    let entries = body.configs().into_iter().flatten();
    TopicRecord {
        id: topic_id(body.id()),
        name: body.name().to_owned(),
        ordinal: body.ordinal(),
        internal: body.internal(),
        overrides: entries.map(|entry| (entry.name().to_owned(), entry.value().to_owned())).collect(),
    }
}

fn encode_resource(resource: &Resource) -> (wire::ResourceKind, String) {
    match resource {
        Resource::AllBrokers => (wire::ResourceKind::Broker, String::new()),
        Resource::Broker(server) => (wire::ResourceKind::Broker, server.0.to_string()),
        Resource::ClientMetrics(name) => (wire::ResourceKind::ClientMetrics, name.clone()),
        Resource::Group(name) => (wire::ResourceKind::Group, name.clone()),
    }
}

fn decode_resource(kind: wire::ResourceKind, name: &str) -> Result<Resource, MetadataRecordError> {
    let refused = || MetadataRecordError::Resource { kind: kind.0, name: name.to_owned() };
    match kind {
        wire::ResourceKind::Broker if name.is_empty() => Ok(Resource::AllBrokers),
        wire::ResourceKind::Broker => {
            let server = name.parse().map_err(|_| refused())?;
            Ok(Resource::Broker(ServerId(server)))
        }
        wire::ResourceKind::ClientMetrics => Ok(Resource::ClientMetrics(name.to_owned())),
        wire::ResourceKind::Group => Ok(Resource::Group(name.to_owned())),
        _ => Err(refused()),
    }
}

fn encode_run(
    builder: &mut FlatBufferBuilder<'_>,
    run: &PartitionsRecord,
) -> WIPOffset<flatbuffers::UnionWIPOffset> {
    let args = wire::PartitionsRecordArgs {
        topic: Some(&uuid(run.topic)),
        first: run.first.0,
        count: run.count,
        leader: run.leader.0,
        leader_epoch: run.leader_epoch.0,
    };
    wire::PartitionsRecord::create(builder, &args).as_union_value()
}

fn decode_run(body: &wire::PartitionsRecord<'_>) -> PartitionsRecord {
    PartitionsRecord {
        topic: topic_id(body.topic()),
        first: PartitionIndex(body.first()),
        count: body.count(),
        leader: ServerId(body.leader()),
        leader_epoch: LeaderEpoch(body.leader_epoch()),
    }
}

fn uuid(id: TopicId) -> wire::TopicUuid {
    let halves = u128::from_be_bytes(id.0);
    let most = u64::try_from(halves >> 64).expect("the upper 64 of 128 bits");
    let least = u64::try_from(halves & u128::from(u64::MAX)).expect("the lower 64 of 128 bits");
    wire::TopicUuid::new(most, least)
}

fn topic_id(uuid: &wire::TopicUuid) -> TopicId {
    TopicId((u128::from(uuid.most()) << 64 | u128::from(uuid.least())).to_be_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
            }),
            MetadataRecord::Config { topic, name: "segment.ms".into(), value: Some("1".into()) },
            MetadataRecord::Config { topic, name: "segment.ms".into(), value: None },
            MetadataRecord::ProducerIds { end: ProducerId(i64::MAX) },
            resource(Resource::AllBrokers, Some("5")),
            resource(Resource::Broker(ServerId(7)), None),
            resource(Resource::ClientMetrics("all".into()), Some("")),
            resource(Resource::Group("g".into()), Some("x")),
        ]
    }

    #[test]
    fn records_survive_their_bytes() {
        for record in samples() {
            assert_eq!(MetadataRecord::decode(&record.encode()), Ok(record));
        }
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
        let mut builder = FlatBufferBuilder::new();
        let body = wire::ProducerIdsRecord::create(&mut builder, &wire::ProducerIdsRecordArgs { end: 1 });
        let args = wire::MetadataRecordArgs { version, body_type, body: Some(body.as_union_value()) };
        let root = wire::MetadataRecord::create(&mut builder, &args);
        wire::finish_metadata_record_buffer(&mut builder, root);
        assert_eq!(MetadataRecord::decode(builder.finished_data()).as_ref(), Err(want));
    }

    #[test]
    fn records_of_a_newer_version_are_named() {
        let newer = MetadataRecordError::NewerFormat { found: 1, known: 0 };
        check_root(1, wire::Body::ProducerIdsRecord, &newer);
        check_root(0, wire::Body(99), &MetadataRecordError::UnknownKind(99));
    }

    proptest! {
        #[test]
        fn damaged_records_never_panic(which in 0usize..10, at in 0usize..200, byte: u8) {
            let mut bytes = samples()[which].encode();
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = MetadataRecord::decode(&bytes);
        }
    }
}
