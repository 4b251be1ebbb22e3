//! What survives the end of the process, whichever end it was.

use std::fs;
use std::path::Path;

use ringmain::base::{Offset, PartitionIndex, ProducerEpoch, ProducerId, TopicId};
use ringmain::client::{Connection, ConnectionOptions, Position};
use ringmain::protocol::ErrorCode;
use ringmain::protocol::messages::join_group_request::JoinGroupRequestProtocol;
use ringmain::protocol::messages::{FindCoordinatorRequest, JoinGroupRequest, JoinGroupResponse};
use ringmain::record::BATCH_HEADER_BYTES;

use super::server::{PATIENCE, Server, topic_name};
use super::wire::{Limits, Wire, batch, builder, headers};

const PARTITIONS: i32 = 5;

/// A topic with records in every partition, one of them by an idempotent producer.
struct Written {
    topic: String,
    id: TopicId,
    producer: (ProducerId, ProducerEpoch),
    /// Per partition the values in order.
    values: Vec<Vec<String>>,
}

impl Written {
    fn create(server: &Server) -> Written {
        let topic = topic_name("kept");
        server.create_topic(&topic, PARTITIONS, &[("retention.ms", "86400000")]);
        let id = server.admin().describe_topic(&topic).expect("it was created").id;
        let producer = Wire::to(server, &topic, 0).init_producer_id();
        let values = (0..PARTITIONS).map(|_| Vec::new()).collect();
        Written { topic, id, producer, values }
    }

    fn sequenced(&self, sequence: i32, value: &str) -> Vec<u8> {
        let (id, epoch) = self.producer;
        builder(&[value]).producer(id, epoch, sequence).finish().expect("a batch")
    }

    /// Appends a few batches of several sizes to every partition; partition 0 by the idempotent producer.
    fn write(&mut self, server: &Server, round: usize) {
        for partition in 0..PARTITIONS {
            let mut wire = Wire::to(server, &self.topic, partition);
            for size in [1, 100, 5_000, 200_000] {
                let index = usize::try_from(partition).expect("not negative");
                let value = format!("round {round} partition {partition} {}", "x".repeat(size));
                let sequence = self.values[index].len();
                let bytes = match partition {
                    0 => self.sequenced(i32::try_from(sequence).expect("small"), &value),
                    _ => batch(&[&value]),
                };
                assert_eq!(wire.append(bytes), Offset(i64::try_from(sequence).expect("small")));
                self.values[index].push(value);
            }
        }
    }

    /// Everything is as it was acknowledged.
    fn check(&self, server: &Server) {
        let mut admin = server.admin();
        let view = admin.ready_topic(&self.topic, PATIENCE).expect("the topic is still there");
        assert_eq!(view.id, self.id);
        assert_eq!(i32::try_from(view.partitions.len()), Ok(PARTITIONS));
        let configs = admin.topic_configs(&self.topic).expect("it has settings");
        let retention = configs.iter().find(|config| config.name == "retention.ms").expect("one of them");
        assert_eq!(retention.value.as_deref(), Some("86400000"));
        assert_eq!(self.read(server), self.values);

        let last = self.values[0].len() - 1;
        let repeated = self.sequenced(i32::try_from(last).expect("small"), &self.values[0][last]);
        let mut wire = Wire::to(server, &self.topic, 0);
        assert_eq!(wire.append(repeated), Offset(i64::try_from(last).expect("small")));
        let gap = self.sequenced(i32::try_from(last).expect("small") + 2, "gap");
        assert_eq!(wire.produce(gap).error, ErrorCode::OutOfOrderSequenceNumber);
    }

    fn read(&self, server: &Server) -> Vec<Vec<String>> {
        let mut read: Vec<Vec<String>> = (0..PARTITIONS).map(|_| Vec::new()).collect();
        let mut consumer = server.consumer();
        consumer.assign(&self.topic, None, Position::Earliest).expect("assigned");
        while !consumer.is_at_end() {
            for batch in consumer.poll(PATIENCE).expect("the consumer goes on") {
                let index = usize::try_from(batch.partition.0).expect("not negative");
                batch
                    .records(|record| {
                        assert_eq!(usize::try_from(record.offset.0), Ok(read[index].len()));
                        let value = record.value.expect("a value").to_vec();
                        read[index].push(String::from_utf8(value).expect("text was sent"));
                        true
                    })
                    .expect("sound");
            }
        }
        read
    }
}

#[test]
fn an_orderly_stop_keeps_everything() {
    let mut server = Server::start();
    let mut written = Written::create(&server);
    for round in 0..3 {
        written.write(&server, round);
        server.stop();
        server.start_again(&["--shards", "2"]);
        written.check(&server);
    }
}

#[test]
fn a_kill_keeps_what_was_acknowledged() {
    let mut server = Server::start();
    let mut written = Written::create(&server);
    for round in 0..5 {
        written.write(&server, round);
        server.kill();
        server.start_again(&["--shards", "2"]);
        written.check(&server);
    }
}

#[test]
fn a_kill_amid_requests_keeps_a_prefix_that_has_all_that_was_acknowledged() {
    let mut server = Server::start();
    let topic = topic_name("prefix");
    server.create_topic(&topic, 1, &[]);
    let mut end_before = Offset(0);
    for round in 0..5usize {
        let mut wire = Wire::to(&server, &topic, 0);
        for number in 0..50 {
            wire.send_produce(
                PartitionIndex(0),
                batch(&[&format!("{round} {number}"), &"x".repeat(number * 100)]),
            );
        }
        let mut acknowledged = end_before;
        for _ in 0..round * 10 {
            acknowledged = wire.receive_produced().base_offset.plus(2);
        }
        server.kill();
        server.start_again(&["--shards", "2"]);
        let end = server.log_end(&topic);
        assert!(end >= acknowledged, "{end} {acknowledged}");
        assert!(
            end <= end_before.plus(100) && end.since(end_before) % 2 == 0,
            "only whole batches, each once"
        );
        check_numbers(&server, &topic, end_before, end);
        end_before = end;
    }
}

/// The batches of one round are a dense run from its first.
fn check_numbers(server: &Server, topic: &str, from: Offset, end: Offset) {
    let mut consumer = server.consumer();
    consumer.assign(topic, None, Position::Offset(from)).expect("assigned");
    let mut next = from;
    while next < end {
        for batch in consumer.poll(PATIENCE).expect("the consumer goes on") {
            batch
                .records(|record| {
                    assert_eq!(record.offset, next);
                    let value = String::from_utf8(record.value.expect("a value").to_vec()).expect("text");
                    if next.since(from) % 2 == 0 {
                        let number = value.split_once(' ').expect("round and number").1.to_owned();
                        assert_eq!(number, (next.since(from) / 2).to_string());
                    }
                    next = next.plus(1);
                    true
                })
                .expect("sound");
        }
    }
}

#[test]
fn another_number_of_shards_finds_everything() {
    let mut server = Server::start_with(&["--shards", "1"]);
    let mut written = Written::create(&server);
    for (round, shards) in ["2", "1", "2"].into_iter().enumerate() {
        written.write(&server, round);
        if round == 1 {
            server.kill()
        } else {
            server.stop()
        }
        server.start_again(&["--shards", shards]);
        written.check(&server);
    }
}

#[test]
fn deleted_records_stay_deleted() {
    let mut server = Server::start();
    let topic = topic_name("trimmed");
    server.create_topic(&topic, 1, &[]);
    let mut wire = Wire::to(&server, &topic, 0);
    for offset in 0..10 {
        assert_eq!(wire.append(batch(&["value"])), Offset(offset));
    }
    assert_eq!(wire.delete_records(11), Err(ErrorCode::OffsetOutOfRange));
    assert_eq!(wire.delete_records(-2), Err(ErrorCode::OffsetOutOfRange));
    assert_eq!(wire.delete_records(4), Ok(Offset(4)));
    assert_eq!(wire.delete_records(2), Ok(Offset(4)), "a start does not move back");
    for how in ["kill", "stop", "kill"] {
        match how {
            "kill" => server.kill(),
            _ => server.stop(),
        }
        server.start_again(&["--shards", "2"]);
        let mut wire = Wire::to(&server, &topic, 0);
        assert_eq!(server.find(&topic, Position::Earliest), Offset(4), "after {how}");
        assert_eq!(wire.fetch(Offset(3), Limits::NOW).error, ErrorCode::OffsetOutOfRange);
        let fetched = wire.fetch(Offset(4), Limits::NOW);
        assert_eq!(headers(&fetched.bytes)[0].base_offset, Offset(4));
        assert_eq!(server.log_end(&topic), Offset(10));
    }
    let mut wire = Wire::to(&server, &topic, 0);
    assert_eq!(wire.delete_records(-1), Ok(Offset(10)));
    assert_eq!(wire.append(batch(&["next"])), Offset(10));
    server.kill();
    server.start_again(&["--shards", "2"]);
    assert_eq!((server.find(&topic, Position::Earliest), server.log_end(&topic)), (Offset(10), Offset(11)));
}

#[test]
fn segments_are_found_again() {
    const BATCHES: i64 = 50;
    let mut server = Server::start();
    let topic = topic_name("rolled");
    server.create_topic(&topic, 1, &[("segment.bytes", "1048576")]);
    let mut end = Offset(0);
    for round in 0..3 {
        let mut wire = Wire::to(&server, &topic, 0);
        for _ in 0..BATCHES {
            wire.send_produce(PartitionIndex(0), batch(&[&end.to_string(), &"x".repeat(60_000)]));
            end = end.plus(2);
        }
        for _ in 0..BATCHES {
            assert_eq!(wire.receive_produced().error, ErrorCode::None);
        }
        if round == 1 {
            server.kill()
        } else {
            server.stop()
        }
        assert!(segments(&server.data_directory()) > 2 * (round + 1), "the log was rolled");
        server.start_again(&["--shards", "2"]);
        assert_eq!(server.log_end(&topic), end);
        let mut consumer = server.consumer();
        consumer.assign(&topic, None, Position::Earliest).expect("assigned");
        let mut next = Offset(0);
        while next < end {
            for batch in consumer.poll(PATIENCE).expect("the consumer goes on") {
                batch
                    .records(|record| {
                        assert_eq!(record.offset, next);
                        let is_first = next.0 % 2 == 0;
                        assert!(!is_first || record.value == Some(next.to_string().as_bytes()));
                        next = next.plus(1);
                        true
                    })
                    .expect("sound");
            }
        }
    }
}

/// Segments of the data directory that hold something.
fn segments(directory: &Path) -> usize {
    let mut found = 0;
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            found += segments(&path);
        } else if path.extension().is_some_and(|extension| extension == "log") {
            found += usize::from(path.metadata().expect("it is there").len() > 0);
        }
    }
    found
}

/// Sessions of vanished members end all the time while the server stops.
#[test]
fn a_stop_is_not_held_up_by_groups_whose_members_are_gone() {
    let settings = ["--shards", "2", "--set", "group.min.session.timeout.ms=1"];
    for _ in 0..3 {
        let mut server = Server::start_with(&settings);
        let options = ConnectionOptions { request_timeout: PATIENCE, ..Default::default() };
        let mut connection = Connection::connect(server.address(), &options).expect("the server answers");
        let names: Vec<String> = (0..400).map(|number| format!("gone-{number}")).collect();
        let find = FindCoordinatorRequest {
            coordinator_keys: names.iter().map(|name| name.as_str().into()).collect(),
            ..Default::default()
        };
        connection.call(&find).expect("the offsets topic is made");
        let mut joined = 0;
        while joined < names.len() {
            joined = 0;
            for (name, session_timeout_ms) in names.iter().zip(1..) {
                let join = JoinGroupRequest {
                    group_id: name.as_str().into(),
                    session_timeout_ms,
                    rebalance_timeout_ms: session_timeout_ms,
                    protocol_type: "consumer".into(),
                    protocols: vec![JoinGroupRequestProtocol { name: "range".into(), ..Default::default() }],
                    ..Default::default()
                };
                connection.send_version(&join, 3).expect("the server reads");
            }
            for _ in &names {
                let answer = connection.receive().expect("the server answers");
                let answer: JoinGroupResponse<'_> = answer.decode().expect("a JoinGroup answer");
                joined += usize::from(answer.error_code == 0);
            }
        }
        server.stop();
    }
}

#[test]
fn more_partitions_come_back_than_are_synced_one_by_one() {
    const MANY: i32 = 600;
    let mut server = Server::start();
    let topic = topic_name("many");
    server.create_topic(&topic, MANY, &[]);
    let value = |partition: i32| format!("of partition {partition}");
    let mut wire = Wire::to(&server, &topic, 0);
    for partition in 0..MANY {
        wire.send_produce(PartitionIndex(partition), batch(&[&value(partition)]));
        assert_eq!(wire.receive_produced().base_offset, Offset(0));
    }
    for _ in 0..2 {
        server.kill();
        server.start_again(&["--shards", "2"]);
    }
    for partition in 0..MANY {
        let mut wire = Wire::to(&server, &topic, partition);
        let bytes = wire.fetch(Offset(0), Limits::NOW).bytes;
        assert!(bytes.ends_with(&batch(&[&value(partition)])[BATCH_HEADER_BYTES..]), "partition {partition}");
        assert_eq!(wire.append(batch(&["more"])), Offset(1));
    }
    server.stop();
}
