//! OffsetDelete (47), version 0. Offsets of topics that members are subscribed to are refused with
//! GROUP_SUBSCRIBED_TO_TOPIC.

use std::sync::Arc;

use bytes::Bytes;

use crate::base::PartitionIndex;
use crate::group::{GroupError, GroupRequest};
use crate::protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use crate::protocol::messages::{OffsetDeleteRequest, OffsetDeleteResponse};
use crate::protocol::{ApiKey, ErrorCode, RequestHeader};

use super::coordinator::{ask_coordinator, code_of, group_error, text};
use crate::api::answer::{AnswerForm, decode};
use crate::api::{Api, ApiError, Context, Step};

/// Topics as they are answered: each partition with its place among those the coordinator is asked about.
type Topics = [(Arc<str>, Vec<(i32, Option<usize>)>)];
type Deleted = Result<Vec<Result<(), GroupError>>, GroupError>;

pub const API: Api = Api::new(ApiKey::OffsetDelete, 0..=0, start);

pub fn start(context: &mut Context<'_>, header: &RequestHeader<'_>, body: &Bytes) -> Result<Step, ApiError> {
    let request: OffsetDeleteRequest<'_> = decode(header, body)?;
    let answer = AnswerForm::of(header)?;
    let mut known = Vec::new();
    let mut topics = Vec::new();
    for topic in &request.topics {
        let name = text(&topic.name)?;
        let image = context.image.topic(&name);
        let partitions: Vec<(i32, Option<usize>)> = topic
            .partitions
            .iter()
            .map(|it| {
                let exists =
                    image.is_some_and(|topic| topic.partition(PartitionIndex(it.partition_index)).is_some());
                (
                    it.partition_index,
                    exists.then(|| {
                        known.push((Arc::clone(&name), it.partition_index));
                        known.len() - 1
                    }),
                )
            })
            .collect();
        topics.push((name, partitions));
    }
    let asked = GroupRequest::delete_offsets(text(&request.group_id)?, known);
    Ok(ask_coordinator(context, asked, move |_, result| respond(answer, &topics, &result)))
}

fn respond(answer: AnswerForm, topics: &Topics, result: &Deleted) -> Step {
    let error_code = code_of(result);
    let Ok(outcomes) = result else {
        return answer.send(&OffsetDeleteResponse { error_code, ..OffsetDeleteResponse::default() });
    };
    let code = |place: &Option<usize>| match place.and_then(|index| outcomes.get(index)) {
        Some(Ok(())) => ErrorCode::None,
        Some(Err(error)) => group_error(*error),
        None => ErrorCode::UnknownTopicOrPartition,
    };
    let topics = topics.iter().map(|(name, partitions)| OffsetDeleteResponseTopic {
        name: (&**name).into(),
        partitions: partitions
            .iter()
            .map(|(partition_index, place)| OffsetDeleteResponsePartition {
                partition_index: *partition_index,
                error_code: code(place).code(),
            })
            .collect(),
    });
    answer.send(&OffsetDeleteResponse { error_code, throttle_time_ms: 0, topics: topics.collect() })
}
