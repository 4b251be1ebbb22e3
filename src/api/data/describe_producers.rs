//! DescribeProducers (61), version 0: the idempotent producers a partition remembers.
//!
//! A topic name that no topic could have is told apart from one that no topic has. Leaders are asked, or one broker about all
//! partitions it may have: a connection that does not answer for a partition says NOT_LEADER_OR_FOLLOWER.

use bytes::Bytes;

use crate::base::TopicPartition;
use crate::controller::{Place, check_topic_name, is_topic_name};
use crate::protocol::messages::describe_producers_response::{
    PartitionResponse, ProducerState, TopicResponse,
};
use crate::protocol::messages::{DescribeProducersRequest, DescribeProducersResponse};
use crate::protocol::{ApiKey, ErrorCode, RequestHeader};
use crate::shard::{PartitionError, PartitionFacts, ShardRequest};

use crate::api::answer::{AnswerForm, decode, error_message};
use crate::api::cluster::nodes::answers_for;
use crate::api::errors::partition_error;
use crate::api::split::{Slots, Split, ask_all};
use crate::api::topic_key::TopicKey;
use crate::api::{Api, ApiError, Context, Step, Wait};

pub const API: Api = Api::new(ApiKey::DescribeProducers, 0..=0, start);

pub fn start(context: &mut Context<'_>, header: &RequestHeader<'_>, body: &Bytes) -> Result<Step, ApiError> {
    let request: DescribeProducersRequest<'_> = decode(header, body)?;
    let answer = AnswerForm::of(header)?;
    let mut split = Split::new(context.image);
    for topic in &request.topics {
        split.topic(TopicKey::Name(&topic.name), topic.partition_indexes.len());
        let could_be = is_topic_name(&topic.name);
        for index in &topic.partition_indexes {
            if could_be {
                split.partition(*index, |partition| {
                    let leads = leads(context, partition);
                    if leads { Ok(partition) } else { Err(ErrorCode::NotLeaderOrFollower) }
                });
            } else {
                split.refuse(*index, ErrorCode::InvalidTopicException);
            }
        }
    }
    let (calls, slots) = split.finish();
    Ok(ask_all(context, calls, Wait::All, ShardRequest::describe_partitions, move |_, results| {
        respond(answer, &slots, results)
    }))
}

fn leads(context: &Context<'_>, partition: TopicPartition) -> bool {
    let topic = context.image.topic_by_id(partition.topic);
    let state = topic.and_then(|topic| topic.partition(partition.partition));
    let place = state.map(|state| context.image.place(state));
    matches!(place, Some(Place::Here(shard)) if answers_for(context, shard))
}

type Facts = Result<PartitionFacts, PartitionError>;

fn respond(answer: AnswerForm, slots: &Slots, results: Vec<Vec<Facts>>) -> Step {
    let topics = slots.merge(results, |partition_index, result| {
        let found = result.and_then(|found| found.map_err(|error| partition_error(&error)));
        let error_code = found.as_ref().err().copied().unwrap_or(ErrorCode::None);
        let producers = found.map(|facts| facts.producers).unwrap_or_default();
        PartitionResponse {
            partition_index,
            error_code: error_code.code(),
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
    let topics = topics.map(|(topic, mut partitions)| {
        for partition in &mut partitions {
            partition.error_message = explained(&topic.name, partition.error_code).and_then(error_message);
        }
        TopicResponse { name: (&*topic.name).into(), partitions }
    });
    answer.send(&DescribeProducersResponse { throttle_time_ms: 0, topics: topics.collect() })
}

/// Why nothing is known of a topic's partition, in Kafka's words.
fn explained(topic: &str, code: i16) -> Option<String> {
    match ErrorCode::from_code(code)? {
        ErrorCode::InvalidTopicException => check_topic_name(topic).err(),
        ErrorCode::UnknownTopicOrPartition => {
            Some("This server does not host this topic-partition.".to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::api::NodeMeant;
    use crate::api::testing::{Server, read};
    use crate::base::ShardId;
    use crate::controller::View;
    use crate::protocol::messages::describe_producers_request::TopicRequest;

    use super::*;

    #[test]
    fn a_core_leads_its_own_partitions() {
        let mut server = Server::new();
        server.create("a", 4);
        server.connection.view = View::Shards;
        server.connection.node = NodeMeant::Shard(ShardId(1));
        let topics = vec![TopicRequest { name: "a".into(), partition_indexes: vec![0, 1, 2] }];
        let body = server.call(start, 0, &DescribeProducersRequest { topics });
        let answer: DescribeProducersResponse<'_> = read(&body, 0);
        let codes = answer.topics[0].partitions.iter().map(|partition| partition.error_code);
        let elsewhere = ErrorCode::NotLeaderOrFollower.code();
        assert_eq!(codes.collect::<Vec<_>>(), [0, elsewhere, 0]);
    }

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
        let topics = vec![TopicRequest { name: "a b".into(), partition_indexes: vec![0] }];
        let body = server.call(start, 0, &DescribeProducersRequest { topics });
        let answer: DescribeProducersResponse<'_> = read(&body, 0);
        let refused = &answer.topics[0].partitions[0];
        assert_eq!(refused.error_code, ErrorCode::InvalidTopicException.code());
        assert!(refused.error_message.as_deref().is_some_and(|it| it.starts_with("Topic name is invalid")));
    }
}
