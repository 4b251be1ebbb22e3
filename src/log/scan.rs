//! Finding batches in bytes that a read brought: the ones that hold what is sought, each verified before it is served.
//!
//! Knows no log and no file: only what the index says of the bytes ([`Landmarks`]), and between which offsets their batches lie.

use std::ops::Range;

use crate::base::Offset;
use crate::record::{self, BATCH_HEADER_BYTES, BatchHeader};

use super::index::Landmarks;
use super::read::{ReadLimits, Sought};
use super::resync::find_batch;

/// What a scan made of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scan {
    /// What was looked for is in this part of the bytes.
    Found { from: usize, to: usize },
    /// Go on at this many bytes further, with at least so many bytes.
    More { skip: usize, bytes: usize },
    /// The log ends before what was looked for.
    End,
    /// The batch at this offset does not match its checksum or is no batch.
    Corrupt { offset: Offset },
    /// The index leads to something else than it says.
    Misled,
}

/// Finds, in bytes that begin with a batch, the whole batches from the one that holds `offset` on, verifying the
/// checksum of each that is to be served. `within` are the segment's offsets: a batch's own offset is not covered by its
/// checksum, so batches must also ascend between these. The first must be the one of the landmarks.
#[must_use]
pub fn scan_for_offset(
    bytes: &[u8],
    offset: Offset,
    limits: &ReadLimits,
    within: Range<Offset>,
    mut landmarks: Landmarks,
) -> Scan {
    let leads = match batch_at(bytes, 0) {
        At::Batch(header) => landmarks.pass(header.last_offset(), header.max_timestamp),
        At::Partial { .. } => true,
        At::End | At::Corrupt => landmarks.are_passed(),
    };
    if !leads {
        return Scan::Misled;
    }
    let (mut at, mut expected) = (0, within.start);
    // The batch before: should nothing stand where it ends, its length may be what is wrong.
    let mut before = (0, within.start);
    loop {
        let damaged = match batch_at(bytes, at) {
            At::Batch(header) if !follows(&header, expected, within.end) => Scan::Corrupt { offset },
            At::Batch(header) if header.last_offset() < offset => {
                before = (at, expected);
                at += header.total_bytes();
                expected = header.last_offset().plus(1);
                continue;
            }
            At::Batch(_) => match collect(bytes, at, limits, expected..within.end) {
                damaged @ Scan::Corrupt { .. } => damaged,
                found => return found,
            },
            At::Partial { bytes } => return Scan::More { skip: at, bytes },
            At::End => return Scan::End,
            At::Corrupt => Scan::Corrupt { offset },
        };
        // What is wanted may stand behind the damage.
        match find_batch(bytes, before.0 + 1, &(before.1..within.end)) {
            Some((found, header)) if header.base_offset <= offset => {
                (at, expected, before) = (found, header.base_offset, (found, header.base_offset));
            }
            _ => return damaged,
        }
    }
}

/// Finds what is sought among records from `start` on, in bytes that begin with a batch, which come by the landmarks.
#[must_use]
pub fn scan_for(bytes: &[u8], sought: Sought, start: Offset, landmarks: &mut Landmarks) -> Scan {
    let is_wanted = |header: &BatchHeader| match sought {
        Sought::AtOrAfter(timestamp) => header.max_timestamp >= timestamp && header.last_offset() >= start,
        Sought::Largest(_, offset) => header.last_offset() >= offset,
    };
    let mut at = 0;
    loop {
        let header = match batch_at(bytes, at) {
            At::Batch(header) => header,
            At::Partial { bytes } => return Scan::More { skip: at, bytes },
            At::End | At::Corrupt if !landmarks.are_passed() => return Scan::Misled,
            At::End => return Scan::End,
            At::Corrupt => return Scan::Corrupt { offset: Offset(-1) },
        };
        if !landmarks.pass(header.last_offset(), header.max_timestamp) {
            return Scan::Misled;
        }
        let to = at + header.total_bytes();
        if !is_wanted(&header) {
            at = to;
            continue;
        }
        return match bytes.get(at..to) {
            None => Scan::More { skip: at, bytes: header.total_bytes() },
            Some(batch) if record::batch_crc(batch) != header.crc => {
                Scan::Corrupt { offset: header.base_offset }
            }
            Some(_) => Scan::Found { from: at, to },
        };
    }
}

/// The offset after these whole batches if they hold no record at all, as compaction may leave them.
#[must_use]
pub fn end_of_empty(bytes: &[u8]) -> Option<Offset> {
    let (mut at, mut end) = (0, None);
    while let At::Batch(header) = batch_at(bytes, at) {
        if header.records_count > 0 {
            return None;
        }
        end = Some(header.last_offset().plus(1));
        at += header.total_bytes();
    }
    end
}

fn follows(header: &BatchHeader, expected: Offset, end: Offset) -> bool {
    header.base_offset >= expected && header.last_offset() < end
}

fn collect(bytes: &[u8], from: usize, limits: &ReadLimits, mut within: Range<Offset>) -> Scan {
    let mut to = from;
    while let At::Batch(header) = batch_at(bytes, to) {
        let next = to + header.total_bytes();
        let first = to == from;
        if header.base_offset >= limits.visible_end.min(within.end)
            || !(next - from <= limits.bytes_max || first && limits.first_whole)
        {
            break;
        }
        let Some(batch) = bytes.get(to..next) else {
            if first {
                return Scan::More { skip: from, bytes: header.total_bytes() };
            }
            break;
        };
        if record::batch_crc(batch) != header.crc || !follows(&header, within.start, within.end) {
            return if first {
                Scan::Corrupt { offset: header.base_offset }
            } else {
                Scan::Found { from, to }
            };
        }
        to = next;
        within.start = header.last_offset().plus(1);
    }
    Scan::Found { from, to }
}

enum At {
    Batch(BatchHeader),
    Partial { bytes: usize },
    End,
    Corrupt,
}

fn batch_at(bytes: &[u8], at: usize) -> At {
    match bytes.get(at..) {
        None => At::Partial { bytes: BATCH_HEADER_BYTES },
        Some(rest) if rest.len() < BATCH_HEADER_BYTES => At::Partial { bytes: BATCH_HEADER_BYTES },
        Some(rest) if rest.iter().take(BATCH_HEADER_BYTES).all(|byte| *byte == 0) => At::End,
        Some(rest) => BatchHeader::parse(rest).map_or(At::Corrupt, At::Batch),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{LeaderEpoch, TimestampMs};
    use crate::record::BatchBuilder;

    const LIMITS: ReadLimits =
        ReadLimits { visible_end: Offset(1000), bytes_max: 1 << 20, first_whole: true, for_follower: false };
    const WITHIN: Range<Offset> = Offset(10)..Offset(40);

    /// Three batches of ten records, from offset 10 on, and where each begins.
    fn segment() -> (Vec<u8>, [usize; 4]) {
        let (mut bytes, mut starts) = (Vec::new(), [0; 4]);
        for at in 0..3 {
            let base = Offset(10 + 10 * at as i64);
            let mut batch = BatchBuilder::new(TimestampMs(1)).placed(base, LeaderEpoch(0));
            (0..10).for_each(|_| batch.append(None, Some(b"a record")));
            bytes.extend(batch.finish().expect("small"));
            starts[at + 1] = bytes.len();
        }
        (bytes, starts)
    }

    fn scan(bytes: &[u8], offset: i64) -> Scan {
        scan_for_offset(bytes, Offset(offset), &LIMITS, WITHIN, Landmarks::default())
    }

    #[test]
    fn no_flipped_bit_is_served_and_what_stands_around_it_is() {
        let (whole, starts) = segment();
        assert_eq!(scan(&whole, 25), Scan::Found { from: starts[1], to: starts[3] });
        for at in starts[1]..starts[2] {
            // The leader epoch is not covered by the checksum, and readers do not go by it.
            if (12..16).contains(&(at - starts[1])) {
                continue;
            }
            let mut bytes = whole.clone();
            bytes[at] ^= 0x41;
            assert_eq!(scan(&bytes, 15), Scan::Found { from: 0, to: starts[1] }, "before byte {at}");
            assert!(matches!(scan(&bytes, 25), Scan::Corrupt { .. } | Scan::More { .. }), "byte {at}");
            let behind = scan(&bytes, 35);
            assert!(
                behind == Scan::Found { from: starts[2], to: starts[3] }
                    || matches!(behind, Scan::More { .. }),
                "behind byte {at}: {behind:?}"
            );
        }
    }
}
