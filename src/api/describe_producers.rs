//! DescribeProducers (61), version 0: the idempotent producers a partition remembers.

use bytes::Bytes;

use crate::protocol::messages::describe_producers_response::{
    PartitionResponse, ProducerState, TopicResponse,
};
use crate::protocol::messages::{DescribeProducersRequest, DescribeProducersResponse};
use crate::protocol::{ErrorCode, RequestHeader};
use crate::shard::{PartitionError, PartitionFacts, ShardReply, ShardRequest};

use super::answer::{Answer, decode};
use super::errors::partition_error;
use super::split::{Slots, Split, TopicKey, ask_all};
use super::{ApiError, Context, Step, Wait};

pub fn start(context: &mut Context<'_>, header: &RequestHeader<'_>, body: &Bytes) -> Result<Step, ApiError> {
    let request: DescribeProducersRequest<'_> = decode(header, body)?;
    let answer = Answer::to(header)?;
    let mut split = Split::new(context.image);
    for topic in &request.topics {
        split.topic(TopicKey::Name(&topic.name), topic.partition_indexes.len());
        for index in &topic.partition_indexes {
            split.partition(*index, Ok);
        }
    }
    let (calls, slots) = split.finish();
    Ok(ask_all(context, calls, Wait::All, ShardRequest::DescribePartitions, move |_, replies| {
        respond(answer, &slots, replies.into_iter().map(facts).collect())
    }))
}

type Facts = Result<PartitionFacts, PartitionError>;

pub(super) fn facts(reply: ShardReply) -> Vec<Facts> {
    match reply {
        ShardReply::DescribePartitions(results) => results,
        other => panic!("asked to describe partitions, got {other:?}"),
    }
}

fn respond(answer: Answer, slots: &Slots, results: Vec<Vec<Facts>>) -> Step {
    let topics = slots.merge(results, |partition_index, result| {
        let found = result.and_then(|found| found.map_err(|error| partition_error(&error)));
        let error_code = found.as_ref().err().copied().unwrap_or(ErrorCode::None).code();
        let producers = found.map(|facts| facts.producers).unwrap_or_default();
        PartitionResponse {
            partition_index,
            error_code,
            error_message: None,
            active_producers: producers
                .into_iter()
                .map(|producer| ProducerState {
                    producer_id: producer.id.0,
                    producer_epoch: i32::from(producer.epoch.0),
                    last_sequence: producer.last_sequence,
                    last_timestamp: producer.last_timestamp.0,
                    coordinator_epoch: -1,
                    current_txn_start_offset: -1,
                })
                .collect(),
        }
    });
    let topics = topics.map(|(topic, partitions)| TopicResponse { name: (&*topic.name).into(), partitions });
    answer.send(&DescribeProducersResponse { throttle_time_ms: 0, topics: topics.collect() })
}

#[cfg(test)]
mod tests {
    use crate::api::testing::{Server, read};
    use crate::protocol::messages::describe_producers_request::TopicRequest;

    use super::*;

    #[test]
    fn producers_are_told_per_partition() {
        let mut server = Server::new();
        server.create("a", 2);
        let topics = vec![TopicRequest { name: "a".into(), partition_indexes: vec![1, 0, 2] }];
        let body = server.call(start, 0, &DescribeProducersRequest { topics });
        let answer: DescribeProducersResponse<'_> = read(&body, 0);
        let shown = answer.topics[0].partitions.iter().map(|partition| {
            let producers = partition.active_producers.iter().map(|it| (it.producer_id, it.last_sequence));
            (partition.partition_index, partition.error_code, producers.collect::<Vec<_>>())
        });
        let storage = ErrorCode::KafkaStorageError.code();
        let unknown = ErrorCode::UnknownTopicOrPartition.code();
        let wanted = [(1, storage, vec![]), (0, 0, vec![(7, 41)]), (2, unknown, vec![])];
        assert_eq!(shown.collect::<Vec<_>>(), wanted);
    }
}
