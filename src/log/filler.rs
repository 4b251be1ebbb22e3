//! Batches without records, for offsets that compaction has emptied at the leader.
//!
//! A leader sends what it has, and between its batches offsets may be missing. A follower fills them: so offsets stay dense
//! in the segment it appends to, and a start can tell the log's end by the offset that comes next. Compaction takes fillers
//! away again.

use crate::base::checksum::crc32c;
use crate::base::{LeaderEpoch, Offset};
use crate::record::{BATCH_HEADER_BYTES, BatchHeader};

const CRC_AT: usize = 17;
const CRC_FROM: usize = 21;

/// A batch of no records with the offsets from `base` on, `more` of them besides the first.
pub(super) fn filler(base: Offset, more: i32, epoch: LeaderEpoch) -> [u8; BATCH_HEADER_BYTES] {
    assert!(more >= 0, "a batch takes an offset at least");
    let mut batch = [0; BATCH_HEADER_BYTES];
    let length = i32::try_from(BATCH_HEADER_BYTES - 12).expect("a header is short");
    batch[..8].copy_from_slice(&base.0.to_be_bytes());
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    batch[12..16].copy_from_slice(&epoch.0.to_be_bytes());
    batch[16] = 2;
    batch[23..27].copy_from_slice(&more.to_be_bytes());
    // No timestamps, no producer, its epoch and its sequence: all -1.
    batch[27..57].fill(0xFF);
    let crc = crc32c(&batch[CRC_FROM..]);
    batch[CRC_AT..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
    batch
}

/// What a follower whose log ends within the first of these batches gets in its place: an empty batch for the rest of it. `None`
/// if that batch has records, whose beginning the follower would have.
#[must_use]
pub fn rest_of_empty(batch: &[u8], next: Offset) -> Option<([u8; BATCH_HEADER_BYTES], Offset)> {
    let header = BatchHeader::parse(batch).ok()?;
    let is_within = header.base_offset < next && next <= header.last_offset();
    let more = i32::try_from(header.last_offset().since(next)).ok()?;
    let rest = (is_within && header.records_count == 0).then(|| filler(next, more, header.leader_epoch))?;
    Some((rest, header.last_offset().plus(1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{ProducerEpoch, ProducerId, TimestampMs};
    use crate::record::{batch_crc, records};

    #[test]
    fn a_filler_is_a_batch_of_no_records() {
        let batch = filler(Offset(50), 9, LeaderEpoch(4));
        let header = BatchHeader::parse(&batch).expect("a header");
        assert_eq!((header.base_offset, header.last_offset()), (Offset(50), Offset(59)));
        assert_eq!((header.total_bytes(), header.records_count), (batch.len(), 0));
        assert_eq!((header.leader_epoch, header.attributes), (LeaderEpoch(4), 0));
        assert_eq!((header.base_timestamp, header.max_timestamp), (TimestampMs(-1), TimestampMs(-1)));
        let producer = (header.producer_id, header.producer_epoch, header.base_sequence);
        assert_eq!(producer, (ProducerId(-1), ProducerEpoch(-1), -1));
        assert_eq!(header.crc, batch_crc(&batch));
        records(&batch, |_, _| panic!("there are none")).expect("sound");
    }

    #[test]
    fn whoever_has_the_beginning_of_an_empty_batch_gets_its_rest() {
        let mut batch = filler(Offset(50), 9, LeaderEpoch(4));
        let rest = |batch: &[u8], next| rest_of_empty(batch, Offset(next));
        assert_eq!(rest(&batch, 50), None, "all of it is sent as it is");
        assert_eq!(rest(&batch, 53), Some((filler(Offset(53), 6, LeaderEpoch(4)), Offset(60))));
        assert_eq!(rest(&batch, 59), Some((filler(Offset(59), 0, LeaderEpoch(4)), Offset(60))));
        assert_eq!(rest(&batch, 60), None, "nothing is left of it");
        batch[57..61].copy_from_slice(&1i32.to_be_bytes());
        assert_eq!(rest(&batch, 53), None, "a follower that has part of records has other ones");
    }
}
