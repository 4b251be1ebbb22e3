//! For the tests of decisions: a controller whose log is durable when a test says so, requests, and what was answered.

use std::collections::BTreeMap;

use flatbuffers::FlatBufferBuilder;

use crate::base::PartitionIndex;
use crate::base::rng::Rng;
use crate::config::{Config, TopicCreation};

use super::decide::{Controller, Decision};
use super::generated as wire;
use super::image::Voter;
use super::own::ControllerConfig;
use super::record::MetadataRecord;
use super::request::{
    ControllerError, ControllerReply, ControllerRequest, CreatedTopic, DeletedTopic, NewTopic,
};

/// A record that names the voters.
pub(crate) fn voters_record(voters: Vec<Voter>) -> Vec<u8> {
    MetadataRecord::Voters(voters).encode()
}

/// A record of a version that is not known yet.
pub(crate) fn newer_record() -> Vec<u8> {
    record_of(1, wire::Body::ProducerIdsRecord)
}

/// A record of this version and kind, whatever it says.
pub(super) fn record_of(version: u16, body_type: wire::Body) -> Vec<u8> {
    let mut builder = FlatBufferBuilder::new();
    let args = wire::ProducerIdsRecordArgs { end: 1, ..wire::ProducerIdsRecordArgs::default() };
    let body = wire::ProducerIdsRecord::create(&mut builder, &args);
    let args = wire::MetadataRecordArgs { version, body_type, body: Some(body.as_union_value()) };
    let root = wire::MetadataRecord::create(&mut builder, &args);
    wire::finish_metadata_record_buffer(&mut builder, root);
    builder.finished_data().to_vec()
}

pub(super) fn config() -> ControllerConfig {
    let config = Config::default();
    let topics =
        TopicCreation { partitions: 3, topic_partitions_max: 10, partitions_max: 20, ..config.topics };
    ControllerConfig { shards: 2, topics, ..ControllerConfig::new("0123456789abcdefghijkl".into(), &config) }
}

pub(super) fn controller() -> (Controller, Rng) {
    (Controller::new(config()), Rng::seeded(1))
}

pub(super) fn topic(name: &str, partitions: i32) -> NewTopic {
    NewTopic {
        name: name.into(),
        partitions,
        replication_factor: -1,
        assignments: Vec::new(),
        configs: BTreeMap::new(),
        internal: false,
    }
}

pub(super) fn assigned(name: &str, assignments: &[(i32, &[i32])]) -> NewTopic {
    let assignments =
        assignments.iter().map(|(index, nodes)| (PartitionIndex(*index), nodes.to_vec())).collect();
    NewTopic { assignments, ..topic(name, -1) }
}

pub(super) fn create(topics: Vec<NewTopic>) -> ControllerRequest {
    ControllerRequest::CreateTopics { topics, validate_only: false }
}

/// Decides, and makes durable what was decided.
pub(super) fn perform(
    controller: &mut Controller,
    rng: &mut Rng,
    request: &ControllerRequest,
) -> ControllerReply {
    let decision = controller.decide(request, rng);
    sync(controller, &decision);
    decision.reply
}

pub(super) fn sync(controller: &mut Controller, decision: &Decision) {
    for record in &decision.records {
        let offset = controller.image().version;
        controller.replay(record, offset).expect("our own record");
    }
}

pub(super) fn creations(reply: ControllerReply) -> Vec<Result<CreatedTopic, ControllerError>> {
    match reply {
        ControllerReply::CreateTopics(results) => results,
        other => panic!("not about creation: {other:?}"),
    }
}

pub(super) fn growths(reply: ControllerReply) -> Vec<Result<(), ControllerError>> {
    match reply {
        ControllerReply::CreatePartitions(results) => results,
        other => panic!("not about growth: {other:?}"),
    }
}

pub(super) fn deletions(reply: ControllerReply) -> Vec<Result<DeletedTopic, ControllerError>> {
    match reply {
        ControllerReply::DeleteTopics(results) => results,
        other => panic!("not about deletion: {other:?}"),
    }
}
