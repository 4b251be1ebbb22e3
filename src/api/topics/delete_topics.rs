//! DeleteTopics (20), versions 1-6.
//!
//! Topics are answered in the order of the request, when the deletion is durable and no shard serves them any more;
//! `timeoutMs` is ignored.
//!
//! - below v3, TOPIC_DELETION_DISABLED is not known and INVALID_REQUEST stands for it.
//! - v5: errors carry a message (KIP-599).
//! - v6: topics are named by name or by id (KIP-516); what was not named and is not known stays empty in the answer.
//!
//! Not done: KIP-599 throttling, authorization.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::base::TopicId;
use crate::controller::{ControllerError, ControllerRequest, DeletedTopic, MetadataImage, TopicName};
use crate::protocol::messages::delete_topics_request::DeleteTopicState;
use crate::protocol::messages::delete_topics_response::DeletableTopicResult;
use crate::protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse};
use crate::protocol::{ApiKey, ErrorCode, RequestHeader};

use crate::api::answer::{AnswerForm, decode, error_message};
use crate::api::controller::ask;
use crate::api::errors::controller_error;
use crate::api::{Api, ApiError, Context, Step};

/// The first version with TOPIC_DELETION_DISABLED.
const DELETION_DISABLED_SINCE: i16 = 3;
/// The first version that names topics one by one, by name or id.
const TOPIC_STATES_SINCE: i16 = 6;

/// One topic to answer: what to ask the controller for, or why not to.
type NamedTopic = Result<TopicName, (Option<String>, TopicId, &'static str)>;

pub const API: Api = Api::new(ApiKey::DeleteTopics, 1..=6, start);

pub fn start(context: &mut Context<'_>, header: &RequestHeader<'_>, body: &Bytes) -> Result<Step, ApiError> {
    let request: DeleteTopicsRequest<'_> = decode(header, body)?;
    let wanted: Vec<NamedTopic> = if header.api_version >= TOPIC_STATES_SINCE {
        request.topics.iter().map(by_state).collect()
    } else {
        request.topic_names.iter().map(|name| Ok(TopicName::Name(name.to_string()))).collect()
    };
    let wanted = without_repeats(wanted, context.image);
    let topics = wanted.iter().filter_map(|topic| topic.as_ref().ok().cloned()).collect();
    let answer = AnswerForm::of(header)?;
    Ok(ask(ControllerRequest::delete_topics(topics), move |_, results| {
        let mut results = results.into_iter();
        let responses = wanted.iter().map(|topic| match topic {
            Ok(name) => {
                let result = results.next().expect("one result per topic asked for");
                deleted(name, result, answer.version)
            }
            Err((name, id, reason)) => {
                refused(name.as_deref(), *id, ErrorCode::InvalidRequest, (*reason).into())
            }
        });
        let responses = responses.collect();
        answer.send(&DeleteTopicsResponse { throttle_time_ms: 0, responses })
    }))
}

fn by_state(topic: &DeleteTopicState<'_>) -> NamedTopic {
    let refused = |reason| Err((topic.name.as_ref().map(ToString::to_string), topic.topic_id, reason));
    match (&topic.name, topic.topic_id) {
        (Some(name), TopicId::ZERO) => Ok(TopicName::Name(name.to_string())),
        (None, TopicId::ZERO) => refused("Neither topic name nor id were specified."),
        (None, id) => Ok(TopicName::Id(id)),
        (Some(_), _) => refused("You may not specify both topic name and topic id."),
    }
}

/// A topic that is named twice is not deleted and answered once: who wrote that may have meant another one.
fn without_repeats(wanted: Vec<NamedTopic>, image: &MetadataImage) -> Vec<NamedTopic> {
    let mut times: BTreeMap<TopicName, usize> = BTreeMap::new();
    for name in wanted.iter().flatten() {
        *times.entry(name.clone()).or_default() += 1;
    }
    let beside_its_name = |id: TopicId| {
        let name = image.topic_by_id(id).map(|topic| TopicName::Name(topic.name.to_string()));
        name.is_some_and(|name| times.contains_key(&name))
    };
    let mut answered = BTreeSet::new();
    let once = wanted.into_iter().filter(|topic| match topic {
        Ok(TopicName::Id(id)) if beside_its_name(*id) => false,
        Ok(name) => answered.insert(name.clone()),
        Err(_) => true,
    });
    let judged = once.map(|topic| {
        let name = topic?;
        let is_repeated = times.get(&name).is_some_and(|times| *times > 1);
        match name {
            TopicName::Name(name) if is_repeated => Err((Some(name), TopicId::ZERO, "Duplicate topic name.")),
            TopicName::Id(id) if is_repeated => Err((None, id, "Duplicate topic id.")),
            TopicName::Name(name) => match image.topic(&name).map(|topic| topic.id) {
                Some(id) if times.contains_key(&TopicName::Id(id)) => {
                    Err((Some(name), id, "The provided topic name maps to an ID that was already supplied."))
                }
                _ => Ok(TopicName::Name(name)),
            },
            TopicName::Id(id) => Ok(TopicName::Id(id)),
        }
    });
    judged.collect()
}

fn deleted(
    wanted: &TopicName,
    result: Result<DeletedTopic, ControllerError>,
    version: i16,
) -> DeletableTopicResult<'_> {
    let error = match result {
        Ok(deleted) => {
            return DeletableTopicResult {
                name: Some(deleted.name.into()),
                topic_id: deleted.id,
                error_code: ErrorCode::None.code(),
                error_message: None,
            };
        }
        Err(error) => error,
    };
    let code = match error {
        ControllerError::DeletionDisabled if version < DELETION_DISABLED_SINCE => ErrorCode::InvalidRequest,
        _ => controller_error(&error),
    };
    match wanted {
        TopicName::Name(name) => refused(Some(name), TopicId::ZERO, code, error.to_string()),
        TopicName::Id(id) => refused(None, *id, code, error.to_string()),
    }
}

fn refused(name: Option<&str>, id: TopicId, code: ErrorCode, message: String) -> DeletableTopicResult<'_> {
    DeletableTopicResult {
        name: name.map(Into::into),
        topic_id: id,
        error_code: code.code(),
        error_message: error_message(message),
    }
}

#[cfg(test)]
mod tests {
    use crate::api::testing::{Server, read};
    use crate::api::topics::create_topics;
    use crate::config::Config;
    use crate::protocol::messages::CreateTopicsRequest;
    use crate::protocol::messages::create_topics_request::CreatableTopic;

    use super::*;

    fn server_with(topics: &[&str]) -> Server {
        let mut server = Server::new();
        let topics = topics.iter().map(|name| CreatableTopic {
            name: (*name).into(),
            num_partitions: 1,
            replication_factor: 1,
            ..CreatableTopic::default()
        });
        let request = CreateTopicsRequest { topics: topics.collect(), ..CreateTopicsRequest::default() };
        server.call(create_topics::start, 7, &request);
        server
    }

    fn by_names(names: &[&'static str]) -> DeleteTopicsRequest<'static> {
        let topic_names = names.iter().map(|name| (*name).into()).collect();
        DeleteTopicsRequest { topic_names, ..DeleteTopicsRequest::default() }
    }

    #[test]
    fn names_are_deleted_in_old_versions() {
        for version in 1..TOPIC_STATES_SINCE {
            let mut server = server_with(&["a", "b"]);
            let body = server.call(start, version, &by_names(&["x", "a"]));
            let answer: DeleteTopicsResponse<'_> = read(&body, version);
            let results: Vec<_> =
                answer.responses.iter().map(|one| (one.name.as_deref(), one.error_code)).collect();
            assert_eq!(results, [(Some("x"), 3), (Some("a"), 0)]);
            assert_eq!(
                server.controller.image().topics.keys().map(|name| &**name).collect::<Vec<_>>(),
                ["b"]
            );
        }
    }

    #[test]
    fn names_and_ids_are_deleted_in_the_newest() {
        let mut server = server_with(&["a", "b"]);
        let id = server.controller.image().topic("b").expect("created").id;
        let unknown = TopicId([9; 16]);
        let state =
            |name: Option<&'static str>, topic_id| DeleteTopicState { name: name.map(Into::into), topic_id };
        let topics = vec![
            state(None, id),
            state(None, TopicId::ZERO),
            state(Some("a"), id),
            state(None, unknown),
            state(Some("a"), TopicId::ZERO),
        ];
        let body = server.call(start, 6, &DeleteTopicsRequest { topics, ..DeleteTopicsRequest::default() });
        let answer: DeleteTopicsResponse<'_> = read(&body, 6);
        let results: Vec<_> =
            answer.responses.iter().map(|one| (one.name.as_deref(), one.topic_id, one.error_code)).collect();
        assert_eq!(
            results[..4],
            [(Some("b"), id, 0), (None, TopicId::ZERO, 42), (Some("a"), id, 42), (None, unknown, 100),]
        );
        assert_eq!((results[4].0, results[4].2), (Some("a"), 0));
        assert!(server.controller.image().topics.is_empty());
    }

    #[test]
    fn a_topic_named_twice_is_not_deleted_and_answered_once() {
        let mut server = server_with(&["a", "b"]);
        let id = server.controller.image().topic("a").expect("created").id;
        let unknown = TopicId([9; 16]);
        let name = |name: &'static str| DeleteTopicState { name: Some(name.into()), topic_id: TopicId::ZERO };
        let by_id = |topic_id| DeleteTopicState { name: None, topic_id };
        let mut check = |topics: Vec<DeleteTopicState<'static>>, want: &[(Option<&str>, TopicId, i16)]| {
            let request = DeleteTopicsRequest { topics, ..DeleteTopicsRequest::default() };
            let body = server.call(start, 6, &request);
            let answer: DeleteTopicsResponse<'_> = read(&body, 6);
            let results = answer.responses.iter().map(|it| (it.name.as_deref(), it.topic_id, it.error_code));
            assert_eq!(results.collect::<Vec<_>>(), want);
        };
        check(vec![name("a"), name("a")], &[(Some("a"), TopicId::ZERO, 42)]);
        check(vec![name("x"), name("x")], &[(Some("x"), TopicId::ZERO, 42)]);
        check(vec![by_id(id), by_id(id)], &[(None, id, 42)]);
        check(vec![by_id(unknown), by_id(unknown)], &[(None, unknown, 42)]);
        check(vec![name("a"), by_id(id)], &[(Some("a"), id, 42)]);
        check(vec![by_id(id), name("a"), name("x")], &[(Some("a"), id, 42), (Some("x"), TopicId::ZERO, 3)]);
        let body = server.call(start, 5, &by_names(&["a", "a", "b"]));
        let answer: DeleteTopicsResponse<'_> = read(&body, 5);
        let codes: Vec<_> = answer.responses.iter().map(|it| (it.name.as_deref(), it.error_code)).collect();
        assert_eq!(codes, [(Some("a"), 42), (Some("b"), 0)]);
        assert!(server.controller.image().topic("a").is_some());
    }

    #[test]
    fn disabled_deletion_is_said_as_the_version_can() {
        for (version, code) in [(1, 42), (2, 42), (3, 73), (5, 73)] {
            let mut config = Config::default();
            config.topics.delete_enabled = false;
            let body = Server::with(config).call(start, version, &by_names(&["a"]));
            let answer: DeleteTopicsResponse<'_> = read(&body, version);
            assert_eq!(answer.responses[0].error_code, code, "version {version}");
        }
    }
}
