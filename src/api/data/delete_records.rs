//! DeleteRecords (21), versions 0-2: moves a log's start up, for good once the answer is there.
//!
//! Offset -1 means all there is to read. Topics that are not cleaned up by deletion refuse, as in Kafka. Of a partition named
//! twice, the last offset counts.
//!
//! Not done: segments below the start keep their space until retention removes them.

use bytes::Bytes;

use crate::base::Offset;
use crate::protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use crate::protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};
use crate::protocol::{ApiKey, ErrorCode, RequestHeader};
use crate::shard::{DeleteRecordsPartition, PartitionError, ShardRequest};

use crate::api::answer::{AnswerForm, decode};
use crate::api::errors::partition_error;
use crate::api::once::{Named, each_once};
use crate::api::split::{Slots, Split, ask_all};
use crate::api::topic_key::TopicKey;
use crate::api::{Api, ApiError, Context, Step, Wait};

/// Kafka's name for the high watermark here.
const EVERYTHING: i64 = -1;

pub const API: Api = Api::new(ApiKey::DeleteRecords, 0..=2, start);

pub fn start(context: &mut Context<'_>, header: &RequestHeader<'_>, body: &Bytes) -> Result<Step, ApiError> {
    let request: DeleteRecordsRequest<'_> = decode(header, body)?;
    let answer = AnswerForm::of(header)?;
    let mut split = Split::new(context.image);
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| (asked.partition_index, asked.offset));
        (&*topic.name, partitions)
    });
    for (topic, partitions) in each_once(topics) {
        split.topic(TopicKey::Name(topic), partitions.len());
        let refusal = context.image.topic(topic).and_then(|found| match found {
            found if found.internal => Some(ErrorCode::InvalidTopicException),
            found if !context.image.settings(found).delete => Some(ErrorCode::PolicyViolation),
            _ => None,
        });
        for Named { index, asked: offset, .. } in partitions {
            split.partition(index, |partition| match refusal {
                Some(refusal) => Err(refusal),
                None if offset < EVERYTHING => Err(ErrorCode::OffsetOutOfRange),
                None => {
                    let before = (offset != EVERYTHING).then_some(Offset(offset));
                    Ok(DeleteRecordsPartition { partition, before })
                }
            });
        }
    }
    let (calls, slots) = split.finish();
    Ok(ask_all(context, calls, Wait::All, ShardRequest::delete_records, move |_, results| {
        respond(answer, &slots, results)
    }))
}

type Deleted = Result<Offset, PartitionError>;

fn respond(answer: AnswerForm, slots: &Slots, results: Vec<Vec<Deleted>>) -> Step {
    let topics = slots.merge(results, |partition_index, result| {
        let deleted = result.and_then(|deleted| deleted.map_err(|error| partition_error(&error)));
        DeleteRecordsPartitionResult {
            partition_index,
            low_watermark: deleted.map_or(-1, |offset| offset.0),
            error_code: deleted.err().unwrap_or(ErrorCode::None).code(),
        }
    });
    let topics = topics
        .map(|(topic, partitions)| DeleteRecordsTopicResult { name: (&*topic.name).into(), partitions });
    answer.send(&DeleteRecordsResponse { throttle_time_ms: 0, topics: topics.collect() })
}

#[cfg(test)]
mod tests {
    use crate::api::testing::{Server, read};
    use crate::protocol::messages::delete_records_request::{self, DeleteRecordsTopic};

    use super::*;

    #[test]
    fn each_partition_has_its_own_outcome_in_all_versions() {
        for version in 0..=2 {
            let mut server = Server::new();
            server.create("a", 5);
            let topic = |partitions: &[(i32, i64)]| DeleteRecordsTopic {
                name: "a".into(),
                partitions: partitions
                    .iter()
                    .map(|(partition_index, offset)| delete_records_request::DeleteRecordsPartition {
                        partition_index: *partition_index,
                        offset: *offset,
                    })
                    .collect(),
            };
            let topics = vec![topic(&[(0, -2), (1, 3), (2, -1), (4, -2)]), topic(&[(7, 3), (0, 3)])];
            let body = server.call(start, version, &DeleteRecordsRequest { topics, timeout_ms: 1000 });
            let answer: DeleteRecordsResponse<'_> = read(&body, version);
            let results = answer.topics[0].partitions.iter();
            let results: Vec<_> =
                results.map(|one| (one.partition_index, one.low_watermark, one.error_code)).collect();
            let codes = [
                ErrorCode::KafkaStorageError,
                ErrorCode::OffsetOutOfRange,
                ErrorCode::UnknownTopicOrPartition,
            ];
            let [storage, range, unknown] = codes.map(ErrorCode::code);
            assert_eq!(results, [(0, 3, 0), (1, -1, storage), (2, 6, 0), (4, -1, range), (7, -1, unknown)]);
        }
    }
}
