//! ConsumerGroupHeartbeat (68), versions 0-1 (KIP-848).
//!
//! Joins (epoch 0), reports, leaves (-1), leaves to come back (-2). What is null or -1 has not changed since it was last
//! said; the answer has no assignment when it has not changed either.
//!
//! - v0: the server generates member ids. v1: clients bring their own (KIP-1082), and may subscribe by pattern, which is
//!   compared with the names of all topics, the server's own as well.
//! - Not done: topics that a client may not describe are not hidden from its pattern.

use bytes::Bytes;

use crate::group::consumer::{Assignment, Heartbeat, HeartbeatRequest};
use crate::group::{GroupError, GroupRequest};
use crate::protocol::messages::consumer_group_heartbeat_request::TopicPartitions as Owned;
use crate::protocol::messages::consumer_group_heartbeat_response::{
    Assignment as ToldAssignment, TopicPartitions,
};
use crate::protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};
use crate::protocol::{ApiKey, ErrorCode, RequestHeader};

use super::coordinator::{ask_coordinator, client_id, group_error, optional_text, text};
use crate::api::answer::{AnswerForm, decode, error_message};
use crate::api::{Api, ApiError, Context, Step};

const MEMBER_IDS_FROM: i16 = 1;

pub const API: Api = Api::new(ApiKey::ConsumerGroupHeartbeat, 0..=1, start).answered_briefly();

pub fn start(context: &mut Context<'_>, header: &RequestHeader<'_>, body: &Bytes) -> Result<Step, ApiError> {
    let request: ConsumerGroupHeartbeatRequest<'_> = decode(header, body)?;
    let answer = AnswerForm::of(header)?;
    let names = |names: &Vec<std::borrow::Cow<'_, str>>| names.iter().map(|name| text(name)).collect();
    let asked = HeartbeatRequest {
        group: text(&request.group_id)?,
        member_id: text(&request.member_id)?,
        member_epoch: request.member_epoch,
        instance_id: optional_text(request.instance_id.as_deref())?,
        rack_id: optional_text(request.rack_id.as_deref())?,
        rebalance_timeout_ms: (request.rebalance_timeout_ms != -1).then_some(request.rebalance_timeout_ms),
        topics: request.subscribed_topic_names.as_ref().map(names).transpose()?,
        pattern: optional_text(request.subscribed_topic_regex.as_deref())?,
        assignor: optional_text(request.server_assignor.as_deref())?,
        owned: request.topic_partitions.as_deref().map(owned),
        client_id: client_id(header),
        client_host: context.connection.client_host.as_str().into(),
        brings_id: answer.version >= MEMBER_IDS_FROM,
    };
    let assignor = asked.assignor.clone();
    Ok(ask_coordinator(
        context,
        GroupRequest::consumer_heartbeat(asked),
        move |context, result| match result {
            Ok(heartbeat) => respond(answer, &heartbeat),
            Err(error) => refuse(context, answer, error, assignor.as_deref()),
        },
    ))
}

fn owned(topics: &[Owned]) -> Assignment {
    topics.iter().flat_map(|it| it.partitions.iter().map(|partition| (it.topic_id, *partition))).collect()
}

fn respond(answer: AnswerForm, heartbeat: &Heartbeat) -> Step {
    answer.send(&ConsumerGroupHeartbeatResponse {
        error_code: ErrorCode::None.code(),
        member_id: Some((&*heartbeat.member_id).into()),
        member_epoch: heartbeat.member_epoch,
        heartbeat_interval_ms: heartbeat.heartbeat_interval_ms,
        assignment: heartbeat.assignment.as_ref().map(told),
        ..ConsumerGroupHeartbeatResponse::default()
    })
}

fn refuse(context: &Context<'_>, answer: AnswerForm, error: GroupError, assignor: Option<&str>) -> Step {
    let message = match error {
        GroupError::UnsupportedAssignor => format!(
            "ServerAssignor {} is not supported. Supported assignors: {}.",
            assignor.unwrap_or_default(),
            context.config.groups.consumer.assignors.join(", ")
        ),
        error => error.to_string(),
    };
    answer.send(&ConsumerGroupHeartbeatResponse {
        error_code: group_error(error).code(),
        error_message: error_message(message),
        ..ConsumerGroupHeartbeatResponse::default()
    })
}

fn told(assignment: &Assignment) -> ToldAssignment {
    let topics = assignment.topics().map(|(topic_id, partitions)| TopicPartitions {
        topic_id,
        partitions: partitions.iter().copied().collect(),
    });
    ToldAssignment { topic_partitions: topics.collect() }
}
