//! Fetch (1), versions 4-18.
//!
//! Every owning shard waits for the data on its own; the first with enough ends the wait of all. Records leave as
//! references to the memory they lie in. A partition that cannot be asked ends the wait at once, like an error on a shard.
//!
//! - v7: sessions are declined with session id 0; an incremental fetch in a session is answered with
//!   FETCH_SESSION_ID_NOT_FOUND, upon which clients start over.
//! - v12: divergence from `lastFetchedEpoch` is reported.
//! - v13: topics go by id.
//!
//! Limits: `minBytes` counts per shard; `maxBytes` holds over all shards, in the order of the request.
//!
//! Not done: sessions, transactions (no aborted ones exist), followers.

use bytes::Bytes;

use crate::base::{LeaderEpoch, Offset};
use crate::protocol::messages::fetch_response::{EpochEndOffset, FetchableTopicResponse, PartitionData};
use crate::protocol::messages::{self, FetchResponse};
use crate::protocol::{ErrorCode, Records, RequestHeader};
use crate::shard::{FetchPartition, FetchRequest, FetchResult, Fetched, ShardReply, ShardRequest};

use super::answer::{Answer, decode, respond as respond_now};
use super::errors::partition_error;
use super::split::{Calls, Slots, Split, TopicKey, ask_all};
use super::{ApiError, Context, Step, Wait};

/// First version with topic ids.
const IDS_FROM: i16 = 13;

pub fn start(context: &mut Context<'_>, header: &RequestHeader<'_>, body: &Bytes) -> Result<Step, ApiError> {
    let request: messages::FetchRequest<'_> = decode(header, body)?;
    if request.session_epoch > 0 {
        let error_code = ErrorCode::FetchSessionIdNotFound.code();
        return respond_now(header, &FetchResponse { error_code, ..FetchResponse::default() });
    }
    let (calls, slots) = split(context, &request, header.api_version);
    let merge = Merge {
        answer: Answer::to(header)?,
        bytes_left: at_least_0(request.max_bytes).min(context.config.fetch_bytes_max),
        read_committed: request.isolation_level == 1,
        any: false,
    };
    let shared = FetchRequest {
        partitions: Vec::new(),
        wait_ms_max: if slots.has_failures() { 0 } else { at_least_0(request.max_wait_ms) },
        bytes_min: at_least_0(request.min_bytes),
        bytes_max: merge.bytes_left,
        read_committed: merge.read_committed,
    };
    Ok(ask_all(
        context,
        calls,
        Wait::FirstThenNudge,
        |partitions| ShardRequest::Fetch(FetchRequest { partitions, ..shared.clone() }),
        move |_, replies| merge.respond(&slots, replies.into_iter().map(results).collect()),
    ))
}

fn at_least_0(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

fn split(
    context: &Context<'_>,
    request: &messages::FetchRequest<'_>,
    version: i16,
) -> (Calls<FetchPartition>, Slots) {
    let mut split = Split::new(context.image);
    let replica = request.replica_id.max(request.replica_state.replica_id);
    for topic in &request.topics {
        let key =
            if version >= IDS_FROM { TopicKey::Id(topic.topic_id) } else { TopicKey::Name(&topic.topic) };
        split.topic(key, topic.partitions.len());
        for asked in &topic.partitions {
            split.partition(asked.partition, |partition| {
                // There are no followers: whoever asks as one is not in the partition's replicas.
                if replica >= 0 {
                    return Err(ErrorCode::NotLeaderOrFollower);
                }
                Ok(FetchPartition {
                    partition,
                    offset: Offset(asked.fetch_offset),
                    current_leader_epoch: LeaderEpoch(asked.current_leader_epoch),
                    last_fetched_epoch: LeaderEpoch(asked.last_fetched_epoch),
                    bytes_max: at_least_0(asked.partition_max_bytes),
                })
            });
        }
    }
    split.finish()
}

fn results(reply: ShardReply) -> Vec<FetchResult> {
    match reply {
        ShardReply::Fetch(results) => results,
        other => panic!("asked to fetch, got {other:?}"),
    }
}

/// The shards' answers becoming one.
struct Merge {
    answer: Answer,
    /// Every shard may have used the whole limit; what comes later in the request gives way.
    bytes_left: u32,
    read_committed: bool,
    /// Some partition's records are in already: the first go whole, whatever the limit.
    any: bool,
}

impl Merge {
    fn respond(mut self, slots: &Slots, results: Vec<Vec<FetchResult>>) -> Step {
        let answer = self.answer;
        let topics = slots.merge(results, |index, result| match result {
            Err(code) => self.failure(index, code),
            Ok(result) => match result.outcome {
                Ok(fetched) => self.data(index, fetched),
                Err(error) => self.failure(index, partition_error(&error)),
            },
        });
        let responses = topics.map(|(topic, partitions)| {
            let mut response = FetchableTopicResponse { partitions, ..FetchableTopicResponse::default() };
            if answer.version >= IDS_FROM {
                response.topic_id = topic.id;
            } else {
                response.topic = (&*topic.name).into();
            }
            response
        });
        answer.send(&FetchResponse { responses: responses.collect(), ..FetchResponse::default() })
    }

    fn data(&mut self, index: i32, fetched: Fetched) -> PartitionData<'static> {
        let mut data = PartitionData {
            high_watermark: fetched.high_watermark.0,
            last_stable_offset: fetched.last_stable_offset.0,
            log_start_offset: fetched.log_start.0,
            ..self.failure(index, ErrorCode::None)
        };
        if let Some(agreed) = fetched.diverging {
            data.diverging_epoch = EpochEndOffset { epoch: agreed.epoch.0, end_offset: agreed.end.0 };
        }
        if self.take(fetched.records_bytes()) {
            data.records = Records::Gather(fetched.records);
        }
        data
    }

    /// Whether this many more bytes of records go into the answer.
    fn take(&mut self, bytes: usize) -> bool {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        if bytes == 0 || (self.any && bytes > self.bytes_left) {
            return false;
        }
        self.any = true;
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
        true
    }

    /// Empty records, never null: some clients stumble over null.
    fn failure(&self, index: i32, code: ErrorCode) -> PartitionData<'static> {
        PartitionData {
            partition_index: index,
            error_code: code.code(),
            high_watermark: -1,
            aborted_transactions: self.read_committed.then(Vec::new),
            records: Records::EMPTY,
            ..PartitionData::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::api::testing::{Server, read};
    use crate::base::TopicId;
    use crate::protocol::messages::fetch_request::{FetchPartition, FetchTopic};

    use super::*;

    fn request(version: i16, id: TopicId, max_bytes: i32) -> messages::FetchRequest<'static> {
        let asked = |partition| FetchPartition { partition, ..FetchPartition::default() };
        let topic = FetchTopic {
            topic: if version < IDS_FROM { "a".into() } else { "".into() },
            topic_id: if version < IDS_FROM { TopicId::ZERO } else { id },
            partitions: [2, 1, 0, 9].map(asked).into(),
        };
        messages::FetchRequest { max_bytes, topics: vec![topic], ..messages::FetchRequest::default() }
    }

    fn check(max_bytes: i32, isolation_level: i8, want: [(i32, i16, i64, usize); 4]) {
        for version in 4..=18 {
            let mut server = Server::new();
            let id = server.create("a", 3);
            let request = messages::FetchRequest { isolation_level, ..request(version, id, max_bytes) };
            let body = server.call(start, version, &request);
            let answer: FetchResponse<'_> = read(&body, version);
            assert_eq!((answer.error_code, answer.session_id), (0, 0));
            let partitions = &answer.responses[0].partitions;
            let data = |one: &PartitionData<'_>| {
                (one.partition_index, one.error_code, one.high_watermark, one.records.len())
            };
            assert_eq!(partitions.iter().map(data).collect::<Vec<_>>(), want, "version {version}");
            assert!(partitions.iter().all(|one| !one.records.is_null()));
            assert!(
                partitions.iter().all(|one| one.aborted_transactions.is_some() == (isolation_level == 1))
            );
        }
    }

    #[test]
    fn partitions_are_answered_in_order_in_all_versions() {
        for isolation_level in [0, 1] {
            check(100, isolation_level, [(2, 0, 6, 5), (1, 56, -1, 0), (0, 0, 6, 5), (9, 3, -1, 0)]);
        }
    }

    #[test]
    fn limits_hold_over_all_shards_but_for_the_first_records() {
        check(9, 0, [(2, 0, 6, 5), (1, 56, -1, 0), (0, 0, 6, 0), (9, 3, -1, 0)]);
        check(0, 0, [(2, 0, 6, 5), (1, 56, -1, 0), (0, 0, 6, 0), (9, 3, -1, 0)]);
    }

    #[test]
    fn sessions_are_declined() {
        for version in [7, 18] {
            for (session_id, session_epoch, code) in [(0, 0, 0), (0, -1, 0), (5, -1, 0), (5, 1, 70)] {
                let request =
                    messages::FetchRequest { session_id, session_epoch, ..messages::FetchRequest::default() };
                let body = Server::new().call(start, version, &request);
                let answer: FetchResponse<'_> = read(&body, version);
                assert_eq!((answer.error_code, answer.session_id), (code, 0));
            }
        }
    }
}
