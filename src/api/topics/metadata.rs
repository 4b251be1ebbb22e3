//! Metadata (3), versions 0-13.
//!
//! Answered from this shard's image; only topics to be created on the way are asked of the controller first. Partitions
//! are led by the node that the connection's view gives their owning shard.
//!
//! - v0: an empty list of topics means all; from v1 null does.
//! - v4: the client says whether missing topics may be created.
//! - v8: authorized operations on request; without authorization, all there are. The cluster's left again in v11.
//! - v10: topic ids in the answer; v12: topics may be asked by id.
//! - v13: top-level error, never used.
//!
//! A topic that is asked for more than once is told once.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;

use crate::base::TopicId;
use crate::controller::{
    ControllerError, ControllerRequest, CreatedTopic, NewTopic, TopicImage, is_internal_topic, is_topic_name,
};
use crate::group::OFFSETS_TOPIC;
use crate::protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use crate::protocol::messages::{MetadataRequest, MetadataResponse};
use crate::protocol::{ApiKey, ErrorCode, RequestHeader};

use crate::api::answer::{AnswerForm, decode};
use crate::api::authorized::{CLUSTER_OPERATIONS, TOPIC_OPERATIONS};
use crate::api::cluster::hints::epoch_shown;
use crate::api::cluster::nodes::{controller_node, leader_node, nodes, rack, replica_nodes};
use crate::api::controller::ask;
use crate::api::errors::controller_error;
use crate::api::groups::coordinator::offsets_topic;
use crate::api::{Api, ApiError, Context, Step};

pub const API: Api = Api::new(ApiKey::Metadata, 0..=13, start);

pub fn start(context: &mut Context<'_>, header: &RequestHeader<'_>, body: &Bytes) -> Result<Step, ApiError> {
    let request: MetadataRequest<'_> = decode(header, body)?;
    let query = Query {
        answer: AnswerForm::of(header)?,
        topics: asked_topics(&request, header.api_version),
        cluster_operations: request.include_cluster_authorized_operations,
        topic_operations: request.include_topic_authorized_operations,
    };
    let may_create = request.allow_auto_topic_creation && context.config.topics.auto_create;
    let missing = if may_create { query.missing(context) } else { Vec::new() };
    if missing.is_empty() {
        return query.respond(context, &BTreeMap::new());
    }
    let topics = missing.iter().map(|name| to_create(context, name)).collect();
    let asked = ControllerRequest::create_topics(topics, false);
    Ok(ask(asked, move |context, results| {
        let outcomes = missing.into_iter().zip(results.iter().map(creation_outcome)).collect();
        query.respond(context, &outcomes).unwrap_or_else(|error| Step::Close { reason: error.to_string() })
    }))
}

fn to_create(context: &Context<'_>, name: &str) -> NewTopic {
    if name == OFFSETS_TOPIC {
        return offsets_topic(context.config);
    }
    NewTopic {
        name: name.to_owned(),
        partitions: -1,
        replication_factor: -1,
        assignments: Vec::new(),
        configs: BTreeMap::new(),
        internal: is_internal_topic(name),
    }
}

/// What a topic that is not in the image yet is answered with.
fn creation_outcome(result: &Result<CreatedTopic, ControllerError>) -> ErrorCode {
    match result {
        Ok(_) | Err(ControllerError::TopicExists(_)) => ErrorCode::LeaderNotAvailable,
        Err(error) => controller_error(error),
    }
}

/// What a name that nothing was done about is answered with.
fn missing(name: &str) -> ErrorCode {
    if is_topic_name(name) { ErrorCode::UnknownTopicOrPartition } else { ErrorCode::InvalidTopicException }
}

/// What a request means by a name or an id.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Meant<'a> {
    Topic(TopicId),
    Missing(&'a str),
    Nothing,
}

enum TopicNamed {
    Name(String),
    Id(TopicId),
    /// Neither a name nor, in a version that takes one, an id.
    Nothing,
}

impl TopicNamed {
    /// A topic is told once, by whatever names and ids it is asked for.
    fn meant(&self, context: &Context<'_>) -> Meant<'_> {
        match self {
            TopicNamed::Name(name) => {
                context.image.topic(name).map_or(Meant::Missing(name), |topic| Meant::Topic(topic.id))
            }
            TopicNamed::Id(id) => Meant::Topic(*id),
            TopicNamed::Nothing => Meant::Nothing,
        }
    }
}

/// `None` = all topics.
fn asked_topics(request: &MetadataRequest<'_>, version: i16) -> Option<Vec<TopicNamed>> {
    let topics = request.topics.as_ref().filter(|topics| version >= 1 || !topics.is_empty())?;
    let asked = topics.iter().map(|topic| match &topic.name {
        _ if version >= 12 && topic.topic_id != TopicId::ZERO => TopicNamed::Id(topic.topic_id),
        Some(name) => TopicNamed::Name(name.to_string()),
        None => TopicNamed::Nothing,
    });
    Some(asked.collect())
}

struct Query {
    answer: AnswerForm,
    topics: Option<Vec<TopicNamed>>,
    cluster_operations: bool,
    topic_operations: bool,
}

impl Query {
    /// Names that no topic has, each once.
    fn missing(&self, context: &Context<'_>) -> Vec<String> {
        let mut missing = Vec::new();
        for asked in self.topics.iter().flatten() {
            if let TopicNamed::Name(name) = asked
                && context.image.topic(name).is_none()
                && !missing.contains(name)
            {
                missing.push(name.clone());
            }
        }
        missing
    }

    /// `outcomes` says why names are missing, where more is known than that they are.
    fn respond(
        &self,
        context: &Context<'_>,
        outcomes: &BTreeMap<String, ErrorCode>,
    ) -> Result<Step, ApiError> {
        let topics = match &self.topics {
            None => context.image.topics.values().map(|topic| self.known(context, topic)).collect(),
            Some(asked) => {
                let mut told = HashSet::new();
                let once = asked.iter().filter(|asked| told.insert(asked.meant(context)));
                once.map(|asked| self.asked(context, asked, outcomes)).collect()
            }
        };
        let (host, rack) = (context.connection.advertised_host.as_str(), rack(context));
        let brokers = nodes(context).into_iter().map(|node| MetadataResponseBroker {
            node_id: node.id,
            host: host.into(),
            port: node.port,
            rack: Some(rack.as_str().into()),
        });
        let mut response = MetadataResponse {
            brokers: brokers.collect(),
            cluster_id: Some(context.image.cluster_id.as_str().into()),
            controller_id: controller_node(context),
            topics,
            ..MetadataResponse::default()
        };
        if self.cluster_operations {
            response.cluster_authorized_operations = CLUSTER_OPERATIONS;
        }
        self.answer.encode(&response)
    }

    fn asked<'a>(
        &self,
        context: &'a Context<'_>,
        asked: &'a TopicNamed,
        outcomes: &BTreeMap<String, ErrorCode>,
    ) -> MetadataResponseTopic<'a> {
        let found = match asked {
            TopicNamed::Name(name) => context.image.topic(name),
            TopicNamed::Id(id) => context.image.topic_by_id(*id),
            TopicNamed::Nothing => None,
        };
        if let Some(topic) = found {
            return self.known(context, topic);
        }
        let unknown = MetadataResponseTopic::default();
        match asked {
            TopicNamed::Name(name) => {
                let outcome = outcomes.get(name).copied().unwrap_or_else(|| missing(name));
                MetadataResponseTopic {
                    error_code: outcome.code(),
                    name: Some(name.as_str().into()),
                    is_internal: is_internal_topic(name),
                    ..unknown
                }
            }
            TopicNamed::Id(id) => MetadataResponseTopic {
                error_code: ErrorCode::UnknownTopicId.code(),
                name: None,
                topic_id: *id,
                ..unknown
            },
            TopicNamed::Nothing => {
                MetadataResponseTopic { error_code: ErrorCode::InvalidRequest.code(), ..unknown }
            }
        }
    }

    fn known<'a>(&self, context: &'a Context<'_>, topic: &'a Arc<TopicImage>) -> MetadataResponseTopic<'a> {
        let partitions = (0..).zip(&topic.partitions).map(|(index, partition)| {
            let code = partition.leader().map_or(ErrorCode::LeaderNotAvailable, |_| ErrorCode::None);
            let replicas = partition.replicas().iter().copied();
            MetadataResponsePartition {
                error_code: code.code(),
                partition_index: index,
                leader_id: leader_node(context, partition),
                leader_epoch: epoch_shown(context, partition),
                replica_nodes: replica_nodes(context, partition, replicas),
                isr_nodes: replica_nodes(context, partition, partition.isr()),
                offline_replicas: Vec::new(),
            }
        });
        let mut answer = MetadataResponseTopic {
            error_code: ErrorCode::None.code(),
            name: Some((&*topic.name).into()),
            topic_id: topic.id,
            is_internal: topic.internal,
            partitions: partitions.collect(),
            ..MetadataResponseTopic::default()
        };
        if self.topic_operations {
            answer.topic_authorized_operations = TOPIC_OPERATIONS;
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use crate::api::testing::{Server, read};
    use crate::controller::View;
    use crate::protocol::messages::metadata_request::MetadataRequestTopic;

    use super::*;

    fn named<'a>(names: &[&'a str]) -> MetadataRequest<'a> {
        let topic = |name: &&'a str| MetadataRequestTopic {
            name: Some((*name).into()),
            ..MetadataRequestTopic::default()
        };
        MetadataRequest { topics: Some(names.iter().map(topic).collect()), ..MetadataRequest::default() }
    }

    #[test]
    fn all_topics_and_no_topics_are_told_apart() {
        for version in 0..=13 {
            let mut server = Server::new();
            server.create("a", 3);
            let all = MetadataRequest { topics: None, ..MetadataRequest::default() };
            let all = if version == 0 { named(&[]) } else { all };
            let body = server.call(start, version, &all);
            let answer: MetadataResponse<'_> = read(&body, version);
            assert_eq!((answer.topics.len(), answer.topics[0].partitions.len()), (1, 3));
            assert_eq!((answer.brokers.len(), &*answer.brokers[0].host), (1, "localhost"));
            if version >= 1 {
                let rack = format!("server-{}", server.config.server_id);
                assert_eq!(answer.brokers[0].rack.as_deref(), Some(rack.as_str()));
                let body = server.call(start, version, &named(&[]));
                assert!(read::<MetadataResponse<'_>>(&body, version).topics.is_empty());
            }
        }
    }

    #[test]
    fn leaders_are_the_nodes_of_the_view() {
        for (view, brokers, ports) in [
            (View::Server, 1, [9092, 9092]),
            (View::Shards, 2, [9092, 9092]),
            (View::ShardPorts, 2, [9092, 9093]),
        ] {
            let mut server = Server::new();
            server.create("a", 2);
            server.connection.view = view;
            let body = server.call(start, 12, &named(&["a"]));
            let answer: MetadataResponse<'_> = read(&body, 12);
            assert_eq!(answer.brokers.len(), brokers);
            assert!(answer.brokers.iter().map(|broker| broker.port).eq(ports.into_iter().take(brokers)));
            for partition in &answer.topics[0].partitions {
                assert!(answer.brokers.iter().any(|broker| broker.node_id == partition.leader_id));
                assert_eq!(
                    (&partition.replica_nodes, &partition.isr_nodes),
                    (&vec![partition.leader_id], &vec![partition.leader_id])
                );
            }
            let leaders = &answer.topics[0].partitions;
            assert_eq!(leaders[0].leader_id == leaders[1].leader_id, brokers == 1);
        }
    }

    #[test]
    fn missing_topics_are_created_where_client_and_settings_agree() {
        let check = |version, client, settings, codes: [i16; 2]| {
            let mut server = Server::new();
            server.config.topics.auto_create = settings;
            let request =
                MetadataRequest { allow_auto_topic_creation: client, ..named(&["b", "b", "bad name"]) };
            let body = server.call(start, version, &request);
            let answer: MetadataResponse<'_> = read(&body, version);
            let found: Vec<i16> = answer.topics.iter().map(|topic| topic.error_code).collect();
            assert_eq!(found, codes, "version {version}");
        };
        for version in 0..=13 {
            check(version, true, true, [0, 17]);
            check(version, true, false, [3, 17]);
        }
        for version in 4..=13 {
            check(version, false, true, [3, 17]);
        }
    }

    #[test]
    fn topics_are_found_by_id() {
        for version in [12, 13] {
            let mut server = Server::new();
            let ids = [server.create("a", 1), TopicId([9; 16])];
            let by_id = |topic_id| MetadataRequestTopic { topic_id, name: None };
            let mut topics: Vec<_> = ids.into_iter().chain(ids).map(by_id).collect();
            topics.push(MetadataRequestTopic { topic_id: TopicId::ZERO, name: Some("a".into()) });
            let request = MetadataRequest { topics: Some(topics), ..MetadataRequest::default() };
            let body = server.call(start, version, &request);
            let answer: MetadataResponse<'_> = read(&body, version);
            let found: Vec<_> = answer
                .topics
                .iter()
                .map(|topic| (topic.error_code, topic.name.as_deref(), topic.topic_id))
                .collect();
            assert_eq!(found, [(0, Some("a"), ids[0]), (100, None, ids[1])]);
        }
    }

    #[test]
    fn operations_are_shown_on_request() {
        for version in [8, 10] {
            let mut server = Server::new();
            server.create("a", 1);
            let request = MetadataRequest {
                include_cluster_authorized_operations: true,
                include_topic_authorized_operations: true,
                ..named(&["a"])
            };
            let body = server.call(start, version, &request);
            let answer: MetadataResponse<'_> = read(&body, version);
            assert_eq!(answer.cluster_authorized_operations, CLUSTER_OPERATIONS);
            assert_eq!(answer.topics[0].topic_authorized_operations, TOPIC_OPERATIONS);
        }
    }
}
