//! Record batches as Kafka's builder writes them, in five codecs.

use ringmain::base::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, TimestampMs};
use ringmain::protocol::decode_body;
use ringmain::protocol::messages::EndTxnMarker;
use ringmain::record::{self, BATCH_HEADER_BYTES, BatchBuilder, BatchHeader, Codec, Header, RecordToWrite};
use serde_json::Value;

use crate::{from_hex, to_hex, vectors};

#[test]
fn every_batch_in_both_directions() {
    let mut count = 0;
    for line in vectors("batches.jsonl").lines().filter(|line| !line.is_empty()) {
        let row: Value = serde_json::from_str(line).unwrap();
        let bytes = from_hex(row["batch"].as_str().unwrap());
        let name = row["name"].as_str().unwrap();
        let header = BatchHeader::parse(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(header.total_bytes(), bytes.len(), "{name}");
        assert_eq!(record::batch_crc(&bytes), header.crc, "{name}");
        assert_eq!(described(&header), expected(&row), "{name}");
        assert_eq!(Value::from(read_records(&bytes)), row["records"], "{name}");
        if let Some(epoch) = row.get("coordinatorEpoch") {
            check_marker(name, epoch, &bytes);
        }
        check_rebuilt(name, &row, &header, &bytes);
        count += 1;
    }
    println!("{count} batches in both directions");
    assert!(count > 0, "there are vectors");
}

fn described(header: &BatchHeader) -> Value {
    // Sequences wrap from the largest i32 to 0.
    let last_sequence = match i64::from(header.base_sequence) + i64::from(header.last_offset_delta) {
        _ if header.base_sequence < 0 => -1,
        sum => sum % (i64::from(i32::MAX) + 1),
    };
    serde_json::json!({
        "codec": header.codec().unwrap().name(),
        "baseOffset": header.base_offset.0,
        "lastOffset": header.last_offset().0,
        "leaderEpoch": header.leader_epoch.0,
        "maxTimestamp": header.max_timestamp.0,
        "timestampType": if header.is_log_append_time() { "LogAppendTime" } else { "CreateTime" },
        "producerId": header.producer_id.0,
        "producerEpoch": header.producer_epoch.0,
        "baseSequence": header.base_sequence,
        "lastSequence": last_sequence,
        "transactional": header.is_transactional(),
        "control": header.is_control(),
        "crc": header.crc,
    })
}

fn expected(row: &Value) -> Value {
    let mut row = row.as_object().unwrap().clone();
    for other in ["name", "records", "batch", "coordinatorEpoch", "controlType"] {
        row.remove(other);
    }
    Value::Object(row)
}

fn read_records(bytes: &[u8]) -> Vec<Value> {
    let mut records = Vec::new();
    let hex = |bytes: Option<&[u8]>| bytes.map_or(Value::Null, |bytes| Value::from(to_hex(bytes)));
    record::records(bytes, |batch, record| {
        let headers: Vec<Value> = record
            .headers()
            .map(|(key, value)| serde_json::json!([std::str::from_utf8(key).unwrap(), hex(value)]))
            .collect();
        records.push(serde_json::json!({
            "offset": record.offset(batch).0,
            "timestamp": record.timestamp(batch).0,
            "key": hex(record.key),
            "value": hex(record.value),
            "headers": headers,
        }));
        true
    })
    .unwrap();
    records
}

/// A transaction marker: its key is (version, type), its value (version, coordinator epoch).
fn check_marker(name: &str, epoch: &Value, bytes: &[u8]) {
    let kind = i16::from(name.ends_with("COMMIT"));
    record::records(bytes, |_, record| {
        let key = record.key.unwrap();
        assert_eq!(i16::from_be_bytes(key[2..4].try_into().unwrap()), kind, "{name}");
        let marker: EndTxnMarker = decode_body(&record.value.unwrap()[2..], 0).unwrap();
        assert_eq!(Value::from(marker.coordinator_epoch), *epoch, "{name}");
        true
    })
    .unwrap();
}

/// Builds the batch again from its JSON: uncompressed ones must come out byte for byte, compressed ones (compressors
/// differ) must inflate to the same bytes and carry the same header.
fn check_rebuilt(name: &str, row: &Value, header: &BatchHeader, bytes: &[u8]) {
    let codec = Codec::from_name(row["codec"].as_str().unwrap()).unwrap();
    let mut builder = BatchBuilder::new(header.base_timestamp)
        .codec(codec)
        .placed(Offset(header.base_offset.0), LeaderEpoch(header.leader_epoch.0))
        .producer(
            ProducerId(header.producer_id.0),
            ProducerEpoch(header.producer_epoch.0),
            header.base_sequence,
        );
    if header.is_transactional() {
        builder = builder.transactional();
    }
    if header.is_control() {
        builder = builder.control();
    }
    if header.is_log_append_time() {
        builder = builder.log_append_time();
    }
    record::records(bytes, |batch, record| {
        let headers: Vec<(String, Option<Vec<u8>>)> = record
            .headers()
            .map(|(key, value)| (String::from_utf8(key.to_vec()).unwrap(), value.map(<[u8]>::to_vec)))
            .collect();
        let headers: Vec<Header<'_>> =
            headers.iter().map(|(key, value)| Header { key, value: value.as_deref() }).collect();
        let timestamp = TimestampMs(batch.base_timestamp.0 + record.timestamp_delta);
        builder.append_record(&RecordToWrite {
            timestamp,
            key: record.key,
            value: record.value,
            headers: &headers,
        });
        true
    })
    .unwrap();
    let mut rebuilt = builder.finish().unwrap();
    if header.is_log_append_time() {
        let payload = rebuilt.len() - BATCH_HEADER_BYTES;
        let times = record::BatchTimes::Append(header.max_timestamp);
        record::stamp_times(rebuilt.first_chunk_mut().unwrap(), payload, times);
    }
    if codec == Codec::None {
        assert_eq!(to_hex(&rebuilt), to_hex(bytes), "{name}");
    } else {
        assert_eq!(read_records(&rebuilt), read_records(bytes), "{name}");
        assert_eq!(rebuilt[12..17], bytes[12..17], "{name}");
        assert_eq!(rebuilt[21..BATCH_HEADER_BYTES], bytes[21..BATCH_HEADER_BYTES], "{name}");
    }
}
