//! OffsetCommit (8), versions 2-10.
//!
//! - Up to v4 the client may ask for a retention of its own. v6: leader epochs. v7: static members. v9: member epochs, and
//!   GROUP_ID_NOT_FOUND for a group that is not there. v10: topics by id.

use std::sync::Arc;

use bytes::Bytes;

use crate::base::{PartitionIndex, TopicId};
use crate::controller::TopicImage;
use crate::group::{CommitPartition, CommitRequest, GroupError, GroupRequest};
use crate::protocol::messages::offset_commit_request::OffsetCommitRequestTopic;
use crate::protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use crate::protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};
use crate::protocol::{ApiKey, ErrorCode, RequestHeader};

use super::coordinator::{ask_coordinator, group_error, member, text};
use crate::api::answer::{AnswerForm, decode};
use crate::api::{Api, ApiError, Context, Step};

const RETENTION_UP_TO: i16 = 4;
const GROUP_ID_NOT_FOUND_FROM: i16 = 9;
const IDS_FROM: i16 = 10;

/// A topic as it is answered; each partition with its error, or its place among those the coordinator is asked about.
struct AnsweredTopic {
    name: String,
    id: TopicId,
    partitions: Vec<(i32, Result<usize, ErrorCode>)>,
}

pub const API: Api = Api::new(ApiKey::OffsetCommit, 2..=10, start).answered_briefly();

pub fn start(context: &mut Context<'_>, header: &RequestHeader<'_>, body: &Bytes) -> Result<Step, ApiError> {
    let request: OffsetCommitRequest<'_> = decode(header, body)?;
    let answer = AnswerForm::of(header)?;
    let mut asked = Vec::new();
    let topics = request.topics.iter().map(|topic| judge(context, answer.version, topic, &mut asked));
    let topics: Vec<AnsweredTopic> = topics.collect::<Result<_, ApiError>>()?;
    let instance_id = request.group_instance_id.as_deref();
    let retention = request.retention_time_ms;
    let commit = CommitRequest {
        group: text(&request.group_id)?,
        member: member(request.generation_id_or_member_epoch, &request.member_id, instance_id)?,
        retention_ms: (answer.version <= RETENTION_UP_TO && retention >= 0).then_some(retention),
        knows_group_id_not_found: answer.version >= GROUP_ID_NOT_FOUND_FROM,
        partitions: asked,
    };
    Ok(ask_coordinator(context, GroupRequest::commit_offsets(commit), move |_, result| {
        respond(answer, &topics, &result)
    }))
}

fn judge(
    context: &Context<'_>,
    version: i16,
    topic: &OffsetCommitRequestTopic<'_>,
    asked: &mut Vec<CommitPartition>,
) -> Result<AnsweredTopic, ApiError> {
    let (known, missing) = if version >= IDS_FROM {
        (context.image.topic_by_id(topic.topic_id), ErrorCode::UnknownTopicId)
    } else {
        (context.image.topic(&topic.name), ErrorCode::UnknownTopicOrPartition)
    };
    let mut partitions = Vec::with_capacity(topic.partitions.len());
    for it in &topic.partitions {
        let place = match known {
            None => Err(missing),
            Some(known) if known.partition(PartitionIndex(it.partition_index)).is_none() => {
                Err(ErrorCode::UnknownTopicOrPartition)
            }
            Some(known) => {
                let metadata = it.committed_metadata.as_deref().unwrap_or_default();
                asked.push(commit(
                    known,
                    it.partition_index,
                    it.committed_offset,
                    it.committed_leader_epoch,
                    metadata,
                ));
                Ok(asked.len() - 1)
            }
        };
        partitions.push((it.partition_index, place));
    }
    Ok(AnsweredTopic { name: topic.name.to_string(), id: topic.topic_id, partitions })
}

fn commit(
    topic: &TopicImage,
    partition: i32,
    offset: i64,
    leader_epoch: i32,
    metadata: &str,
) -> CommitPartition {
    CommitPartition {
        topic: Arc::clone(&topic.name),
        topic_id: topic.id,
        partition,
        offset,
        leader_epoch,
        metadata: Arc::from(metadata),
    }
}

type Committed = Result<Vec<Result<(), GroupError>>, GroupError>;

fn respond(answer: AnswerForm, topics: &[AnsweredTopic], result: &Committed) -> Step {
    let code = |place: &Result<usize, ErrorCode>| match (place, result) {
        (Err(code), _) => *code,
        (Ok(_), Err(error)) => group_error(*error),
        (Ok(index), Ok(outcomes)) => match outcomes.get(*index) {
            Some(Ok(())) => ErrorCode::None,
            Some(Err(error)) => group_error(*error),
            None => ErrorCode::UnknownServerError,
        },
    };
    let topics = topics.iter().map(|topic| OffsetCommitResponseTopic {
        name: if answer.version >= IDS_FROM { "".into() } else { topic.name.as_str().into() },
        topic_id: if answer.version >= IDS_FROM { topic.id } else { TopicId::ZERO },
        partitions: topic
            .partitions
            .iter()
            .map(|(partition_index, place)| OffsetCommitResponsePartition {
                partition_index: *partition_index,
                error_code: code(place).code(),
            })
            .collect(),
    });
    answer.send(&OffsetCommitResponse { throttle_time_ms: 0, topics: topics.collect() })
}
