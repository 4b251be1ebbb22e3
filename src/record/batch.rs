//! The header of one batch, checked.

use crate::base::checksum::crc32c;
use crate::base::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, TimestampMs};

use super::codec::Codec;
use super::error::BatchError;

/// Bytes before the records.
pub const BATCH_HEADER_BYTES: usize = 61;
/// Bytes that the length field does not count.
const LENGTH_EXCLUDES_BYTES: usize = 12;
pub(super) const CRC_AT: usize = 17;
/// The checksum covers everything from the attributes on.
pub(super) const CRC_FROM: usize = 21;

pub(super) const TIMESTAMP_TYPE_BIT: i16 = 0x08;
pub(super) const TRANSACTIONAL_BIT: i16 = 0x10;
pub(super) const CONTROL_BIT: i16 = 0x20;
pub(super) const DELETE_HORIZON_BIT: i16 = 0x40;

/// A header whose own fields make sense; says nothing about the checksum or the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    pub base_offset: Offset,
    /// As on the wire: bytes after the length field. At least 49.
    pub length: i32,
    pub leader_epoch: LeaderEpoch,
    pub crc: u32,
    pub attributes: i16,
    pub last_offset_delta: i32,
    pub base_timestamp: TimestampMs,
    pub max_timestamp: TimestampMs,
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    pub base_sequence: i32,
    pub records_count: i32,
}

impl BatchHeader {
    /// Reads the header at the front of `bytes`, of which the records may be missing.
    pub fn parse(bytes: &[u8]) -> Result<BatchHeader, BatchError> {
        let short = BatchError::Short { bytes: bytes.len() };
        let header = bytes.first_chunk::<BATCH_HEADER_BYTES>().ok_or(short)?;
        let length = i32::from_be_bytes(field(header, 8));
        let [magic] = field::<1>(header, 16);
        if magic != 2 {
            return Err(BatchError::Magic { magic: magic.cast_signed() });
        }
        if usize::try_from(length).map_or(true, |length| length < BATCH_HEADER_BYTES - LENGTH_EXCLUDES_BYTES)
        {
            return Err(BatchError::Length { length });
        }
        let last_offset_delta = i32::from_be_bytes(field(header, 23));
        if last_offset_delta < 0 {
            return Err(BatchError::LastOffsetDelta { delta: last_offset_delta });
        }
        Ok(BatchHeader {
            base_offset: Offset(i64::from_be_bytes(field(header, 0))),
            length,
            leader_epoch: LeaderEpoch(i32::from_be_bytes(field(header, 12))),
            crc: u32::from_be_bytes(field(header, CRC_AT)),
            attributes: i16::from_be_bytes(field(header, CRC_FROM)),
            last_offset_delta,
            base_timestamp: TimestampMs(i64::from_be_bytes(field(header, 27))),
            max_timestamp: TimestampMs(i64::from_be_bytes(field(header, 35))),
            producer_id: ProducerId(i64::from_be_bytes(field(header, 43))),
            producer_epoch: ProducerEpoch(i16::from_be_bytes(field(header, 51))),
            base_sequence: i32::from_be_bytes(field(header, 53)),
            records_count: i32::from_be_bytes(field(header, 57)),
        })
    }

    /// Bytes of the whole batch.
    #[must_use]
    pub fn total_bytes(&self) -> usize {
        usize::try_from(self.length).expect("checked when parsed") + LENGTH_EXCLUDES_BYTES
    }

    #[must_use]
    pub fn last_offset(&self) -> Offset {
        Offset(self.base_offset.0.saturating_add(i64::from(self.last_offset_delta)))
    }

    /// `None` for a codec number Kafka does not have.
    #[must_use]
    pub fn codec(&self) -> Option<Codec> {
        Codec::from_attributes(self.attributes)
    }

    #[must_use]
    pub fn is_log_append_time(&self) -> bool {
        self.attributes & TIMESTAMP_TYPE_BIT != 0
    }

    #[must_use]
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL_BIT != 0
    }

    /// From when on compaction may drop the batch's tombstones (KIP-534).
    #[must_use]
    pub fn delete_horizon(&self) -> Option<TimestampMs> {
        (self.attributes & DELETE_HORIZON_BIT != 0).then_some(self.base_timestamp)
    }

    #[must_use]
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL_BIT != 0
    }
}

/// The checksum of a whole batch's bytes. Anything shorter than a header has the checksum of nothing.
#[must_use]
pub fn batch_crc(batch: &[u8]) -> u32 {
    crc32c(batch.get(CRC_FROM..).unwrap_or(&[]))
}

fn field<const N: usize>(header: &[u8; BATCH_HEADER_BYTES], at: usize) -> [u8; N] {
    header
        .get(at..at + N)
        .and_then(|bytes| bytes.try_into().ok())
        .expect("every field lies within the header")
}
