//! OffsetFetch (9), versions 1-10.
//!
//! - v2: null topics mean all; a top-level error. v7: stable offsets only, which all are without transactions. v8: many
//!   groups at once. v9: member ids and epochs. v10: topics by id.
//! - A group nobody knows has committed nothing: offset -1 and no error.
//! - A topic or group that is named twice is answered twice.
//! - v9: whoever names a member id, or an epoch from 0 on, of a group of the new protocol must be a member, and in that epoch.

use std::sync::Arc;

use bytes::Bytes;

use crate::base::TopicId;
use crate::group::{FetchOffsetsRequest, FetchedOffset, GroupError, GroupRequest, MemberRef};
use crate::protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use crate::protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use crate::protocol::messages::{OffsetFetchRequest, OffsetFetchResponse};
use crate::protocol::{ApiKey, ErrorCode, RequestHeader};

use super::coordinator::{ask_coordinators, code_of, group_error, member, text};
use crate::api::answer::{AnswerForm, decode};
use crate::api::{Api, ApiError, Context, Step};

const TOP_LEVEL_ERROR_FROM: i16 = 2;
const GROUPS_FROM: i16 = 8;
const MEMBERS_FROM: i16 = 9;
const IDS_FROM: i16 = 10;

/// A topic as it was asked for; what was asked by an unknown id has no name.
struct AskedTopic {
    name: Option<Arc<str>>,
    id: TopicId,
    partitions: Vec<i32>,
}

struct AskedGroup {
    group: Arc<str>,
    member: Option<MemberRef>,
    /// `None` = all.
    topics: Option<Vec<AskedTopic>>,
}

type Fetched = Result<Vec<FetchedOffset>, GroupError>;

pub const API: Api = Api::new(ApiKey::OffsetFetch, 1..=10, start);

pub fn start(context: &mut Context<'_>, header: &RequestHeader<'_>, body: &Bytes) -> Result<Step, ApiError> {
    let request: OffsetFetchRequest<'_> = decode(header, body)?;
    let answer = AnswerForm::of(header)?;
    let groups: Vec<AskedGroup> = if answer.version >= GROUPS_FROM {
        let groups = request.groups.iter().map(|group| asked_group(context, answer.version, group));
        groups.collect::<Result<_, ApiError>>()?
    } else {
        let topics = request.topics.as_ref().map(|topics| {
            let topics =
                topics.iter().map(|topic| asked_topic(&topic.name, TopicId::ZERO, &topic.partition_indexes));
            topics.collect::<Result<Vec<_>, ApiError>>()
        });
        vec![AskedGroup { group: text(&request.group_id)?, member: None, topics: topics.transpose()? }]
    };
    let questions = groups.iter().map(|group| {
        GroupRequest::fetch_offsets(FetchOffsetsRequest {
            group: Arc::clone(&group.group),
            member: group.member.clone(),
            partitions: group.topics.as_ref().map(|topics| partitions(topics)),
        })
    });
    let questions = questions.collect();
    Ok(ask_coordinators(context, questions, move |context, results| {
        if answer.version >= GROUPS_FROM {
            respond_groups(context, answer, &groups, &results)
        } else {
            respond_one(answer, &groups, &results)
        }
    }))
}

fn asked_group(
    context: &Context<'_>,
    version: i16,
    group: &OffsetFetchRequestGroup<'_>,
) -> Result<AskedGroup, ApiError> {
    let topics = group.topics.as_ref().map(|topics| {
        let topics = topics.iter().map(|topic| {
            if version < IDS_FROM {
                return asked_topic(&topic.name, TopicId::ZERO, &topic.partition_indexes);
            }
            let name = context.image.topic_by_id(topic.topic_id).map(|known| Arc::clone(&known.name));
            Ok(AskedTopic { name, id: topic.topic_id, partitions: topic.partition_indexes.clone() })
        });
        topics.collect::<Result<Vec<_>, ApiError>>()
    });
    // An epoch without a member is nobody's.
    let is_claim = version >= MEMBERS_FROM && (group.member_id.is_some() || group.member_epoch >= 0);
    let id = group.member_id.as_deref().unwrap_or_default();
    let member = is_claim.then(|| member(group.member_epoch, id, None)).transpose()?;
    Ok(AskedGroup { group: text(&group.group_id)?, member, topics: topics.transpose()? })
}

fn asked_topic(name: &str, id: TopicId, partitions: &[i32]) -> Result<AskedTopic, ApiError> {
    Ok(AskedTopic { name: Some(text(name)?), id, partitions: partitions.to_vec() })
}

fn partitions(topics: &[AskedTopic]) -> Vec<(Arc<str>, i32)> {
    let named = topics.iter().filter_map(|topic| Some((topic.name.as_ref()?, &topic.partitions)));
    named.flat_map(|(name, partitions)| partitions.iter().map(|index| (Arc::clone(name), *index))).collect()
}

/// Up to v7: one group.
fn respond_one(answer: AnswerForm, groups: &[AskedGroup], results: &[Fetched]) -> Step {
    let (Some(group), Some(result)) = (groups.first(), results.first()) else {
        return Step::Close { reason: "a request without a group".to_owned() };
    };
    let topics = match result {
        Ok(offsets) => as_asked(group, offsets)
            .into_iter()
            .map(|(topic, offsets)| OffsetFetchResponseTopic {
                name: topic.name.into(),
                partitions: offsets.iter().map(one_partition).collect(),
            })
            .collect(),
        // v1 has no other place for the error.
        Err(error) if answer.version < TOP_LEVEL_ERROR_FROM => refused(group, group_error(*error)),
        Err(_) => Vec::new(),
    };
    answer.send(&OffsetFetchResponse {
        throttle_time_ms: 0,
        topics,
        error_code: if answer.version >= TOP_LEVEL_ERROR_FROM { code_of(result) } else { 0 },
        groups: Vec::new(),
    })
}

fn one_partition(it: &FetchedOffset) -> OffsetFetchResponsePartition<'_> {
    OffsetFetchResponsePartition {
        partition_index: it.partition,
        committed_offset: it.offset,
        committed_leader_epoch: it.leader_epoch,
        metadata: Some((&*it.metadata).into()),
        error_code: ErrorCode::None.code(),
    }
}

fn refused(group: &AskedGroup, error: ErrorCode) -> Vec<OffsetFetchResponseTopic<'_>> {
    let topics = group.topics.iter().flatten().map(|topic| OffsetFetchResponseTopic {
        name: topic.name.as_deref().unwrap_or_default().into(),
        partitions: topic
            .partitions
            .iter()
            .map(|partition_index| OffsetFetchResponsePartition {
                partition_index: *partition_index,
                committed_offset: -1,
                committed_leader_epoch: -1,
                metadata: Some("".into()),
                error_code: error.code(),
            })
            .collect(),
    });
    topics.collect()
}

fn respond_groups(
    context: &Context<'_>,
    answer: AnswerForm,
    groups: &[AskedGroup],
    results: &[Fetched],
) -> Step {
    let groups = groups.iter().zip(results).map(|(group, result)| OffsetFetchResponseGroup {
        group_id: (&*group.group).into(),
        topics: result.as_ref().map(|offsets| topics(context, answer, group, offsets)).unwrap_or_default(),
        error_code: code_of(result),
    });
    answer.send(&OffsetFetchResponse { groups: groups.collect(), ..OffsetFetchResponse::default() })
}

fn topics<'a>(
    context: &Context<'_>,
    answer: AnswerForm,
    group: &'a AskedGroup,
    offsets: &'a [FetchedOffset],
) -> Vec<OffsetFetchResponseTopics<'a>> {
    let by_id = answer.version >= IDS_FROM;
    let known = as_asked(group, offsets).into_iter().filter_map(|(topic, offsets)| {
        // Of all topics, one that has just gone has no id to be named by.
        let asked_id = (topic.id != TopicId::ZERO).then_some(topic.id);
        let known_id = || context.image.topic(topic.name).map(|topic| topic.id);
        let topic_id = if by_id { asked_id.or_else(known_id)? } else { TopicId::ZERO };
        Some(OffsetFetchResponseTopics {
            name: if by_id { "".into() } else { topic.name.into() },
            topic_id,
            partitions: offsets.iter().map(partition).collect(),
        })
    });
    let unknown = group.topics.iter().flatten().filter(|topic| topic.name.is_none());
    let unknown = unknown.map(|topic| OffsetFetchResponseTopics {
        name: "".into(),
        topic_id: topic.id,
        partitions: topic
            .partitions
            .iter()
            .map(|partition_index| OffsetFetchResponsePartitions {
                partition_index: *partition_index,
                committed_offset: -1,
                committed_leader_epoch: -1,
                metadata: Some("".into()),
                error_code: ErrorCode::UnknownTopicId.code(),
            })
            .collect(),
    });
    known.chain(unknown).collect()
}

fn partition(it: &FetchedOffset) -> OffsetFetchResponsePartitions<'_> {
    OffsetFetchResponsePartitions {
        partition_index: it.partition,
        committed_offset: it.offset,
        committed_leader_epoch: it.leader_epoch,
        metadata: Some((&*it.metadata).into()),
        error_code: ErrorCode::None.code(),
    }
}

/// A topic as it is answered.
struct Shown<'a> {
    name: &'a str,
    /// The id by which the topic was asked for; zero when it was asked for by name.
    id: TopicId,
}

/// Topics as often, and in the order, as they were asked for, each with what there is of its partitions; or all there are.
fn as_asked<'a>(
    group: &'a AskedGroup,
    offsets: &'a [FetchedOffset],
) -> Vec<(Shown<'a>, &'a [FetchedOffset])> {
    let Some(topics) = &group.topics else {
        let of_one_topic = offsets.chunk_by(|one, next| one.topic == next.topic);
        let shown = |offsets: &'a [FetchedOffset]| {
            let first = offsets.first()?;
            Some((Shown { name: &first.topic, id: TopicId::ZERO }, offsets))
        };
        return of_one_topic.filter_map(shown).collect();
    };
    let mut rest = offsets;
    let named = topics.iter().filter_map(|topic| Some((topic.name.as_deref()?, topic)));
    named
        .map(|(name, topic)| {
            let (offsets, others) = rest.split_at(topic.partitions.len().min(rest.len()));
            rest = others;
            (Shown { name, id: topic.id }, offsets)
        })
        .collect()
}
