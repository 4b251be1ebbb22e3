//! Leaves records out of a batch, as compaction does. The other records keep their offsets, times and bytes.

use crate::base::{Offset, TimestampMs, varint};

use super::batch::{BATCH_HEADER_BYTES, BatchHeader, CRC_AT, CRC_FROM, DELETE_HORIZON_BIT, batch_crc};
use super::codec::{CODEC_MASK, Codec};
use super::compression::compress;
use super::error::BatchError;
use super::reader::{Record, records_of, with_bytes};

/// The result of a rewrite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rewritten {
    /// No record is left out; the batch stays as it is.
    Same,
    /// A batch with the records that stay. It spans the same offsets, and may have no records at all.
    Changed { batch: Vec<u8>, records: i32 },
}

/// Leaves out the records that `keep` does not want. With `horizon`, the batch is marked as having its tombstones until
/// then (KIP-534): the mark takes the place of the base timestamp, and the records' deltas count from it.
pub fn rewrite(
    bytes: &[u8],
    horizon: Option<TimestampMs>,
    mut keep: impl FnMut(Offset, &Record<'_>) -> bool,
) -> Result<Rewritten, BatchError> {
    let header = BatchHeader::parse(bytes)?;
    let stored = records_of(bytes, &header)?;
    let base = horizon.unwrap_or(header.base_timestamp);
    let mut payload = Vec::with_capacity(stored.len());
    let (mut kept, mut newest) = (0, TimestampMs::NONE);
    with_bytes(&stored, header.records_count, |record, bytes| {
        if keep(record.offset(&header), record) {
            kept += 1;
            newest = newest.max(record.timestamp(&header));
            if base == header.base_timestamp {
                payload.extend_from_slice(bytes.whole);
            } else {
                let time = header.base_timestamp.0.saturating_add(record.timestamp_delta);
                let delta = time.saturating_sub(base.0);
                let length = 1 + varint::len_i64(delta) + bytes.after_timestamp.len();
                varint::write_i64(&mut payload, i64::try_from(length).unwrap_or(i64::MAX));
                payload.push(bytes.attributes);
                varint::write_i64(&mut payload, delta);
                payload.extend_from_slice(bytes.after_timestamp);
            }
        }
    })?;
    if kept == header.records_count && base == header.base_timestamp {
        return Ok(Rewritten::Same);
    }
    let codec = header.codec().filter(|_| kept > 0).unwrap_or(Codec::None);
    let payload = compress(codec, &payload)?;
    let total = BATCH_HEADER_BYTES + payload.len();
    let too_large = BatchError::TooLarge { bytes: total, bytes_max: i32::MAX as usize };
    let length = i32::try_from(total - 12).map_err(|_| too_large)?;
    let mut attributes = header.attributes & !CODEC_MASK | codec.attribute();
    if horizon.is_some() {
        attributes |= DELETE_HORIZON_BIT;
    }
    let mut out = Vec::with_capacity(total);
    out.extend_from_slice(bytes.get(..BATCH_HEADER_BYTES).unwrap_or_default());
    out.extend_from_slice(&payload);
    let mut put = |at: usize, field: &[u8]| {
        if let Some(place) = out.get_mut(at..at + field.len()) {
            place.copy_from_slice(field);
        }
    };
    put(8, &length.to_be_bytes());
    put(CRC_FROM, &attributes.to_be_bytes());
    put(27, &base.0.to_be_bytes());
    let newest = if header.is_log_append_time() && kept > 0 { header.max_timestamp } else { newest };
    put(35, &newest.0.to_be_bytes());
    put(57, &kept.to_be_bytes());
    let crc = batch_crc(&out);
    if let Some(place) = out.get_mut(CRC_AT..CRC_FROM) {
        place.copy_from_slice(&crc.to_be_bytes());
    }
    Ok(Rewritten::Changed { batch: out, records: kept })
}

#[cfg(test)]
mod tests {
    use crate::base::{LeaderEpoch, ProducerEpoch, ProducerId};
    use crate::record::{BatchBuilder, Header, RecordToWrite, records};

    use super::*;

    const START: TimestampMs = TimestampMs(1_700_000_000_000);

    fn batch(codec: Codec) -> Vec<u8> {
        let mut builder = BatchBuilder::new(START).codec(codec).placed(Offset(100), LeaderEpoch(4)).producer(
            ProducerId(7),
            ProducerEpoch(1),
            40,
        );
        for number in 0..10i64 {
            let key = number.to_string();
            let value = (number % 3 != 0).then(|| format!("value {number}"));
            builder.append_record(&RecordToWrite {
                timestamp: TimestampMs(START.0 + number * 1000),
                key: Some(key.as_bytes()),
                value: value.as_deref().map(str::as_bytes),
                headers: &[Header { key: "h", value: Some(b"v") }],
            });
        }
        builder.finish().expect("a batch")
    }

    type Seen = Vec<(i64, i64, String, Option<String>, usize)>;

    fn seen(bytes: &[u8]) -> Seen {
        let mut seen = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
        records(bytes, |header, record| {
            seen.push((
                record.offset(header).0,
                record.timestamp(header).0,
                text(record.key.expect("a key")),
                record.value.map(text),
                record.headers().count(),
            ));
            true
        })
        .expect("sound");
        seen
    }

    #[test]
    fn what_stays_is_as_it_was_in_every_codec() {
        for codec in Codec::ALL {
            for horizon in [None, Some(TimestampMs(START.0 + 1_000_000)), Some(TimestampMs(5))] {
                let before = batch(codec);
                let keep = |offset: Offset| offset.0 % 4 != 1;
                let result = rewrite(&before, horizon, |offset, _| keep(offset)).expect("sound");
                let Rewritten::Changed { batch: after, records } = result else { panic!("unchanged") };
                let want: Seen = seen(&before).into_iter().filter(|it| keep(Offset(it.0))).collect();
                assert_eq!(seen(&after), want);
                assert_eq!(usize::try_from(records), Ok(want.len()));
                let (old, new) = (BatchHeader::parse(&before), BatchHeader::parse(&after));
                let (old, new) = (old.expect("sound"), new.expect("sound"));
                assert_eq!(new.crc, batch_crc(&after));
                assert_eq!(new.total_bytes(), after.len());
                assert_eq!((new.base_offset, new.last_offset()), (old.base_offset, old.last_offset()));
                assert_eq!((new.producer_id, new.base_sequence), (old.producer_id, old.base_sequence));
                assert_eq!(new.max_timestamp.0, want.iter().map(|it| it.1).max().expect("some"));
                assert_eq!((new.codec(), new.delete_horizon()), (Some(codec), horizon));
            }
        }
    }

    #[test]
    fn a_batch_may_lose_all_records_or_none() {
        for codec in Codec::ALL {
            let before = batch(codec);
            assert_eq!(rewrite(&before, None, |_, _| true), Ok(Rewritten::Same));
            let Ok(Rewritten::Changed { batch: after, records: 0 }) = rewrite(&before, None, |_, _| false)
            else {
                panic!("something is left");
            };
            assert_eq!(after.len(), BATCH_HEADER_BYTES);
            let header = BatchHeader::parse(&after).expect("sound");
            assert_eq!((header.last_offset(), header.records_count), (Offset(109), 0));
            assert_eq!((header.crc, header.max_timestamp), (batch_crc(&after), TimestampMs::NONE));
            assert_eq!(seen(&after), []);
        }
    }
}
