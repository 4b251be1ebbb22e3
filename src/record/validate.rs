//! Checks on the header of a producer's batch before it is appended. The module `walk` checks the records.

use crate::base::TimestampMs;

use super::batch::BatchHeader;
use super::codec::{CODEC_MASK, Codec};
use super::error::BatchError;
use super::walk::TimestampRange;

/// Limits that the topic and the request set.
#[derive(Clone, Copy, Debug)]
pub struct ProduceLimits {
    pub batch_bytes_max: usize,
    /// The request is Produce v7 or later.
    pub zstd_allowed: bool,
}

/// Checks everything that the header tells. The checksum is verified by whoever copies the bytes.
pub fn validate_header(bytes: &[u8], limits: &ProduceLimits) -> Result<BatchHeader, BatchError> {
    let header = BatchHeader::parse(bytes)?;
    if header.total_bytes() != bytes.len() {
        return Err(BatchError::NotOne { bytes: bytes.len(), batch: header.total_bytes() });
    }
    if bytes.len() > limits.batch_bytes_max {
        return Err(BatchError::TooLarge { bytes: bytes.len(), bytes_max: limits.batch_bytes_max });
    }
    if header.records_count < 1 || header.records_count - 1 != header.last_offset_delta {
        return Err(BatchError::Count { records: header.records_count, delta: header.last_offset_delta });
    }
    match header.codec() {
        None => return Err(BatchError::Codec { codec: header.attributes & CODEC_MASK }),
        Some(Codec::Zstd) if !limits.zstd_allowed => {
            return Err(BatchError::Codec { codec: Codec::Zstd.attribute() });
        }
        Some(_) => {}
    }
    if header.is_control() {
        return Err(BatchError::Control);
    }
    if header.is_transactional() {
        return Err(BatchError::Transactional);
    }
    check_producer(&header)?;
    Ok(header)
}

/// Checks the times that the header names, where nobody reads the records' own.
pub fn validate_header_times(
    header: &BatchHeader,
    range: TimestampRange,
    now: TimestampMs,
) -> Result<(), BatchError> {
    let refused =
        [header.max_timestamp, header.base_timestamp].into_iter().find(|time| !range.allows(*time, now));
    refused.map_or(Ok(()), |time| Err(BatchError::Timestamp { timestamp: time.0, now: now.0 }))
}

fn check_producer(header: &BatchHeader) -> Result<(), BatchError> {
    let id = header.producer_id.0;
    let sane = id == -1 || id >= 0 && header.producer_epoch.0 >= 0 && header.base_sequence >= 0;
    if sane {
        return Ok(());
    }
    Err(BatchError::Producer { producer: id, epoch: header.producer_epoch.0, sequence: header.base_sequence })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::BatchBuilder;

    const LIMITS: ProduceLimits = ProduceLimits { batch_bytes_max: 1000, zstd_allowed: false };

    fn batch(timestamp: i64) -> Vec<u8> {
        let mut builder = BatchBuilder::new(TimestampMs(timestamp));
        builder.append(Some(b"key"), Some(b"value"));
        builder.append(None, Some(b"value"));
        builder.finish().expect("small")
    }

    fn check(change: impl FnOnce(&mut Vec<u8>), expected: impl FnOnce(&BatchError) -> bool) {
        let mut bytes = batch(9_000);
        change(&mut bytes);
        let range = TimestampRange { before_ms_max: 5_000, after_ms_max: 1_000 };
        let error = validate_header(&bytes, &LIMITS)
            .and_then(|header| validate_header_times(&header, range, TimestampMs(10_000)))
            .expect_err("must be refused");
        assert!(expected(&error), "{error}");
    }

    #[test]
    fn each_defect_has_its_name() {
        check(|b| b.truncate(20), |e| matches!(e, BatchError::Short { .. }));
        check(|b| b.push(0), |e| matches!(e, BatchError::NotOne { .. }));
        check(|b| b[16] = 1, |e| matches!(e, BatchError::Magic { magic: 1 }));
        check(|b| b[8] = 0xFF, |e| matches!(e, BatchError::Length { .. }));
        check(|b| b[60] = 3, |e| matches!(e, BatchError::Count { .. }));
        check(|b| b[22] = 4, |e| matches!(e, BatchError::Codec { codec: 4 }));
        check(|b| b[22] = 7, |e| matches!(e, BatchError::Codec { codec: 7 }));
        check(|b| b[22] = 0x20, |e| matches!(e, BatchError::Control));
        check(|b| b[22] = 0x10, |e| matches!(e, BatchError::Transactional));
        check(|b| b[43] = 0x80, |e| matches!(e, BatchError::Producer { .. }));
        check(|b| *b = batch(1), |e| matches!(e, BatchError::Timestamp { timestamp: 1, .. }));
        check(|b| *b = batch(12_000), |e| matches!(e, BatchError::Timestamp { .. }));
    }
}
