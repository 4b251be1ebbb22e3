//! What a fetch or a lookup may rely on.

use std::time::{Duration, Instant};

use ringmain::base::{Offset, PartitionIndex, TimestampMs};
use ringmain::client::Position;
use ringmain::protocol::ErrorCode;
use ringmain::record::{BatchBuilder, records};

use super::server::{PATIENCE, Server, topic_name};
use super::wire::{Limits, Wire, batch, headers};

/// Far longer than a test may take: whoever waits it out has not been woken.
const LONG_POLL_MS: i32 = 50_000;

#[test]
fn a_long_poll_ends_when_a_record_comes() {
    let server = Server::start();
    let topic = topic_name("long-poll");
    server.create_topic(&topic, 1, &[]);
    let (mut reader, mut writer) = (Wire::to(&server, &topic, 0), Wire::to(&server, &topic, 0));
    for round in 0..3 {
        let begun = Instant::now();
        reader.send_fetch(Offset(round), Limits { min_bytes: 1, max_wait_ms: LONG_POLL_MS, ..Limits::NOW });
        assert_eq!(writer.append(batch(&["news"])), Offset(round));
        let fetched = reader.receive_fetched();
        assert_eq!((fetched.error, fetched.high_watermark), (ErrorCode::None, Offset(round + 1)));
        assert_eq!(headers(&fetched.bytes).len(), 1);
        assert!(begun.elapsed() < Duration::from_millis(LONG_POLL_MS.unsigned_abs().into()));
    }
}

#[test]
fn a_fetch_waits_for_as_many_bytes_as_it_asks_for() {
    let server = Server::start();
    let topic = topic_name("min-bytes");
    server.create_topic(&topic, 1, &[]);
    let (mut reader, mut writer) = (Wire::to(&server, &topic, 0), Wire::to(&server, &topic, 0));
    writer.append(batch(&["small"]));
    let begun = Instant::now();
    let fetched = reader.fetch(Offset(0), Limits { min_bytes: 10_000, max_wait_ms: 300, ..Limits::NOW });
    assert!(begun.elapsed() >= Duration::from_millis(300), "it waits while there is too little");
    assert_eq!(headers(&fetched.bytes).len(), 1, "and then takes what there is");

    reader.send_fetch(Offset(0), Limits { min_bytes: 10_000, max_wait_ms: LONG_POLL_MS, ..Limits::NOW });
    writer.append(batch(&[&"x".repeat(4_000)]));
    writer.append(batch(&[&"x".repeat(8_000)]));
    let fetched = reader.receive_fetched();
    assert_eq!(headers(&fetched.bytes).len(), 3, "it ends with the batch that makes it enough");
}

#[test]
fn an_answer_keeps_to_its_limit_but_for_one_whole_batch() {
    let server = Server::start();
    let topic = topic_name("max-bytes");
    server.create_topic(&topic, 1, &[]);
    let mut wire = Wire::to(&server, &topic, 0);
    for _ in 0..5 {
        wire.append(batch(&[&"x".repeat(10_000)]));
    }
    let tiny = wire.fetch(Offset(2), Limits { max_bytes: 1, ..Limits::NOW });
    let taken = headers(&tiny.bytes);
    assert_eq!(taken.first().map(|header| header.base_offset), Some(Offset(2)));
    assert_eq!(taken.len(), 1);
    let some = wire.fetch(Offset(0), Limits { max_bytes: 25_000, ..Limits::NOW });
    assert_eq!(headers(&some.bytes).len(), 2);
}

#[test]
fn a_fetch_from_the_middle_of_a_batch_gets_the_whole_batch() {
    let server = Server::start();
    let topic = topic_name("middle");
    server.create_topic(&topic, 1, &[]);
    let mut wire = Wire::to(&server, &topic, 0);
    let sent = batch(&["a", "b", "c", "d"]);
    wire.append(sent.clone());
    wire.append(batch(&["e"]));
    let fetched = wire.fetch(Offset(2), Limits::NOW);
    let taken = headers(&fetched.bytes);
    assert_eq!(taken.iter().map(|header| header.base_offset.0).collect::<Vec<_>>(), [0, 4]);
    // Byte-identical from the checksum on; base offset and leader epoch are the broker's.
    assert_eq!(fetched.bytes[17..sent.len()], sent[17..]);

    let mut consumer = server.consumer();
    consumer.assign(&topic, None, Position::Offset(Offset(2))).expect("assigned");
    let mut read = Vec::new();
    while !consumer.is_at_end() {
        for batch in consumer.poll(PATIENCE).expect("the consumer goes on") {
            batch
                .records(|record| {
                    read.push(record.offset.0);
                    true
                })
                .expect("sound");
        }
    }
    assert_eq!(read, [2, 3, 4]);
}

#[test]
fn a_position_outside_the_log_is_an_error() {
    let server = Server::start();
    let topic = topic_name("range");
    server.create_topic(&topic, 1, &[]);
    let mut wire = Wire::to(&server, &topic, 0);
    wire.append(batch(&["a"]));
    let limits = Limits { min_bytes: 1, max_wait_ms: LONG_POLL_MS, ..Limits::NOW };
    for offset in [2, 100] {
        let fetched = wire.fetch(Offset(offset), limits);
        assert_eq!(fetched.error, ErrorCode::OffsetOutOfRange, "{offset}");
        assert!(fetched.bytes.is_empty());
    }
    assert_eq!(wire.fetch(Offset(1), Limits::NOW).error, ErrorCode::None);
}

#[test]
fn offsets_are_found_by_time() {
    let server = Server::start();
    let topic = topic_name("times");
    server.create_topic(&topic, 1, &[]);
    let mut wire = Wire::to(&server, &topic, 0);
    const BASE: i64 = 1_700_000_000_000;
    for times in [&[10, 30, 20][..], &[50, 40], &[45]] {
        let mut builder = BatchBuilder::new(TimestampMs(BASE));
        for time in times {
            builder.append_record(&ringmain::record::RecordToWrite {
                timestamp: TimestampMs(BASE + time),
                value: Some(b"value"),
                ..Default::default()
            });
        }
        wire.append(builder.finish().expect("a batch"));
    }
    for (time, expected) in [(0, 0), (10, 0), (11, 1), (30, 1), (31, 3), (45, 3), (50, 3), (51, 6)] {
        let found = server.find(&topic, Position::Timestamp(TimestampMs(BASE + time)));
        assert_eq!(found, Offset(expected), "{time}");
    }
    assert_eq!(server.find(&topic, Position::MaxTimestamp), Offset(3));
    assert_eq!(server.find(&topic, Position::Earliest), Offset(0));
    assert_eq!(server.find(&topic, Position::Latest), Offset(6));
    assert_eq!(server.find(&topic, Position::BeforeEnd(2)), Offset(4));
}

#[test]
fn a_log_is_read_across_its_segments() {
    const BATCHES: i64 = 60;
    let server = Server::start();
    let topic = topic_name("segments");
    server.create_topic(&topic, 1, &[("segment.bytes", "1048576")]);
    let mut wire = Wire::to(&server, &topic, 0);
    for number in 0..BATCHES {
        wire.send_produce(PartitionIndex(0), batch(&[&number.to_string(), &"x".repeat(100_000)]));
    }
    for number in 0..BATCHES {
        let produced = wire.receive_produced();
        assert_eq!((produced.error, produced.base_offset), (ErrorCode::None, Offset(number * 2)));
    }
    for offset in 0..BATCHES * 2 {
        let fetched = wire.fetch(Offset(offset), Limits { max_bytes: 1, ..Limits::NOW });
        let mut first = None;
        records(&fetched.bytes, |header, record| {
            first = Some((header.base_offset, record.value.map(<[u8]>::to_vec)));
            false
        })
        .expect("sound");
        let number = offset / 2;
        assert_eq!(first, Some((Offset(number * 2), Some(number.to_string().into_bytes()))));
    }
}
