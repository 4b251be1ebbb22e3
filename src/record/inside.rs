//! Reads a batch's records before it is appended, a slice at a time: a mebibyte can inflate to a gibibyte, and the shard's
//! other tasks must run between two slices.
//!
//! A batch is read on the shard where it arrives, not on the one that owns its partition. The result ([`Inside`]) is sent
//! along with the batch. Where a topic's `compression.type` demands another codec, the batch is compressed anew in the same
//! pass.

use bytes::Bytes;

use crate::base::TimestampMs;

use super::batch::{BATCH_HEADER_BYTES, BatchHeader, CRC_AT, CRC_FROM, batch_crc};
use super::codec::{CODEC_MASK, Codec};
use super::deflate::{Compression, Deflater};
use super::error::BatchError;
use super::inflate::Inflater;
use super::reader::records_of;
use super::walk::{RecordRules, RecordWalk};

/// Inflated bytes that one slice reads: some tenths of a millisecond for the slowest codec.
pub const SLICE_BYTES: usize = 256 * 1024;
/// Bytes of a slice where they are also compressed, which takes ten times as long.
const SLICE_BYTES_COMPRESSING: usize = 16 * 1024;
const PIECE_BYTES: usize = 32 * 1024;

/// What is known of a batch's records when the batch comes to its log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Inside {
    /// The records have not been read.
    #[default]
    Unread,
    /// The records have been read: what they have, or what is wrong with them.
    Read(Result<Found, BatchError>),
}

/// Facts about the records of a batch that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The greatest timestamp of the records; -1 when none has one.
    pub max_timestamp: TimestampMs,
    pub inflated_bytes: usize,
    /// The batch was compressed anew in another codec.
    pub recompressed: bool,
}

/// How a batch is read.
#[derive(Clone, Copy, Debug)]
pub struct ReadRules {
    pub records: RecordRules,
    /// Most inflated bytes of the whole batch: `ringmain.inflated.batch.max.bytes`.
    pub inflated_bytes_max: usize,
    /// Most bytes of the whole batch as it is stored: `max.message.bytes`.
    pub stored_bytes_max: usize,
    /// The codec to store the batch in, if that is another one than its own.
    pub recompress: Option<Compression>,
}

/// The reading of one batch.
pub struct Reading {
    batch: Bytes,
    header: BatchHeader,
    rules: ReadRules,
    source: Inflater,
    walk: RecordWalk,
    deflater: Option<Deflater>,
    piece: Vec<u8>,
}

/// A batch that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadBatch {
    /// The batch as it came, or compressed anew.
    pub batch: Bytes,
    pub found: Found,
}

impl Reading {
    /// Begins to read `batch`, whose header says how long it is.
    pub fn begin(batch: Bytes, header: BatchHeader, rules: ReadRules) -> Result<Reading, BatchError> {
        let codec = header.codec().ok_or(BatchError::Codec { codec: header.attributes & CODEC_MASK })?;
        let deflater = match rules.recompress {
            None => None,
            Some(compression) => {
                // The new checksum must not hide that these bytes are not the producer's.
                let computed = batch_crc(&batch);
                if computed != header.crc {
                    return Err(BatchError::Crc { claimed: header.crc, computed });
                }
                Some(Deflater::new(compression)?)
            }
        };
        let records = batch.slice(BATCH_HEADER_BYTES.min(batch.len())..);
        Ok(Reading {
            source: Inflater::new(codec, records, rules.inflated_bytes_max)?,
            walk: RecordWalk::new(&header, rules.records),
            piece: vec![0; PIECE_BYTES],
            deflater,
            batch,
            header,
            rules,
        })
    }

    /// Reads on, for as many bytes as are left of `slice`. `None`: there is more to read. A batch that needs no more than that
    /// is read to its end at once.
    pub fn slice(&mut self, slice: &mut usize) -> Result<Option<ReadBatch>, BatchError> {
        let weight = if self.deflater.is_some() { SLICE_BYTES / SLICE_BYTES_COMPRESSING } else { 1 };
        while *slice > 0 {
            let bytes = self.source.read(&mut self.piece)?;
            if bytes == 0 {
                return self.finish().map(Some);
            }
            let piece = self.piece.get(..bytes).unwrap_or_default();
            self.walk.feed(piece)?;
            if let Some(deflater) = &mut self.deflater {
                deflater.write(piece)?;
                fits(deflater.len(), self.rules.stored_bytes_max)?;
            }
            *slice = slice.saturating_sub(bytes.saturating_mul(weight));
        }
        Ok(None)
    }

    fn finish(&mut self) -> Result<ReadBatch, BatchError> {
        let max_timestamp = self.walk.finish()?;
        let inflated_bytes = self.source.inflated_bytes();
        let found = Found { max_timestamp, inflated_bytes, recompressed: self.deflater.is_some() };
        let batch = match self.deflater.take().zip(self.rules.recompress) {
            None => self.batch.clone(),
            Some((deflater, compression)) => {
                let records = deflater.finish()?;
                fits(records.len(), self.rules.stored_bytes_max)?;
                replace_records(&self.batch, &self.header, compression.codec, &records).into()
            }
        };
        Ok(ReadBatch { batch, found })
    }
}

fn fits(records: usize, bytes_max: usize) -> Result<(), BatchError> {
    let bytes = BATCH_HEADER_BYTES + records;
    if bytes > bytes_max { Err(BatchError::TooLarge { bytes, bytes_max }) } else { Ok(()) }
}

/// Reads a batch at once: the greatest timestamp of its records.
pub fn validate_records(
    batch: &[u8],
    header: &BatchHeader,
    rules: RecordRules,
) -> Result<TimestampMs, BatchError> {
    let records = records_of(batch, header)?;
    let mut walk = RecordWalk::new(header, rules);
    walk.feed(&records)?;
    walk.finish()
}

/// The batch with its records replaced by `records`, which are encoded in `codec`.
fn replace_records(batch: &[u8], header: &BatchHeader, codec: Codec, records: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(BATCH_HEADER_BYTES + records.len());
    out.extend_from_slice(batch.get(..BATCH_HEADER_BYTES).unwrap_or_default());
    out.extend_from_slice(records);
    let length = i32::try_from(out.len() - 12).expect("max.message.bytes is a number of 31 bits");
    let attributes = header.attributes & !CODEC_MASK | codec.attribute();
    let mut put = |at: usize, field: &[u8]| {
        out.get_mut(at..at + field.len()).expect("within the header").copy_from_slice(field);
    };
    put(8, &length.to_be_bytes());
    put(CRC_FROM, &attributes.to_be_bytes());
    let crc = batch_crc(&out);
    out.get_mut(CRC_AT..CRC_FROM).expect("within the header").copy_from_slice(&crc.to_be_bytes());
    out
}

impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reading").field("header", &self.header).field("rules", &self.rules).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{BatchBuilder, RecordProblem, RecordToWrite, Refusal, RefusedRecord, TimestampRange};

    const START: TimestampMs = TimestampMs(1_700_000_000_000);
    const RULES: ReadRules = ReadRules {
        records: RecordRules {
            now: START,
            timestamps: Some(TimestampRange { before_ms_max: 10_000, after_ms_max: 1_000 }),
            keys_required: false,
            record_bytes_max: 100_000,
        },
        inflated_bytes_max: 2_000_000,
        stored_bytes_max: 1_000_000,
        recompress: None,
    };

    fn batch(codec: Codec, times: &[i64], value: &[u8]) -> Bytes {
        let mut builder = BatchBuilder::new(START).codec(codec);
        for time in times {
            builder.append_record(&RecordToWrite {
                timestamp: TimestampMs(START.0 + time),
                key: Some(b"k"),
                value: Some(value),
                headers: &[],
            });
        }
        builder.finish().expect("sound").into()
    }

    fn read(batch: &Bytes, rules: ReadRules) -> Result<ReadBatch, BatchError> {
        let header = BatchHeader::parse(batch).expect("a header");
        let mut reading = Reading::begin(batch.clone(), header, rules)?;
        loop {
            if let Some(read) = reading.slice(&mut 1)? {
                return Ok(read);
            }
        }
    }

    #[test]
    fn the_greatest_timestamp_is_found_whatever_the_header_says() {
        for codec in Codec::ALL {
            let batch = batch(codec, &[-5, 300, -9_000], &[7; 40_000]);
            let read = read(&batch, RULES).expect("sound");
            assert_eq!((read.batch, read.found.max_timestamp), (batch, TimestampMs(START.0 + 300)));
        }
    }

    #[test]
    fn records_out_of_time_or_without_a_key_are_named() {
        for codec in Codec::ALL {
            let late = batch(codec, &[0, 1_001, 0, -10_001], b"v");
            let refusal = |time: i64| Refusal::Timestamp { timestamp: START.0 + time, now: START.0 };
            let named = |index, reason| RefusedRecord { index, reason };
            let want = vec![named(1, refusal(1_001)), named(3, refusal(-10_001))];
            assert_eq!(read(&late, RULES), Err(BatchError::Refused(want)), "{codec:?}");
            let mut builder = BatchBuilder::new(START).codec(codec);
            builder.append(Some(b"k"), None);
            builder.append(None, None);
            let keyless: Bytes = builder.finish().expect("sound").into();
            let rules = ReadRules { records: RecordRules { keys_required: true, ..RULES.records }, ..RULES };
            let want = vec![named(1, Refusal::NoKey)];
            assert_eq!(read(&keyless, rules), Err(BatchError::Refused(want)), "{codec:?}");
        }
    }

    #[test]
    fn bounds_hold_for_each_record_and_for_the_batch() {
        for codec in Codec::ALL {
            let long = batch(codec, &[0], &[0; 100_001]);
            let problem = RecordProblem::TooLong { bytes: 100_010, bytes_max: 100_000 };
            assert_eq!(read(&long, RULES), Err(BatchError::Record { index: 0, problem }), "{codec:?}");
            let many = batch(codec, &[0; 30], &[0; 90_000]);
            assert!(matches!(read(&many, RULES), Err(BatchError::Compression(_))), "{codec:?}");
        }
    }

    #[test]
    fn a_batch_is_stored_in_the_codec_asked_for() {
        for from in Codec::ALL {
            for to in Codec::ALL.into_iter().filter(|to| *to != from) {
                let before = batch(from, &[1, 2, 3], &[9; 50_000]);
                let recompress = Some(Compression::of(to));
                let read = read(&before, ReadRules { recompress, ..RULES }).expect("sound");
                let header = BatchHeader::parse(&read.batch).expect("sound");
                assert_eq!(header.codec(), Some(to));
                assert_eq!((header.total_bytes(), header.crc), (read.batch.len(), batch_crc(&read.batch)));
                let records = |bytes: &[u8]| {
                    let header = BatchHeader::parse(bytes).expect("sound");
                    crate::record::decompress(header.codec().expect("known"), &bytes[BATCH_HEADER_BYTES..])
                };
                assert_eq!(records(&read.batch), records(&before), "{from:?} to {to:?}");
            }
        }
    }

    #[test]
    fn what_does_not_fit_when_stored_is_too_large() {
        for from in [Codec::Gzip, Codec::Zstd] {
            let before = batch(from, &[0; 12], &[0; 90_000]);
            let recompress = Some(Compression::of(Codec::None));
            let result = read(&before, ReadRules { recompress, ..RULES });
            assert!(matches!(result, Err(BatchError::TooLarge { bytes_max: 1_000_000, .. })), "{result:?}");
        }
    }

    #[test]
    fn recompression_does_not_launder_damage() {
        let mut bytes = batch(Codec::None, &[0], b"value").to_vec();
        *bytes.last_mut().expect("not empty") ^= 1;
        let recompress = Some(Compression::of(Codec::Lz4));
        let result = read(&bytes.into(), ReadRules { recompress, ..RULES });
        assert!(matches!(result, Err(BatchError::Crc { .. })), "{result:?}");
    }
}
