//! CreateTopics (19), versions 2-7.
//!
//! Topics are judged one by one and answered in the order of the request. The answer leaves when the topics are durable
//! and served by every shard, so a client may produce at once; nothing is left to wait for, and `timeoutMs` is ignored. A
//! topic that is named twice is created in neither way, and answered once.
//!
//! - v4: partitions and replication factor may be -1, the broker's defaults (KIP-464). Taken in older versions too.
//! - v5: the answer shows partitions, replication factor and all effective configs with their sources (KIP-525); none for a
//!   topic that failed.
//! - v7: the answer has topic ids (KIP-516); none when only validating.
//!
//! Not done: KIP-599 throttling, authorization.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::base::{PartitionIndex, TopicId};
use crate::config::topic;
use crate::controller::{ControllerError, ControllerRequest, CreatedTopic, NewTopic, is_internal_topic};
use crate::protocol::messages::create_topics_request::CreatableTopic;
use crate::protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use crate::protocol::messages::{CreateTopicsRequest, CreateTopicsResponse};
use crate::protocol::{ApiKey, ErrorCode, RequestHeader};

use crate::api::answer::{AnswerForm, decode, error_message};
use crate::api::controller::ask;
use crate::api::errors::controller_error;
use crate::api::{Api, ApiError, Context, Step};

pub const API: Api = Api::new(ApiKey::CreateTopics, 2..=7, start);

pub fn start(_: &mut Context<'_>, header: &RequestHeader<'_>, body: &Bytes) -> Result<Step, ApiError> {
    let request: CreateTopicsRequest<'_> = decode(header, body)?;
    let topics: Vec<NewTopic> = request.topics.iter().map(new_topic).collect();
    let names: Vec<String> = topics.iter().map(|topic| topic.name.clone()).collect();
    let asked = ControllerRequest::create_topics(topics, request.validate_only);
    let answer = AnswerForm::of(header)?;
    Ok(ask(asked, move |context, results| {
        let mut answered = BTreeSet::new();
        let once = names.iter().zip(results).filter(|(name, _)| answered.insert(*name));
        let topics = once.map(|(name, result)| match result {
            Ok(created) => success(context, name, created),
            Err(error) => failure(name, &error),
        });
        answer.send(&CreateTopicsResponse { throttle_time_ms: 0, topics: topics.collect() })
    }))
}

fn new_topic(topic: &CreatableTopic<'_>) -> NewTopic {
    let assignments = topic.assignments.iter();
    let configs = topic.configs.iter();
    NewTopic {
        name: topic.name.to_string(),
        partitions: topic.num_partitions,
        replication_factor: topic.replication_factor,
        assignments: assignments
            .map(|one| (PartitionIndex(one.partition_index), one.broker_ids.clone()))
            .collect(),
        configs: configs
            .map(|config| (config.name.to_string(), config.value.as_ref().map(ToString::to_string)))
            .collect(),
        internal: is_internal_topic(&topic.name),
    }
}

fn success<'a>(context: &Context<'_>, name: &'a str, created: CreatedTopic) -> CreatableTopicResult<'a> {
    let configs = topic::describe(&created.overrides, &context.image.here.topic_defaults);
    CreatableTopicResult {
        name: name.into(),
        topic_id: created.id,
        error_code: ErrorCode::None.code(),
        error_message: None,
        topic_config_error_code: ErrorCode::None.code(),
        num_partitions: created.partitions,
        replication_factor: created.replication_factor,
        configs: Some(
            configs
                .into_iter()
                .map(|entry| CreatableTopicConfigs {
                    // As in Kafka, what the request set is told back as it was written.
                    value: created.overrides.get(&*entry.name).cloned().or(entry.value).map(Into::into),
                    name: entry.name,
                    read_only: false,
                    config_source: entry.origin.code(),
                    is_sensitive: entry.setting.is_sensitive(),
                })
                .collect(),
        ),
    }
}

fn failure<'a>(name: &'a str, error: &ControllerError) -> CreatableTopicResult<'a> {
    CreatableTopicResult {
        name: name.into(),
        topic_id: TopicId::ZERO,
        error_code: controller_error(error).code(),
        error_message: error_message(error.to_string()),
        topic_config_error_code: ErrorCode::None.code(),
        num_partitions: -1,
        replication_factor: -1,
        configs: Some(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use crate::api::testing::{Server, read};
    use crate::protocol::messages::create_topics_request::{
        CreatableReplicaAssignment, CreatableTopicConfig,
    };

    use super::*;

    fn topic(name: &str, partitions: i32) -> CreatableTopic<'_> {
        let name = name.into();
        CreatableTopic {
            name,
            num_partitions: partitions,
            replication_factor: 1,
            ..CreatableTopic::default()
        }
    }

    fn request(topics: Vec<CreatableTopic<'_>>) -> CreateTopicsRequest<'_> {
        CreateTopicsRequest { topics, ..CreateTopicsRequest::default() }
    }

    #[test]
    fn topics_are_created_and_shown_in_all_versions() {
        for version in 2..=7 {
            let mut server = Server::new();
            let configs =
                vec![CreatableTopicConfig { name: "retention.ms".into(), value: Some("77".into()) }];
            let with_configs = CreatableTopic { configs, ..topic("flights", 3) };
            let body = server.call(start, version, &request(vec![with_configs, topic("defaults", -1)]));
            let answer: CreateTopicsResponse<'_> = read(&body, version);
            let (flights, image) = (&answer.topics[0], server.controller.image());
            assert_eq!((&*flights.name, flights.error_code, &flights.error_message), ("flights", 0, &None));
            let created = image.topic("flights").expect("created");
            assert_eq!((created.partitions.len(), created.overrides["retention.ms"].as_str()), (3, "77"));
            if version >= 7 {
                assert_eq!(flights.topic_id, created.id);
            }
            if version >= 5 {
                assert_eq!((flights.num_partitions, flights.replication_factor), (3, 1));
                let configs = flights.configs.as_ref().expect("never null on success");
                assert!(configs.iter().all(|config| matches!(config.config_source, 1 | 4 | 5)));
                let shown = configs.iter().find(|config| config.name == "retention.ms").expect("listed");
                assert_eq!((shown.value.as_deref(), shown.config_source), (Some("77"), 1));
                assert!(configs.len() > 30);
            }
        }
    }

    #[test]
    fn failures_stay_with_their_topic_and_order() {
        for version in [2, 7] {
            let mut server = Server::new();
            let configs = vec![CreatableTopicConfig { name: "no.such".into(), value: Some("1".into()) }];
            let bad_config = CreatableTopic { configs, ..topic("b", 1) };
            let assignments = vec![CreatableReplicaAssignment { partition_index: 0, broker_ids: vec![1001] }];
            let assigned = CreatableTopic { assignments, replication_factor: -1, ..topic("c", -1) };
            let long = "x".repeat(30_000);
            let topics = vec![topic("bad name", 1), bad_config, assigned, topic("d", 0), topic(&long, 1)];
            let body = server.call(start, version, &request(topics));
            let answer: CreateTopicsResponse<'_> = read(&body, version);
            let codes: Vec<i16> = answer.topics.iter().map(|topic| topic.error_code).collect();
            assert_eq!(codes, [17, 40, 0, 37, 17]);
            let none = if version >= 5 { Some(Vec::new()) } else { answer.topics[0].configs.clone() };
            let failed = answer.topics.iter().filter(|topic| topic.error_code != 0);
            assert!(failed.into_iter().all(|topic| topic.configs == none), "an empty list, never null");
            assert!(
                answer.topics.iter().all(|topic| topic.error_message.is_some() != (topic.error_code == 0))
            );
            let body = server.call(start, version, &request(vec![topic("c", 1)]));
            let again: CreateTopicsResponse<'_> = read(&body, version);
            assert_eq!(again.topics[0].error_message.as_deref(), Some("Topic 'c' already exists."));
        }
    }

    #[test]
    fn a_topic_named_twice_is_not_created_and_answered_once() {
        for (version, validate_only) in [(2, false), (7, false), (7, true)] {
            let mut server = Server::new();
            let topics = vec![topic("a", 1), topic("b", 1), topic("a", 2), topic("a", 3)];
            let body = server.call(start, version, &CreateTopicsRequest { validate_only, ..request(topics) });
            let answer: CreateTopicsResponse<'_> = read(&body, version);
            let codes: Vec<_> = answer.topics.iter().map(|it| (&*it.name, it.error_code)).collect();
            assert_eq!(codes, [("a", 42), ("b", 0)]);
            assert!(server.controller.image().topic("a").is_none());
        }
    }

    #[test]
    fn values_are_told_back_as_they_were_written() {
        let mut server = Server::new();
        let config = CreatableTopicConfig { name: "retention.ms".into(), value: Some(" 100 ".into()) };
        let asked = request(vec![CreatableTopic { configs: vec![config], ..topic("a", 1) }]);
        let body = server.call(start, 7, &asked);
        let answer: CreateTopicsResponse<'_> = read(&body, 7);
        let configs = answer.topics[0].configs.as_ref().expect("never null on success");
        let shown = configs.iter().find(|config| config.name == "retention.ms").expect("listed");
        assert_eq!(shown.value.as_deref(), Some(" 100 "));
    }

    #[test]
    fn validation_alone_creates_nothing() {
        let mut server = Server::new();
        let only =
            CreateTopicsRequest { validate_only: true, ..request(vec![topic("a", 2), topic("a b", 2)]) };
        let body = server.call(start, 7, &only);
        let answer: CreateTopicsResponse<'_> = read(&body, 7);
        assert_eq!((answer.topics[0].error_code, answer.topics[1].error_code), (0, 17));
        assert_eq!((answer.topics[0].num_partitions, answer.topics[0].topic_id), (2, TopicId::ZERO));
        assert!(server.controller.image().topics.is_empty());
    }
}
