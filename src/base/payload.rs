//! Record bytes on their way to a client: a response refers to them and does not copy them.

use std::ops::Deref;

use bytes::Bytes;

use super::ChunkSlice;

/// Bytes that a gather list can name.
#[derive(Clone, Debug)]
pub enum Payload {
    /// Memory of this shard: tail chunks, or blocks read from disk.
    Chunk(ChunkSlice),
    /// Bytes that any thread may own, and that may therefore go to another shard.
    Bytes(Bytes),
}

impl Payload {
    /// The bytes in a form that may leave the shard. This is the one copy of a fetch that arrives on the wrong shard.
    #[must_use]
    pub fn detach(&self) -> Bytes {
        match self {
            Payload::Chunk(slice) => Bytes::copy_from_slice(slice),
            Payload::Bytes(bytes) => bytes.clone(),
        }
    }
}

impl Deref for Payload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Payload::Chunk(slice) => slice,
            Payload::Bytes(bytes) => bytes,
        }
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Payload {
        Payload::Bytes(bytes)
    }
}

impl From<ChunkSlice> for Payload {
    fn from(slice: ChunkSlice) -> Payload {
        Payload::Chunk(slice)
    }
}

/// The pieces joined into one.
#[must_use]
pub fn joined<P: Deref<Target = [u8]>>(pieces: &[P]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(pieces.iter().map(|piece| piece.len()).sum());
    pieces.iter().for_each(|piece| bytes.extend_from_slice(piece));
    bytes
}
