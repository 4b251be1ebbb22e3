//! A metadata record from its bytes. They come from disk: nothing is read before it was verified under limits.

use flatbuffers::{Vector, VerifierOptions};

use super::super::generated as wire;
use super::super::image::{PartitionState, Resource, ServerImage, Voter};
use super::{
    Counters, FORMAT_VERSION, MetadataRecord, MetadataRecordError, PartitionChangesRecord,
    PartitionStatesRecord, PartitionsRecord, ProducerIdsRecord, ServerStateRecord, TopicRecord,
};
use crate::base::{
    BrokerEpoch, DirectoryId, Home, IncarnationId, LeaderEpoch, PartitionEpoch, PartitionIndex, ProducerId,
    ServerId, TopicId, VoterId,
};

impl MetadataRecord {
    /// # Errors
    /// When the bytes are no record, or one this version does not know.
    pub fn decode(bytes: &[u8]) -> Result<MetadataRecord, MetadataRecordError> {
        let root = wire::root_as_metadata_record_with_opts(&limits(), bytes)?;
        if root.version() > FORMAT_VERSION {
            return Err(MetadataRecordError::NewerFormat { found: root.version(), known: FORMAT_VERSION });
        }
        decode_body(&root)?.ok_or_else(|| MetadataRecordError::UnknownKind(root.body_type().0))
    }
}

/// `None` for a kind that this version does not know.
fn decode_body(root: &wire::MetadataRecord<'_>) -> Result<Option<MetadataRecord>, MetadataRecordError> {
    Ok(match root.body_type() {
        wire::Body::TopicRecord => root.body_as_topic_record().map(|it| MetadataRecord::Topic(topic(&it))),
        wire::Body::RemoveTopicRecord => root
            .body_as_remove_topic_record()
            .map(|it| MetadataRecord::RemoveTopic { topic: TopicId(uuid(it.id())) }),
        wire::Body::PartitionsRecord => {
            root.body_as_partitions_record().map(|it| MetadataRecord::Partitions(run(&it)))
        }
        wire::Body::ConfigRecord => root.body_as_config_record().map(|it| MetadataRecord::Config {
            topic: TopicId(uuid(it.topic())),
            name: it.name().to_owned(),
            value: it.value().map(str::to_owned),
        }),
        wire::Body::ProducerIdsRecord => {
            root.body_as_producer_ids_record().map(|it| MetadataRecord::ProducerIds(producer_ids(&it)))
        }
        wire::Body::ResourceConfigRecord => {
            root.body_as_resource_config_record().map(|it| resource_config(&it)).transpose()?
        }
        wire::Body::LeaderRecord => root
            .body_as_leader_record()
            .map(|it| MetadataRecord::Leader { epoch: it.epoch(), server: ServerId(it.server()) }),
        wire::Body::VotersRecord => root
            .body_as_voters_record()
            .map(|it| MetadataRecord::Voters(it.voters().iter().map(|it| voter(&it)).collect())),
        wire::Body::FeatureRecord => root
            .body_as_feature_record()
            .map(|it| MetadataRecord::Feature { name: it.name().to_owned(), level: it.level() }),
        wire::Body::ServerRecord => root
            .body_as_server_record()
            .map(|it| MetadataRecord::Server { id: ServerId(it.id()), server: server(&it) }),
        wire::Body::RemoveServerRecord => root
            .body_as_remove_server_record()
            .map(|it| MetadataRecord::RemoveServer { id: ServerId(it.id()) }),
        wire::Body::PartitionStatesRecord => {
            root.body_as_partition_states_record().map(|it| MetadataRecord::PartitionStates(states(&it)))
        }
        wire::Body::CountersRecord => {
            root.body_as_counters_record().map(|it| MetadataRecord::Counters(counters(&it)))
        }
        _ => decode_newer(root)?,
    })
}

/// Kinds that came with clusters of several servers.
fn decode_newer(root: &wire::MetadataRecord<'_>) -> Result<Option<MetadataRecord>, MetadataRecordError> {
    Ok(match root.body_type() {
        wire::Body::ServerStateRecord => {
            root.body_as_server_state_record().map(|it| MetadataRecord::ServerState(server_state(&it)))
        }
        wire::Body::ServerIdRecord => root.body_as_server_id_record().map(|it| MetadataRecord::ServerId {
            id: ServerId(it.id()),
            directory: DirectoryId(uuid(it.directory())),
        }),
        wire::Body::PartitionChangesRecord => root
            .body_as_partition_changes_record()
            .map(|it| changes(&it).map(MetadataRecord::PartitionChanges))
            .transpose()?,
        wire::Body::SnapshotEndRecord => root
            .body_as_snapshot_end_record()
            .map(|it| MetadataRecord::SnapshotEnd { records: it.records(), crc: it.crc() }),
        _ => None,
    })
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

fn topic(body: &wire::TopicRecord<'_>) -> TopicRecord {
    let entries = body.configs().into_iter().flatten();
    TopicRecord {
        id: TopicId(uuid(body.id())),
        name: body.name().to_owned(),
        ordinal: body.ordinal(),
        internal: body.internal(),
        overrides: entries.map(|entry| (entry.name().to_owned(), entry.value().to_owned())).collect(),
    }
}

fn run(body: &wire::PartitionsRecord<'_>) -> PartitionsRecord {
    PartitionsRecord {
        topic: TopicId(uuid(body.topic())),
        first: PartitionIndex(body.first()),
        count: body.count(),
        leader: ServerId(body.leader()),
        leader_epoch: LeaderEpoch(body.leader_epoch()),
        home: body.home().map(Home),
    }
}

fn producer_ids(body: &wire::ProducerIdsRecord<'_>) -> ProducerIdsRecord {
    let server = (body.server() >= 0).then(|| (ServerId(body.server()), BrokerEpoch(body.broker_epoch())));
    ProducerIdsRecord { end: ProducerId(body.end()), server }
}

fn resource_config(body: &wire::ResourceConfigRecord<'_>) -> Result<MetadataRecord, MetadataRecordError> {
    Ok(MetadataRecord::ResourceConfig {
        resource: resource(body.kind(), body.resource())?,
        name: body.name().to_owned(),
        value: body.value().map(str::to_owned),
    })
}

fn resource(kind: wire::ResourceKind, name: &str) -> Result<Resource, MetadataRecordError> {
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

fn voter(body: &wire::Voter<'_>) -> Voter {
    Voter {
        server: ServerId(body.server()),
        voter: VoterId(uuid(body.voter())),
        host: body.host().to_owned(),
        port: body.port(),
    }
}

fn server(body: &wire::ServerRecord<'_>) -> ServerImage {
    ServerImage {
        broker_epoch: BrokerEpoch(body.broker_epoch()),
        directory: DirectoryId(uuid(body.directory())),
        incarnation: IncarnationId(uuid(body.incarnation())),
        shards: body.shards(),
        rack: body.rack().map(str::to_owned),
        client: (body.host().to_owned(), body.port()),
        cluster: (body.cluster_host().to_owned(), body.cluster_port()),
        fenced: body.fenced(),
        stopping: body.stopping(),
        shard_ports: body.shard_ports(),
        protocol: (body.protocol_min(), body.protocol_max()),
        voter: body.voter().map(|id| VoterId(uuid(id))).unwrap_or_default(),
        unfenced_epoch: Some(BrokerEpoch(body.unfenced_epoch())).filter(|epoch| epoch.0 >= 0),
        sequence: body.sequence(),
    }
}

fn server_state(body: &wire::ServerStateRecord<'_>) -> ServerStateRecord {
    ServerStateRecord {
        id: ServerId(body.id()),
        broker_epoch: BrokerEpoch(body.broker_epoch()),
        fenced: body.fenced(),
        stopping: body.stopping(),
        sequence: body.sequence(),
    }
}

fn states(body: &wire::PartitionStatesRecord<'_>) -> PartitionStatesRecord {
    PartitionStatesRecord {
        topic: TopicId(uuid(body.topic())),
        first: PartitionIndex(body.first()),
        partitions: body.partitions().iter().map(|it| state(&it)).collect(),
    }
}

fn changes(body: &wire::PartitionChangesRecord<'_>) -> Result<PartitionChangesRecord, MetadataRecordError> {
    let topic = TopicId(uuid(body.topic()));
    let (partitions, states) = (body.partitions(), body.states());
    let rises = partitions.iter().zip(partitions.iter().skip(1)).all(|(one, next)| one < next);
    if partitions.len() != states.len() || !rises {
        return Err(MetadataRecordError::Unordered(topic));
    }
    let changes = partitions.iter().map(PartitionIndex).zip(states.iter().map(|it| state(&it))).collect();
    Ok(PartitionChangesRecord { topic, changes })
}

fn state(body: &wire::PartitionState<'_>) -> PartitionState {
    let unclean = body.unclean_epoch();
    PartitionState {
        replicas: body.replicas().iter().map(ServerId).collect(),
        leader: body.leader().map(ServerId),
        leader_epoch: LeaderEpoch(body.leader_epoch()),
        partition_epoch: PartitionEpoch(body.partition_epoch()),
        unclean_epoch: (unclean >= 0).then_some(LeaderEpoch(unclean)),
        isr: ids(body.isr()),
        elr: ids(body.elr()),
        last_known: ids(body.last_known()),
        adding: ids(body.adding()),
        removing: ids(body.removing()),
        home: Home(body.home()),
    }
}

fn counters(body: &wire::CountersRecord<'_>) -> Counters {
    let homes = body.homes().into_iter().flatten();
    Counters {
        next_ordinal: body.ordinal(),
        next_server: ServerId(body.server_id()),
        next_homes: homes.map(|it| (ServerId(it.server()), Home(it.next()))).collect(),
    }
}

fn ids(list: Option<Vector<'_, i32>>) -> Vec<ServerId> {
    list.into_iter().flatten().map(ServerId).collect()
}

fn uuid(id: &wire::TopicUuid) -> [u8; 16] {
    (u128::from(id.most()) << 64 | u128::from(id.least())).to_be_bytes()
}
