//! The kinds of load. Each runs until the course is over and says how many answers it got, all of them in time.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::thread;
use std::time::{Duration, Instant};

use ringmain::base::TimestampMs;
use ringmain::base::rng::Rng;
use ringmain::client::{Connection, ConnectionOptions};
use ringmain::protocol::Records;
use ringmain::protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use ringmain::protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use ringmain::protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use ringmain::protocol::messages::{
    FetchRequest, FetchResponse, ListOffsetsRequest, ListOffsetsResponse, MetadataRequest, MetadataResponse,
    ProduceRequest, ProduceResponse,
};
use ringmain::record::{BATCH_HEADER_BYTES, BatchBuilder, BatchHeader};

use crate::process::PATIENCE;
use crate::{Course, PARTITIONS, TOPIC};

/// The newest versions that name topics rather than give their ids.
const PRODUCE_VERSION: i16 = 12;
const FETCH_VERSION: i16 = 12;
const IN_FLIGHT: usize = 16;
/// Between large writes, so that a fast disk is not filled.
const LARGE_EVERY: Duration = Duration::from_millis(20);

pub fn write_pipelined(address: &str, mut rng: Rng, course: &Course) -> u64 {
    let mut connection = connect(address);
    let mut asked = VecDeque::new();
    let mut answers = 0;
    while !course.is_over() {
        while asked.len() < IN_FLIGHT {
            asked.push_back(Instant::now());
            let bytes = 50 + rng.below(2000);
            produce(&mut connection, partition(&mut rng), bytes);
        }
        produced(&mut connection);
        course.answered("a pipelined Produce", asked.pop_front().unwrap(), Duration::ZERO);
        answers += 1;
    }
    answers
}

pub fn write_large(address: &str, mut rng: Rng, course: &Course) -> u64 {
    let mut connection = connect(address);
    let mut answers = 0;
    while !course.is_over() {
        let begun = Instant::now();
        let bytes = 64 * 1024 + rng.below(512 * 1024);
        produce(&mut connection, partition(&mut rng), bytes);
        produced(&mut connection);
        course.answered("a large Produce", begun, Duration::ZERO);
        answers += 1;
        thread::sleep(LARGE_EVERY);
    }
    answers
}

/// Most often the shard sleeps when such a request comes.
pub fn write_now_and_then(address: &str, mut rng: Rng, course: &Course) -> u64 {
    let mut connection = connect(address);
    let mut answers = 0;
    while !course.is_over() {
        thread::sleep(Duration::from_millis(rng.below(60)));
        let begun = Instant::now();
        produce(&mut connection, partition(&mut rng), 100);
        produced(&mut connection);
        course.answered("a lonely Produce", begun, Duration::ZERO);
        answers += 1;
    }
    answers
}

pub fn read_the_tail(address: &str, mut rng: Rng, course: &Course) -> u64 {
    let mut connection = connect(address);
    let mut positions = latest(&mut connection);
    let mut answers = 0;
    while !course.is_over() {
        let wait = Duration::from_millis(rng.below(500));
        let begun = Instant::now();
        fetch(&mut connection, &mut positions, wait);
        course.answered("a Fetch at the tail", begun, wait);
        answers += 1;
    }
    answers
}

/// Over and over: memory first, disk as the log grows.
pub fn read_from_the_start(address: &str, _: Rng, course: &Course) -> u64 {
    let mut connection = connect(address);
    let mut positions = vec![0; usize::try_from(PARTITIONS).unwrap()];
    let mut answers = 0;
    while !course.is_over() {
        let begun = Instant::now();
        let wait = Duration::from_millis(100);
        if !fetch(&mut connection, &mut positions, wait) {
            positions.fill(0);
        }
        course.answered("a Fetch from the start", begun, wait);
        answers += 1;
    }
    answers
}

pub fn ask(address: &str, mut rng: Rng, course: &Course) -> u64 {
    let mut connection = connect(address);
    let mut answers = 0;
    while !course.is_over() {
        thread::sleep(Duration::from_millis(rng.below(20)));
        let begun = Instant::now();
        match rng.below(2) {
            0 => _ = latest(&mut connection),
            _ => metadata(&mut connection),
        }
        course.answered("a question", begun, Duration::ZERO);
        answers += 1;
    }
    answers
}

pub fn connect_anew(address: &str, mut rng: Rng, course: &Course) -> u64 {
    let mut answers = 0;
    while !course.is_over() {
        thread::sleep(Duration::from_millis(rng.below(50)));
        let begun = Instant::now();
        let mut connection = connect(address);
        metadata(&mut connection);
        course.answered("a new connection's Metadata", begun, Duration::ZERO);
        answers += 1;
    }
    answers
}

fn connect(address: &str) -> Connection {
    let options = ConnectionOptions { request_timeout: PATIENCE, ..ConnectionOptions::default() };
    Connection::connect(address, &options).unwrap()
}

fn partition(rng: &mut Rng) -> i32 {
    i32::try_from(rng.below(u64::try_from(PARTITIONS).unwrap())).unwrap()
}

fn produce(connection: &mut Connection, index: i32, bytes: u64) {
    let mut batch = BatchBuilder::new(TimestampMs(1));
    batch.append(None, Some(&vec![7; usize::try_from(bytes).unwrap()]));
    let batch = bytes::Bytes::from(batch.finish().unwrap());
    let partition = PartitionProduceData { index, records: Records::Gather(vec![batch.into()]) };
    let topic = TopicProduceData {
        name: Cow::Borrowed(TOPIC),
        partition_data: vec![partition],
        ..TopicProduceData::default()
    };
    let timeout_ms = i32::try_from(PATIENCE.as_millis()).unwrap();
    let request = ProduceRequest { transactional_id: None, acks: -1, timeout_ms, topic_data: vec![topic] };
    connection.send_version(&request, PRODUCE_VERSION).unwrap();
}

fn produced(connection: &mut Connection) {
    let answer = connection.receive().unwrap();
    let answer: ProduceResponse<'_> = answer.decode().unwrap();
    for it in answer.responses.iter().flat_map(|topic| &topic.partition_responses) {
        assert_eq!(it.error_code, 0, "partition {}: {:?}", it.index, it.error_message);
    }
}

/// Advances the positions; false when nothing came or the log no longer begins where a position is.
fn fetch(connection: &mut Connection, positions: &mut [i64], wait: Duration) -> bool {
    let partition = |(partition, fetch_offset): (i32, &i64)| FetchPartition {
        partition,
        fetch_offset: *fetch_offset,
        partition_max_bytes: 1 << 20,
        ..FetchPartition::default()
    };
    let topic = FetchTopic {
        topic: TOPIC.into(),
        partitions: (0..PARTITIONS).zip(&*positions).map(partition).collect(),
        ..FetchTopic::default()
    };
    let request = FetchRequest {
        max_wait_ms: i32::try_from(wait.as_millis()).unwrap(),
        min_bytes: 1,
        max_bytes: 8 << 20,
        session_epoch: -1,
        topics: vec![topic],
        ..FetchRequest::default()
    };
    connection.send_version(&request, FETCH_VERSION).unwrap();
    let answer = connection.receive().unwrap();
    let answer: FetchResponse<'_> = answer.decode().unwrap();
    assert_eq!(answer.error_code, 0);
    let mut came = false;
    for it in answer.responses.into_iter().flat_map(|topic| topic.partitions) {
        assert_eq!(it.error_code, 0, "partition {}", it.partition_index);
        let position = &mut positions[usize::try_from(it.partition_index).unwrap()];
        let bytes = it.records.to_vec();
        let mut bytes = bytes.as_slice();
        while bytes.len() >= BATCH_HEADER_BYTES {
            let header = BatchHeader::parse(bytes).unwrap();
            let Some((_, rest)) = bytes.split_at_checked(header.total_bytes()) else { break };
            *position = header.last_offset().0 + 1;
            bytes = rest;
            came = true;
        }
    }
    came
}

fn latest(connection: &mut Connection) -> Vec<i64> {
    let partition = |partition_index| ListOffsetsPartition {
        partition_index,
        timestamp: -1,
        ..ListOffsetsPartition::default()
    };
    let topic = ListOffsetsTopic { name: TOPIC.into(), partitions: (0..PARTITIONS).map(partition).collect() };
    let request = ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..ListOffsetsRequest::default() };
    let answer = connection.call(&request).unwrap();
    let answer: ListOffsetsResponse<'_> = answer.decode().unwrap();
    let mut found: Vec<_> = answer
        .topics
        .iter()
        .flat_map(|topic| &topic.partitions)
        .inspect(|it| assert_eq!(it.error_code, 0, "partition {}", it.partition_index))
        .map(|it| (it.partition_index, it.offset))
        .collect();
    found.sort_unstable();
    found.into_iter().map(|(_, offset)| offset).collect()
}

fn metadata(connection: &mut Connection) {
    let request = MetadataRequest { topics: None, ..MetadataRequest::default() };
    let answer = connection.call(&request).unwrap();
    let answer: MetadataResponse<'_> = answer.decode().unwrap();
    assert!(!answer.topics.is_empty());
}
