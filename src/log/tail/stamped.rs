//! A batch on its way into memory: copied and checksummed in one pass.

use crate::base::checksum::Crc32c;
use crate::record::BATCH_HEADER_BYTES;

/// The checksum covers a batch from its attributes on.
pub(super) const CRC_FROM: usize = 21;

/// A batch on its way into the log: the header as it will be stored, the rest as it came.
#[derive(Debug)]
pub struct Stamped<'a> {
    /// The header with base offset and leader epoch patched (and, for LogAppendTime, timestamp, attributes and checksum).
    pub header: [u8; BATCH_HEADER_BYTES],
    /// The checksummed part of the header as it arrived.
    pub original: [u8; BATCH_HEADER_BYTES],
    pub payload: &'a [u8],
    /// The checksum the batch arrived with.
    pub crc: u32,
}

impl Stamped<'_> {
    pub(super) fn len(&self) -> usize {
        BATCH_HEADER_BYTES + self.payload.len()
    }

    /// Writes the batch over two targets, the second taking what the first cannot hold, and returns the CRC-32C of what
    /// arrived: one pass over the payload for both.
    pub(super) fn scatter(&self, first: &mut [u8], second: &mut [u8]) -> u32 {
        let mut crc = Crc32c::new();
        crc.update(&self.original[CRC_FROM..]);
        let cut = self.header.len().min(first.len());
        let (head, tail) = self.header.split_at(cut);
        first[..cut].copy_from_slice(head);
        second[..tail.len()].copy_from_slice(tail);
        let first = &mut first[cut..];
        let fits = self.payload.len().min(first.len());
        let (near, far) = self.payload.split_at(fits);
        crc.copy(&mut first[..fits], near);
        crc.copy(&mut second[tail.len()..tail.len() + far.len()], far);
        crc.finish()
    }
}
