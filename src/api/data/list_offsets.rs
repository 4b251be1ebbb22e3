//! ListOffsets (2), versions 1-11.
//!
//! - v2: isolation level. v4: leader epochs both ways. v7: -3, the record with the largest timestamp; v8: -4, v9: -5,
//!   v11: -6, which tell apart local and remote storage. Older versions of these get UNSUPPORTED_VERSION.
//! - A partition asked for more than once gets INVALID_REQUEST, once.
//! - v10: `timeoutMs`, ignored: there is no remote storage to wait for.

use bytes::Bytes;

use crate::base::{LeaderEpoch, TimestampMs};
use crate::protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use crate::protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};
use crate::protocol::{ApiKey, ErrorCode, RequestHeader};
use crate::shard::{ListOffsetsPartition, ListedOffset, OffsetLookup, PartitionError, ShardRequest};

use crate::api::answer::{AnswerForm, decode};
use crate::api::errors::partition_error;
use crate::api::once::{Named, each_once};
use crate::api::split::{Slots, Split, ask_all};
use crate::api::topic_key::TopicKey;
use crate::api::{Api, ApiError, Context, Step, Wait};

pub const API: Api = Api::new(ApiKey::ListOffsets, 1..=11, start);

pub fn start(context: &mut Context<'_>, header: &RequestHeader<'_>, body: &Bytes) -> Result<Step, ApiError> {
    let request: ListOffsetsRequest<'_> = decode(header, body)?;
    let answer = AnswerForm::of(header)?;
    let mut split = Split::new(context.image);
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| (asked.partition_index, asked));
        (&*topic.name, partitions)
    });
    for (topic, partitions) in each_once(topics) {
        split.topic(TopicKey::Name(topic), partitions.len());
        for Named { index, asked, is_repeated } in partitions {
            if is_repeated {
                split.refuse(index, ErrorCode::InvalidRequest);
                continue;
            }
            split.partition(index, |partition| {
                Ok(ListOffsetsPartition {
                    partition,
                    current_leader_epoch: LeaderEpoch(asked.current_leader_epoch),
                    lookup: lookup(asked.timestamp, header.api_version)?,
                    read_committed: request.isolation_level == 1,
                })
            });
        }
    }
    let (calls, slots) = split.finish();
    Ok(ask_all(context, calls, Wait::All, ShardRequest::list_offsets, move |_, results| {
        respond(answer, &slots, results)
    }))
}

fn lookup(timestamp: i64, version: i16) -> Result<OffsetLookup, ErrorCode> {
    match timestamp {
        0.. => Ok(OffsetLookup::AtOrAfter(TimestampMs(timestamp))),
        -1 => Ok(OffsetLookup::Latest),
        -2 => Ok(OffsetLookup::Earliest),
        -3 if version >= 7 => Ok(OffsetLookup::MaxTimestamp),
        -4 if version >= 8 => Ok(OffsetLookup::EarliestLocal),
        -5 if version >= 9 => Ok(OffsetLookup::LatestTiered),
        -6 if version >= 11 => Ok(OffsetLookup::EarliestPendingUpload),
        _ => Err(ErrorCode::UnsupportedVersion),
    }
}

type Listed = Result<ListedOffset, PartitionError>;

fn respond(answer: AnswerForm, slots: &Slots, results: Vec<Vec<Listed>>) -> Step {
    let topics = slots.merge(results, |partition_index, result| {
        let listed = result.and_then(|listed| listed.map_err(|error| partition_error(&error)));
        match listed {
            Ok(listed) => ListOffsetsPartitionResponse {
                partition_index,
                error_code: ErrorCode::None.code(),
                timestamp: listed.timestamp.0,
                offset: listed.offset.0,
                leader_epoch: if answer.version >= 4 { listed.leader_epoch.0 } else { -1 },
            },
            Err(code) => ListOffsetsPartitionResponse {
                partition_index,
                error_code: code.code(),
                ..ListOffsetsPartitionResponse::default()
            },
        }
    });
    let topics = topics
        .map(|(topic, partitions)| ListOffsetsTopicResponse { name: (&*topic.name).into(), partitions });
    answer.send(&ListOffsetsResponse { throttle_time_ms: 0, topics: topics.collect() })
}

#[cfg(test)]
mod tests {
    use crate::api::testing::{Server, read};
    use crate::protocol::messages::list_offsets_request::{self, ListOffsetsTopic};

    use super::*;

    fn check(version: i16, timestamp: i64, supported: bool) {
        let mut server = Server::new();
        server.create("a", 2);
        let asked = |partition_index| list_offsets_request::ListOffsetsPartition {
            partition_index,
            timestamp,
            ..list_offsets_request::ListOffsetsPartition::default()
        };
        let topics =
            vec![ListOffsetsTopic { name: "a".into(), partitions: vec![asked(1), asked(0), asked(2)] }];
        let request = ListOffsetsRequest { topics, ..ListOffsetsRequest::default() };
        let body = server.call(start, version, &request);
        let answer: ListOffsetsResponse<'_> = read(&body, version);
        let results = answer.topics[0].partitions.iter();
        let results: Vec<_> = results.map(|one| (one.partition_index, one.error_code, one.offset)).collect();
        let want = if supported {
            [(1, 56, -1), (0, 0, 5), (2, 3, -1)]
        } else {
            [(1, 35, -1), (0, 35, -1), (2, 3, -1)]
        };
        assert_eq!(results, want, "version {version}, timestamp {timestamp}");
        let epoch = if supported && version >= 4 { 2 } else { -1 };
        assert_eq!(answer.topics[0].partitions[1].leader_epoch, epoch);
    }

    #[test]
    fn a_partition_asked_for_twice_is_refused_once() {
        let mut server = Server::new();
        server.create("a", 2);
        let asked = |partition_index| list_offsets_request::ListOffsetsPartition {
            partition_index,
            timestamp: -1,
            ..list_offsets_request::ListOffsetsPartition::default()
        };
        let topic = |partitions| ListOffsetsTopic {
            name: "a".into(),
            partitions: Vec::into_iter(partitions).map(asked).collect(),
        };
        let unknown = ListOffsetsTopic { name: "x".into(), partitions: vec![asked(0), asked(0)] };
        let topics = vec![topic(vec![0, 1]), unknown, topic(vec![0])];
        let body = server.call(start, 9, &ListOffsetsRequest { topics, ..ListOffsetsRequest::default() });
        let answer: ListOffsetsResponse<'_> = read(&body, 9);
        let codes: Vec<_> =
            answer.topics.iter().flat_map(|topic| &topic.partitions).map(|one| one.error_code).collect();
        // The canned shards answer odd partitions with KAFKA_STORAGE_ERROR.
        assert_eq!(codes, [42, 56, 42]);
        assert_eq!(answer.topics.iter().map(|topic| &*topic.name).collect::<Vec<_>>(), ["a", "x"]);
    }

    #[test]
    fn lookups_are_answered_from_the_version_that_has_them() {
        for version in 1..=11 {
            for (timestamp, from) in [(0, 1), (9, 1), (-1, 1), (-2, 1), (-3, 7), (-4, 8), (-5, 9), (-6, 11)] {
                check(version, timestamp, version >= from);
            }
            check(version, -7, false);
        }
    }
}
