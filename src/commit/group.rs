//! The bytes of a commit group: one write, whole blocks.
//!
//! ```text
//! group   = header (64) entry* zero-padding to a whole block            all integers little-endian
//! header  = magic "RMGROUP1" (8)  log identity (16)  sequence u64  durable end u64
//!           length u32 (header and entries, without padding)  entries u32  previous group's crc u32
//!           crc u32 (CRC-32 of `length` bytes with this field zero)  reserved (8)
//! entry   = see [`super::entry`]
//! ```
//!
//! `durable end` says what was known to be on stable storage when the group was issued: every group with a smaller
//! sequence. A group whose checksum does not match is *torn* (the crash hit its write) if no valid later group says that it
//! was durable, and *corrupt* otherwise.
//!
//! Assumptions on the medium: a write of whole blocks may be torn at any 512-byte boundary and in any order; blocks not
//! being written keep their content. A file is recycled without being erased. Groups that were left from its former use are
//! recognised by their sequence, and groups of a former log in the same directory by the log identity.

use crate::base::{BLOCK_BYTES, block_ceil};

use super::entry::{ENTRY_HEADER_BYTES, Entry, Says, array, u32_at, u64_at};

/// Largest group of a server. At 2 GB/s half a mebibyte keeps the disk busy for a quarter of a millisecond: long enough to make the
/// write worth its cost, short enough not to delay the next group's first entry.
pub const GROUP_BYTES_MAX: usize = 512 * 1024;
pub const GROUP_HEADER_BYTES: usize = 64;
const MAGIC: [u8; 8] = *b"RMGROUP1";
const CRC_AT: usize = 52;

const _: () = assert!(GROUP_HEADER_BYTES < BLOCK_BYTES, "a header never straddles blocks");

/// The header of a commit group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupHeader {
    pub identity: [u8; 16],
    pub sequence: u64,
    /// Every group with a smaller sequence was durable when this one was issued.
    pub durable_end: u64,
    pub length: u32,
    pub entries: u32,
    pub previous_crc: u32,
    pub crc: u32,
}

impl GroupHeader {
    /// Reads a header from the front of a block. The entries behind it are not checked.
    pub fn parse(block: &[u8]) -> Result<GroupHeader, GroupError> {
        let header = block.get(..GROUP_HEADER_BYTES).ok_or(GroupError::Short)?;
        if header.get(..8) != Some(&MAGIC) {
            return Err(GroupError::Magic);
        }
        let parsed = GroupHeader {
            identity: array(header, 8).ok_or(GroupError::Short)?,
            sequence: u64_at(header, 24).ok_or(GroupError::Short)?,
            durable_end: u64_at(header, 32).ok_or(GroupError::Short)?,
            length: u32_at(header, 40).ok_or(GroupError::Short)?,
            entries: u32_at(header, 44).ok_or(GroupError::Short)?,
            previous_crc: u32_at(header, 48).ok_or(GroupError::Short)?,
            crc: u32_at(header, CRC_AT).ok_or(GroupError::Short)?,
        };
        if (parsed.length as usize) < GROUP_HEADER_BYTES {
            return Err(GroupError::Length(parsed.length));
        }
        Ok(parsed)
    }

    /// Bytes the group takes in its file.
    #[must_use]
    pub fn blocks_bytes(&self) -> u64 {
        block_ceil(u64::from(self.length))
    }
}

/// A whole group whose checksum has been verified.
#[derive(Clone, Copy, Debug)]
pub struct Group<'a> {
    pub header: GroupHeader,
    entries: &'a [u8],
}

impl<'a> Group<'a> {
    /// Parses and verifies the group at the front of `bytes`.
    pub fn parse(bytes: &'a [u8]) -> Result<Group<'a>, GroupError> {
        let header = GroupHeader::parse(bytes)?;
        let body = bytes.get(..header.length as usize).ok_or(GroupError::Short)?;
        let entries = body.get(GROUP_HEADER_BYTES..).ok_or(GroupError::Short)?;
        if crc_of(body) != header.crc {
            return Err(GroupError::Crc);
        }
        Ok(Group { header, entries })
    }

    /// The entries in order. If the entries of a group with a right checksum do not fill it exactly, a defect of this program
    /// wrote them: that is reported as [`GroupError::Entries`].
    pub fn entries(&self) -> impl Iterator<Item = Result<Entry<'a>, GroupError>> + use<'a> {
        let (mut rest, mut at) = (self.entries, GROUP_HEADER_BYTES);
        let mut left = self.header.entries;
        std::iter::from_fn(move || {
            if left == 0 {
                return (!std::mem::take(&mut rest).is_empty()).then_some(Err(GroupError::Entries));
            }
            left -= 1;
            let Some((entry, behind)) = Entry::parse(rest, at) else {
                left = 0;
                rest = &[];
                return Some(Err(GroupError::Entries));
            };
            at = entry.at + entry.bytes.len();
            rest = behind;
            Some(Ok(entry))
        })
    }
}

/// Why bytes are not a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    #[error("no group begins here")]
    Magic,
    #[error("the group runs past the end of its file")]
    Short,
    #[error("a group cannot be {0} bytes long")]
    Length(u32),
    #[error("the group's checksum does not match")]
    Crc,
    #[error("the group's entries do not fill it")]
    Entries,
}

/// Writes one group into a zeroed or recycled buffer of whole blocks, front to back.
#[derive(Debug)]
pub(super) struct GroupWriter<'a> {
    buffer: &'a mut [u8],
    filled: usize,
    entries: u32,
}

impl<'a> GroupWriter<'a> {
    /// `buffer` must hold the header and every entry to come.
    pub(super) fn new(buffer: &'a mut [u8]) -> GroupWriter<'a> {
        assert!(buffer.len() >= GROUP_HEADER_BYTES, "a group has a header");
        GroupWriter { buffer, filled: GROUP_HEADER_BYTES, entries: 0 }
    }

    /// Appends one entry whose bytes come in pieces.
    pub(super) fn entry<'p>(&mut self, says: &Says, pieces: impl Iterator<Item = &'p [u8]>) {
        let start = self.filled;
        let mut at = start + ENTRY_HEADER_BYTES;
        for piece in pieces {
            self.buffer[at..at + piece.len()].copy_from_slice(piece);
            at += piece.len();
        }
        let length =
            u32::try_from(at - start - ENTRY_HEADER_BYTES).expect("an entry is bounded by its group");
        let head = self.buffer[start..].first_chunk_mut().expect("the buffer holds every entry");
        says.write(head, length);
        self.filled = at;
        self.entries += 1;
    }

    /// Completes the header, zeroes the padding and returns the group's crc.
    pub(super) fn finish(
        self,
        identity: [u8; 16],
        sequence: u64,
        durable_end: u64,
        previous_crc: u32,
    ) -> u32 {
        let length = u32::try_from(self.filled).expect("a group is bounded");
        self.buffer[self.filled..].fill(0);
        let head = &mut self.buffer[..GROUP_HEADER_BYTES];
        head.fill(0);
        head[..8].copy_from_slice(&MAGIC);
        head[8..24].copy_from_slice(&identity);
        head[24..32].copy_from_slice(&sequence.to_le_bytes());
        head[32..40].copy_from_slice(&durable_end.to_le_bytes());
        head[40..44].copy_from_slice(&length.to_le_bytes());
        head[44..48].copy_from_slice(&self.entries.to_le_bytes());
        head[48..52].copy_from_slice(&previous_crc.to_le_bytes());
        let crc = crc_of(&self.buffer[..self.filled]);
        self.buffer[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
        crc
    }
}

/// CRC-32 of a group's bytes with the crc field taken as zero.
fn crc_of(body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    let (before, rest) = body.split_at(CRC_AT.min(body.len()));
    hasher.update(before);
    hasher.update(&[0; 4]);
    hasher.update(rest.get(4..).unwrap_or(&[]));
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Offset, TopicPartition};
    use crate::commit::EntryHeader;

    fn says(position: u64) -> Says {
        Says::Append(EntryHeader {
            partition: TopicPartition::METADATA,
            segment_base: Offset(100),
            position,
            flushed: Offset(120),
            high_watermark: Offset(110),
        })
    }

    fn group(payloads: &[&[u8]]) -> Vec<u8> {
        let mut buffer = vec![0xAA; BLOCK_BYTES];
        let mut writer = GroupWriter::new(&mut buffer);
        for (index, payload) in payloads.iter().enumerate() {
            let (a, b) = payload.split_at(payload.len() / 2);
            writer.entry(&says(index as u64), [a, b].into_iter());
        }
        writer.finish([1; 16], 42, 41, 7);
        buffer
    }

    #[test]
    fn a_group_reads_back_as_written() {
        let bytes = group(&[b"first", b"", b"third entry"]);
        let parsed = Group::parse(&bytes).expect("valid");
        assert_eq!(
            (parsed.header.sequence, parsed.header.durable_end, parsed.header.previous_crc),
            (42, 41, 7)
        );
        let entries: Vec<_> = parsed.entries().collect::<Result<_, _>>().expect("valid entries");
        assert_eq!(entries.len(), 3);
        assert_eq!((entries[2].says, entries[2].bytes), (says(2), &b"third entry"[..]));
        assert!(entries.iter().all(|entry| bytes[entry.at..].starts_with(entry.bytes)));
        assert_eq!(parsed.header.blocks_bytes(), 4096);
    }

    #[test]
    fn any_flipped_bit_is_noticed_and_nothing_panics() {
        let bytes = group(&[b"some bytes", b"more bytes"]);
        let length = GroupHeader::parse(&bytes).expect("valid").length as usize;
        for index in 0..length {
            let mut bad = bytes.clone();
            bad[index] ^= 1 << (index % 8);
            assert!(Group::parse(&bad).is_err(), "byte {index}");
        }
        for cut in 0..length {
            assert!(Group::parse(&bytes[..cut]).is_err());
        }
    }
}
