//! Fetched batches, and the records in them.

use std::sync::Arc;

use bytes::Bytes;

use crate::base::{Offset, PartitionIndex, TimestampMs};
use crate::client::error::ClientError;
use crate::record::{BatchError, BatchHeader, batch_crc, records};

/// A batch as it came, its checksum verified.
#[derive(Clone, Debug)]
pub struct FetchedBatch {
    pub topic: Arc<str>,
    pub partition: PartitionIndex,
    pub header: BatchHeader,
    pub(super) bytes: Bytes,
    /// Records below this offset were not asked for. Brokers send whole batches, which may begin before the position.
    pub(super) from: Offset,
}

/// A record, borrowed from its batch.
#[derive(Clone, Debug)]
pub struct ConsumedRecord<'a> {
    pub topic: &'a str,
    pub partition: PartitionIndex,
    pub offset: Offset,
    pub timestamp: TimestampMs,
    /// The broker's time of append, not the producer's time of creation.
    pub is_log_append_time: bool,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: Vec<(&'a [u8], Option<&'a [u8]>)>,
}

impl FetchedBatch {
    /// The batch as it came over the wire.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Calls `each` with every record that was asked for, until it returns false.
    pub fn records(&self, mut each: impl FnMut(&ConsumedRecord<'_>) -> bool) -> Result<(), ClientError> {
        if self.header.is_control() {
            return Ok(());
        }
        let walked = records(&self.bytes, |header, record| {
            let offset = record.offset(header);
            offset < self.from
                || each(&ConsumedRecord {
                    topic: &self.topic,
                    partition: self.partition,
                    offset,
                    timestamp: record.timestamp(header),
                    is_log_append_time: header.is_log_append_time(),
                    key: record.key,
                    value: record.value,
                    headers: record.headers().collect(),
                })
        });
        walked.map_err(|source| damaged(&self.topic, self.partition, self.header.base_offset, source))
    }
}

/// The first batch of fetched bytes, its checksum verified; `None` where only a part of one is left, which brokers may
/// send at the end of an answer.
pub(super) fn whole_batch(bytes: &[u8]) -> Result<Option<(BatchHeader, &[u8])>, BatchError> {
    let header = match BatchHeader::parse(bytes) {
        Ok(header) => header,
        Err(BatchError::Short { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let Some(batch) = bytes.get(..header.total_bytes()) else { return Ok(None) };
    let computed = batch_crc(batch);
    if computed == header.crc {
        Ok(Some((header, batch)))
    } else {
        Err(BatchError::Crc { claimed: header.crc, computed })
    }
}

pub(super) fn partition_subject(topic: &str, partition: PartitionIndex) -> String {
    format!("{topic} partition {partition}")
}

pub(super) fn damaged(
    topic: &str,
    partition: PartitionIndex,
    offset: Offset,
    source: BatchError,
) -> ClientError {
    ClientError::Batch { subject: partition_subject(topic, partition), offset: offset.0, source }
}

#[cfg(test)]
mod tests {
    use crate::record::BatchBuilder;

    use super::*;

    fn batch(base: i64, records: u8) -> Vec<u8> {
        let mut builder = BatchBuilder::new(TimestampMs(5)).placed(Offset(base), crate::base::LeaderEpoch(0));
        for value in 0..records {
            builder.append(None, Some(&[value]));
        }
        builder.finish().expect("a batch")
    }

    #[test]
    fn batches_are_taken_whole_and_checked() {
        let mut bytes = batch(0, 3);
        let first = bytes.len();
        bytes.extend(batch(3, 2));
        let (header, taken) = whole_batch(&bytes).expect("sound").expect("whole");
        assert_eq!((taken.len(), header.last_offset()), (first, Offset(2)));
        for cut in 0..first {
            assert!(whole_batch(&bytes[..cut]).expect("a part is no damage").is_none(), "{cut}");
        }
        bytes[first - 1] ^= 1;
        assert!(matches!(whole_batch(&bytes), Err(BatchError::Crc { .. })));
    }

    #[test]
    fn records_before_the_position_are_left_out() {
        let bytes = Bytes::from(batch(10, 5));
        let (header, _) = whole_batch(&bytes).expect("sound").expect("whole");
        let from = Offset(13);
        let fetched = FetchedBatch { topic: "t".into(), partition: PartitionIndex(0), header, bytes, from };
        let mut offsets = Vec::new();
        fetched
            .records(|record| {
                offsets.push(record.offset.0);
                true
            })
            .expect("sound");
        assert_eq!(offsets, [13, 14]);
    }
}
