//! The bytes of one entry of a commit group, and what it says.
//!
//! ```text
//! entry   = header bytes (length)                                       all integers little-endian
//! header  = kind u8  reserved (3)  length u32  topic id (16)  partition i32  reserved (4)  then by kind:
//! 1       = segment base offset i64  position in the segment u64  flushed offset i64
//! 2       = as 1, and high watermark i64
//! 3, 4    = keep below i64  begin at i64  epoch before that i32  reserved (12)
//! ```
//!
//! Kinds 1 and 2 are an append: its bytes belong at a position of a segment. Kind 1 is what versions without replicas wrote; it
//! says nothing of the high watermark. *Flushed offset* says that the partition's records below it were durable when the entry
//! was made.
//!
//! Kinds 3 and 4 have no bytes. Kind 3 is written before a log is cut, kind 4 when it is, with where it has come to: [`super::plan`]
//! says what they mean to a start. One of kind 3 that keeps nothing is also written before the files of a dropped partition are
//! removed; no entry of kind 4 follows that.

use crate::base::{LeaderEpoch, Offset, PartitionIndex, TopicId, TopicPartition};

/// Bytes of an entry's header, but for one of kind 1.
pub const ENTRY_HEADER_BYTES: usize = 64;
const OLD_APPEND_HEADER_BYTES: usize = 56;

const KIND_OLD_APPEND: u8 = 1;
const KIND_APPEND: u8 = 2;
const KIND_CUT: u8 = 3;
const KIND_CUT_DONE: u8 = 4;

/// Where the bytes of an append belong, and what was known of its partition when the entry was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryHeader {
    pub partition: TopicPartition,
    pub segment_base: Offset,
    pub position: u64,
    /// The partition's records below this were durable.
    pub flushed: Offset,
    /// The partition's high watermark. It is 0 in entries that do not tell.
    pub high_watermark: Offset,
}

/// A log that is to be cut, or was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CutHeader {
    pub partition: TopicPartition,
    /// Records at or above go. It is 0 if nothing stays.
    pub below: Offset,
    /// Where the log goes on. To be cut: the same as `below`, but if nothing stays. Cut: where the log ends, which may be less.
    pub begin_at: Offset,
    /// If nothing stays: the epoch of the record before `begin_at`; -1 if there is none.
    pub epoch: LeaderEpoch,
}

/// What an entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    Append(EntryHeader),
    Cut(CutHeader),
    CutDone(CutHeader),
}

impl Says {
    #[must_use]
    pub fn partition(&self) -> TopicPartition {
        match self {
            Says::Append(EntryHeader { partition, .. })
            | Says::Cut(CutHeader { partition, .. })
            | Says::CutDone(CutHeader { partition, .. }) => *partition,
        }
    }

    fn kind(&self) -> u8 {
        match self {
            Says::Append(_) => KIND_APPEND,
            Says::Cut(_) => KIND_CUT,
            Says::CutDone(_) => KIND_CUT_DONE,
        }
    }

    /// Writes the header of an entry with so many bytes.
    pub(super) fn write(&self, head: &mut [u8; ENTRY_HEADER_BYTES], length: u32) {
        let id = self.partition();
        *head = [0; ENTRY_HEADER_BYTES];
        head[0] = self.kind();
        head[4..8].copy_from_slice(&length.to_le_bytes());
        head[8..24].copy_from_slice(&id.topic.0);
        head[24..28].copy_from_slice(&id.partition.0.to_le_bytes());
        match self {
            Says::Append(EntryHeader { segment_base, position, flushed, high_watermark, .. }) => {
                head[32..40].copy_from_slice(&segment_base.0.to_le_bytes());
                head[40..48].copy_from_slice(&position.to_le_bytes());
                head[48..56].copy_from_slice(&flushed.0.to_le_bytes());
                head[56..64].copy_from_slice(&high_watermark.0.to_le_bytes());
            }
            Says::Cut(cut) | Says::CutDone(cut) => {
                let CutHeader { below, begin_at, epoch, .. } = cut;
                head[32..40].copy_from_slice(&below.0.to_le_bytes());
                head[40..48].copy_from_slice(&begin_at.0.to_le_bytes());
                head[48..52].copy_from_slice(&epoch.0.to_le_bytes());
            }
        }
    }

    fn parse(head: &[u8], kind: u8, partition: TopicPartition) -> Option<Says> {
        let offset = |at| u64_at(head, at).map(|value| Offset(value.cast_signed()));
        let append = |high_watermark| {
            Some(Says::Append(EntryHeader {
                partition,
                segment_base: offset(32)?,
                position: u64_at(head, 40)?,
                flushed: offset(48)?,
                high_watermark,
            }))
        };
        let cut = || {
            let (below, begin_at) = (offset(32)?, offset(40)?);
            let epoch = LeaderEpoch(u32_at(head, 48)?.cast_signed());
            Some(CutHeader { partition, below, begin_at, epoch })
        };
        match kind {
            KIND_OLD_APPEND => append(Offset(0)),
            KIND_APPEND => append(offset(56)?),
            KIND_CUT => cut().map(Says::Cut),
            KIND_CUT_DONE => cut().map(Says::CutDone),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    pub says: Says,
    pub bytes: &'a [u8],
    /// Where the bytes begin in the group.
    pub at: usize,
}

impl<'a> Entry<'a> {
    /// Reads the entry at the front of `bytes`, which lie at `at` in the group; and the bytes behind it.
    pub(super) fn parse(bytes: &'a [u8], at: usize) -> Option<(Entry<'a>, &'a [u8])> {
        let kind = *bytes.first()?;
        let header_bytes = if kind == KIND_OLD_APPEND { OLD_APPEND_HEADER_BYTES } else { ENTRY_HEADER_BYTES };
        let (head, rest) = bytes.split_at_checked(header_bytes)?;
        let partition = TopicPartition {
            topic: TopicId(array(head, 8)?),
            partition: PartitionIndex(u32_at(head, 24)?.cast_signed()),
        };
        let says = Says::parse(head, kind, partition)?;
        let (bytes, rest) = rest.split_at_checked(usize::try_from(u32_at(head, 4)?).ok()?)?;
        Some((Entry { says, bytes, at: at + header_bytes }, rest))
    }
}

pub(super) fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_le_bytes)
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    array(bytes, at).map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: TopicPartition = TopicPartition { topic: TopicId([7; 16]), partition: PartitionIndex(3) };

    fn append() -> EntryHeader {
        let (segment_base, flushed, high_watermark) = (Offset(100), Offset(120), Offset(110));
        EntryHeader { partition: ID, segment_base, position: 4000, flushed, high_watermark }
    }

    #[test]
    fn every_kind_reads_back_as_written_and_no_prefix_does() {
        let cut = CutHeader { partition: ID, below: Offset(0), begin_at: Offset(77), epoch: LeaderEpoch(-1) };
        let done = CutHeader { below: Offset(80), ..cut };
        for (kind, says) in [(2, Says::Append(append())), (3, Says::Cut(cut)), (4, Says::CutDone(done))] {
            let mut head = [0xFF; ENTRY_HEADER_BYTES];
            says.write(&mut head, 2);
            let bytes = [&head[..], b"xyz"].concat();
            let (entry, rest) = Entry::parse(&bytes, 64).expect("whole");
            assert_eq!((bytes[0], entry.says, entry.bytes, entry.at), (kind, says, &b"xy"[..], 128));
            assert_eq!((rest, says.partition()), (&b"z"[..], ID));
            for cut in 0..bytes.len() - 1 {
                assert_eq!(Entry::parse(&bytes[..cut], 64), None, "kind {kind} cut at {cut}");
            }
        }
    }

    #[test]
    fn an_entry_of_an_older_version_has_a_shorter_header() {
        let mut head = [0; ENTRY_HEADER_BYTES];
        Says::Append(append()).write(&mut head, 3);
        head[0] = KIND_OLD_APPEND;
        let bytes = [&head[..OLD_APPEND_HEADER_BYTES], b"abc"].concat();
        let (entry, rest) = Entry::parse(&bytes, 64).expect("whole");
        let says = Says::Append(EntryHeader { high_watermark: Offset(0), ..append() });
        assert_eq!((entry.says, entry.bytes, entry.at, rest), (says, &b"abc"[..], 120, &[][..]));
        head[0] = 5;
        assert_eq!(Entry::parse(&head, 64), None, "a kind of a later version");
    }
}
