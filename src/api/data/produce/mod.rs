//! Produce (0), versions 3-13; ApiVersions shows 0-13 (see the table).
//!
//! Every partition's batch goes to the owning shard as a slice of the frame it came in. Compressed batches are read before
//! that (`reading`), here, on the connection's shard. All acks but 0 are answered when the batches are as durable as their
//! topics demand; acks=all waits for the replicas in sync, for `timeoutMs` at most. Of a partition that is named more than once
//! the last batch counts.
//!
//! - v7: zstd may be used. v8: errors name records and come with a message.
//! - v13: topics go by id.
//!
//! - v10: partitions that another core leads are refused once, with their leader ([`crate::api::cluster::hints`]).
//!
//! acks=0 has no answer: an error closes the connection, which is all such a client can notice.
//!
//! Not done: transactions. A transactional id is refused as InitProducerId refuses it.

mod finish;
mod reading;

use std::collections::HashSet;

use bytes::Bytes;

use crate::base::TopicId;
use crate::protocol::messages::ProduceRequest;
use crate::protocol::messages::produce_request::TopicProduceData;
use crate::protocol::{ApiKey, ErrorCode, Records, RequestHeader};
use crate::record::Inside;
use crate::shard::{Acks, ProducePartition};

use crate::api::answer::{AnswerForm, decode};
use crate::api::cluster::hints::{OfProduce, Refused};
use crate::api::split::Split;
use crate::api::topic_key::TopicKey;
use crate::api::{Api, ApiError, Context, Step};

use finish::{IDS_FROM, Rest};
use reading::{Parts, ProduceReading};

/// First version that may carry zstd.
const ZSTD_FROM: i16 = 7;

pub const API: Api = Api::new(ApiKey::Produce, 3..=13, start).advertised_from(0).answered_briefly();

pub fn start(context: &mut Context<'_>, header: &RequestHeader<'_>, body: &Bytes) -> Result<Step, ApiError> {
    let request: ProduceRequest<'_> = decode(header, body)?;
    let (parts, refused) = split(context, &request, header.api_version, body);
    let rest = Rest {
        answer: AnswerForm::of(header)?,
        acks: acks(request.acks),
        timeout_ms: u32::try_from(request.timeout_ms).unwrap_or(0),
        zstd_allowed: header.api_version >= ZSTD_FROM,
        refused,
    };
    Ok(ProduceReading::begin(context, parts, rest))
}

/// What was asked; a request with another number is refused before it reaches a shard.
fn acks(asked: i16) -> Acks {
    match asked {
        0 => Acks::None,
        1 => Acks::Leader,
        _ => Acks::All,
    }
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

#[cfg(test)]
mod tests {
    use crate::api::testing::{Server, read};
    use crate::base::TopicId;
    use crate::protocol::messages::ProduceResponse;
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
