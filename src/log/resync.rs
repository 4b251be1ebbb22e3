//! Finding the way again behind damage: where, after bytes that are no batch, the next batch of a segment begins.
//!
//! A record may itself hold bytes that look like a batch. So bytes are taken for a batch only if the checksum is right, the
//! offsets may stand here, and another batch, zeros or nothing follows.

use std::ops::Range;

use crate::base::Offset;
use crate::record::{BATCH_HEADER_BYTES, BatchHeader, batch_crc};

const MAGIC_AT: usize = 16;
const MAGIC: u8 = 2;

/// Whether a batch with offsets `within` may begin with these bytes.
#[must_use]
pub fn may_begin(bytes: &[u8], within: &Range<Offset>) -> Option<BatchHeader> {
    let (offset, _) = bytes.split_first_chunk::<8>()?;
    let plausible =
        bytes.get(MAGIC_AT) == Some(&MAGIC) && within.contains(&Offset(i64::from_be_bytes(*offset)));
    let header = plausible.then(|| BatchHeader::parse(bytes).ok())??;
    (header.last_offset_delta >= 0 && header.last_offset() < within.end).then_some(header)
}

/// Whether what stands behind a batch tells against it: `bytes` are the next ones, as many as there are up to a header.
#[must_use]
pub fn may_follow(bytes: &[u8], header: &BatchHeader, within: &Range<Offset>) -> bool {
    let is_end = bytes.len() < BATCH_HEADER_BYTES || bytes.iter().all(|byte| *byte == 0);
    is_end || may_begin(bytes, &(header.last_offset().plus(1)..within.end)).is_some()
}

/// Looks in `bytes`, beyond `from`, for a batch with offsets `within`.
#[must_use]
pub fn find_batch(bytes: &[u8], from: usize, within: &Range<Offset>) -> Option<(usize, BatchHeader)> {
    (from..bytes.len().saturating_sub(BATCH_HEADER_BYTES)).find_map(|at| {
        let header = may_begin(bytes.get(at..)?, within)?;
        let end = at + header.total_bytes();
        let batch = bytes.get(at..end)?;
        let next = bytes.get(end..).unwrap_or(&[]);
        let next = next.get(..BATCH_HEADER_BYTES).unwrap_or(next);
        (batch_crc(batch) == header.crc && may_follow(next, &header, within)).then_some((at, header))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{LeaderEpoch, TimestampMs};
    use crate::record::BatchBuilder;

    fn batch(base: i64, value: &[u8]) -> Vec<u8> {
        let mut batch = BatchBuilder::new(TimestampMs(1)).placed(Offset(base), LeaderEpoch(0));
        batch.append(None, Some(value));
        batch.finish().expect("small")
    }

    #[test]
    fn a_batch_within_a_record_is_not_believed() {
        let within = Offset(5)..Offset(100);
        let inner = batch(7, b"a batch within a record");
        let mut bytes = batch(5, &inner);
        let outer_end = bytes.len();
        bytes.extend(batch(6, b"next"));
        bytes.extend(batch(7, b"last"));
        bytes[17] ^= 1;
        assert_eq!(find_batch(&bytes, 1, &within).map(|(at, _)| at), Some(outer_end));
        assert_eq!(
            find_batch(&bytes, outer_end + 1, &(Offset(8)..Offset(100))),
            None,
            "offsets do not go back"
        );
        bytes.truncate(outer_end);
        assert_eq!(find_batch(&bytes, 1, &(Offset(5)..Offset(7))), None, "nor beyond the segment");
    }
}
