//! Property tests: no bytes of a peer or a disk make a reader panic, and readers read whatever the builder writes.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::base::{Offset, TimestampMs};

use super::{
    BATCH_HEADER_BYTES, BatchBuilder, BatchError, BatchHeader, Codec, Header, ProduceLimits, ReadRules,
    Reading, RecordRules, RecordToWrite, batch_crc, decompress, first_at_or_after, records, validate_header,
    validate_records, with_max_timestamp,
};

const LIMITS: ProduceLimits = ProduceLimits { batch_bytes_max: 1024 * 1024, zstd_allowed: true };

const RULES: RecordRules = RecordRules {
    now: TimestampMs(1_700_000_000_000),
    timestamps: None,
    keys_required: false,
    record_bytes_max: usize::MAX,
};

/// Reads a batch as a broker does, slice by slice.
fn read_in_slices(batch: &[u8], rules: RecordRules) -> Result<TimestampMs, BatchError> {
    let header = BatchHeader::parse(batch)?;
    let rules = ReadRules {
        records: rules,
        inflated_bytes_max: 1 << 20,
        stored_bytes_max: 1 << 20,
        recompress: None,
    };
    let mut reading = Reading::begin(batch.to_vec().into(), header, rules)?;
    loop {
        if let Some(read) = reading.slice(&mut 1)? {
            return Ok(read.found.max_timestamp);
        }
    }
}

type Bytes = Option<Vec<u8>>;

#[derive(Clone, Debug, PartialEq)]
struct Written {
    timestamp: i64,
    key: Bytes,
    value: Bytes,
    headers: Vec<(String, Bytes)>,
}

fn bytes() -> impl Strategy<Value = Bytes> {
    option::of(vec(any::<u8>(), 0..200))
}

fn written() -> impl Strategy<Value = Written> {
    let headers = vec((".{0,12}", bytes()), 0..4);
    (0..2_000_000_000_000i64, bytes(), bytes(), headers)
        .prop_map(|(timestamp, key, value, headers)| Written { timestamp, key, value, headers })
}

fn codec() -> impl Strategy<Value = Codec> {
    (0..Codec::ALL.len()).prop_map(|index| Codec::ALL[index])
}

fn build(codec: Codec, all: &[Written]) -> Vec<u8> {
    let first = all.first().map_or(0, |record| record.timestamp);
    let mut builder = BatchBuilder::new(TimestampMs(first)).codec(codec);
    for record in all {
        let headers: Vec<Header<'_>> =
            record.headers.iter().map(|(key, value)| Header { key, value: value.as_deref() }).collect();
        builder.append_record(&RecordToWrite {
            timestamp: TimestampMs(record.timestamp),
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &headers,
        });
    }
    builder.finish().expect("small and not empty")
}

fn read(batch: &[u8]) -> Vec<(Offset, Written)> {
    let mut found = Vec::new();
    records(batch, |header, record| {
        let headers = record.headers().map(|(key, value)| {
            let key = String::from_utf8(key.to_vec()).expect("written as text");
            (key, value.map(<[u8]>::to_vec))
        });
        let read = Written {
            timestamp: record.timestamp(header).0,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: headers.collect(),
        };
        found.push((record.offset(header), read));
        true
    })
    .expect("what the builder writes is valid");
    found
}

/// Calls every function that reads a batch.
fn poke(bytes: &[u8]) {
    let _ = validate_header(bytes, &LIMITS);
    if let Ok(header) = BatchHeader::parse(bytes) {
        let _ = header.last_offset();
        let at_once = validate_records(bytes, &header, RULES);
        if header.total_bytes() == bytes.len() {
            assert_eq!(read_in_slices(bytes, RULES).ok(), at_once.clone().ok(), "{at_once:?}");
        }
        if at_once.is_ok() {
            assert_eq!(records(bytes, |_, _| true), Ok(()), "what passed can be read");
        }
    }
    let _ = first_at_or_after(bytes, TimestampMs(1_700_000_000_000), Offset(3));
    let _ = with_max_timestamp(bytes);
    let _ = records(bytes, |header, record| {
        let _ = (record.offset(header), record.timestamp(header), record.headers().count());
        true
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_built_is_read(codec in codec(), all in vec(written(), 1..40)) {
        let batch = build(codec, &all);
        let header = validate_header(&batch, &LIMITS).expect("valid");
        prop_assert_eq!(header.crc, batch_crc(&batch));
        prop_assert_eq!(header.codec(), Some(codec));
        prop_assert_eq!(header.max_timestamp.0, all.iter().map(|record| record.timestamp).max().unwrap_or(-1));
        prop_assert_eq!(validate_records(&batch, &header, RULES), Ok(header.max_timestamp));
        prop_assert_eq!(read_in_slices(&batch, RULES), Ok(header.max_timestamp));
        let keyed = all.iter().all(|record| record.key.is_some());
        let rules = RecordRules { keys_required: true, ..RULES };
        prop_assert_eq!(validate_records(&batch, &header, rules).is_ok(), keyed);
        prop_assert_eq!(read_in_slices(&batch, rules).is_ok(), keyed);
        let (offsets, found): (Vec<Offset>, Vec<Written>) = read(&batch).into_iter().unzip();
        prop_assert_eq!(offsets, (0..).map(Offset).take(all.len()).collect::<Vec<_>>());
        prop_assert_eq!(found, all);
    }

    #[test]
    fn lookups_by_time_agree_with_a_scan(codec in codec(), all in vec(written(), 1..20), wanted in 0..2_000_000_000_000i64, from in 0..25i64) {
        let batch = build(codec, &all);
        let read = read(&batch);
        let from = Offset(from);
        let first = read.iter().find(|(offset, record)| record.timestamp >= wanted && *offset >= from);
        let first = first.map(|(offset, record)| (*offset, TimestampMs(record.timestamp)));
        prop_assert_eq!(first_at_or_after(&batch, TimestampMs(wanted), from).expect("valid"), first);
        let largest = read.iter().map(|(_, record)| record.timestamp).max().unwrap_or(-1);
        let at = read.iter().find(|(_, record)| record.timestamp == largest).map(|(offset, _)| *offset);
        let expected = at.map(|offset| (offset, TimestampMs(largest)));
        prop_assert_eq!(with_max_timestamp(&batch).expect("valid"), expected);
    }

    #[test]
    fn random_bytes_never_panic(codec in codec(), noise in vec(any::<u8>(), 0..400)) {
        poke(&noise);
        let _ = decompress(codec, &noise);
        // The bytes behind a header that passes its checks, so that the walk over records is reached.
        let mut batch = build(Codec::None, &[Written { timestamp: 1, key: None, value: None, headers: vec![] }]);
        batch.truncate(BATCH_HEADER_BYTES);
        batch.extend_from_slice(&noise);
        let length = i32::try_from(batch.len() - 12).expect("small");
        batch[8..12].copy_from_slice(&length.to_be_bytes());
        for count in [1i32, 7, i32::MAX] {
            batch[22] = u8::try_from(codec.attribute()).expect("three bits");
            batch[23..27].copy_from_slice(&(count - 1).to_be_bytes());
            batch[57..61].copy_from_slice(&count.to_be_bytes());
            poke(&batch);
        }
    }

    #[test]
    fn damage_never_panics(
        codec in codec(),
        all in vec(written(), 1..10),
        flips in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut batch = build(codec, &all);
        poke(&batch[..cut.index(batch.len())]);
        for (at, bits) in flips {
            let at = at.index(batch.len());
            batch[at] ^= bits;
        }
        poke(&batch);
    }
}
