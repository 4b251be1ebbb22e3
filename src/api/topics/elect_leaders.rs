//! ElectLeaders (43), versions 0-2: with one replica each, no partition ever needs another leader.

use bytes::Bytes;

use crate::base::PartitionIndex;
use crate::protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use crate::protocol::messages::{ElectLeadersRequest, ElectLeadersResponse};
use crate::protocol::{ApiKey, ErrorCode, RequestHeader};

use crate::api::answer::{decode, respond};
use crate::api::{Api, ApiError, Context, Step};

/// Kafka's elections: of the preferred leader, and of an unclean one.
const ELECTIONS: std::ops::RangeInclusive<i8> = 0..=1;

pub const API: Api = Api::new(ApiKey::ElectLeaders, 0..=2, start);

pub fn start(context: &mut Context<'_>, header: &RequestHeader<'_>, body: &Bytes) -> Result<Step, ApiError> {
    let request: ElectLeadersRequest<'_> = decode(header, body)?;
    if !ELECTIONS.contains(&request.election_type) {
        let error_code = ErrorCode::InvalidRequest.code();
        return respond(header, &ElectLeadersResponse { error_code, ..ElectLeadersResponse::default() });
    }
    // Asked about all partitions, Kafka names only those for which something had to be done.
    let results = request.topic_partitions.iter().flatten().map(|asked| ReplicaElectionResult {
        topic: asked.topic.clone(),
        partition_result: asked
            .partitions
            .iter()
            .map(|index| {
                let topic = context.image.topic(&asked.topic);
                let exists = topic.is_some_and(|topic| topic.partition(PartitionIndex(*index)).is_some());
                let (code, message) = if exists {
                    (ErrorCode::ElectionNotNeeded, "Leader election not needed for topic partition.")
                } else {
                    (ErrorCode::UnknownTopicOrPartition, "No such topic or partition.")
                };
                PartitionResult {
                    partition_id: *index,
                    error_code: code.code(),
                    error_message: Some(message.into()),
                }
            })
            .collect(),
    });
    let replica_election_results = results.collect();
    respond(header, &ElectLeadersResponse { throttle_time_ms: 0, error_code: 0, replica_election_results })
}

#[cfg(test)]
mod tests {
    use crate::api::testing::{Server, read};
    use crate::protocol::messages::elect_leaders_request::TopicPartitions;

    use super::*;

    #[test]
    fn leaders_are_where_they_should_be_in_all_versions() {
        for version in 0..=2 {
            let mut server = Server::new();
            server.create("a", 1);
            let partitions = TopicPartitions { topic: "a".into(), partitions: vec![0, 4] };
            let request = ElectLeadersRequest {
                topic_partitions: Some(vec![partitions]),
                ..ElectLeadersRequest::default()
            };
            let body = server.call(start, version, &request);
            let answer: ElectLeadersResponse<'_> = read(&body, version);
            let results = answer.replica_election_results[0].partition_result.iter();
            let codes: Vec<_> = results.map(|result| result.error_code).collect();
            let wanted = [ErrorCode::ElectionNotNeeded, ErrorCode::UnknownTopicOrPartition];
            assert_eq!(codes, wanted.map(ErrorCode::code));
            let all = ElectLeadersRequest { topic_partitions: None, ..request };
            let body = server.call(start, version, &all);
            let answer: ElectLeadersResponse<'_> = read(&body, version);
            assert!(answer.replica_election_results.is_empty());
        }
    }
}
