//! Why a batch, its compressed bytes or its records are refused.

use super::codec::Codec;

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

/// A record that is well formed but that the topic does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedRecord {
    /// The record's place in the batch, from 0.
    pub index: usize,
    pub reason: Refusal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("a compacted topic takes no record without a key")]
    NoKey,
    #[error("timestamp {timestamp} is out of the allowed range around {now}")]
    Timestamp { timestamp: i64, now: i64 },
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompressionError {
    #[error("the {codec} data is damaged: {reason}")]
    Damaged { codec: &'static str, reason: String },
    #[error("the data inflates beyond {bytes_max} bytes")]
    Bomb { bytes_max: usize },
}

/// The error of a codec's library, as one of compressed bytes.
pub(super) fn damaged(codec: Codec, error: &dyn std::error::Error) -> CompressionError {
    CompressionError::Damaged { codec: codec.name(), reason: error.to_string() }
}
