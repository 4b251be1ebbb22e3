//! rskafka, a Rust client that is not ours, against the real binary.
//!
//! With RINGMAIN_TEST_BOOTSTRAP=HOST:PORT the same tests run against that broker: Apache Kafka must pass them too, which
//! is how the expectations are known to be Kafka's. rskafka knows no consumer groups, so nothing is missing for it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rskafka::chrono::{DateTime, TimeDelta, Utc};
use rskafka::client::error::{Error, ProtocolError};
use rskafka::client::partition::{Compression, OffsetAt, PartitionClient, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder};
use rskafka::record::{Record, RecordAndOffset};

const PARTITIONS: i32 = 8;
/// Ports for brokers under test, below those the kernel hands out by itself.
const PORTS: std::ops::Range<u16> = 29_200..29_400;
/// How long anything may take that a machine under load still does.
const PATIENCE: Duration = Duration::from_secs(60);
const CREATE_TIMEOUT_MS: i32 = 10_000;
const FETCH_WAIT_MS: i32 = 500;

/// The broker under test: a process of its own, or one that runs already.
struct Broker {
    process: Option<(Child, tempfile::TempDir)>,
    address: String,
}

impl Broker {
    fn start() -> Broker {
        if let Ok(address) = std::env::var("RINGMAIN_TEST_BOOTSTRAP") {
            return Broker { process: None, address };
        }
        // Under the build directory: direct I/O is refused in memory.
        let data = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let (address, admin) = (free_address(), free_address());
        let mut child = Command::new(env!("CARGO_BIN_EXE_ringmain"))
            .args(["serve", "--shards", "2", "--listen", &address, "--admin", &admin, "--data-dir"])
            .arg(data.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        let broker = Broker { process: Some((child, data)), address };
        assert!(first.contains(&broker.address), "the first line says how to connect: {first:?}");
        broker
    }

    async fn client(&self) -> Client {
        let build = ClientBuilder::new(vec![self.address.clone()]).client_id("rskafka-test").build();
        tokio::time::timeout(PATIENCE, build).await.expect("connects in time").unwrap()
    }

    /// SIGTERM and an orderly end.
    fn stop(mut self) {
        let Some((child, _)) = &mut self.process else { return };
        let pid = libc::pid_t::try_from(child.id()).unwrap();
        // SAFETY: signals the child, which has not been waited for, so the id is still its own.
        assert_eq!(unsafe { libc::kill(pid, libc::SIGTERM) }, 0);
        let status = wait(child).expect("ends after SIGTERM in time");
        assert!(status.success(), "{status}");
        self.process = None;
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some((child, _)) = &mut self.process {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// An address nobody listens on now; tests of one process never get the same one.
fn free_address() -> String {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let count = PORTS.end - PORTS.start;
    let begin = u16::try_from(std::process::id() % u32::from(count)).unwrap();
    let candidates = (0..count).map(|_| begin + NEXT.fetch_add(1, Ordering::Relaxed));
    let mut ports = candidates.map(|at| PORTS.start + at % count);
    let port = ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a free port");
    format!("127.0.0.1:{port}")
}

fn wait(child: &mut Child) -> Option<ExitStatus> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    None
}

/// A name no earlier run has used: a broker that is not ours keeps its topics.
fn topic_name(purpose: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    format!("rskafka-{purpose}-{}-{}", std::process::id(), now.as_nanos())
}

async fn created(client: &Client, topic: &str) {
    let controller = client.controller_client().unwrap();
    controller.create_topic(topic, PARTITIONS, 1, CREATE_TIMEOUT_MS).await.unwrap();
}

async fn partition(client: &Client, topic: &str, index: i32) -> PartitionClient {
    client.partition_client(topic, index, UnknownTopicHandling::Retry).await.unwrap()
}

/// `number` decides everything about it; every seventh key and every eleventh value is null, every thirteenth empty.
fn record(number: i64) -> Record {
    let value = format!("value {number} ").repeat(usize::try_from(number % 40).unwrap() + 1);
    let value = if number % 13 == 0 { Vec::new() } else { value.into_bytes() };
    Record {
        key: (number % 7 != 0).then(|| format!("key {}", number % 20).into_bytes()),
        value: (number % 11 != 0).then_some(value),
        headers: BTreeMap::from([("number".to_owned(), number.to_be_bytes().to_vec())]),
        timestamp: moment(number),
    }
}

fn moment(number: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_700_000_000_000 + number).unwrap()
}

/// Everything from offset 0 to the high watermark.
async fn read_all(partition: &PartitionClient) -> Vec<RecordAndOffset> {
    let mut read = Vec::new();
    let end = partition.get_offset(OffsetAt::Latest).await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    while i64::try_from(read.len()).unwrap() < end {
        assert!(Instant::now() < deadline, "{} of {end} records", read.len());
        let next = i64::try_from(read.len()).unwrap();
        let (records, _) = partition.fetch_records(next, 1..200_000, FETCH_WAIT_MS).await.unwrap();
        read.extend(records);
    }
    read
}

/// Waits until the topic is listed with these partitions, or no longer listed: Kafka's brokers learn of both a little late.
async fn listed_with(client: &Client, topic: &str, partitions: Option<BTreeSet<i32>>) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let listed = client.list_topics().await.unwrap();
        let found = listed.into_iter().find(|listed| listed.name == topic).map(|found| found.partitions);
        if found == partitions {
            return;
        }
        assert!(Instant::now() < deadline, "listed with {found:?}, not {partitions:?}");
    }
}

fn server_error(error: Error) -> ProtocolError {
    match error {
        Error::ServerError { protocol_error, .. } => protocol_error,
        other => panic!("not an answer of the broker: {other}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_of_every_partition_come_back_as_they_were_sent() {
    const BATCHES: i64 = 20;
    const BATCH: i64 = 50;
    let broker = Broker::start();
    let client = broker.client().await;
    let topic = topic_name("whole");
    created(&client, &topic).await;
    for index in 0..PARTITIONS {
        let partition = partition(&client, &topic, index).await;
        for first in (0..BATCHES).map(|batch| batch * BATCH) {
            let records = (first..first + BATCH).map(|number| record(number + i64::from(index))).collect();
            let offsets = partition.produce(records, Compression::NoCompression).await.unwrap();
            assert_eq!(offsets, (first..first + BATCH).collect::<Vec<_>>());
        }
    }
    // Another client, so that nothing it remembers can help.
    let client = broker.client().await;
    for index in 0..PARTITIONS {
        let read = read_all(&partition(&client, &topic, index).await).await;
        assert_eq!(read.len(), usize::try_from(BATCHES * BATCH).unwrap());
        for (offset, read) in (0..).zip(read) {
            assert_eq!((read.offset, read.record), (offset, record(offset + i64::from(index))));
        }
    }
    broker.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_are_written_at_the_same_time() {
    const RECORDS: i64 = 200;
    let broker = Broker::start();
    let client = broker.client().await;
    let topic = topic_name("parallel");
    created(&client, &topic).await;
    let mut writers = tokio::task::JoinSet::new();
    for index in 0..PARTITIONS {
        let partition = partition(&client, &topic, index).await;
        writers.spawn(async move {
            for number in 0..RECORDS {
                let offsets =
                    partition.produce(vec![record(number)], Compression::NoCompression).await.unwrap();
                assert_eq!(offsets, [number]);
            }
        });
    }
    let all = async { while writers.join_next().await.is_some_and(|written| written.is_ok()) {} };
    tokio::time::timeout(PATIENCE, all).await.expect("nobody hangs");
    for index in 0..PARTITIONS {
        let read = read_all(&partition(&client, &topic, index).await).await;
        let numbers: Vec<_> = read.into_iter().map(|read| read.record).collect();
        assert_eq!(numbers, (0..RECORDS).map(record).collect::<Vec<_>>());
    }
    broker.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offsets_are_found_by_position_and_by_time() {
    const RECORDS: i64 = 100;
    let broker = Broker::start();
    let client = broker.client().await;
    let topic = topic_name("offsets");
    created(&client, &topic).await;
    let partition = partition(&client, &topic, 3).await;
    assert_eq!(partition.get_offset(OffsetAt::Latest).await.unwrap(), 0);
    for number in 0..RECORDS {
        partition.produce(vec![record(number)], Compression::NoCompression).await.unwrap();
    }
    let lookups = [
        (OffsetAt::Earliest, 0),
        (OffsetAt::Latest, RECORDS),
        (OffsetAt::Timestamp(moment(0)), 0),
        (OffsetAt::Timestamp(moment(0) - TimeDelta::hours(1)), 0),
        (OffsetAt::Timestamp(moment(57)), 57),
        // After the last record there is none; Kafka's -1.
        (OffsetAt::Timestamp(moment(RECORDS)), -1),
    ];
    for (at, offset) in lookups {
        assert_eq!(partition.get_offset(at).await.unwrap(), offset, "{at:?}");
    }
    let beyond = partition.fetch_records(RECORDS + 1, 1..1_000, FETCH_WAIT_MS).await.unwrap_err();
    assert_eq!(server_error(beyond), ProtocolError::OffsetOutOfRange);
    broker.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_record_comes_back() {
    const BYTES: usize = 900_000;
    let broker = Broker::start();
    let client = broker.client().await;
    let topic = topic_name("large");
    created(&client, &topic).await;
    let partition = partition(&client, &topic, 0).await;
    let value: Vec<u8> = (0..BYTES).map(|at| u8::try_from(at % 251).unwrap()).collect();
    let large = Record { value: Some(value), ..record(1) };
    partition.produce(vec![large.clone()], Compression::NoCompression).await.unwrap();
    // A limit far below its size: the first batch comes whole all the same.
    let (read, high_watermark) = partition.fetch_records(0, 1..1_000, FETCH_WAIT_MS).await.unwrap();
    assert_eq!(high_watermark, 1);
    assert_eq!(read.len(), 1);
    assert!(read[0].record == large, "the bytes differ");
    broker.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_come_and_go() {
    let broker = Broker::start();
    let client = broker.client().await;
    let controller = client.controller_client().unwrap();
    let topic = topic_name("again");
    for round in 0..3 {
        created(&client, &topic).await;
        let twice = controller.create_topic(topic.as_str(), 1, 1, CREATE_TIMEOUT_MS).await.unwrap_err();
        assert_eq!(server_error(twice), ProtocolError::TopicAlreadyExists);
        listed_with(&client, &topic, Some((0..PARTITIONS).collect())).await;
        // Nothing of the topic that had this name is left.
        let partition = partition(&client, &topic, 5).await;
        let offsets = partition.produce(vec![record(round)], Compression::NoCompression).await.unwrap();
        assert_eq!(offsets, [0]);
        controller.delete_topic(topic.as_str(), CREATE_TIMEOUT_MS).await.unwrap();
        listed_with(&client, &topic, None).await;
    }
    broker.stop();
}
