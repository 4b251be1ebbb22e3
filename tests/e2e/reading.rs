//! What the broker reads inside batches, and what that means for everybody else.

use ringmain::base::{Offset, TimestampMs};
use ringmain::client::Position;
use ringmain::protocol::ErrorCode;
use ringmain::record::{
    BATCH_HEADER_BYTES, BatchBuilder, BatchHeader, Codec, RecordToWrite, batch_crc, records,
};

use super::server::{Server, topic_name};
use super::wire::{Limits, Wire, batch, builder, headers};

/// Some tens of kilobytes that become 40 MB.
fn long_to_read(codec: Codec) -> Vec<u8> {
    let mut builder = BatchBuilder::new(TimestampMs(1_700_000_000_000)).codec(codec);
    let value = vec![b'a'; 1 << 20];
    for _ in 0..40 {
        builder.append(None, Some(&value));
    }
    builder.finish().expect("a batch")
}

#[test]
fn appends_of_a_connection_keep_their_order_behind_what_takes_long_to_read() {
    let server = Server::start();
    let topic = topic_name("order");
    server.create_topic(&topic, 1, &[]);
    let mut wire = Wire::to(&server, &topic, 0);
    let sent = [
        batch(&["first"]),
        long_to_read(Codec::Gzip),
        batch(&["second"]),
        long_to_read(Codec::Zstd),
        builder(&["third"]).codec(Codec::Lz4).finish().expect("a batch"),
    ];
    for batch in &sent {
        wire.send_produce(wire.partition, batch.clone());
    }
    let mut next = Offset(0);
    for batch in &sent {
        let produced = wire.receive_produced();
        assert_eq!((produced.error, produced.base_offset), (ErrorCode::None, next));
        next = next.plus(i64::from(BatchHeader::parse(batch).expect("sound").records_count));
    }
}

#[test]
fn others_go_on_while_batches_are_read_for_long() {
    const LONG: usize = 40;
    let server = Server::start();
    let topic = topic_name("others");
    server.create_topic(&topic, 1, &[]);
    let mut slow = Wire::to(&server, &topic, 0);
    let mut quick = slow.beside(0);
    for _ in 0..LONG {
        slow.send_produce(slow.partition, long_to_read(Codec::Gzip));
    }
    let compressed = builder(&["compressed"]).codec(Codec::Gzip).finish().expect("a batch");
    let last = [quick.append(batch(&["plain"])), quick.append(compressed)][1];
    let mut slow_last = Offset(0);
    for _ in 0..LONG {
        let produced = slow.receive_produced();
        assert_eq!(produced.error, ErrorCode::None);
        slow_last = produced.base_offset;
    }
    assert!(last < slow_last, "{last} came before {slow_last}");
    assert!(server.metric("ringmain_inflated_bytes_total") > (LONG as u64) * (40 << 20));
}

#[test]
fn who_leaves_while_his_batches_are_read_holds_up_nobody() {
    let mut server = Server::start();
    let topic = topic_name("leaves");
    server.create_topic(&topic, 1, &[]);
    for _ in 0..8 {
        let mut wire = Wire::to(&server, &topic, 0);
        wire.send_produce(wire.partition, long_to_read(Codec::Gzip));
    }
    let mut wire = Wire::to(&server, &topic, 0);
    let long = wire.produce(long_to_read(Codec::Zstd));
    assert_eq!(long.error, ErrorCode::None);
    server.stop();
}

#[test]
fn times_are_those_of_the_records() {
    let server = Server::start();
    const NOW: i64 = 1_700_000_000_000;
    for codec in [Codec::None, Codec::Gzip, Codec::Zstd] {
        let topic = topic_name("times");
        server.create_topic(&topic, 1, &[("retention.ms", "-1")]);
        let mut wire = Wire::to(&server, &topic, 0);
        let mut of = BatchBuilder::new(TimestampMs(NOW)).codec(codec);
        for time in [NOW, NOW - 86_400_000, -5_000] {
            of.append_record(&RecordToWrite { timestamp: TimestampMs(time), ..RecordToWrite::default() });
        }
        let mut lies = of.finish().expect("a batch");
        lies[35..43].copy_from_slice(&(NOW - 86_400_000).to_be_bytes());
        // And a time type that is the broker's to set.
        lies[22] |= 8;
        let crc = batch_crc(&lies);
        lies[17..21].copy_from_slice(&crc.to_be_bytes());
        assert_eq!(wire.append(lies), Offset(0));
        let stored = wire.fetch(Offset(0), Limits::NOW).bytes;
        let [header] = headers(&stored)[..] else { panic!("one batch") };
        assert_eq!((header.max_timestamp, header.is_log_append_time()), (TimestampMs(NOW), false));
        assert_eq!(header.crc, batch_crc(&stored[..header.total_bytes()]));
        let mut times = Vec::new();
        records(&stored, |header, record| {
            times.push(record.timestamp(header).0);
            true
        })
        .expect("sound");
        assert_eq!(times, [NOW, NOW - 86_400_000, -5_000]);
        assert_eq!(wire.append(batch(&["later"])), Offset(3));
        let found = server.find(&topic, Position::Timestamp(TimestampMs(NOW - 3_600_000)));
        assert_eq!(found, Offset(0), "{codec:?}");
    }
}

#[test]
fn a_topics_codec_is_what_readers_get() {
    let server = Server::start();
    for (wanted, codec) in [
        ("uncompressed", Codec::None),
        ("gzip", Codec::Gzip),
        ("snappy", Codec::Snappy),
        ("lz4", Codec::Lz4),
        ("zstd", Codec::Zstd),
    ] {
        let topic = topic_name(wanted);
        server.create_topic(&topic, 1, &[("compression.type", wanted)]);
        let mut wire = Wire::to(&server, &topic, 0);
        for from in Codec::ALL {
            let sent = builder(&["one", "two"]).codec(from).finish().expect("a batch");
            let offset = wire.append(sent);
            let stored = wire.fetch(offset, Limits::NOW).bytes;
            let [header] = headers(&stored)[..] else { panic!("one batch") };
            assert_eq!(header.codec(), Some(codec), "{from:?} in {wanted}");
            assert!(header.total_bytes() > BATCH_HEADER_BYTES);
            let mut values = Vec::new();
            records(&stored, |_, record| {
                values.extend(record.value.map(<[u8]>::to_vec));
                true
            })
            .expect("sound");
            assert_eq!(values, [b"one", b"two"]);
        }
    }
}
