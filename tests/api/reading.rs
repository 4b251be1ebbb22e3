//! What Produce reads inside a batch before a shard is asked to append it.

use ringmain::shard::ProducePartition;

use super::*;

/// What the peer's clock says.
const NOW: i64 = 0;

fn batch(codec: Codec, times: &[i64], value: &[u8]) -> Vec<u8> {
    let mut builder = BatchBuilder::new(TimestampMs(NOW)).codec(codec);
    for time in times {
        builder.append_record(&RecordToWrite {
            timestamp: TimestampMs(NOW + time),
            key: Some(b"key"),
            value: Some(value),
            headers: &[],
        });
    }
    builder.finish().expect("sound")
}

/// A batch with these records, whatever the header says.
fn forged(codec: Codec, count: i32, stored: &[u8]) -> Vec<u8> {
    let mut bytes = batch(codec, &[0], b"v");
    bytes.truncate(61);
    bytes.extend_from_slice(stored);
    let length = i32::try_from(bytes.len() - 12).expect("small");
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes[23..27].copy_from_slice(&(count - 1).to_be_bytes());
    bytes[57..61].copy_from_slice(&count.to_be_bytes());
    let crc = ringmain::record::batch_crc(&bytes);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes
}

fn request(topic: &str, batches: &[(i32, &[u8])]) -> Bytes {
    let partition_data = batches
        .iter()
        .map(|(index, batch)| PartitionProduceData { index: *index, records: Records::Borrowed(batch) });
    let topic = TopicProduceData {
        name: topic.into(),
        partition_data: partition_data.collect(),
        ..TopicProduceData::default()
    };
    let request = ProduceRequest { acks: -1, topic_data: vec![topic], ..ProduceRequest::default() };
    let frame = encode_request(ApiKey::Produce, 9, 77, Some("tester"), &request).expect("v9").to_vec();
    Bytes::from(frame).slice(4..)
}

fn appended(request: &ShardRequest) -> ShardReply {
    let ShardRequest::Produce(produce) = request else { panic!("asked {request:?}") };
    let results = produce.partitions.iter().map(|part| ProduceResult {
        partition: part.partition,
        outcome: Ok(Appended {
            base_offset: Offset(0),
            log_append_time: TimestampMs::NONE,
            log_start: Offset(0),
        }),
    });
    ShardReply::Produce(results.collect())
}

/// What the shards are asked to append, in the order of the partitions.
fn asked(peer: &mut Peer, topic: &str, batches: &[(i32, &[u8])]) -> Vec<ProducePartition> {
    let mut parts = Vec::new();
    let end = peer.send_frame(&request(topic, batches), 5, |_, request| {
        let ShardRequest::Produce(produce) = request else { panic!("{request:?}") };
        parts.extend(produce.partitions.iter().cloned());
        appended(request)
    });
    end.body();
    parts.sort_by_key(|part| part.partition);
    parts
}

fn one(peer: &mut Peer, topic: &str, batch: &[u8]) -> ProducePartition {
    let mut parts = asked(peer, topic, &[(0, batch)]);
    assert_eq!(parts.len(), 1);
    parts.remove(0)
}

fn found(part: &ProducePartition) -> Found {
    match &part.inside {
        Inside::Read(Ok(found)) => *found,
        other => panic!("{other:?}"),
    }
}

const COMPRESSED: [Codec; 4] = [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

#[test]
fn compressed_batches_are_read_and_uncompressed_ones_left_to_their_log() {
    let mut peer = Peer::new(&[("a", 1)]);
    for codec in COMPRESSED {
        let batch = batch(codec, &[-7, 5, -9], &[1; 5000]);
        let part = one(&mut peer, "a", &batch);
        assert_eq!((&*part.records, found(&part).max_timestamp), (&*batch, TimestampMs(5)), "{codec:?}");
        assert!(found(&part).inflated_bytes > 15_000 && !found(&part).recompressed);
    }
    let plain = batch(Codec::None, &[1], b"v");
    assert_eq!(one(&mut peer, "a", &plain).inside, Inside::Unread);
}

#[test]
fn what_is_broken_inside_is_told_to_the_shard() {
    let mut peer = Peer::new(&[("a", 1)]);
    let plain = batch(Codec::None, &[0, 0], b"v");
    let records = &plain[61..];
    for codec in COMPRESSED {
        let good = compress(codec, records).expect("compresses");
        let twice = compress(codec, &good).expect("compresses");
        let longer = compress(codec, &[records, b"x"].concat()).expect("compresses");
        for (what, count, stored) in [
            ("compressed twice", 2, &*twice),
            ("cut short", 2, &good[..good.len() - 3]),
            ("no such codec", 2, records),
            ("a record too few", 3, &good),
            ("a record too many", 1, &good),
            ("bytes left over", 2, &longer),
        ] {
            let part = one(&mut peer, "a", &forged(codec, count, stored));
            let Inside::Read(Err(error)) = &part.inside else {
                panic!("{what} in {codec:?}: {:?}", part.inside)
            };
            assert!(matches!(error, BatchError::Record { .. } | BatchError::Compression(_)), "{error}");
        }
        assert!(matches!(one(&mut peer, "a", &forged(codec, 2, &good)).inside, Inside::Read(Ok(_))));
    }
}

#[test]
fn a_topic_can_have_its_batches_unread() {
    let mut peer = Peer::new(&[]);
    for (topic, level) in [("u", "uncompressed"), ("n", "none")] {
        peer.create(topic, 1, &[("ringmain.validate.records", level)]);
        assert_eq!(one(&mut peer, topic, &forged(Codec::Gzip, 2, b"nonsense")).inside, Inside::Unread);
    }
}

#[test]
fn long_reading_goes_by_slices_and_keeps_every_batch() {
    let mut peer = Peer::new(&[("a", 8)]);
    let large = batch(Codec::Zstd, &[3; 40], &[7; 50_000]);
    let small = batch(Codec::Gzip, &[4], b"v");
    let batches: Vec<(i32, &[u8])> =
        (0..8).map(|index| (index, if index % 2 == 0 { &*large } else { &*small })).collect();
    let parts = asked(&mut peer, "a", &batches);
    assert!(peer.slices >= 4 * 2_000_000 / (256 * 1024), "{} slices", peer.slices);
    let times: Vec<i64> = parts.iter().map(|part| found(part).max_timestamp.0).collect();
    assert_eq!(times, [3, 4, 3, 4, 3, 4, 3, 4]);
}

#[test]
fn bounds_hold_for_records_and_batches() {
    let mut config = Config::default();
    config.inflated_batch_bytes_max = 1 << 20;
    let mut peer = Peer::with(config, &[("a", 1)]);
    peer.create("r", 1, &[("max.decompressed.message.bytes", "100000")]);
    for codec in COMPRESSED {
        let long = batch(codec, &[0], &[0; 300_000]);
        let Inside::Read(Err(error)) = one(&mut peer, "r", &long).inside else { panic!("{codec:?}") };
        let problem = RecordProblem::TooLong { bytes: 300_011, bytes_max: 100_000 };
        assert_eq!(error, BatchError::Record { index: 0, problem }, "{codec:?}");
        let many = batch(codec, &[0; 30], &[0; 10_000]);
        assert!(found(&one(&mut peer, "r", &many)).inflated_bytes > 300_000, "the bound is for each record");
        let bomb = batch(codec, &[0; 200], &[0; 10_000]);
        assert!(matches!(one(&mut peer, "a", &bomb).inside, Inside::Read(Err(BatchError::Compression(_)))));
    }
}

#[test]
fn a_topics_codec_decides_how_batches_are_stored() {
    let mut peer = Peer::new(&[]);
    for (wanted, codec) in [
        ("uncompressed", Codec::None),
        ("gzip", Codec::Gzip),
        ("snappy", Codec::Snappy),
        ("lz4", Codec::Lz4),
        ("zstd", Codec::Zstd),
    ] {
        peer.create(wanted, 1, &[("compression.type", wanted), ("ringmain.validate.records", "none")]);
        for from in Codec::ALL {
            let batch = batch(from, &[1, 9, 2], &[5; 3000]);
            let part = one(&mut peer, wanted, &batch);
            let header = BatchHeader::parse(&part.records).expect("sound");
            assert_eq!(header.codec(), Some(codec), "{from:?} to {wanted}");
            assert_eq!(header.crc, ringmain::record::batch_crc(&part.records));
            let mut values = Vec::new();
            records(&part.records, |header, record| {
                values.push((
                    record.offset(header).0,
                    record.timestamp(header).0,
                    record.value.map(<[u8]>::len),
                ));
                true
            })
            .expect("sound");
            assert_eq!(values, [(0, 1, Some(3000)), (1, 9, Some(3000)), (2, 2, Some(3000))]);
            if from == codec {
                assert_eq!(part.inside, Inside::Unread, "nothing to do");
            } else {
                assert_eq!((found(&part).max_timestamp.0, found(&part).recompressed), (9, true));
            }
        }
    }
}

#[test]
fn the_size_limit_is_for_what_is_stored() {
    let mut peer = Peer::new(&[]);
    peer.create("p", 1, &[("compression.type", "uncompressed"), ("max.message.bytes", "100000")]);
    let small = batch(Codec::Gzip, &[0], &[b'a'; 40_000]);
    assert!(found(&one(&mut peer, "p", &small)).recompressed);
    let large = batch(Codec::Gzip, &[0, 0], &[b'a'; 90_000]);
    let result = one(&mut peer, "p", &large).inside;
    assert!(matches!(result, Inside::Read(Err(BatchError::TooLarge { .. }))), "{result:?}");
}

#[test]
fn of_a_partition_named_twice_the_last_batch_counts() {
    let mut peer = Peer::new(&[("a", 2)]);
    let batches = [1, 2, 3].map(|time| batch(Codec::None, &[time], b"v"));
    let parts = asked(&mut peer, "a", &[(0, &batches[0]), (1, &batches[1]), (0, &batches[2])]);
    assert_eq!(parts.len(), 2);
    assert_eq!((&*parts[0].records, &*parts[1].records), (&*batches[2], &*batches[1]));
    let frame = request("a", &[(0, &batches[0]), (0, &batches[1])]);
    let body = peer.send_frame(&frame, 5, |_, request| appended(request)).body();
    let answer: ProduceResponse<'_> = read(&body, 9);
    assert_eq!(answer.responses[0].partition_responses.len(), 1);
}

#[test]
fn a_topic_named_twice_is_answered_once() {
    let mut peer = Peer::new(&[("a", 2), ("b", 1)]);
    let good = batch(Codec::None, &[1], b"v");
    let of = |name: &'static str, index| TopicProduceData {
        name: name.into(),
        partition_data: vec![PartitionProduceData { index, records: Records::Borrowed(&good) }],
        ..TopicProduceData::default()
    };
    let topic_data = vec![of("a", 0), of("b", 0), of("a", 1)];
    let request = ProduceRequest { acks: -1, topic_data, ..ProduceRequest::default() };
    let body = peer.send(9, &request, |_, request| appended(request)).body();
    let answer: ProduceResponse<'_> = read(&body, 9);
    let told: Vec<(&str, Vec<i32>)> = answer
        .responses
        .iter()
        .map(|topic| (&*topic.name, topic.partition_responses.iter().map(|it| it.index).collect()))
        .collect();
    assert_eq!(told, [("a", vec![0, 1]), ("b", vec![0])]);
}
