//! CreatePartitions (37), versions 0-3.
//!
//! Topics are answered in the order of the request, when the new partitions are durable and served; `timeoutMs` is
//! ignored. All versions mean the same: v2 is flexible, v3 is for quotas. A topic that is named twice does not grow and is
//! answered once.
//!
//! Not done: KIP-599 throttling, authorization.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::controller::{ControllerRequest, NewPartitions};
use crate::protocol::messages::create_partitions_request::CreatePartitionsTopic;
use crate::protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use crate::protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse};
use crate::protocol::{ApiKey, ErrorCode, RequestHeader};

use crate::api::answer::{AnswerForm, decode, error_message};
use crate::api::controller::ask;
use crate::api::errors::controller_error;
use crate::api::{Api, ApiError, Context, Step};

pub const API: Api = Api::new(ApiKey::CreatePartitions, 0..=3, start);

pub fn start(_: &mut Context<'_>, header: &RequestHeader<'_>, body: &Bytes) -> Result<Step, ApiError> {
    let request: CreatePartitionsRequest<'_> = decode(header, body)?;
    let topics: Vec<NewPartitions> = request.topics.iter().map(new_partitions).collect();
    let names: Vec<String> = topics.iter().map(|topic| topic.name.clone()).collect();
    let asked = ControllerRequest::create_partitions(topics, request.validate_only);
    let answer = AnswerForm::of(header)?;
    Ok(ask(asked, move |_, results| {
        let mut answered = BTreeSet::new();
        let once = names.iter().zip(results).filter(|(name, _)| answered.insert(*name));
        let results = once.map(|(name, result)| CreatePartitionsTopicResult {
            name: name.into(),
            error_code: result.as_ref().map_or_else(controller_error, |()| ErrorCode::None).code(),
            error_message: result.err().and_then(|error| error_message(error.to_string())),
        });
        let results = results.collect();
        answer.send(&CreatePartitionsResponse { throttle_time_ms: 0, results })
    }))
}

fn new_partitions(topic: &CreatePartitionsTopic<'_>) -> NewPartitions {
    let assignments = topic.assignments.as_ref();
    NewPartitions {
        name: topic.name.to_string(),
        count: topic.count,
        assignments: assignments.map(|all| all.iter().map(|one| one.broker_ids.clone()).collect()),
    }
}

#[cfg(test)]
mod tests {
    use crate::api::testing::{Server, read};
    use crate::api::topics::create_topics;
    use crate::protocol::messages::CreateTopicsRequest;
    use crate::protocol::messages::create_partitions_request::CreatePartitionsAssignment;
    use crate::protocol::messages::create_topics_request::CreatableTopic;

    use super::*;

    fn check(version: i16, validate_only: bool) {
        let mut server = Server::new();
        let a = CreatableTopic {
            name: "a".into(),
            num_partitions: 2,
            replication_factor: 1,
            ..CreatableTopic::default()
        };
        let b = CreatableTopic { name: "b".into(), ..a.clone() };
        let request = CreateTopicsRequest { topics: vec![a, b], ..CreateTopicsRequest::default() };
        server.call(create_topics::start, 7, &request);
        let growth = |name: &'static str, count, assignments| CreatePartitionsTopic {
            name: name.into(),
            count,
            assignments,
        };
        let assigned = Some(vec![CreatePartitionsAssignment { broker_ids: vec![1000] }]);
        let topics = vec![
            growth("x", 3, None),
            growth("a", 1, None),
            growth("b", 3, assigned),
            growth("y", 3, None),
            growth("y", 4, None),
        ];
        let request = CreatePartitionsRequest { topics, timeout_ms: 1000, validate_only };
        let body = server.call(start, version, &request);
        let answer: CreatePartitionsResponse<'_> = read(&body, version);
        let results: Vec<_> = answer.results.iter().map(|one| (&*one.name, one.error_code)).collect();
        assert_eq!(results, [("x", 3), ("a", 37), ("b", 0), ("y", 42)]);
        assert_eq!(
            answer.results[1].error_message.as_deref(),
            Some("The topic a currently has 2 partition(s); 1 would not be an increase.")
        );
        let now = server.controller.image().topics["b"].partitions.len();
        assert_eq!(now, if validate_only { 2 } else { 3 });
    }

    #[test]
    fn topics_grow_in_all_versions() {
        for version in 0..=3 {
            check(version, false);
            check(version, true);
        }
    }
}
