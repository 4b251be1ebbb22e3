//! What a broker changes in a batch at append: base offset and leader epoch, both outside the checksum; and, for topics
//! that stamp at append and for headers that name a wrong greatest timestamp, that and the attributes, with the checksum
//! brought along by combination.

use crate::base::checksum::{crc32c, crc32c_combine};
use crate::base::{LeaderEpoch, Offset, TimestampMs};

use super::batch::{BATCH_HEADER_BYTES, CRC_AT, CRC_FROM, TIMESTAMP_TYPE_BIT};

/// Stamps where the batch stands in the log.
pub fn stamp_header(header: &mut [u8; BATCH_HEADER_BYTES], base_offset: Offset, leader_epoch: LeaderEpoch) {
    header[..8].copy_from_slice(&base_offset.0.to_be_bytes());
    header[12..16].copy_from_slice(&leader_epoch.0.to_be_bytes());
}

/// Whose times a batch's records carry, and the greatest of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchTimes {
    /// The producer's times, with the greatest of them.
    Create(TimestampMs),
    /// The broker's time, the same for all records.
    Append(TimestampMs),
}

/// Stamps whose times a batch has, and the greatest of them. With the time of append, readers take every record's time from
/// this field; with the producer's times, lookups by time use it. The checksum is corrected without reading the payload:
/// CRCs are linear, so with H, H' the covered header before and after and P the payload,
/// crc(H'P) = crc(HP) ⊕ shift(crc(H) ⊕ crc(H'), |P|).
pub fn stamp_times(header: &mut [u8; BATCH_HEADER_BYTES], payload_bytes: usize, times: BatchTimes) {
    let before = crc32c(&header[CRC_FROM..]);
    let attributes = i16::from_be_bytes([header[21], header[22]]);
    let (attributes, max) = match times {
        BatchTimes::Create(max) => (attributes & !TIMESTAMP_TYPE_BIT, max),
        BatchTimes::Append(now) => (attributes | TIMESTAMP_TYPE_BIT, now),
    };
    header[21..23].copy_from_slice(&attributes.to_be_bytes());
    header[35..43].copy_from_slice(&max.0.to_be_bytes());
    let after = crc32c(&header[CRC_FROM..]);
    let whole = u32::from_be_bytes([header[17], header[18], header[19], header[20]]);
    let shifted = crc32c_combine(before ^ after, 0, payload_bytes as u64);
    header[CRC_AT..CRC_FROM].copy_from_slice(&(whole ^ shifted).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{BatchBuilder, BatchHeader, Codec, batch_crc};

    #[test]
    fn restamping_keeps_the_checksum_true_in_every_codec() {
        for codec in Codec::ALL {
            for payload in [0, 1, 100, 70_000] {
                let mut builder = BatchBuilder::new(TimestampMs(1000)).codec(codec);
                builder.append(None, Some(&vec![7; payload]));
                let mut bytes = builder.finish().expect("small");
                let payload_bytes = bytes.len() - BATCH_HEADER_BYTES;
                let header = bytes.first_chunk_mut().expect("whole");
                stamp_header(header, Offset(77), LeaderEpoch(3));
                stamp_times(header, payload_bytes, BatchTimes::Append(TimestampMs(123_456)));
                let parsed = BatchHeader::parse(&bytes).expect("valid");
                assert_eq!(batch_crc(&bytes), parsed.crc, "{codec:?} {payload}");
                assert_eq!((parsed.base_offset, parsed.leader_epoch), (Offset(77), LeaderEpoch(3)));
                assert_eq!((parsed.max_timestamp, parsed.is_log_append_time()), (TimestampMs(123_456), true));
                let header = bytes.first_chunk_mut().expect("whole");
                stamp_times(header, payload_bytes, BatchTimes::Create(TimestampMs(-1)));
                let parsed = BatchHeader::parse(&bytes).expect("valid");
                assert_eq!(batch_crc(&bytes), parsed.crc, "{codec:?} {payload}");
                assert_eq!((parsed.max_timestamp, parsed.is_log_append_time()), (TimestampMs(-1), false));
            }
        }
    }
}
