//! What a start makes of the commit files it finds: which groups count, and whether something is missing.
//!
//! | evidence | name | decision | how the disk got there |
//! |---|---|---|---|
//! | groups from `replay_from` on, without a gap, to the last valid one | whole | replay all | orderly, or the crash fell between two writes |
//! | a gap, and no valid group names the missing one durable | torn | replay up to the gap | the crash hit the write of that group; nobody was told it was durable |
//! | a gap, and a valid later group names the missing one durable | corrupt | replay what is valid, report the gap | an acknowledged group has rotted, or its block was lost or misdirected |
//! | a valid group below `replay_from` or of another identity | stale | ignore | the file was recycled and not yet overwritten so far |

use crate::base::BLOCK_BYTES;

use super::group::{Group, GroupHeader};

/// A valid group, and where it lies in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    pub file: u32,
    pub position: u64,
    pub header: GroupHeader,
}

/// Finds every valid group of this log in one file's bytes; stale ones are left out. Every block is looked at, because later
/// groups behind a damaged one may prove that it was durable.
#[must_use]
pub fn scan_file(file: u32, bytes: &[u8], identity: [u8; 16], replay_from: u64) -> Vec<Found> {
    let mut found = Vec::new();
    let mut position = 0;
    while let Some(rest) = bytes.get(position..)
        && !rest.is_empty()
    {
        let step = match Group::parse(rest) {
            Ok(group) => {
                let header = group.header;
                if header.identity == identity && header.sequence >= replay_from {
                    found.push(Found { file, position: position as u64, header });
                }
                usize::try_from(header.blocks_bytes()).unwrap_or(BLOCK_BYTES)
            }
            Err(_) => BLOCK_BYTES,
        };
        position += step;
    }
    found
}

/// What the groups that were found say about the end of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Whole,
    /// The group with this sequence was being written when the crash came.
    Torn {
        sequence: u64,
    },
    /// The group with this sequence was durable once, and is damaged or missing.
    Corrupt {
        sequence: u64,
    },
}

/// The groups to replay, in order, and the verdict on the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ordered {
    pub replay: Vec<Found>,
    pub verdict: Verdict,
    /// The next group must carry at least this sequence, so that nothing found here is ever taken for newer.
    pub next_sequence: u64,
}

/// Orders the groups of all files of a log, and decides by the table at the head of this module.
#[must_use]
pub fn order(mut found: Vec<Found>, replay_from: u64) -> Ordered {
    found.sort_by_key(|group| group.header.sequence);
    let next_sequence = found.last().map_or(replay_from, |last| last.header.sequence + 1);
    let durable_end = found.iter().map(|group| group.header.durable_end).max().unwrap_or(replay_from);
    let chained =
        found.iter().zip(replay_from..).take_while(|(group, expected)| group.header.sequence == *expected);
    let whole = chained.count();
    let gap = replay_from + whole as u64;
    if whole < found.len() && gap < durable_end {
        return Ordered { replay: found, verdict: Verdict::Corrupt { sequence: gap }, next_sequence };
    }
    let verdict = if whole < found.len() { Verdict::Torn { sequence: gap } } else { Verdict::Whole };
    found.truncate(whole);
    // One sequence is skipped: the blocks of a torn group may still hold a header with the sequence that would come next.
    Ordered { replay: found, verdict, next_sequence: next_sequence + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(sequence: u64, durable_end: u64) -> Found {
        let header = GroupHeader {
            identity: [0; 16],
            sequence,
            durable_end,
            length: 64,
            entries: 0,
            previous_crc: 0,
            crc: 0,
        };
        Found { file: 0, position: sequence * 4096, header }
    }

    fn check(groups: &[(u64, u64)], replayed: &[u64], verdict: Verdict) {
        let ordered =
            order(groups.iter().map(|(sequence, durable)| found(*sequence, *durable)).collect(), 10);
        let sequences: Vec<u64> = ordered.replay.iter().map(|group| group.header.sequence).collect();
        assert_eq!((sequences.as_slice(), ordered.verdict), (replayed, verdict));
        assert!(groups.iter().all(|(sequence, _)| ordered.next_sequence > *sequence));
    }

    #[test]
    fn each_row_of_the_table() {
        check(&[], &[], Verdict::Whole);
        check(&[(11, 11), (10, 10)], &[10, 11], Verdict::Whole);
        check(&[(10, 10), (12, 11)], &[10], Verdict::Torn { sequence: 11 });
        check(&[(11, 10)], &[], Verdict::Torn { sequence: 10 });
        check(&[(10, 10), (12, 12)], &[10, 12], Verdict::Corrupt { sequence: 11 });
    }
}
