//! Where the chunks of a partition end.

use crate::base::{BLOCK_BYTES, block_floor};

/// First chunk of a partition; each following one doubles up to the configured size, so that an idle partition costs
/// little and a busy one writes in large pieces.
pub(super) const CHUNK_BYTES_FIRST: usize = BLOCK_BYTES;

/// Where the regular chunks of a partition end.
#[derive(Clone, Copy, Debug)]
pub struct ChunkGrid {
    /// The largest; whole blocks.
    pub bytes_max: usize,
    /// Moves the ends of the largest by this part of 2^32 of their length. Each partition has another: those that are
    /// written to evenly would all have one to write at the same time.
    pub phase: u32,
}

impl ChunkGrid {
    /// How long a chunk of the largest size is that begins at file position `start`.
    pub(super) fn bytes_at(self, start: u64) -> usize {
        let bytes = self.bytes_max as u64;
        let shift = block_floor((bytes * u64::from(self.phase)) >> 32);
        let past = (start + bytes - shift) % bytes;
        index(bytes - past)
    }
}

pub(super) fn index(value: u64) -> usize {
    usize::try_from(value).expect("positions within memory fit usize")
}
