//! Asking group coordinators: each group's questions go to the shard that owns its partition of `__consumer_offsets`.
//! Until somebody has asked for a coordinator, that topic is not there, and nobody is the right one (NOT_COORDINATOR).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::{PartitionIndex, Question, ShardId, TopicPartition};
use crate::config::Config;
use crate::controller::{MetadataImage, NewTopic, Place};
use crate::group::{GroupError, GroupQuestion, GroupReply, MemberRef, OFFSETS_TOPIC, partition_of};
use crate::protocol::{ErrorCode, RequestHeader};
use crate::shard::{GroupCall, ShardRequest};

use crate::api::split::ask;
use crate::api::{ApiError, Context, Step, Wait};

/// A group's record, with the metadata of all its members, must fit one batch.
const BATCH_BYTES_MAX: &str = "104857600";
/// A string of a record of `__consumer_offsets`, in bytes.
const TEXT_BYTES_MAX: usize = i16::MAX as usize;

/// `__consumer_offsets` as it is created when it is first needed. One server, one replica: the broker's
/// `offsets.topic.replication.factor` waits for more servers.
pub(in crate::api) fn offsets_topic(config: &Config) -> NewTopic {
    let configs = [
        ("cleanup.policy", "compact".to_owned()),
        ("segment.bytes", config.offsets_topic.segment_bytes.to_string()),
        ("compression.type", "producer".to_owned()),
        ("max.message.bytes", BATCH_BYTES_MAX.to_owned()),
    ];
    NewTopic {
        name: OFFSETS_TOPIC.to_owned(),
        partitions: config.offsets_topic.partitions,
        replication_factor: 1,
        assignments: Vec::new(),
        configs: configs.into_iter().map(|(key, value)| (key.to_owned(), Some(value))).collect(),
        internal: true,
    }
}

/// The partition that coordinates a group and the shard that owns it; `None` while there is no offsets topic, or when another
/// server leads the partition.
pub(super) fn coordinator_of(context: &Context<'_>, group: &str) -> Option<(ShardId, TopicPartition)> {
    coordinator_shard(context.image, group)
}

/// As [`coordinator_of`], by the image alone.
pub(in crate::api) fn coordinator_shard(
    image: &MetadataImage,
    group: &str,
) -> Option<(ShardId, TopicPartition)> {
    let topic = image.topic(OFFSETS_TOPIC)?;
    let partition = PartitionIndex(partition_of(group, topic.partitions.len()));
    let Place::Here(shard) = image.place(topic.partition(partition)?) else { return None };
    Some((shard, TopicPartition { topic: topic.id, partition }))
}

/// Asks several questions of one kind; answers come in their order.
pub(super) fn ask_coordinators<A: 'static>(
    context: &mut Context<'_>,
    questions: Vec<GroupQuestion<A>>,
    then: impl FnOnce(&mut Context<'_>, Vec<A>) -> Step + 'static,
) -> Step {
    let Some(answer) = questions.first().map(|question| question.answer) else {
        return then(context, Vec::new());
    };
    let mut calls: BTreeMap<ShardId, Vec<GroupCall>> = BTreeMap::new();
    let places: Vec<Result<ShardId, GroupReply>> = questions
        .into_iter()
        .map(|question| {
            let request = question.asked;
            match coordinator_of(context, request.group()) {
                Some((shard, partition)) => {
                    calls.entry(shard).or_default().push(GroupCall { partition, request });
                    Ok(shard)
                }
                None => Err(request.refused(GroupError::NotCoordinator)),
            }
        })
        .collect();
    let shards: Vec<ShardId> = calls.keys().copied().collect();
    let calls = calls.into_iter().map(|(shard, calls)| (shard, ShardRequest::groups(calls))).collect();
    ask(context, calls, Wait::All, move |context, replies| {
        let replies = shards.into_iter().zip(replies);
        let mut replies: BTreeMap<_, _> = replies.map(|(shard, them)| (shard, them.into_iter())).collect();
        let mut next = |shard| {
            let reply = replies.get_mut(&shard).and_then(Iterator::next);
            reply.expect("one reply per question")
        };
        let replies = places.into_iter().map(|place| place.map_or_else(|refused| refused, &mut next));
        then(context, replies.map(|reply| answer.take(reply)).collect())
    })
}

/// Asks one question.
pub(super) fn ask_coordinator<A: 'static>(
    context: &mut Context<'_>,
    question: GroupQuestion<A>,
    then: impl FnOnce(&mut Context<'_>, A) -> Step + 'static,
) -> Step {
    let Question { asked: request, answer } = question;
    let Some((shard, partition)) = coordinator_of(context, request.group()) else {
        let refused = request.refused(GroupError::NotCoordinator);
        return then(context, answer.take(refused));
    };
    let calls = vec![(shard, ShardRequest::groups(vec![GroupCall { partition, request }]))];
    ask(context, calls, Wait::All, move |context, mut replies| {
        let reply = replies.pop().and_then(|mut replies| replies.pop());
        then(context, answer.take(reply.expect("one question, one answer")))
    })
}

/// A text that may become part of a record.
///
/// # Errors
/// When no record could hold it: the request makes no sense.
pub(super) fn text(text: &str) -> Result<Arc<str>, ApiError> {
    if text.len() <= TEXT_BYTES_MAX { Ok(Arc::from(text)) } else { Err(ApiError::Text { bytes: text.len() }) }
}

/// # Errors
/// As [`text`].
pub(super) fn optional_text(value: Option<&str>) -> Result<Option<Arc<str>>, ApiError> {
    value.map(text).transpose()
}

/// A member as requests name it.
///
/// # Errors
/// As [`text`].
pub(super) fn member(
    generation: i32,
    member_id: &str,
    instance_id: Option<&str>,
) -> Result<MemberRef, ApiError> {
    Ok(MemberRef { generation, member_id: text(member_id)?, instance_id: optional_text(instance_id)? })
}

/// The client's own name for itself.
pub(super) fn client_id(header: &RequestHeader<'_>) -> Arc<str> {
    Arc::from(header.client_id.unwrap_or_default())
}

/// What a coordinator's refusal is to a client.
pub(super) fn group_error(error: GroupError) -> ErrorCode {
    match error {
        GroupError::CoordinatorLoadInProgress => ErrorCode::CoordinatorLoadInProgress,
        GroupError::CoordinatorNotAvailable => ErrorCode::CoordinatorNotAvailable,
        GroupError::NotCoordinator => ErrorCode::NotCoordinator,
        GroupError::InvalidGroupId => ErrorCode::InvalidGroupId,
        GroupError::GroupIdNotFound => ErrorCode::GroupIdNotFound,
        GroupError::NonEmptyGroup => ErrorCode::NonEmptyGroup,
        GroupError::TooManyGroups => ErrorCode::PolicyViolation,
        GroupError::GroupMaxSizeReached => ErrorCode::GroupMaxSizeReached,
        GroupError::UnknownMemberId => ErrorCode::UnknownMemberId,
        GroupError::MemberIdRequired => ErrorCode::MemberIdRequired,
        GroupError::FencedInstanceId => ErrorCode::FencedInstanceId,
        GroupError::IllegalGeneration => ErrorCode::IllegalGeneration,
        GroupError::RebalanceInProgress => ErrorCode::RebalanceInProgress,
        GroupError::InconsistentGroupProtocol => ErrorCode::InconsistentGroupProtocol,
        GroupError::InvalidSessionTimeout => ErrorCode::InvalidSessionTimeout,
        GroupError::OffsetMetadataTooLarge => ErrorCode::OffsetMetadataTooLarge,
        GroupError::GroupSubscribedToTopic => ErrorCode::GroupSubscribedToTopic,
        GroupError::StaleMemberEpoch => ErrorCode::StaleMemberEpoch,
        GroupError::InvalidRequest(_) => ErrorCode::InvalidRequest,
        GroupError::FencedMemberEpoch => ErrorCode::FencedMemberEpoch,
        GroupError::UnreleasedInstanceId => ErrorCode::UnreleasedInstanceId,
        GroupError::UnsupportedAssignor => ErrorCode::UnsupportedAssignor,
        GroupError::InvalidRegularExpression => ErrorCode::InvalidRegularExpression,
        GroupError::UnsupportedVersion => ErrorCode::UnsupportedVersion,
    }
}

/// 0, or the refusal's code.
pub(super) fn code_of<T>(result: &Result<T, GroupError>) -> i16 {
    result.as_ref().err().map_or(ErrorCode::None, |error| group_error(*error)).code()
}
