//! Record batches, format v2: Kafka's unit of storage and transfer, byte for byte as on the wire.
//!
//! Knows nothing of logs or protocols. A broker checks a batch's header, verifies its checksum, reads its records
//! (`inside`) and, at append, patches two fields outside the checksum. The batch stays otherwise as it came, unless the
//! topic asks for another codec or the header names a wrong greatest timestamp.
//!
//! ```text
//! at  size  field                    at  size  field
//!  0   8    base offset (patched)    27   8    base timestamp
//!  8   4    length of what follows   35   8    max timestamp
//! 12   4    leader epoch (patched)   43   8    producer id
//! 16   1    magic = 2                51   2    producer epoch
//! 17   4    CRC-32C of 21..          53   4    base sequence
//! 21   2    attributes               57   4    records count
//! 23   4    last offset delta        61   …    records, compressed as one block
//! ```
//! attributes: bits 0-2 codec, 3 timestamp type, 4 transactional, 5 control, 6 delete horizon. Big-endian.

mod batch;
mod builder;
mod codec;
mod compression;
mod deflate;
mod error;
mod inflate;
mod inside;
mod patch;
#[cfg(test)]
mod properties;
mod reader;
mod rewrite;
mod validate;
mod walk;

pub use batch::{BATCH_HEADER_BYTES, BatchHeader, batch_crc};
pub use builder::{BatchBuilder, Header, RecordToWrite};
pub use codec::Codec;
pub use compression::{INFLATED_BYTES_MAX, compress, decompress, decompress_within};
pub use deflate::Compression;
pub use error::{BatchError, CompressionError, RecordProblem, Refusal, RefusedRecord};
pub use inside::{Found, Inside, ReadBatch, ReadRules, Reading, SLICE_BYTES, validate_records};
pub use patch::{BatchTimes, stamp_header, stamp_times};
pub use reader::{Record, first_at_or_after, records, with_max_timestamp};
pub use rewrite::{Rewritten, rewrite};
pub use validate::{ProduceLimits, validate_header, validate_header_times};
pub use walk::{REFUSED_RECORDS_NAMED_MAX, RecordRules, TimestampRange};
