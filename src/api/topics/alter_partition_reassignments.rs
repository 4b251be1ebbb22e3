//! AlterPartitionReassignments (45), versions 0-1: one server, one place for every replica.
//!
//! A partition that is to be on this server is there already: accepted, by whichever node the server is named, and nothing
//! is changed. Which core owns a partition is not the client's to choose. Anything else is refused.

use bytes::Bytes;

use crate::base::PartitionIndex;
use crate::controller::check_replicas;
use crate::protocol::messages::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use crate::protocol::messages::{AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse};
use crate::protocol::{ApiKey, ErrorCode, RequestHeader};

use crate::api::answer::{decode, error_message, respond};
use crate::api::errors::controller_error;
use crate::api::{Api, ApiError, Context, Step};

pub const API: Api = Api::new(ApiKey::AlterPartitionReassignments, 0..=1, start);

pub fn start(context: &mut Context<'_>, header: &RequestHeader<'_>, body: &Bytes) -> Result<Step, ApiError> {
    let request: AlterPartitionReassignmentsRequest<'_> = decode(header, body)?;
    let topics = request.topics.iter().map(|topic| ReassignableTopicResponse {
        name: topic.name.clone(),
        partitions: topic
            .partitions
            .iter()
            .map(|asked| {
                let judged = judge(context, &topic.name, asked.partition_index, asked.replicas.as_deref());
                let (code, message) = match judged {
                    Ok(()) => (ErrorCode::None, None),
                    Err((code, message)) => (code, error_message(message)),
                };
                ReassignablePartitionResponse {
                    partition_index: asked.partition_index,
                    error_code: code.code(),
                    error_message: message,
                }
            })
            .collect(),
    });
    let responses = topics.collect();
    respond(
        header,
        &AlterPartitionReassignmentsResponse {
            throttle_time_ms: 0,
            allow_replication_factor_change: request.allow_replication_factor_change,
            error_code: ErrorCode::None.code(),
            error_message: None,
            responses,
        },
    )
}

/// `replicas` absent: an ongoing reassignment is to be cancelled.
fn judge(
    context: &Context<'_>,
    name: &str,
    index: i32,
    replicas: Option<&[i32]>,
) -> Result<(), (ErrorCode, String)> {
    let partition = PartitionIndex(index);
    let topic = context.image.topic(name).filter(|topic| topic.partition(partition).is_some());
    if topic.is_none() {
        return Err((ErrorCode::UnknownTopicOrPartition, "This server has no such partition.".to_owned()));
    }
    let Some(replicas) = replicas else {
        let message = "No reassignment is in progress.".to_owned();
        return Err((ErrorCode::NoReassignmentInProgress, message));
    };
    check_replicas(replicas, context.image.here.server)
        .map_err(|error| (controller_error(&error), error.to_string()))
}

#[cfg(test)]
mod tests {
    use crate::api::testing::{Server, read};
    use crate::protocol::messages::alter_partition_reassignments_request::{
        ReassignablePartition, ReassignableTopic,
    };

    use super::*;

    #[test]
    fn only_what_is_on_this_server_already_is_accepted() {
        for version in 0..=1 {
            let mut server = Server::new();
            server.create("a", 1);
            let asked = [
                (0, Some(vec![1000])),
                (0, Some(vec![1002])),
                (0, Some(vec![2000])),
                (0, Some(vec![1001, 1002])),
                (0, Some(vec![])),
                (0, None),
                (3, None),
            ];
            let partitions =
                asked.map(|(partition_index, replicas)| ReassignablePartition { partition_index, replicas });
            let topic = ReassignableTopic { name: "a".into(), partitions: partitions.into() };
            let request = AlterPartitionReassignmentsRequest {
                topics: vec![topic],
                ..AlterPartitionReassignmentsRequest::default()
            };
            let body = server.call(start, version, &request);
            let answer: AlterPartitionReassignmentsResponse<'_> = read(&body, version);
            let codes: Vec<_> = answer.responses[0].partitions.iter().map(|it| it.error_code).collect();
            let refused = ErrorCode::InvalidReplicaAssignment;
            let wanted = [
                ErrorCode::None,
                ErrorCode::None,
                refused,
                refused,
                refused,
                ErrorCode::NoReassignmentInProgress,
                ErrorCode::UnknownTopicOrPartition,
            ];
            assert_eq!(codes, wanted.map(ErrorCode::code));
            let words = answer.responses[0].partitions[3].error_message.as_deref().unwrap_or_default();
            assert!(words.contains("brokers 1001, 1002, some of which are one server"), "{words}");
        }
    }
}
