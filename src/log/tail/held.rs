//! What a tail holds, and reading from it.

use std::collections::VecDeque;

use crate::base::{Chunk, ChunkSlice, ChunkWriter, LeaderEpoch, Offset, block_floor};

use super::grid::{CHUNK_BYTES_FIRST, index};

/// Hands out zero-filled or at least initialised block-aligned memory of exactly the length asked for.
pub type Allocate<'a> = &'a mut dyn FnMut(usize) -> Chunk;

#[derive(Debug, Default)]
pub struct Tail {
    pub(super) chunks: VecDeque<TailChunk>,
    pub(super) writer: Option<TailWriter>,
    pub(super) batches: VecDeque<TailBatch>,
    pub(super) chunk_bytes_next: usize,
}

/// A frozen chunk.
#[derive(Debug)]
pub(super) struct TailChunk {
    pub(super) start: u64,
    /// May be less than the chunk's own length: a direct run took over from there.
    pub(super) len: u64,
    pub(super) chunk: Chunk,
}

#[derive(Debug)]
pub(super) struct TailWriter {
    pub(super) start: u64,
    pub(super) memory: ChunkWriter,
    /// So many of its bytes have early writes put into the segment already; whole blocks.
    pub(super) written: u64,
}

/// One batch in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TailBatch {
    pub base: Offset,
    pub last: Offset,
    pub position: u64,
    pub bytes: u32,
    pub epoch: LeaderEpoch,
}

impl TailBatch {
    #[must_use]
    pub fn end_position(&self) -> u64 {
        self.position + u64::from(self.bytes)
    }
}

/// Bytes that must get to the segment file.
#[derive(Debug)]
pub struct ToWrite {
    pub position: u64,
    pub chunk: Chunk,
    /// The part `from..to` of the chunk (whole blocks), to be copied; `None` if the whole chunk goes.
    pub part: Option<(usize, usize)>,
}

impl ToWrite {
    /// Length of what is written: whole blocks.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.part.map_or(self.chunk.len(), |(from, to)| to - from)
    }
}

impl Tail {
    /// A tail that begins with `carry`, the bytes from the last whole block of the file to its end.
    #[must_use]
    pub fn resume(end: u64, carry: &[u8], allocate: Allocate<'_>) -> Tail {
        let mut tail = Tail::default();
        if !carry.is_empty() {
            let start = block_floor(end);
            assert_eq!(start + carry.len() as u64, end, "a tail resumes inside its last block");
            let mut memory = ChunkWriter::new(allocate(CHUNK_BYTES_FIRST));
            memory.append(carry);
            tail.writer = Some(TailWriter { start, memory, written: 0 });
        }
        tail
    }

    /// File position of the first byte held in memory, if any is.
    #[must_use]
    pub fn start(&self) -> Option<u64> {
        self.chunks.front().map(|chunk| chunk.start).or(self.writer.as_ref().map(|writer| writer.start))
    }

    /// File position after the last byte held in memory, if any is.
    #[must_use]
    pub fn end(&self) -> Option<u64> {
        let writer = self.writer.as_ref().map(|writer| writer.start + writer.memory.filled() as u64);
        writer.or(self.chunks.back().map(|chunk| chunk.start + chunk.len))
    }

    /// Memory held.
    #[must_use]
    pub fn resident_bytes(&self) -> usize {
        let frozen: usize = self.chunks.iter().map(|chunk| chunk.chunk.len()).sum();
        frozen + self.writer.as_ref().map_or(0, |writer| writer.memory.capacity())
    }

    /// The last batch held that begins at or before `position`.
    #[must_use]
    pub fn last_batch_at(&self, position: u64) -> Option<&TailBatch> {
        let after = self.batches.partition_point(|batch| batch.position <= position);
        self.batches.get(after.checked_sub(1)?)
    }

    /// The batches from the one that holds `offset` on; `None` if that one is not in memory.
    pub fn batches_from(&self, offset: Offset) -> Option<impl Iterator<Item = &TailBatch>> {
        let first = self.batches.front()?;
        if offset < first.base {
            return None;
        }
        let at = self.batches.partition_point(|batch| batch.last < offset);
        (at < self.batches.len()).then(|| self.batches.range(at..))
    }

    /// The bytes `from..to` of the file, by reference. All of them must be in memory.
    #[must_use]
    pub fn slices(&self, from: u64, to: u64) -> Vec<ChunkSlice> {
        let mut pieces = Vec::with_capacity(2);
        let at = self.chunks.partition_point(|chunk| chunk.start + chunk.len <= from);
        for chunk in self.chunks.range(at..) {
            let (low, high) = (from.max(chunk.start), to.min(chunk.start + chunk.len));
            if low >= high {
                break;
            }
            pieces.push(chunk.chunk.slice(index(low - chunk.start)..index(high - chunk.start)));
        }
        if let Some(writer) = &self.writer {
            let (low, high) = (from.max(writer.start), to.min(writer.start + writer.memory.filled() as u64));
            if low < high {
                pieces.push(writer.memory.slice(index(low - writer.start)..index(high - writer.start)));
            }
        }
        let held: usize = pieces.iter().map(|piece| piece.len()).sum();
        assert_eq!(held as u64, to - from, "what is read from the tail is in the tail");
        pieces
    }
}
