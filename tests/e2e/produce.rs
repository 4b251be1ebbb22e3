//! What a produce request may rely on.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use ringmain::base::{Offset, PartitionIndex, ProducerEpoch, TimestampMs};
use ringmain::client::{Acks, ProducerOptions, ProducerRecord};
use ringmain::protocol::ErrorCode;
use ringmain::record::{Codec, Header, records};

use super::server::{Server, topic_name, wait_until};
use super::wire::{Limits, Wire, batch, builder, headers};

#[test]
fn records_come_back_as_they_were_sent_in_every_codec() {
    let server = Server::start();
    for codec in Codec::ALL {
        let topic = topic_name(codec.name());
        server.create_topic(&topic, 3, &[]);
        let mut producer =
            server.producer(ProducerOptions { codec, batch_bytes: 2_000, ..Default::default() });
        let mut sent = Vec::new();
        for number in 0..500i64 {
            let key = (number % 7 != 0).then(|| format!("key {}", number % 20));
            let value = (number % 11 != 0).then(|| format!("value {number}").repeat(3));
            let header = Header { key: "number", value: Some(&number.to_be_bytes()) };
            let record = ProducerRecord {
                topic: &topic,
                timestamp: Some(TimestampMs(1_700_000_000_000 + number)),
                key: key.as_deref().map(str::as_bytes),
                value: value.as_deref().map(str::as_bytes),
                headers: &[header, Header { key: "null", value: None }],
                ..Default::default()
            };
            for delivery in producer.send(&record).expect("the producer goes on") {
                delivery.result.expect("the batch is delivered");
            }
            sent.push((number, key, value));
        }
        for delivery in producer.flush().expect("the producer goes on") {
            delivery.result.expect("the batch is delivered");
        }
        let mut read = read_back(&server, &topic);
        // Per partition the records come in the order they were sent.
        for partition in 0..3 {
            assert!(read.iter().filter(|record| record.0 == partition).is_sorted_by_key(|record| record.1));
        }
        read.sort_by_key(|record| record.1);
        let read: Vec<_> = read.into_iter().map(|(_, number, key, value)| (number, key, value)).collect();
        assert_eq!(read, sent, "{codec:?}");
    }
}

/// What the network makes of requests means nothing, whatever the connection sent before.
#[test]
fn requests_arrive_whole_however_they_are_cut() {
    const RECORD_BYTES: [usize; 10] =
        [100, 5_000, 16_000, 16_000, 60_000, 3_000, 200_000, 16_000, 900_000, 10];
    let server = Server::start();
    let topic = topic_name("cut");
    server.create_topic(&topic, 1, &[]);
    let mut wire = Wire::to(&server, &topic, 0);
    let mut stream = TcpStream::connect(server.address()).expect("the server listens");
    stream.set_nodelay(true).expect("a socket can be");
    let number = |index: usize| i32::try_from(index).expect("few");
    let record = |bytes: usize| batch(&[&"x".repeat(bytes)]);
    let requests: Vec<Vec<u8>> = (0..RECORD_BYTES.len())
        .map(|index| wire.produce_bytes(record(RECORD_BYTES[index]), number(index)))
        .collect();
    let all_at_once = vec![requests.concat()];
    let cuts = [1, 3, 4_095, 4_097, 20_000, 70_000];
    let mut in_pieces = Vec::new();
    let mut rest = &all_at_once[0][..];
    for bytes in cuts.into_iter().cycle() {
        let (piece, left) = rest.split_at(bytes.min(rest.len()));
        in_pieces.push(piece.to_vec());
        rest = left;
        if rest.is_empty() {
            break;
        }
    }
    for pieces in [&requests, &in_pieces, &all_at_once, &in_pieces, &requests] {
        for piece in pieces {
            stream.write_all(piece).expect("the server reads");
            // The reader has seen it all, and waits.
            thread::sleep(Duration::from_millis(3));
        }
        for index in 0..requests.len() {
            let mut size = [0; 4];
            stream.read_exact(&mut size).expect("an answer");
            let mut answer = vec![0; usize::try_from(i32::from_be_bytes(size)).expect("a size")];
            stream.read_exact(&mut answer).expect("an answer");
            assert_eq!(answer[..4], number(index).to_be_bytes(), "in order");
        }
    }
    let mut offset = Offset(0);
    for bytes in RECORD_BYTES.into_iter().cycle().take(5 * RECORD_BYTES.len()) {
        let fetched = wire.fetch(offset, Limits { min_bytes: 1, max_bytes: 1, max_wait_ms: 1000 });
        assert_eq!(fetched.bytes.len(), record(bytes).len(), "at {offset}");
        offset = offset.plus(1);
    }
    assert_eq!(wire.fetch(offset, Limits::NOW).high_watermark, offset, "nothing else");
}

type Read = (i32, i64, Option<String>, Option<String>);

fn read_back(server: &Server, topic: &str) -> Vec<Read> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text was sent");
    let mut consumer = server.consumer();
    consumer.assign(topic, None, ringmain::client::Position::Earliest).expect("assigned");
    let mut read = Vec::new();
    while !consumer.is_at_end() {
        for batch in consumer.poll(super::server::PATIENCE).expect("the consumer goes on") {
            batch
                .records(|record| {
                    let number = record.headers[0].1.expect("a header value").try_into().expect("8 bytes");
                    let number = i64::from_be_bytes(number);
                    assert_eq!(record.headers[0].0, b"number");
                    assert_eq!(record.headers[1], (&b"null"[..], None));
                    assert_eq!(record.timestamp.0, 1_700_000_000_000 + number);
                    read.push((record.partition.0, number, record.key.map(text), record.value.map(text)));
                    true
                })
                .expect("the batch is sound");
        }
    }
    read
}

#[test]
fn every_level_of_acks_delivers() {
    let server = Server::start();
    let topic = topic_name("acks");
    server.create_topic(&topic, 1, &[]);
    for (done, acks) in [Acks::None, Acks::Leader, Acks::All].into_iter().enumerate() {
        let mut producer = server.producer(ProducerOptions { acks, ..Default::default() });
        let record = ProducerRecord { topic: &topic, value: Some(b"value"), ..Default::default() };
        producer.send(&record).expect("the producer goes on");
        for delivery in producer.flush().expect("the producer goes on") {
            let offset = delivery.result.expect("delivered");
            let told = if acks == Acks::None { -1 } else { i64::try_from(done).expect("small") };
            assert_eq!(offset, Offset(told));
        }
        let expected = i64::try_from(done + 1).expect("small");
        wait_until("the record is there", || server.log_end(&topic) == Offset(expected));
    }
}

#[test]
fn a_repeated_batch_is_answered_with_its_first_offset_and_a_gap_is_refused() {
    let server = Server::start();
    let topic = topic_name("idempotence");
    server.create_topic(&topic, 1, &[]);
    let mut wire = Wire::to(&server, &topic, 0);
    let (id, epoch) = wire.init_producer_id();
    let of = |epoch: ProducerEpoch, sequence: i32, values: &[&str]| {
        builder(values).producer(id, epoch, sequence).finish().expect("a batch")
    };
    assert_eq!(wire.append(of(epoch, 0, &["a", "b", "c"])), Offset(0));
    assert_eq!(wire.append(of(epoch, 3, &["d", "e"])), Offset(3));
    assert_eq!(wire.append(of(epoch, 3, &["d", "e"])), Offset(3));
    assert_eq!(wire.append(of(epoch, 0, &["a", "b", "c"])), Offset(0));
    assert_eq!(wire.produce(of(epoch, 6, &["g"])).error, ErrorCode::OutOfOrderSequenceNumber);
    assert_eq!(server.log_end(&topic), Offset(5));

    let newer = ProducerEpoch(epoch.0 + 1);
    assert_eq!(wire.append(of(newer, 0, &["f"])), Offset(5));
    assert_eq!(wire.produce(of(epoch, 5, &["g"])).error, ErrorCode::InvalidProducerEpoch);
    assert_eq!(server.log_end(&topic), Offset(6));
}

#[test]
fn a_damaged_batch_is_refused_and_nothing_is_appended() {
    let server = Server::start();
    let topic = topic_name("damage");
    server.create_topic(&topic, 1, &[]);
    let mut wire = Wire::to(&server, &topic, 0);
    assert_eq!(wire.append(batch(&["sound"])), Offset(0));
    let mut damaged = batch(&["damaged"]);
    *damaged.last_mut().expect("a batch has bytes") ^= 1;
    assert_eq!(wire.produce(damaged).error, ErrorCode::CorruptMessage);
    assert_eq!(server.log_end(&topic), Offset(1));
    assert_eq!(wire.append(batch(&["sound again"])), Offset(1));
}

#[test]
fn a_batch_beyond_the_limit_is_refused() {
    let server = Server::start();
    let topic = topic_name("limit");
    server.create_topic(&topic, 1, &[("max.message.bytes", "1000")]);
    let mut wire = Wire::to(&server, &topic, 0);
    assert_eq!(wire.produce(batch(&[&"x".repeat(1000)])).error, ErrorCode::MessageTooLarge);
    assert_eq!(wire.append(batch(&[&"x".repeat(900)])), Offset(0));
}

#[test]
fn requests_of_one_connection_are_answered_in_order_whoever_owns_the_partitions() {
    const PARTITIONS: i32 = 16;
    const ROUNDS: i64 = 40;
    let server = Server::start();
    let topic = topic_name("pipeline");
    server.create_topic(&topic, PARTITIONS, &[]);
    let mut wire = Wire::to(&server, &topic, 0);
    for round in 0..ROUNDS {
        for partition in 0..PARTITIONS {
            wire.send_produce(PartitionIndex(partition), batch(&[&format!("{partition} {round}")]));
        }
    }
    // The connection checks that answers come in the order of requests.
    for round in 0..ROUNDS {
        for partition in 0..PARTITIONS {
            let produced = wire.receive_produced();
            let expected = (ErrorCode::None, Offset(round));
            assert_eq!((produced.error, produced.base_offset), expected, "partition {partition}");
        }
    }
    for partition in 0..PARTITIONS {
        let fetched = Wire::to(&server, &topic, partition).fetch(Offset(0), Limits::NOW);
        assert_eq!(fetched.high_watermark, Offset(ROUNDS));
        assert_eq!(i64::try_from(headers(&fetched.bytes).len()), Ok(ROUNDS));
    }
}

#[test]
fn large_and_small_batches_mix_in_one_partition() {
    let server = Server::start();
    let topic = topic_name("mixed");
    server.create_topic(&topic, 1, &[]);
    let mut wire = Wire::to(&server, &topic, 0);
    let sizes: Vec<usize> =
        (0..12).flat_map(|round| [1_000_000 - round * 7, 10 + round, 70_000, 100]).collect();
    for (number, size) in sizes.iter().enumerate() {
        wire.send_produce(PartitionIndex(0), batch(&[&number.to_string().repeat(*size)[..*size]]));
    }
    for number in 0..sizes.len() {
        let produced = wire.receive_produced();
        let expected = Offset(i64::try_from(number).expect("small"));
        assert_eq!((produced.error, produced.base_offset), (ErrorCode::None, expected));
    }
    let mut read = Vec::new();
    let mut consumer = server.consumer();
    consumer.assign(&topic, None, ringmain::client::Position::Earliest).expect("assigned");
    while !consumer.is_at_end() {
        for batch in consumer.poll(super::server::PATIENCE).expect("the consumer goes on") {
            batch
                .records(|record| {
                    let value = record.value.expect("a value");
                    let number = read.len().to_string();
                    assert!(value.starts_with(&number.as_bytes()[..number.len().min(value.len())]));
                    read.push(value.len());
                    true
                })
                .expect("the batch is sound");
        }
    }
    assert_eq!(read, sizes);
}

#[test]
fn a_topic_may_carry_the_brokers_time() {
    let server = Server::start();
    let topic = topic_name("append-time");
    server.create_topic(&topic, 1, &[("message.timestamp.type", "LogAppendTime")]);
    let mut wire = Wire::to(&server, &topic, 0);
    for codec in Codec::ALL {
        let bytes = builder(&["a", "b"]).codec(codec).finish().expect("a batch");
        let produced = wire.produce(bytes);
        assert_eq!(produced.error, ErrorCode::None);
        assert!(produced.log_append_time > TimestampMs(1_700_000_000_000), "the batch's own time is older");
        let fetched = wire.fetch(produced.base_offset, Limits::NOW);
        let [header] = headers(&fetched.bytes)[..] else { panic!("one batch was appended") };
        assert!(header.is_log_append_time());
        assert_eq!(header.crc, ringmain::record::batch_crc(&fetched.bytes), "{codec:?}");
        let told = produced.log_append_time;
        records(&fetched.bytes, |batch, record| record.timestamp(batch) == told).expect("sound");
        assert_eq!(header.max_timestamp, told);
    }
}
