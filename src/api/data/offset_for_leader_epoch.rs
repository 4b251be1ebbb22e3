//! OffsetForLeaderEpoch (23), versions 2-4: where a leader epoch ended, by which a consumer finds out that its position
//! was truncated away. All versions mean the same to consumers; v4 is flexible.
//!
//! An epoch that nobody has led in has no end: epoch and offset are -1, and that is no error.

use bytes::Bytes;

use crate::base::LeaderEpoch;
use crate::protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use crate::protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};
use crate::protocol::{ApiKey, ErrorCode, RequestHeader};
use crate::shard::{EpochEnd, EpochEndPartition, PartitionError, ShardRequest};

use crate::api::answer::{AnswerForm, decode};
use crate::api::errors::partition_error;
use crate::api::split::{Slots, Split, ask_all};
use crate::api::topic_key::TopicKey;
use crate::api::{Api, ApiError, Context, Step, Wait};

pub const API: Api = Api::new(ApiKey::OffsetForLeaderEpoch, 2..=4, start);

pub fn start(context: &mut Context<'_>, header: &RequestHeader<'_>, body: &Bytes) -> Result<Step, ApiError> {
    let request: OffsetForLeaderEpochRequest<'_> = decode(header, body)?;
    let answer = AnswerForm::of(header)?;
    let mut split = Split::new(context.image);
    for topic in &request.topics {
        split.topic(TopicKey::Name(&topic.topic), topic.partitions.len());
        for asked in &topic.partitions {
            split.partition(asked.partition, |partition| {
                Ok(EpochEndPartition {
                    partition,
                    current_leader_epoch: LeaderEpoch(asked.current_leader_epoch),
                    epoch: LeaderEpoch(asked.leader_epoch),
                })
            });
        }
    }
    let (calls, slots) = split.finish();
    Ok(ask_all(context, calls, Wait::All, ShardRequest::offset_for_leader_epoch, move |_, results| {
        respond(answer, &slots, results)
    }))
}

type Ended = Result<EpochEnd, PartitionError>;

fn respond(answer: AnswerForm, slots: &Slots, results: Vec<Vec<Ended>>) -> Step {
    let topics = slots.merge(results, |partition, result| {
        match result.and_then(|ended| ended.map_err(|error| partition_error(&error))) {
            Ok(ended) => EpochEndOffset {
                error_code: ErrorCode::None.code(),
                partition,
                leader_epoch: ended.epoch.0,
                end_offset: ended.end.0,
            },
            Err(code) => {
                EpochEndOffset { error_code: code.code(), partition, leader_epoch: -1, end_offset: -1 }
            }
        }
    });
    let topics = topics
        .map(|(topic, partitions)| OffsetForLeaderTopicResult { topic: (&*topic.name).into(), partitions });
    answer.send(&OffsetForLeaderEpochResponse { throttle_time_ms: 0, topics: topics.collect() })
}

#[cfg(test)]
mod tests {
    use crate::api::testing::{Server, read};
    use crate::protocol::messages::offset_for_leader_epoch_request::{
        OffsetForLeaderPartition, OffsetForLeaderTopic,
    };

    use super::*;

    #[test]
    fn ends_are_answered_in_order_in_all_versions() {
        for version in 2..=4 {
            let mut server = Server::new();
            server.create("a", 2);
            let asked = |partition| OffsetForLeaderPartition { partition, ..Default::default() };
            let topic = OffsetForLeaderTopic { topic: "a".into(), partitions: [1, 0, 2].map(asked).into() };
            let request = OffsetForLeaderEpochRequest { topics: vec![topic], ..Default::default() };
            let body = server.call(start, version, &request);
            let answer: OffsetForLeaderEpochResponse<'_> = read(&body, version);
            let results = answer.topics[0].partitions.iter();
            let results: Vec<_> = results
                .map(|one| (one.partition, one.error_code, one.leader_epoch, one.end_offset))
                .collect();
            assert_eq!(results, [(1, 56, -1, -1), (0, 0, 2, 6), (2, 3, -1, -1)]);
        }
    }
}
