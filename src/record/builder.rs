//! Builds batches: for the client, tests, tools and the metadata log.

use crate::base::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, TimestampMs, varint};

use super::batch::{
    BATCH_HEADER_BYTES, CONTROL_BIT, CRC_AT, CRC_FROM, TIMESTAMP_TYPE_BIT, TRANSACTIONAL_BIT, batch_crc,
};
use super::codec::Codec;
use super::compression::compress;
use super::error::BatchError;

#[derive(Clone, Debug)]
pub struct BatchBuilder {
    base_timestamp: TimestampMs,
    max_timestamp: TimestampMs,
    base_offset: Offset,
    leader_epoch: LeaderEpoch,
    codec: Codec,
    flags: i16,
    producer_id: ProducerId,
    producer_epoch: ProducerEpoch,
    base_sequence: i32,
    records: Vec<u8>,
    count: i32,
}

/// A record to append.
#[derive(Clone, Copy, Debug, Default)]
pub struct RecordToWrite<'a> {
    pub timestamp: TimestampMs,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: &'a [Header<'a>],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    pub key: &'a str,
    pub value: Option<&'a [u8]>,
}

impl BatchBuilder {
    /// A batch whose first record has this timestamp.
    #[must_use]
    pub fn new(base_timestamp: TimestampMs) -> BatchBuilder {
        BatchBuilder {
            base_timestamp,
            max_timestamp: TimestampMs::NONE,
            base_offset: Offset(0),
            leader_epoch: LeaderEpoch(-1),
            codec: Codec::None,
            flags: 0,
            producer_id: ProducerId::NONE,
            producer_epoch: ProducerEpoch(-1),
            base_sequence: -1,
            records: Vec::new(),
            count: 0,
        }
    }

    #[must_use]
    pub fn codec(mut self, codec: Codec) -> BatchBuilder {
        self.codec = codec;
        self
    }

    #[must_use]
    pub fn placed(mut self, base_offset: Offset, leader_epoch: LeaderEpoch) -> BatchBuilder {
        self.base_offset = base_offset;
        self.leader_epoch = leader_epoch;
        self
    }

    #[must_use]
    pub fn producer(mut self, id: ProducerId, epoch: ProducerEpoch, base_sequence: i32) -> BatchBuilder {
        self.producer_id = id;
        self.producer_epoch = epoch;
        self.base_sequence = base_sequence;
        self
    }

    #[must_use]
    pub fn transactional(mut self) -> BatchBuilder {
        self.flags |= TRANSACTIONAL_BIT;
        self
    }

    #[must_use]
    pub fn control(mut self) -> BatchBuilder {
        self.flags |= CONTROL_BIT;
        self
    }

    #[must_use]
    pub fn log_append_time(mut self) -> BatchBuilder {
        self.flags |= TIMESTAMP_TYPE_BIT;
        self
    }

    /// Appends a record with the base timestamp and no headers.
    pub fn append(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) {
        self.append_record(&RecordToWrite { timestamp: self.base_timestamp, key, value, headers: &[] });
    }

    pub fn append_record(&mut self, record: &RecordToWrite<'_>) {
        let timestamp_delta = record.timestamp.0 - self.base_timestamp.0;
        let body_bytes = 1
            + varint::len_i64(timestamp_delta)
            + varint::len_i64(i64::from(self.count))
            + optional_len(record.key)
            + optional_len(record.value)
            + varint::len_i64(signed(record.headers.len()))
            + record
                .headers
                .iter()
                .map(|h| optional_len(Some(h.key.as_bytes())) + optional_len(h.value))
                .sum::<usize>();
        self.records.reserve(varint::len_i64(signed(body_bytes)) + body_bytes);
        varint::write_i64(&mut self.records, signed(body_bytes));
        self.records.push(0);
        varint::write_i64(&mut self.records, timestamp_delta);
        varint::write_i32(&mut self.records, self.count);
        self.optional(record.key);
        self.optional(record.value);
        varint::write_i64(&mut self.records, signed(record.headers.len()));
        for header in record.headers {
            self.optional(Some(header.key.as_bytes()));
            self.optional(header.value);
        }
        self.max_timestamp = self.max_timestamp.max(record.timestamp);
        self.count += 1;
    }

    #[must_use]
    pub fn len(&self) -> usize {
        usize::try_from(self.count).unwrap_or(0)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of the batch before compression.
    #[must_use]
    pub fn bytes(&self) -> usize {
        BATCH_HEADER_BYTES + self.records.len()
    }

    /// Ends the batch and returns its bytes. A batch without records, or of more than 2 GiB, is an error.
    pub fn finish(self) -> Result<Vec<u8>, BatchError> {
        if self.count == 0 {
            return Err(BatchError::Count { records: 0, delta: -1 });
        }
        let records = compress(self.codec, &self.records)?;
        let total = BATCH_HEADER_BYTES + records.len();
        let too_large = BatchError::TooLarge { bytes: total, bytes_max: i32::MAX as usize };
        let length = i32::try_from(total - 12).map_err(|_| too_large)?;
        let mut out = Vec::with_capacity(total);
        out.extend_from_slice(&self.base_offset.0.to_be_bytes());
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&self.leader_epoch.0.to_be_bytes());
        out.push(2);
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&(self.codec.attribute() | self.flags).to_be_bytes());
        out.extend_from_slice(&(self.count - 1).to_be_bytes());
        out.extend_from_slice(&self.base_timestamp.0.to_be_bytes());
        out.extend_from_slice(&self.max_timestamp.0.to_be_bytes());
        out.extend_from_slice(&self.producer_id.0.to_be_bytes());
        out.extend_from_slice(&self.producer_epoch.0.to_be_bytes());
        out.extend_from_slice(&self.base_sequence.to_be_bytes());
        out.extend_from_slice(&self.count.to_be_bytes());
        out.extend_from_slice(&records);
        let crc = batch_crc(&out);
        if let Some(field) = out.get_mut(CRC_AT..CRC_FROM) {
            field.copy_from_slice(&crc.to_be_bytes());
        }
        Ok(out)
    }

    fn optional(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            None => varint::write_i32(&mut self.records, -1),
            Some(bytes) => {
                varint::write_i64(&mut self.records, signed(bytes.len()));
                self.records.extend_from_slice(bytes);
            }
        }
    }
}

fn optional_len(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(1, |bytes| varint::len_i64(signed(bytes.len())) + bytes.len())
}

fn signed(len: usize) -> i64 {
    i64::try_from(len).expect("memory is smaller than 2^63 bytes")
}
