//! The bytes of a metadata record, as schema/metadata.fbs says.

use flatbuffers::{FlatBufferBuilder, UnionWIPOffset, Vector, WIPOffset};

use super::super::generated as wire;
use super::super::image::{PartitionState, Resource, ServerImage, Voter};
use super::{
    Counters, FORMAT_VERSION, MetadataRecord, PartitionChangesRecord, PartitionStatesRecord,
    PartitionsRecord, ProducerIdsRecord, ServerStateRecord, TopicRecord,
};
use crate::base::{BrokerEpoch, LeaderEpoch, ServerId, TopicId, VoterId};

type Builder<'b> = FlatBufferBuilder<'b>;
type Body = (wire::Body, WIPOffset<UnionWIPOffset>);
type Ids<'b> = WIPOffset<Vector<'b, i32>>;

impl MetadataRecord {
    /// The record's bytes, as the value of a record of the metadata log.
    pub fn encode(&self) -> Vec<u8> {
        let mut builder = FlatBufferBuilder::new();
        let (body_type, body) = self.body(&mut builder);
        let args = wire::MetadataRecordArgs { version: FORMAT_VERSION, body_type, body: Some(body) };
        let root = wire::MetadataRecord::create(&mut builder, &args);
        wire::finish_metadata_record_buffer(&mut builder, root);
        builder.finished_data().to_vec()
    }

    fn body(&self, builder: &mut Builder<'_>) -> Body {
        match self {
            MetadataRecord::Topic(topic) => encode_topic(builder, topic),
            MetadataRecord::RemoveTopic { topic } => {
                let args = wire::RemoveTopicRecordArgs { id: Some(&uuid(topic.0)) };
                let body = wire::RemoveTopicRecord::create(builder, &args);
                (wire::Body::RemoveTopicRecord, body.as_union_value())
            }
            MetadataRecord::Partitions(run) => encode_run(builder, run),
            MetadataRecord::Config { topic, name, value } => {
                encode_config(builder, *topic, name, value.as_deref())
            }
            MetadataRecord::ProducerIds(block) => encode_producer_ids(builder, block),
            MetadataRecord::ResourceConfig { resource, name, value } => {
                encode_resource_config(builder, resource, name, value.as_deref())
            }
            MetadataRecord::Leader { epoch, server } => {
                let args = wire::LeaderRecordArgs { epoch: *epoch, server: server.0 };
                let body = wire::LeaderRecord::create(builder, &args);
                (wire::Body::LeaderRecord, body.as_union_value())
            }
            MetadataRecord::Voters(voters) => encode_voters(builder, voters),
            MetadataRecord::Feature { name, level } => {
                let name = builder.create_string(name);
                let args = wire::FeatureRecordArgs { name: Some(name), level: *level };
                let body = wire::FeatureRecord::create(builder, &args);
                (wire::Body::FeatureRecord, body.as_union_value())
            }
            MetadataRecord::Server { id, server } => encode_server(builder, *id, server),
            MetadataRecord::RemoveServer { id } => {
                let args = wire::RemoveServerRecordArgs { id: id.0 };
                let body = wire::RemoveServerRecord::create(builder, &args);
                (wire::Body::RemoveServerRecord, body.as_union_value())
            }
            MetadataRecord::PartitionStates(run) => encode_states(builder, run),
            MetadataRecord::Counters(counters) => encode_counters(builder, counters),
            MetadataRecord::ServerState(state) => encode_server_state(builder, state),
            MetadataRecord::ServerId { id, directory } => {
                let args = wire::ServerIdRecordArgs { id: id.0, directory: Some(&uuid(directory.0)) };
                let body = wire::ServerIdRecord::create(builder, &args);
                (wire::Body::ServerIdRecord, body.as_union_value())
            }
            MetadataRecord::PartitionChanges(run) => encode_changes(builder, run),
            MetadataRecord::SnapshotEnd { records, crc } => {
                let args = wire::SnapshotEndRecordArgs { records: *records, crc: *crc };
                let body = wire::SnapshotEndRecord::create(builder, &args);
                (wire::Body::SnapshotEndRecord, body.as_union_value())
            }
        }
    }
}

fn encode_producer_ids(builder: &mut Builder<'_>, block: &ProducerIdsRecord) -> Body {
    let (server, epoch) = block.server.unwrap_or((ServerId(-1), BrokerEpoch(-1)));
    let args = wire::ProducerIdsRecordArgs { end: block.end.0, server: server.0, broker_epoch: epoch.0 };
    (wire::Body::ProducerIdsRecord, wire::ProducerIdsRecord::create(builder, &args).as_union_value())
}

fn encode_topic(builder: &mut Builder<'_>, topic: &TopicRecord) -> Body {
    let name = builder.create_string(&topic.name);
    let entries: Vec<_> = topic
        .overrides
        .iter()
        .map(|(name, value)| {
            let name = builder.create_string(name);
            let value = builder.create_string(value);
            let args = wire::ConfigEntryArgs { name: Some(name), value: Some(value) };
            wire::ConfigEntry::create(builder, &args)
        })
        .collect();
    let configs = builder.create_vector(&entries);
    let args = wire::TopicRecordArgs {
        id: Some(&uuid(topic.id.0)),
        name: Some(name),
        ordinal: topic.ordinal,
        internal: topic.internal,
        configs: Some(configs),
    };
    (wire::Body::TopicRecord, wire::TopicRecord::create(builder, &args).as_union_value())
}

fn encode_run(builder: &mut Builder<'_>, run: &PartitionsRecord) -> Body {
    let args = wire::PartitionsRecordArgs {
        topic: Some(&uuid(run.topic.0)),
        first: run.first.0,
        count: run.count,
        leader: run.leader.0,
        leader_epoch: run.leader_epoch.0,
        home: run.home.map(|home| home.0),
    };
    (wire::Body::PartitionsRecord, wire::PartitionsRecord::create(builder, &args).as_union_value())
}

fn encode_config(builder: &mut Builder<'_>, topic: TopicId, name: &str, value: Option<&str>) -> Body {
    let name = builder.create_string(name);
    let value = value.map(|value| builder.create_string(value));
    let args = wire::ConfigRecordArgs { topic: Some(&uuid(topic.0)), name: Some(name), value };
    (wire::Body::ConfigRecord, wire::ConfigRecord::create(builder, &args).as_union_value())
}

fn encode_resource_config(
    builder: &mut Builder<'_>,
    resource: &Resource,
    name: &str,
    value: Option<&str>,
) -> Body {
    let (kind, of) = encode_resource(resource);
    let of = builder.create_string(&of);
    let name = builder.create_string(name);
    let value = value.map(|value| builder.create_string(value));
    let args = wire::ResourceConfigRecordArgs { kind, resource: Some(of), name: Some(name), value };
    (wire::Body::ResourceConfigRecord, wire::ResourceConfigRecord::create(builder, &args).as_union_value())
}

fn encode_resource(resource: &Resource) -> (wire::ResourceKind, String) {
    match resource {
        Resource::AllBrokers => (wire::ResourceKind::Broker, String::new()),
        Resource::Broker(server) => (wire::ResourceKind::Broker, server.0.to_string()),
        Resource::ClientMetrics(name) => (wire::ResourceKind::ClientMetrics, name.clone()),
        Resource::Group(name) => (wire::ResourceKind::Group, name.clone()),
    }
}

fn encode_voters(builder: &mut Builder<'_>, voters: &[Voter]) -> Body {
    let voters: Vec<_> = voters
        .iter()
        .map(|voter| {
            let host = builder.create_string(&voter.host);
            let args = wire::VoterArgs {
                server: voter.server.0,
                voter: Some(&uuid(voter.voter.0)),
                host: Some(host),
                port: voter.port,
            };
            wire::Voter::create(builder, &args)
        })
        .collect();
    let voters = builder.create_vector(&voters);
    let args = wire::VotersRecordArgs { voters: Some(voters) };
    (wire::Body::VotersRecord, wire::VotersRecord::create(builder, &args).as_union_value())
}

fn encode_server(builder: &mut Builder<'_>, id: ServerId, server: &ServerImage) -> Body {
    let rack = server.rack.as_ref().map(|rack| builder.create_string(rack));
    let host = builder.create_string(&server.client.0);
    let cluster_host = builder.create_string(&server.cluster.0);
    let voter = (server.voter != VoterId::default()).then(|| uuid(server.voter.0));
    let args = wire::ServerRecordArgs {
        id: id.0,
        broker_epoch: server.broker_epoch.0,
        directory: Some(&uuid(server.directory.0)),
        incarnation: Some(&uuid(server.incarnation.0)),
        shards: server.shards,
        rack,
        host: Some(host),
        port: server.client.1,
        cluster_host: Some(cluster_host),
        cluster_port: server.cluster.1,
        fenced: server.fenced,
        stopping: server.stopping,
        shard_ports: server.shard_ports,
        protocol_min: server.protocol.0,
        protocol_max: server.protocol.1,
        voter: voter.as_ref(),
        unfenced_epoch: server.unfenced_epoch.map_or(-1, |epoch| epoch.0),
        sequence: server.sequence,
    };
    (wire::Body::ServerRecord, wire::ServerRecord::create(builder, &args).as_union_value())
}

fn encode_server_state(builder: &mut Builder<'_>, state: &ServerStateRecord) -> Body {
    let args = wire::ServerStateRecordArgs {
        id: state.id.0,
        broker_epoch: state.broker_epoch.0,
        fenced: state.fenced,
        stopping: state.stopping,
        sequence: state.sequence,
    };
    (wire::Body::ServerStateRecord, wire::ServerStateRecord::create(builder, &args).as_union_value())
}

fn encode_changes(builder: &mut Builder<'_>, run: &PartitionChangesRecord) -> Body {
    let states: Vec<_> = run.changes.iter().map(|(_, state)| encode_state(builder, state)).collect();
    let states = builder.create_vector(&states);
    let partitions: Vec<i32> = run.changes.iter().map(|(index, _)| index.0).collect();
    let partitions = builder.create_vector(&partitions);
    let args = wire::PartitionChangesRecordArgs {
        topic: Some(&uuid(run.topic.0)),
        partitions: Some(partitions),
        states: Some(states),
    };
    (
        wire::Body::PartitionChangesRecord,
        wire::PartitionChangesRecord::create(builder, &args).as_union_value(),
    )
}

fn encode_states(builder: &mut Builder<'_>, run: &PartitionStatesRecord) -> Body {
    let states: Vec<_> = run.partitions.iter().map(|state| encode_state(builder, state)).collect();
    let states = builder.create_vector(&states);
    let args = wire::PartitionStatesRecordArgs {
        topic: Some(&uuid(run.topic.0)),
        first: run.first.0,
        partitions: Some(states),
    };
    (wire::Body::PartitionStatesRecord, wire::PartitionStatesRecord::create(builder, &args).as_union_value())
}

fn encode_state<'b>(
    builder: &mut Builder<'b>,
    state: &PartitionState,
) -> WIPOffset<wire::PartitionState<'b>> {
    let replicas = ids(builder, &state.replicas);
    let args = wire::PartitionStateArgs {
        replicas: Some(replicas),
        leader: state.leader.map(|leader| leader.0),
        leader_epoch: state.leader_epoch.0,
        partition_epoch: state.partition_epoch.0,
        unclean_epoch: state.unclean_epoch.unwrap_or(LeaderEpoch(-1)).0,
        isr: ids_if_any(builder, &state.isr),
        elr: ids_if_any(builder, &state.elr),
        last_known: ids_if_any(builder, &state.last_known),
        adding: ids_if_any(builder, &state.adding),
        removing: ids_if_any(builder, &state.removing),
        home: state.home.0,
    };
    wire::PartitionState::create(builder, &args)
}

fn encode_counters(builder: &mut Builder<'_>, counters: &Counters) -> Body {
    let homes = counters.next_homes.iter();
    let homes: Vec<_> = homes.map(|(server, next)| wire::NextHome::new(server.0, next.0)).collect();
    let homes = builder.create_vector(&homes);
    let args = wire::CountersRecordArgs {
        ordinal: counters.next_ordinal,
        server_id: counters.next_server.0,
        homes: Some(homes),
    };
    (wire::Body::CountersRecord, wire::CountersRecord::create(builder, &args).as_union_value())
}

fn ids<'b>(builder: &mut Builder<'b>, servers: &[ServerId]) -> Ids<'b> {
    let ids: Vec<i32> = servers.iter().map(|server| server.0).collect();
    builder.create_vector(&ids)
}

/// Most lists of most partitions are empty: an absent list costs nothing.
fn ids_if_any<'b>(builder: &mut Builder<'b>, servers: &[ServerId]) -> Option<Ids<'b>> {
    (!servers.is_empty()).then(|| ids(builder, servers))
}

fn uuid(bytes: [u8; 16]) -> wire::TopicUuid {
    let halves = u128::from_be_bytes(bytes);
    let most = u64::try_from(halves >> 64).expect("the upper 64 of 128 bits");
    let least = u64::try_from(halves & u128::from(u64::MAX)).expect("the lower 64 of 128 bits");
    wire::TopicUuid::new(most, least)
}
