//! What no honest client sends, and what no careful operator does: the server says so in one line, harms nothing else
//! and does not grow.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod process;

use std::fs::{self, OpenOptions, Permissions};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ringmain::base::TimestampMs;
use ringmain::base::rng::Rng;
use ringmain::client::{Admin, Cluster, Connection, ConnectionOptions, NewTopic};
use ringmain::protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use ringmain::protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use ringmain::protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, FetchRequest, FetchResponse, MetadataRequest, ProduceRequest,
    ProduceResponse,
};
use ringmain::protocol::{ApiKey, ErrorCode, Records, decode_body, encode_request};
use ringmain::record::{BatchBuilder, BatchHeader};

use process::{Launch, PATIENCE, Server, eventually, free_port, scratch};

const TOPIC: &str = "t";
/// What a server may grow by while it is abused; a buffer per hostile length would be far beyond.
const GROWTH_BYTES_MAX: u64 = 64 << 20;

fn connect(server: &Server) -> Connection {
    let options = ConnectionOptions { request_timeout: PATIENCE, ..ConnectionOptions::default() };
    Connection::connect(&server.address(), &options).unwrap()
}

fn create_topic(server: &Server) {
    let cluster = Cluster::connect(&server.address(), ConnectionOptions::default()).unwrap();
    let topic = NewTopic {
        name: TOPIC.to_owned(),
        partitions: Some(2),
        replication_factor: Some(1),
        ..NewTopic::default()
    };
    Admin::new(cluster, PATIENCE).create_topic(&topic).unwrap();
}

fn raw(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends bytes and reads until the server closes the connection; it must.
fn until_closed(server: &Server, bytes: &[u8]) -> Vec<u8> {
    let mut stream = raw(server);
    let mut answer = Vec::new();
    // The server may close before all is written: that is an answer too.
    let _ = stream.write_all(bytes);
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        Err(error) => panic!("the connection stays open after {:?}: {error}", &bytes[..bytes.len().min(16)]),
    }
    answer
}

fn frame(body: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
    frame.extend_from_slice(body);
    frame
}

fn batch(text: &[u8]) -> Vec<u8> {
    let mut batch = BatchBuilder::new(TimestampMs(1));
    batch.append(None, Some(text));
    batch.finish().unwrap()
}

fn produce_request(index: i32, records: &[u8]) -> ProduceRequest<'_> {
    let partition = PartitionProduceData { index, records: Records::Borrowed(records) };
    let topic = TopicProduceData {
        name: TOPIC.into(),
        partition_data: vec![partition],
        ..TopicProduceData::default()
    };
    ProduceRequest { acks: -1, timeout_ms: 30_000, topic_data: vec![topic], ..ProduceRequest::default() }
}

/// The error code and base offset a produce is answered with.
fn produce(connection: &mut Connection, index: i32, records: &[u8]) -> (i16, i64) {
    connection.send_version(&produce_request(index, records), 12).unwrap();
    let answer = connection.receive().unwrap();
    let answer: ProduceResponse<'_> = answer.decode().unwrap();
    let partition = &answer.responses[0].partition_responses[0];
    (partition.error_code, partition.base_offset)
}

/// The error code, high watermark and record bytes a fetch is answered with.
fn fetch(connection: &mut Connection, partition: i32, fetch_offset: i64) -> (i16, i64, Vec<u8>) {
    let partition =
        FetchPartition { partition, fetch_offset, partition_max_bytes: 1 << 20, ..FetchPartition::default() };
    let topic = FetchTopic { topic: TOPIC.into(), partitions: vec![partition], ..FetchTopic::default() };
    let request = FetchRequest {
        max_wait_ms: 0,
        max_bytes: 1 << 20,
        session_epoch: -1,
        topics: vec![topic],
        ..FetchRequest::default()
    };
    connection.send_version(&request, 12).unwrap();
    let answer = connection.receive().unwrap();
    let answer: FetchResponse<'_> = answer.decode().unwrap();
    let partition = &answer.responses[0].partitions[0];
    (partition.error_code, partition.high_watermark, partition.records.to_vec())
}

#[test]
fn what_is_not_kafka_is_told_why_in_one_line() {
    let scratch = scratch();
    let server = Launch::new(&scratch.path().join("data")).start();
    let check = |bytes: &[u8], said: &str| {
        let before = server.lines().matches(said).count();
        assert_eq!(until_closed(&server, bytes), b"");
        // Lines are rate limited: ask again until one is written.
        eventually(said, || {
            let after = server.lines().matches(said).count();
            if after == before {
                until_closed(&server, bytes);
            }
            (after > before).then_some(())
        });
    };
    check(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "looks like an HTTP request");
    check(b"POST /x HTTP/1.1\r\n\r\n", "looks like an HTTP request");
    check(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3], "looks like TLS");
    check(&[0xFF; 64], "a frame of -1 bytes");
    check(&[0x80, 0, 0, 0, 1], "a frame of -2147483648 bytes");
    check(&[0, 0, 0, 0], "a frame of 0 bytes");
    check(&[0x7F, 0xFF, 0xFF, 0xFF, 1], "beyond socket.request.max.bytes");
    check(&frame(&[0x7F, 0, 0, 0, 0, 0, 0, 1, 0, 1, b'x']), "is not served");
    let lines = server.lines();
    assert!(!lines.contains("panic"), "{lines}");
    assert!(connect(&server).served(ApiKey::Produce).is_some());
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn unknown_versions_are_answered_as_kafka_does() {
    let scratch = scratch();
    let server = Launch::new(&scratch.path().join("data")).start();
    // ApiVersions alone answers a version from the future: in version 0, with its range.
    let mut stream = raw(&server);
    stream.write_all(&frame(&[0, 18, 0, 99, 0, 0, 0, 7, 0, 1, b'x', 0, 1, 1, 0])).unwrap();
    let mut size = [0; 4];
    stream.read_exact(&mut size).unwrap();
    let mut answer = vec![0; usize::try_from(u32::from_be_bytes(size)).unwrap()];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer[..4], 7_i32.to_be_bytes());
    let versions: ApiVersionsResponse<'_> = decode_body(&answer[4..], 0).unwrap();
    assert_eq!(versions.error_code, ErrorCode::UnsupportedVersion.code());
    assert!(versions.api_keys.iter().any(|api| api.api_key == ApiKey::ApiVersions.code()));
    // The same connection goes on with one it has.
    let request = ApiVersionsRequest::default();
    stream.write_all(&encode_request(ApiKey::ApiVersions, 0, 8, None, &request).unwrap().to_vec()).unwrap();
    stream.read_exact(&mut size).unwrap();
    drop(stream);
    for (api, version) in [
        (ApiKey::Metadata, 99),
        (ApiKey::Produce, 2),
        (ApiKey::Fetch, -1),
        (ApiKey::StreamsGroupHeartbeat, 0),
    ] {
        let mut body = api.code().to_be_bytes().to_vec();
        body.extend_from_slice(&i16::to_be_bytes(version));
        body.extend_from_slice(&[0, 0, 0, 9, 0, 1, b'x', 0, 0, 0, 0]);
        assert_eq!(until_closed(&server, &frame(&body)), b"", "{api:?} {version}");
    }
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn garbage_and_half_frames_neither_stop_nor_grow_the_server() {
    let scratch = scratch();
    let server = Launch::new(&scratch.path().join("data")).start();
    create_topic(&server);
    let mut honest = connect(&server);
    assert_eq!(produce(&mut honest, 0, &batch(b"before")), (0, 0));
    let before = server.resident_bytes();
    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let mut rng = Rng::seeded(seed);
    for round in 0..300 {
        let api = i16::try_from(rng.below(20)).unwrap();
        let version = i16::try_from(rng.below(14)).unwrap();
        let mut body = [api.to_be_bytes(), version.to_be_bytes()].concat();
        body.extend_from_slice(&[0, 0, 0, 5, 0xFF, 0xFF]);
        let length = usize::try_from(rng.below(2000)).unwrap();
        // Every other time the lengths in it are as large as they can be.
        let noise = |rng: &mut Rng| if round % 2 == 0 { 0x7F } else { rng.next_u64().to_be_bytes()[0] };
        body.extend((0..length).map(|_| noise(&mut rng)));
        let mut stream = raw(&server);
        let _ = stream.write_all(&frame(&body));
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
    }
    // Half a frame each, of the largest size: memory follows the bytes, not the claim.
    let halves: Vec<TcpStream> = (0..50)
        .map(|_| {
            let mut stream = raw(&server);
            stream.write_all(&(90_u32 << 20).to_be_bytes()).unwrap();
            stream.write_all(&[0, 0, 0, 9, 0, 0]).unwrap();
            stream
        })
        .collect();
    let idle: Vec<TcpStream> = (0..1000).map(|_| raw(&server)).collect();
    assert_eq!(produce(&mut honest, 0, &batch(b"after")), (0, 1));
    let grown = server.resident_bytes().saturating_sub(before);
    println!("grown by {} KiB with {} connections", grown >> 10, halves.len() + idle.len());
    // Room for a small request per connection and for what debug builds need besides.
    assert!(grown < GROWTH_BYTES_MAX + 1050 * (64 << 10), "grown by {grown} bytes");
    let mut last = idle.into_iter().next_back().unwrap();
    let request = MetadataRequest { topics: None, ..MetadataRequest::default() };
    last.write_all(&encode_request(ApiKey::Metadata, 1, 1, None, &request).unwrap().to_vec()).unwrap();
    last.read_exact(&mut [0; 4]).unwrap();
    drop(halves);
    assert_eq!(fetch(&mut honest, 0, 1).0, 0);
    assert!(!server.lines().contains("panic"), "{}", server.lines());
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_damaged_batch_is_refused_and_nothing_of_it_is_kept() {
    let scratch = scratch();
    let server = Launch::new(&scratch.path().join("data")).start();
    create_topic(&server);
    let mut connection = connect(&server);
    let good = batch(b"good");
    let check = |connection: &mut Connection, records: &[u8], expected: &[ErrorCode]| {
        let (code, offset) = produce(connection, 0, records);
        assert!(expected.iter().any(|error| error.code() == code), "{code} for {expected:?}");
        assert_eq!(offset, -1);
    };
    let corrupt = [ErrorCode::CorruptMessage];
    let invalid = [ErrorCode::CorruptMessage, ErrorCode::InvalidRecord, ErrorCode::InvalidRequest];
    for at in [17, 22, 40, good.len() - 1] {
        let mut damaged = good.clone();
        damaged[at] ^= 1;
        check(&mut connection, &damaged, &corrupt);
    }
    check(&mut connection, &good[..good.len() - 1], &invalid);
    check(&mut connection, &good[..20], &invalid);
    check(&mut connection, &[good.clone(), good.clone()].concat(), &invalid);
    check(&mut connection, &[0; 100], &[invalid[0], invalid[1], ErrorCode::UnsupportedForMessageFormat]);
    assert_eq!(produce(&mut connection, 9, &good).0, ErrorCode::UnknownTopicOrPartition.code());
    let (code, high_watermark, records) = fetch(&mut connection, 0, 0);
    assert_eq!((code, high_watermark, records), (0, 0, Vec::new()));
    assert_eq!(produce(&mut connection, 0, &good), (0, 0));
    assert_eq!(fetch(&mut connection, 0, 0).1, 1);
    assert_eq!(fetch(&mut connection, 0, 2).0, ErrorCode::OffsetOutOfRange.code());
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn bytes_that_rot_on_disk_are_never_served() {
    let scratch = scratch();
    let data = scratch.path().join("data");
    let launch = Launch::new(&data);
    let server = launch.start();
    create_topic(&server);
    let mut connection = connect(&server);
    let value = vec![b'v'; 100 << 10];
    for offset in 0..4 {
        assert_eq!(produce(&mut connection, 0, &batch(&value)), (0, offset));
        assert_eq!(produce(&mut connection, 1, &batch(&value)), (0, offset));
    }
    assert_eq!(server.stop(), Some(0));
    let segments = segments(&data);
    let written = 4 * u64::try_from(batch(&value).len()).unwrap();
    let is_damaged = |path: &&PathBuf| {
        path.parent().unwrap().ends_with("0") && fs::metadata(path).unwrap().len() >= written
    };
    let damaged = segments.iter().find(is_damaged).expect("a segment with all of partition 0");
    flip(damaged, u64::try_from(value.len() / 2 + 2 * batch(&value).len()).unwrap());
    let server = launch.start();
    let mut connection = connect(&server);
    let mut intact = 0;
    let code = loop {
        let (code, _, records) = fetch(&mut connection, 0, intact);
        if code != 0 || records.is_empty() {
            break code;
        }
        let header = BatchHeader::parse(&records).unwrap();
        let whole = records.get(..header.total_bytes());
        if let Some(whole) = whole {
            assert_eq!(ringmain::record::batch_crc(whole), header.crc, "rotten bytes were served");
        }
        intact = header.last_offset().0 + 1;
    };
    println!("{intact} batches before the damage, then {code}");
    assert_eq!(intact, 2);
    assert_ne!(code, 0);
    assert_eq!(fetch(&mut connection, 1, 3).0, 0, "the neighbour partition is whole");
    assert_eq!(server.stop(), Some(0));
}

fn segments(data: &Path) -> Vec<PathBuf> {
    let entries = |folder: &Path| -> Vec<PathBuf> {
        fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.exists())
            .collect()
    };
    let partitions = entries(&data.join("topics")).into_iter().flat_map(|topic| entries(&topic));
    let files = partitions.filter(|path| path.is_dir()).flat_map(|partition| entries(&partition));
    files.filter(|path| path.extension().is_some_and(|extension| extension == "log")).collect()
}

fn flip(path: &Path, at: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
    file.sync_all().unwrap();
}

#[test]
fn mistakes_of_operation_end_with_their_own_exit_code_and_a_hint() {
    let scratch = scratch();
    let data = scratch.path().join("data");
    let launch = Launch::new(&data);
    let server = launch.start();
    let check = |launch: &Launch, port: u16, admin: u16, code: i32, said: &str| {
        let (exit, lines) = launch.refused(port, admin);
        assert_eq!(exit, Some(code), "{lines}");
        assert!(lines.lines().last().unwrap_or_default().contains(said), "{said}: {lines}");
    };
    check(&launch, free_port(), free_port(), 75, "in use by another server");
    let other = Launch::new(&scratch.path().join("other"));
    check(&other, server.port, free_port(), 69, "--listen");
    check(&other, free_port(), server.admin, 69, "--admin");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    check(&other, taken.local_addr().unwrap().port(), free_port(), 69, "--listen");
    assert_eq!(server.stop(), Some(0));
    check(&launch.clone().set("node.id=7"), free_port(), free_port(), 65, "node.id=");
    check(&launch.clone().set("no.such.setting=1"), free_port(), free_port(), 78, "no.such.setting");
    fs::write(scratch.path().join("file"), b"").unwrap();
    check(&Launch::new(&scratch.path().join("file")), free_port(), free_port(), 73, "--data-dir");
    // Permissions do not stop root; elsewhere this is a directory nobody may write.
    let sealed = scratch.path().join("sealed");
    fs::create_dir(&sealed).unwrap();
    fs::set_permissions(&sealed, Permissions::from_mode(0o555)).unwrap();
    if fs::write(sealed.join("probe"), b"").is_err() {
        check(&Launch::new(&sealed.join("data")), free_port(), free_port(), 73, "--data-dir");
    }
    fs::set_permissions(&sealed, Permissions::from_mode(0o755)).unwrap();
    fs::write(data.join("meta/identity.toml"), b"version = ").unwrap();
    check(&launch, free_port(), free_port(), 66, "damaged");
}
