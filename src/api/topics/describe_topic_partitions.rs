//! DescribeTopicPartitions (75), version 0: topics in pages (KIP-966).
//!
//! Topics come in the order of their names. An answer ends at the asked number of partitions, or the broker's
//! `max.request.partition.size.limit`, and says where the next begins.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::base::TopicId;
use crate::controller::{PartitionImage, is_internal_topic, is_topic_name};
use crate::protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use crate::protocol::messages::{DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse};
use crate::protocol::{ApiKey, ErrorCode, RequestHeader};

use crate::api::answer::{decode, respond};
use crate::api::authorized::TOPIC_OPERATIONS;
use crate::api::cluster::nodes::{leader_node, replica_nodes};
use crate::api::{Api, ApiError, Context, Step};

pub const API: Api = Api::new(ApiKey::DescribeTopicPartitions, 0..=0, start);

pub fn start(context: &mut Context<'_>, header: &RequestHeader<'_>, body: &Bytes) -> Result<Step, ApiError> {
    let request: DescribeTopicPartitionsRequest<'_> = decode(header, body)?;
    let from = request.cursor.as_ref().map(|cursor| (&*cursor.topic_name, cursor.partition_index));
    let names: BTreeSet<&str> = if request.topics.is_empty() {
        context.image.topics.keys().map(|name| &**name).collect()
    } else {
        request.topics.iter().map(|topic| &*topic.name).collect()
    };
    if from.is_some_and(|(_, partition)| partition < 0) {
        let refused = names.into_iter().map(|name| missing(name, ErrorCode::InvalidRequest));
        return respond(header, &answer(refused.collect(), None));
    }
    let most = context.config.describe_partitions_max;
    let limit = usize::try_from(request.response_partition_limit).map_or(most, |asked| asked.clamp(1, most));
    let mut page = Portion { context, left: limit, topics: Vec::new() };
    let mut next = None;
    for name in names.into_iter().filter(|name| from.is_none_or(|(topic, _)| *name >= topic)) {
        let first = from.filter(|(topic, _)| *topic == name).map_or(0, |(_, partition)| partition);
        next = page.add(name, first);
        if next.is_some() {
            break;
        }
    }
    respond(header, &answer(page.topics, next))
}

fn answer<'a>(
    topics: Vec<DescribeTopicPartitionsResponseTopic<'a>>,
    next_cursor: Option<Cursor<'a>>,
) -> DescribeTopicPartitionsResponse<'a> {
    DescribeTopicPartitionsResponse { throttle_time_ms: 0, topics, next_cursor }
}

struct Portion<'a> {
    context: &'a Context<'a>,
    /// Partitions that still fit.
    left: usize,
    topics: Vec<DescribeTopicPartitionsResponseTopic<'a>>,
}

impl<'a> Portion<'a> {
    /// Adds a topic from a partition on; where the next page begins, when this one is full.
    fn add(&mut self, name: &'a str, first: i32) -> Option<Cursor<'a>> {
        let begin = |partition_index| Some(Cursor { topic_name: name.into(), partition_index });
        if self.left == 0 {
            return begin(first);
        }
        let Some(topic) = self.context.image.topic(name) else {
            let known = if is_topic_name(name) {
                ErrorCode::UnknownTopicOrPartition
            } else {
                ErrorCode::InvalidTopicException
            };
            self.topics.push(missing(name, known));
            return None;
        };
        let rest = usize::try_from(first).unwrap_or(0).min(topic.partitions.len());
        let shown = (topic.partitions.len() - rest).min(self.left);
        let partitions = (0..).zip(&topic.partitions).skip(rest).take(shown);
        let partitions = partitions.map(|(index, state)| partition(self.context, index, state));
        self.topics.push(DescribeTopicPartitionsResponseTopic {
            error_code: ErrorCode::None.code(),
            name: Some(name.into()),
            topic_id: topic.id,
            is_internal: topic.internal,
            partitions: partitions.collect(),
            topic_authorized_operations: TOPIC_OPERATIONS,
        });
        self.left -= shown;
        let end = rest + shown;
        if end < topic.partitions.len() { begin(i32::try_from(end).unwrap_or(i32::MAX)) } else { None }
    }
}

fn partition(
    context: &Context<'_>,
    index: i32,
    state: &PartitionImage,
) -> DescribeTopicPartitionsResponsePartition {
    let replicas = state.replicas().iter().copied();
    let code = state.leader().map_or(ErrorCode::LeaderNotAvailable, |_| ErrorCode::None);
    DescribeTopicPartitionsResponsePartition {
        error_code: code.code(),
        partition_index: index,
        leader_id: leader_node(context, state),
        leader_epoch: state.leader_epoch().0,
        replica_nodes: replica_nodes(context, state, replicas),
        isr_nodes: replica_nodes(context, state, state.isr()),
        eligible_leader_replicas: Some(replica_nodes(context, state, state.elr())),
        last_known_elr: Some(replica_nodes(context, state, state.last_known())),
        offline_replicas: Vec::new(),
    }
}

fn missing(name: &str, error: ErrorCode) -> DescribeTopicPartitionsResponseTopic<'_> {
    DescribeTopicPartitionsResponseTopic {
        error_code: error.code(),
        name: Some(name.into()),
        topic_id: TopicId::ZERO,
        is_internal: is_internal_topic(name),
        partitions: Vec::new(),
        topic_authorized_operations: i32::MIN,
    }
}

#[cfg(test)]
mod tests {
    use crate::api::testing::{Server, read};
    use crate::protocol::messages::describe_topic_partitions_request::{self, TopicRequest};

    use super::*;

    /// Topics with their errors and partitions, and where the next page begins.
    type Paged = (Vec<(String, i16, Vec<i32>)>, Option<(String, i32)>);

    fn page(server: &mut Server, names: &[&'static str], limit: i32, from: Option<(&str, i32)>) -> Paged {
        let cursor = from.map(|(topic, partition_index)| describe_topic_partitions_request::Cursor {
            topic_name: topic.to_owned().into(),
            partition_index,
        });
        let request = DescribeTopicPartitionsRequest {
            topics: names.iter().map(|name| TopicRequest { name: (*name).into() }).collect(),
            response_partition_limit: limit,
            cursor,
        };
        let body = server.call(start, 0, &request);
        let answer: DescribeTopicPartitionsResponse<'_> = read(&body, 0);
        let topics = answer.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| partition.partition_index);
            (topic.name.as_deref().unwrap_or_default().to_owned(), topic.error_code, partitions.collect())
        });
        let next = answer.next_cursor.as_ref();
        (topics.collect(), next.map(|cursor| (cursor.topic_name.to_string(), cursor.partition_index)))
    }

    #[test]
    fn topics_come_in_pages() {
        let mut server = Server::new();
        server.create("b", 3);
        server.create("a", 2);
        let all = |names: &[(&str, &[i32])]| {
            names.iter().map(|(name, indexes)| ((*name).to_owned(), 0, indexes.to_vec())).collect::<Vec<_>>()
        };
        assert_eq!(page(&mut server, &[], 100, None), (all(&[("a", &[0, 1]), ("b", &[0, 1, 2])]), None));
        assert_eq!(page(&mut server, &["b"], 100, None), (all(&[("b", &[0, 1, 2])]), None));
        let first = page(&mut server, &[], 3, None);
        assert_eq!(first, (all(&[("a", &[0, 1]), ("b", &[0])]), Some(("b".into(), 1))));
        assert_eq!(page(&mut server, &[], 3, Some(("b", 1))), (all(&[("b", &[1, 2])]), None));
        assert_eq!(page(&mut server, &[], 2, None).1, Some(("b".into(), 0)));
        let (unknown, _) = page(&mut server, &["nothing", "a"], 9, None);
        assert_eq!(unknown[1], ("nothing".into(), 3, vec![]));
        assert_eq!(page(&mut server, &["a"], 9, Some(("a", -1))).0[0].1, ErrorCode::InvalidRequest.code());
    }
}
