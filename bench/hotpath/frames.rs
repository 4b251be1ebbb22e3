//! The requests, as clients send them.

use bytes::Bytes;
use ringmain::base::TimestampMs;
use ringmain::protocol::messages::{
    FetchRequest, ProduceRequest, fetch_request as fetch, produce_request as produce,
};
use ringmain::protocol::{ApiKey, Frame, Message, Records, encode_request};
use ringmain::record::BatchBuilder;

use crate::server::{NOW, TOPIC};

const PRODUCE_VERSION: i16 = 11;
const FETCH_VERSION: i16 = 12;
const ACKS_ALL: i16 = -1;
/// Size, correlation id, tags; one topic of one partition: its count, its name with a length, the partition's count and
/// index.
const PRODUCED_CODE_AT: usize = 4 + 4 + 1 + 1 + 1 + TOPIC.len() + 1 + 4;

pub fn batch(records: usize, record_bytes: usize) -> Bytes {
    let value: Vec<u8> = (0..=250).cycle().take(record_bytes).collect();
    let mut builder = BatchBuilder::new(TimestampMs(NOW.wall.0));
    (0..records).for_each(|_| builder.append(None, Some(&value)));
    builder.finish().expect("a batch is smaller than 2 GiB").into()
}

pub fn produce(batch: &Bytes) -> Bytes {
    let data = produce::PartitionProduceData { index: 0, records: Records::Borrowed(batch) };
    let topic =
        produce::TopicProduceData { name: TOPIC.into(), partition_data: vec![data], ..Default::default() };
    let request =
        ProduceRequest { acks: ACKS_ALL, timeout_ms: 30_000, topic_data: vec![topic], ..Default::default() };
    frame(ApiKey::Produce, PRODUCE_VERSION, &request)
}

/// So many bytes from the log's start on, outside of a session.
pub fn fetch(bytes: usize) -> Bytes {
    let bytes = i32::try_from(bytes).expect("an answer is smaller than 2 GiB");
    let partition = fetch::FetchPartition {
        current_leader_epoch: -1,
        last_fetched_epoch: -1,
        log_start_offset: -1,
        partition_max_bytes: bytes,
        ..Default::default()
    };
    let topic = fetch::FetchTopic { topic: TOPIC.into(), partitions: vec![partition], ..Default::default() };
    let request = FetchRequest {
        replica_id: -1,
        max_wait_ms: 500,
        min_bytes: 1,
        max_bytes: bytes,
        session_epoch: -1,
        topics: vec![topic],
        ..Default::default()
    };
    frame(ApiKey::Fetch, FETCH_VERSION, &request)
}

/// Without the size in front, as a connection hands it on.
fn frame<'m>(api: ApiKey, version: i16, request: &impl Message<'m>) -> Bytes {
    let whole = encode_request(api, version, 7, Some("ringmain-hotpath"), request).expect("has this version");
    Bytes::from(whole.to_vec()).slice(4..)
}

/// Looks at one place only: decoding every answer would be counted with what is measured.
pub fn check_produced(answer: &Frame) {
    let code = answer.pieces().first().and_then(|head| head.get(PRODUCED_CODE_AT..PRODUCED_CODE_AT + 2));
    assert_eq!(code, Some(&[0, 0][..]), "a batch is refused: {answer:?}");
}
