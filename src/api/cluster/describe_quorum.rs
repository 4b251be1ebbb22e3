//! DescribeQuorum (55), versions 0-2: the metadata's quorum, which is this server alone.
//!
//! - v1: times of fetches; a leader has none of its own. v2: directory ids and the voters' addresses.

use bytes::Bytes;

use crate::base::TopicId;
use crate::protocol::messages::describe_quorum_response::{
    Listener, Node, PartitionData, ReplicaState, TopicData,
};
use crate::protocol::messages::{DescribeQuorumRequest, DescribeQuorumResponse};
use crate::protocol::{ApiKey, ErrorCode, RequestHeader};

use super::nodes::{controller_node, metadata_node};
use crate::api::answer::{decode, respond};
use crate::api::{Api, ApiError, Context, Step};

const METADATA_TOPIC: &str = "__cluster_metadata";
const NODES_FROM: i16 = 2;

pub const API: Api = Api::new(ApiKey::DescribeQuorum, 0..=2, start);

pub fn start(context: &mut Context<'_>, header: &RequestHeader<'_>, body: &Bytes) -> Result<Step, ApiError> {
    let request: DescribeQuorumRequest<'_> = decode(header, body)?;
    let topics = request.topics.iter().map(|topic| TopicData {
        topic_name: topic.topic_name.clone(),
        partitions: topic
            .partitions
            .iter()
            .map(|asked| match (&*topic.topic_name, asked.partition_index) {
                (METADATA_TOPIC, 0) => quorum(context),
                (_, partition_index) => unknown(partition_index),
            })
            .collect(),
    });
    let host = context.connection.advertised_host.as_str();
    let listener =
        Listener { name: "PLAINTEXT".into(), host: host.into(), port: context.connection.advertised_port };
    let nodes = if header.api_version >= NODES_FROM {
        vec![Node { node_id: controller_node(context), listeners: vec![listener] }]
    } else {
        Vec::new()
    };
    let topics = topics.collect();
    respond(header, &DescribeQuorumResponse { error_code: 0, error_message: None, topics, nodes })
}

fn quorum(context: &Context<'_>) -> PartitionData<'static> {
    let (end, quorum) = (context.image.version, &context.image.quorum);
    let voter = |node| ReplicaState {
        replica_id: node,
        replica_directory_id: TopicId::ZERO,
        log_end_offset: end,
        last_fetch_timestamp: -1,
        last_caught_up_timestamp: -1,
    };
    let voters = quorum.voters.iter().map(|voter| voter.server);
    let voters: Vec<i32> = voters.map(|server| metadata_node(context, server)).collect();
    let leader = controller_node(context);
    // Until a quorum was formed, the server that decides is all of it.
    let voters = if voters.is_empty() { vec![leader] } else { voters };
    PartitionData {
        partition_index: 0,
        error_code: ErrorCode::None.code(),
        error_message: None,
        leader_id: leader,
        leader_epoch: quorum.epoch,
        high_watermark: end,
        current_voters: voters.into_iter().map(voter).collect(),
        observers: Vec::new(),
    }
}

fn unknown(partition_index: i32) -> PartitionData<'static> {
    PartitionData {
        partition_index,
        error_code: ErrorCode::UnknownTopicOrPartition.code(),
        error_message: None,
        leader_id: -1,
        leader_epoch: -1,
        high_watermark: -1,
        current_voters: Vec::new(),
        observers: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use crate::api::testing::{Server, read};
    use crate::protocol::messages::describe_quorum_request;

    use super::*;

    #[test]
    fn one_server_is_a_quorum() {
        for version in 0..=2 {
            let mut server = Server::new();
            server.create("a", 1);
            let topic = |name: &'static str, index| describe_quorum_request::TopicData {
                topic_name: name.into(),
                partitions: vec![describe_quorum_request::PartitionData { partition_index: index }],
            };
            let topics = vec![topic(METADATA_TOPIC, 0), topic(METADATA_TOPIC, 1), topic("a", 0)];
            let body = server.call(start, version, &DescribeQuorumRequest { topics });
            let answer: DescribeQuorumResponse<'_> = read(&body, version);
            let quorum = &answer.topics[0].partitions[0];
            assert_eq!((quorum.leader_id, quorum.current_voters.len()), (1000, 1));
            assert_eq!(quorum.high_watermark, server.controller.image().version);
            let unknown = ErrorCode::UnknownTopicOrPartition.code();
            let codes = answer.topics[1..].iter().map(|topic| topic.partitions[0].error_code);
            assert_eq!(codes.collect::<Vec<_>>(), [unknown, unknown]);
            assert_eq!(answer.nodes.len(), usize::from(version >= 2));
        }
    }
}
