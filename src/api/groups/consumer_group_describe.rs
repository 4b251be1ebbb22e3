//! ConsumerGroupDescribe (69), versions 0-1 (KIP-848).
//!
//! - A classic group, and one nobody knows, is GROUP_ID_NOT_FOUND: tools ask DescribeGroups then.
//! - v1: whether a member speaks the classic or the new protocol.
//! - Partitions of topics that are gone are left out: they have no name.

use bytes::Bytes;

use crate::controller::MetadataImage;
use crate::group::consumer::{Assignment, DescribedConsumerGroup, DescribedConsumerMember};
use crate::group::{GroupError, GroupRequest};
use crate::protocol::messages::consumer_group_describe_response::{
    Assignment as ShownAssignment, DescribedGroup, Member, TopicPartitions,
};
use crate::protocol::messages::{ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse};
use crate::protocol::{ApiKey, ErrorCode, RequestHeader};

use super::coordinator::{ask_coordinators, group_error, text};
use crate::api::answer::{AnswerForm, decode, error_message};
use crate::api::authorized::GROUP_OPERATIONS;
use crate::api::{Api, ApiError, Context, Step};

const MEMBER_TYPE_FROM: i16 = 1;
/// Values of the member type.
const CLASSIC: i8 = 0;
const CONSUMER: i8 = 1;
const UNKNOWN: i8 = -1;

pub const API: Api = Api::new(ApiKey::ConsumerGroupDescribe, 0..=1, start);

pub fn start(context: &mut Context<'_>, header: &RequestHeader<'_>, body: &Bytes) -> Result<Step, ApiError> {
    let request: ConsumerGroupDescribeRequest<'_> = decode(header, body)?;
    let answer = AnswerForm::of(header)?;
    let operations = if request.include_authorized_operations { GROUP_OPERATIONS } else { i32::MIN };
    let groups = request.group_ids.iter().map(|group| text(group));
    let groups: Vec<_> = groups.collect::<Result<_, ApiError>>()?;
    let questions = groups.iter().map(|group| GroupRequest::describe_consumers(group.clone())).collect();
    Ok(ask_coordinators(context, questions, move |context, results| {
        let groups = groups.iter().zip(&results).map(|(group, result)| match result {
            Ok(described) => success(context.image, group, described, answer.version, operations),
            Err(error) => failure(group, *error),
        });
        answer.send(&ConsumerGroupDescribeResponse { throttle_time_ms: 0, groups: groups.collect() })
    }))
}

fn success<'a>(
    image: &'a MetadataImage,
    group: &'a str,
    described: &'a DescribedConsumerGroup,
    version: i16,
    operations: i32,
) -> DescribedGroup<'a> {
    DescribedGroup {
        error_code: ErrorCode::None.code(),
        error_message: None,
        group_id: group.into(),
        group_state: described.state.into(),
        group_epoch: described.epoch,
        assignment_epoch: described.target_epoch,
        assignor_name: described.assignor.into(),
        members: described.members.iter().map(|it| member(image, it, version)).collect(),
        authorized_operations: operations,
    }
}

fn member<'a>(image: &'a MetadataImage, it: &'a DescribedConsumerMember, version: i16) -> Member<'a> {
    let kind = if it.metadata.classic.is_some() { CLASSIC } else { CONSUMER };
    Member {
        member_id: (&*it.id).into(),
        instance_id: it.metadata.instance_id.as_deref().map(Into::into),
        rack_id: it.metadata.rack_id.as_deref().map(Into::into),
        member_epoch: it.epoch,
        client_id: (&*it.metadata.client_id).into(),
        client_host: (&*it.metadata.client_host).into(),
        subscribed_topic_names: it.metadata.topics.iter().map(|name| (&**name).into()).collect(),
        subscribed_topic_regex: it.metadata.pattern.as_deref().map(Into::into),
        assignment: shown(image, &it.assigned),
        target_assignment: shown(image, &it.target),
        member_type: if version >= MEMBER_TYPE_FROM { kind } else { UNKNOWN },
    }
}

fn shown<'a>(image: &'a MetadataImage, assignment: &Assignment) -> ShownAssignment<'a> {
    let topics = assignment.topics().filter_map(|(topic_id, partitions)| {
        let topic = image.topic_by_id(topic_id)?;
        Some(TopicPartitions {
            topic_id,
            topic_name: (&*topic.name).into(),
            partitions: partitions.iter().copied().collect(),
        })
    });
    ShownAssignment { topic_partitions: topics.collect() }
}

fn failure(group: &str, error: GroupError) -> DescribedGroup<'_> {
    DescribedGroup {
        error_code: group_error(error).code(),
        error_message: error_message(error.to_string()),
        group_id: group.into(),
        ..DescribedGroup::default()
    }
}
