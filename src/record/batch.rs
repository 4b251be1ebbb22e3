//! The header of one batch, checked.

use crate::base::checksum::crc32c;
use crate::base::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, TimestampMs};

use super::compression::CompressionError;
use super::walk::RefusedRecord;

/// Bytes before the records.
pub const BATCH_HEADER_BYTES: usize = 61;
/// Bytes that the length field does not count.
const LENGTH_EXCLUDES_BYTES: usize = 12;
pub(super) const CRC_AT: usize = 17;
/// The checksum covers everything from the attributes on.
pub(super) const CRC_FROM: usize = 21;

pub(super) const CODEC_MASK: i16 = 0x07;
pub(super) const TIMESTAMP_TYPE_BIT: i16 = 0x08;
pub(super) const TRANSACTIONAL_BIT: i16 = 0x10;
pub(super) const CONTROL_BIT: i16 = 0x20;
pub(super) const DELETE_HORIZON_BIT: i16 = 0x40;

/// Compression of a batch's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl Codec {
    pub const ALL: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

    #[must_use]
    pub fn from_attributes(attributes: i16) -> Option<Codec> {
        Self::ALL.get(usize::try_from(attributes & CODEC_MASK).ok()?).copied()
    }

    #[must_use]
    pub fn attribute(self) -> i16 {
        self as i16
    }

    /// Kafka's name, as in `compression.type`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Codec::None => "none",
            Codec::Gzip => "gzip",
            Codec::Snappy => "snappy",
            Codec::Lz4 => "lz4",
            Codec::Zstd => "zstd",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Codec> {
        Self::ALL.into_iter().find(|codec| codec.name() == name)
    }
}

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

/// Why bytes are not a batch, or not one that may be appended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    #[error("{bytes} bytes hold no record batch")]
    Short { bytes: usize },
    #[error("message format {magic} is not supported; only version 2 is")]
    Magic { magic: i8 },
    #[error("a batch cannot have length {length}")]
    Length { length: i32 },
    #[error("a batch cannot have last offset delta {delta}")]
    LastOffsetDelta { delta: i32 },
    #[error("exactly one batch per partition is expected; {bytes} bytes hold a batch of {batch}")]
    NotOne { bytes: usize, batch: usize },
    #[error("{records} records do not agree with last offset delta {delta}")]
    Count { records: i32, delta: i32 },
    #[error("the checksum says {claimed:#010x}, the bytes {computed:#010x}")]
    Crc { claimed: u32, computed: u32 },
    #[error("compression codec {codec} is unknown or not allowed here")]
    Codec { codec: i16 },
    #[error("the batch has {bytes} bytes, {bytes_max} are allowed")]
    TooLarge { bytes: usize, bytes_max: usize },
    #[error("timestamp {timestamp} is out of the allowed range around {now}")]
    Timestamp { timestamp: i64, now: i64 },
    #[error("clients cannot write control batches")]
    Control,
    #[error("transactions are not served by this broker yet")]
    Transactional,
    #[error("producer id {producer} with epoch {epoch} and sequence {sequence} makes no sense")]
    Producer { producer: i64, epoch: i16, sequence: i32 },
    #[error("record {index} is malformed: {problem}")]
    Record { index: usize, problem: RecordProblem },
    /// At most [`REFUSED_RECORDS_NAMED_MAX`](super::REFUSED_RECORDS_NAMED_MAX) of them.
    #[error("one or more records are refused; the first, record {}: {}", first(.0).0, first(.0).1)]
    Refused(Vec<RefusedRecord>),
    #[error(transparent)]
    Compression(#[from] CompressionError),
}

fn first(refused: &[RefusedRecord]) -> (usize, String) {
    refused.first().map_or_else(Default::default, |record| (record.index, record.reason.to_string()))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordProblem {
    #[error("it runs past the end")]
    Short,
    #[error("a length or delta is no valid number")]
    Number,
    #[error("its offset delta is not its place in the batch")]
    OffsetDelta,
    #[error("it has {bytes} bytes, {bytes_max} are allowed (max.decompressed.message.bytes)")]
    TooLong { bytes: usize, bytes_max: usize },
    #[error("bytes follow the last record")]
    Trailing,
    #[error("a header has no key, or the number of headers makes no sense")]
    Headers,
}
