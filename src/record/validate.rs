//! What a producer's batch must satisfy before it is appended.

use crate::base::TimestampMs;

use super::batch::{BatchError, BatchHeader, Codec};
use super::reader::{self, records_of};

/// What the topic and the request allow.
#[derive(Clone, Copy, Debug)]
pub struct ProduceLimits {
    pub batch_bytes_max: usize,
    pub now: TimestampMs,
    /// How far behind and ahead of now a timestamp may be; `i64::MAX` is no limit.
    pub timestamp_before_ms_max: u64,
    pub timestamp_after_ms_max: u64,
    /// False for topics that stamp at append.
    pub check_timestamps: bool,
    /// Produce v7 and later.
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
        None => return Err(BatchError::Codec { codec: header.attributes & super::batch::CODEC_MASK }),
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
    if limits.check_timestamps {
        check_timestamp(header.max_timestamp, limits)?;
        check_timestamp(header.base_timestamp, limits)?;
    }
    Ok(header)
}

/// Checks the records themselves: the structure of uncompressed ones always (a broken producer would otherwise poison
/// every consumer), compressed ones where keys are required.
pub fn validate_records(bytes: &[u8], header: &BatchHeader, keys_required: bool) -> Result<(), BatchError> {
    let compressed = header.codec() != Some(Codec::None);
    if compressed && !keys_required {
        return Ok(());
    }
    let records = records_of(bytes, header)?;
    let missing = reader::walk(&records, header.records_count, keys_required)?;
    if missing.is_empty() { Ok(()) } else { Err(BatchError::MissingKeys { indexes: missing }) }
}

fn check_producer(header: &BatchHeader) -> Result<(), BatchError> {
    let id = header.producer_id.0;
    let sane = id == -1 || id >= 0 && header.producer_epoch.0 >= 0 && header.base_sequence >= 0;
    if sane {
        return Ok(());
    }
    Err(BatchError::Producer { producer: id, epoch: header.producer_epoch.0, sequence: header.base_sequence })
}

fn check_timestamp(timestamp: TimestampMs, limits: &ProduceLimits) -> Result<(), BatchError> {
    if timestamp == TimestampMs::NONE {
        return Ok(());
    }
    let age = limits.now.0.saturating_sub(timestamp.0);
    let too_old = u64::try_from(age).is_ok_and(|age| age > limits.timestamp_before_ms_max);
    let too_new =
        u64::try_from(age.saturating_neg()).is_ok_and(|ahead| ahead > limits.timestamp_after_ms_max);
    if too_old || too_new || timestamp.0 < -1 {
        return Err(BatchError::Timestamp { timestamp: timestamp.0, now: limits.now.0 });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::BatchBuilder;

    const LIMITS: ProduceLimits = ProduceLimits {
        batch_bytes_max: 1000,
        now: TimestampMs(10_000),
        timestamp_before_ms_max: 5_000,
        timestamp_after_ms_max: 1_000,
        check_timestamps: true,
        zstd_allowed: false,
    };

    fn batch(timestamp: i64) -> Vec<u8> {
        let mut builder = BatchBuilder::new(TimestampMs(timestamp));
        builder.append(Some(b"key"), Some(b"value"));
        builder.append(None, Some(b"value"));
        builder.finish().expect("small")
    }

    fn check(change: impl FnOnce(&mut Vec<u8>), expected: impl FnOnce(&BatchError) -> bool) {
        let mut bytes = batch(9_000);
        change(&mut bytes);
        let error = validate_header(&bytes, &LIMITS)
            .and_then(|header| validate_records(&bytes, &header, false))
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
        check(|b| b[61] = 0x02, |e| matches!(e, BatchError::Record { .. }));
        check(|b| *b = batch(1), |e| matches!(e, BatchError::Timestamp { timestamp: 1, .. }));
        check(|b| *b = batch(12_000), |e| matches!(e, BatchError::Timestamp { .. }));
    }

    #[test]
    fn missing_keys_are_named() {
        let bytes = batch(9_000);
        let header = validate_header(&bytes, &LIMITS).expect("valid");
        let error = validate_records(&bytes, &header, true).expect_err("a key is missing");
        assert_eq!(error, BatchError::MissingKeys { indexes: vec![1] });
    }
}
