//! Produce (0), versions 3-13; ApiVersions shows 0-13 (see the table).
//!
//! Every partition's batch goes to the owning shard as a slice of the frame it came in. Compressed batches are read before
//! that (`reading`), here, on the connection's shard. All acks but 0 are answered when the batches are as durable as their
//! topics demand; `timeoutMs` is ignored, nothing else is waited for. Of a partition that is named more than once the last
//! batch counts.
//!
//! - v7: zstd may be used. v8: errors name records and come with a message.
//! - v13: topics go by id.
//!
//! - v10: partitions that another core leads are refused once, with their leader ([`crate::api::cluster::hints`]).
//!
//! acks=0 has no answer: an error closes the connection, which is all such a client can notice.
//!
//! Not done: transactions. A transactional id is refused as InitProducerId refuses it.

mod reading;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use crate::base::TopicId;
use crate::protocol::messages::produce_request::TopicProduceData;
use crate::protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, PartitionProduceResponse, TopicProduceResponse,
};
use crate::protocol::messages::{ProduceRequest, ProduceResponse};
use crate::protocol::{ApiKey, ErrorCode, Records, RequestHeader};
use crate::record::{BatchError, Inside};
use crate::shard::{self, PartitionError, ProducePartition, ProduceResult, ShardRequest};

use crate::api::answer::{Answer, decode, error_message};
use crate::api::cluster::hints::{OfProduce, Refused};
use crate::api::errors::partition_error;
use crate::api::split::{Calls, Slots, Split, ask_all};
use crate::api::topic_key::TopicKey;
use crate::api::{Api, ApiError, Context, Step, Wait};

use reading::Reading;

/// First version with topic ids.
const IDS_FROM: i16 = 13;
/// First version that may carry zstd.
const ZSTD_FROM: i16 = 7;

pub const API: Api = Api::new(ApiKey::Produce, 3..=13, start).advertised_from(0).answered_briefly();

pub fn start(context: &mut Context<'_>, header: &RequestHeader<'_>, body: &Bytes) -> Result<Step, ApiError> {
    let request: ProduceRequest<'_> = decode(header, body)?;
    let (parts, refused) = split(context, &request, header.api_version, body);
    let rest = Rest {
        answer: Answer::to(header)?,
        silent: request.acks == 0,
        zstd_allowed: header.api_version >= ZSTD_FROM,
        refused,
    };
    Ok(Reading::begin(context, parts, rest))
}

/// What is left to do when all batches are read.
struct Rest {
    answer: Answer,
    silent: bool,
    zstd_allowed: bool,
    /// Partitions that another core leads, and the client is to go there.
    refused: Refused,
}

impl Rest {
    fn ask(self, context: &mut Context<'_>, calls: Calls<ProducePartition>, slots: Slots) -> Step {
        let Rest { answer, silent, zstd_allowed, refused } = self;
        let ask = |partitions| shard::ProduceRequest { partitions, zstd_allowed, answer_at_append: silent };
        ask_all(
            context,
            calls,
            Wait::All,
            |partitions| ShardRequest::produce(ask(partitions)),
            move |_, results| {
                if silent {
                    finish_silent(&slots, results)
                } else {
                    respond(answer, &slots, &refused, results)
                }
            },
        )
    }
}

/// A request's batches by shard, where their answers go, and what must be read.
struct Parts {
    calls: Calls<ProducePartition>,
    slots: Slots,
    unread: Vec<reading::Unread>,
}

fn split(
    context: &mut Context<'_>,
    request: &ProduceRequest<'_>,
    version: i16,
    body: &Bytes,
) -> (Parts, Refused) {
    let refusal = refusal(request);
    let mut elsewhere = OfProduce::new(context, version, request.acks);
    let zstd_allowed = version >= ZSTD_FROM;
    let repeated = repeated(request, version);
    let mut split = Split::new(context.image);
    let mut unread = Vec::new();
    for (at, topic) in request.topic_data.iter().enumerate() {
        let partitions = topic.partition_data.iter().enumerate();
        let partitions = partitions.filter(|(place, _)| !repeated.contains(&(at, *place)));
        if partitions.clone().next().is_none() && !topic.partition_data.is_empty() {
            continue;
        }
        split.topic(key(topic, version), topic.partition_data.len());
        let refusal = refusal.or_else(|| split.is_internal().then_some(ErrorCode::InvalidTopicException));
        let settings = split.settings();
        for (_, data) in partitions {
            let mut rules = None;
            let place = split.partition(data.index, |partition| match (refusal, &data.records) {
                (Some(refusal), _) => Err(refusal),
                (None, Records::Borrowed(records)) if elsewhere.refuses(context, partition, records) => {
                    Err(ErrorCode::NotLeaderOrFollower)
                }
                (None, Records::Borrowed(records)) => {
                    rules = settings
                        .and_then(|settings| reading::rules(context, settings, records, zstd_allowed));
                    let records = body.slice_ref(records);
                    Ok(ProducePartition { partition, records, inside: Inside::Unread })
                }
                (None, _) => Err(ErrorCode::InvalidRecord),
            });
            unread.extend(place.zip(rules).map(|(place, rules)| reading::Unread { place, rules }));
        }
    }
    let (calls, slots) = split.finish();
    (Parts { calls, slots, unread }, elsewhere.refused)
}

fn key<'a>(topic: &'a TopicProduceData<'_>, version: i16) -> TopicKey<'a> {
    if version >= IDS_FROM { TopicKey::Id(topic.topic_id) } else { TopicKey::Name(&topic.name) }
}

/// The places (topic, partition within it) of partitions that the request names again later.
fn repeated(request: &ProduceRequest<'_>, version: i16) -> HashSet<(usize, usize)> {
    let mut repeated = HashSet::new();
    let is_one = |topics: &[TopicProduceData<'_>]| topics.len() == 1 && topics[0].partition_data.len() == 1;
    if is_one(&request.topic_data) {
        return repeated;
    }
    let mut seen = HashSet::new();
    for (at, topic) in request.topic_data.iter().enumerate().rev() {
        let named = if version >= IDS_FROM { (topic.topic_id, "") } else { (TopicId::ZERO, &*topic.name) };
        for (place, data) in topic.partition_data.iter().enumerate().rev() {
            if !seen.insert((named, data.index)) {
                repeated.insert((at, place));
            }
        }
    }
    repeated
}

/// What is wrong with the request as a whole.
fn refusal(request: &ProduceRequest<'_>) -> Option<ErrorCode> {
    if !matches!(request.acks, -1..=1) {
        return Some(ErrorCode::InvalidRequiredAcks);
    }
    request.transactional_id.as_ref().map(|_| ErrorCode::TransactionalIdAuthorizationFailed)
}

fn finish_silent(slots: &Slots, results: Vec<Vec<ProduceResult>>) -> Step {
    let failures = slots.merge(results, |index, result| match result {
        Err(code) => Some(format!("partition {index}: {code:?}")),
        Ok(ProduceResult { outcome: Err(error), .. }) => Some(format!("partition {index}: {error}")),
        Ok(_) => None,
    });
    let mut failures = failures.flat_map(|(topic, partitions)| {
        partitions.into_iter().flatten().map(|failure| format!("topic {:?}, {failure}", topic.name))
    });
    match failures.next() {
        None => Step::Silent,
        Some(first) => Step::Close { reason: format!("Produce with acks=0 failed: {first}") },
    }
}

fn respond(answer: Answer, slots: &Slots, refused: &Refused, results: Vec<Vec<ProduceResult>>) -> Step {
    let by_id = answer.version >= IDS_FROM;
    let topics = slots.merge(results, |index, result| match result {
        Err(code) => failure(index, code),
        Ok(result) => outcome(index, result),
    });
    let responses = topics.map(|(topic, mut partition_responses)| {
        for partition in &mut partition_responses {
            if let Some(leader) = refused.leader(topic.id, partition.index) {
                partition.current_leader =
                    LeaderIdAndEpoch { leader_id: leader.node, leader_epoch: leader.epoch };
            }
        }
        let mut response = TopicProduceResponse { partition_responses, ..TopicProduceResponse::default() };
        if by_id {
            response.topic_id = topic.id;
        } else {
            response.name = (&*topic.name).into();
        }
        response
    });
    answer.send(&ProduceResponse {
        responses: once_each(responses.collect()),
        node_endpoints: refused.produce_endpoints(),
        ..ProduceResponse::default()
    })
}

/// Puts the partitions of a topic that was named more than once together, as Kafka does.
fn once_each(topics: Vec<TopicProduceResponse<'_>>) -> Vec<TopicProduceResponse<'_>> {
    if topics.len() < 2 {
        return topics;
    }
    let mut places: HashMap<(TopicId, String), usize> = HashMap::new();
    let mut once: Vec<TopicProduceResponse<'_>> = Vec::with_capacity(topics.len());
    for topic in topics {
        match places.entry((topic.topic_id, topic.name.to_string())) {
            Entry::Occupied(first) => {
                once[*first.get()].partition_responses.extend(topic.partition_responses)
            }
            Entry::Vacant(vacant) => {
                vacant.insert(once.len());
                once.push(topic);
            }
        }
    }
    once
}

fn outcome(index: i32, result: ProduceResult) -> PartitionProduceResponse<'static> {
    match result.outcome {
        Ok(appended) => PartitionProduceResponse {
            index,
            base_offset: appended.base_offset.0,
            log_append_time_ms: appended.log_append_time.0,
            log_start_offset: appended.log_start.0,
            ..PartitionProduceResponse::default()
        },
        Err(error) => PartitionProduceResponse {
            record_errors: record_errors(&error),
            error_message: error_message(error.to_string()),
            ..failure(index, partition_error(&error))
        },
    }
}

fn failure(index: i32, code: ErrorCode) -> PartitionProduceResponse<'static> {
    PartitionProduceResponse {
        index,
        error_code: code.code(),
        base_offset: -1,
        ..PartitionProduceResponse::default()
    }
}

/// The records that spoiled their batch, each with what is wrong with it.
fn record_errors(error: &PartitionError) -> Vec<BatchIndexAndErrorMessage<'static>> {
    let named = |index: usize, message: String| BatchIndexAndErrorMessage {
        batch_index: i32::try_from(index).unwrap_or(i32::MAX),
        batch_index_error_message: error_message(message),
    };
    match error {
        PartitionError::Batch(BatchError::Refused(records)) => {
            records.iter().map(|record| named(record.index, record.reason.to_string())).collect()
        }
        PartitionError::Batch(BatchError::Record { index, problem }) => {
            vec![named(*index, problem.to_string())]
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use crate::api::testing::{Server, read};
    use crate::base::TopicId;
    use crate::protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
    use crate::protocol::{ApiKey, encode_request};

    use super::*;

    fn request(version: i16, id: TopicId, acks: i16, partitions: &[i32]) -> ProduceRequest<'static> {
        let data = |index| PartitionProduceData { index, records: Records::Borrowed(b"batch") };
        let topic = TopicProduceData {
            name: if version < IDS_FROM { "a".into() } else { "".into() },
            topic_id: if version < IDS_FROM { TopicId::ZERO } else { id },
            partition_data: partitions.iter().copied().map(data).collect(),
        };
        ProduceRequest { acks, topic_data: vec![topic], ..ProduceRequest::default() }
    }

    fn check(acks: i16, transactional_id: Option<&'static str>, want: [(i32, i16, i64); 4]) {
        for version in 3..=13 {
            let mut server = Server::new();
            let id = server.create("a", 3);
            let transactional_id = transactional_id.map(Into::into);
            let request = ProduceRequest { transactional_id, ..request(version, id, acks, &[2, 1, 0, 9]) };
            let body = server.call(start, version, &request);
            let answer: ProduceResponse<'_> = read(&body, version);
            let results = answer.responses[0].partition_responses.iter();
            let results: Vec<_> = results.map(|one| (one.index, one.error_code, one.base_offset)).collect();
            assert_eq!(results, want, "version {version}");
            assert_eq!(answer.responses[0].topic_id, if version < IDS_FROM { TopicId::ZERO } else { id });
        }
    }

    #[test]
    fn partitions_are_answered_in_order_in_all_versions() {
        for acks in [1, -1] {
            check(acks, None, [(2, 0, 5), (1, 56, -1), (0, 0, 5), (9, 3, -1)]);
        }
        check(2, None, [(2, 21, -1), (1, 21, -1), (0, 21, -1), (9, 3, -1)]);
        check(-1, Some("t"), [(2, 53, -1), (1, 53, -1), (0, 53, -1), (9, 3, -1)]);
    }

    #[test]
    fn without_acks_only_errors_are_noticed() {
        for version in [3, 13] {
            for (partitions, silent) in [(&[0, 2], true), (&[0, 1], false), (&[0, 9], false)] {
                let mut server = Server::new();
                let id = server.create("a", 3);
                let request = request(version, id, 0, partitions);
                let frame = encode_request(ApiKey::Produce, version, 1, None, &request).expect("encodes");
                let step = server.dispatch(&Bytes::from(frame.to_vec()).slice(4..));
                assert_eq!(matches!(step, Step::Silent), silent, "{step:?}");
                assert_eq!(matches!(step, Step::Close { .. }), !silent, "{step:?}");
            }
        }
    }

    #[test]
    fn unknown_topic_ids_are_told_apart_from_unknown_names() {
        for (version, code) in [(12, 3), (13, 100)] {
            let body = Server::new().call(start, version, &request(version, TopicId([9; 16]), 1, &[0]));
            let answer: ProduceResponse<'_> = read(&body, version);
            assert_eq!(answer.responses[0].partition_responses[0].error_code, code);
        }
    }
}
