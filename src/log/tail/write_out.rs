//! What of a tail is written to the segment, and when its memory is let go.

use crate::base::{BLOCK_BYTES, Chunk, ChunkSlice, ChunkWriter, block_ceil, block_floor};

use super::grid::{CHUNK_BYTES_FIRST, ChunkGrid, index};
use super::held::{Allocate, Tail, TailChunk, TailWriter, ToWrite};

/// What is written early is a chunk of its own from here on: of less, a copy costs less than another chunk.
const EARLY_CHUNK_BYTES_MIN: usize = 4 * BLOCK_BYTES;

impl Tail {
    /// What of the unfinished chunk can be written now: its whole blocks that are not in the segment yet. If these are many,
    /// the chunk ends with them; else it goes on being filled, and when it is full only the rest is written.
    pub fn early_write(&mut self, grid: ChunkGrid, allocate: Allocate<'_>) -> Option<ToWrite> {
        let writer = self.writer.as_ref()?;
        let whole = block_floor(writer.memory.filled() as u64);
        assert!(writer.written <= whole, "only what is there was written");
        if whole == writer.written {
            return None;
        }
        if writer.written == 0 && whole >= EARLY_CHUNK_BYTES_MIN as u64 {
            let next = writer.start + whole;
            let ended = self.end_chunk(index(whole), |tail| tail.next_chunk_bytes(next, 1, grid), allocate);
            return ended.map(|(position, chunk)| ToWrite { position, chunk, part: None });
        }
        let writer = self.writer.as_mut()?;
        let (from, to) = (index(writer.written), index(whole));
        let position = writer.start + writer.written;
        writer.written = whole;
        Some(ToWrite { position, chunk: writer.memory.slice(0..0).chunk().clone(), part: Some((from, to)) })
    }

    /// Ends the chunk being filled after `whole` bytes; what it holds beyond begins the next one.
    fn end_chunk(
        &mut self,
        whole: usize,
        next_bytes: impl FnOnce(&mut Tail) -> usize,
        allocate: Allocate<'_>,
    ) -> Option<(u64, Chunk)> {
        let TailWriter { start, memory, .. } = self.writer.take()?;
        let rest = memory.slice(whole..memory.filled());
        if !rest.is_empty() {
            let mut next = ChunkWriter::new(allocate(next_bytes(self)));
            next.append(&rest);
            self.writer = Some(TailWriter { start: start + whole as u64, memory: next, written: 0 });
        }
        if whole == 0 {
            return None;
        }
        let chunk = memory.freeze_at(whole);
        self.chunks.push_back(TailChunk { start, len: whole as u64, chunk: chunk.clone() });
        Some((start, chunk))
    }

    /// The bytes after the last whole block: what only the commit log holds after [`Tail::early_write`].
    #[must_use]
    pub fn remainder(&self) -> Option<(u64, ChunkSlice)> {
        let writer = self.writer.as_ref()?;
        let filled = writer.memory.filled();
        let whole = index(block_floor(filled as u64));
        (whole < filled).then(|| (writer.start + whole as u64, writer.memory.slice(whole..filled)))
    }

    /// Ends the appending: the last chunk is zero-padded to a whole block, and what is not in the segment yet is
    /// returned for writing.
    pub fn seal(&mut self) -> Option<ToWrite> {
        let writer = self.writer.take()?;
        let len = writer.memory.filled() as u64;
        let padded = block_ceil(len);
        assert!(writer.written <= padded, "only what is there was written");
        let chunk = writer.memory.freeze();
        let write = (writer.written < padded).then(|| ToWrite {
            position: writer.start + writer.written,
            part: (writer.written > 0 || padded < chunk.len() as u64)
                .then_some((index(writer.written), index(padded))),
            chunk: chunk.clone(),
        });
        self.chunks.push_back(TailChunk { start: writer.start, len, chunk });
        write
    }

    /// Drops the oldest chunk if its bytes, and those of the batch that straddles its end, lie below `readable_end`: the
    /// segment file has them. Returns the memory freed, 0 if nothing could be dropped.
    pub fn evict_front(&mut self, readable_end: u64) -> usize {
        let Some(front) = self.chunks.front() else { return 0 };
        let end = front.start + front.len;
        let inside = self.batches.iter().take_while(|batch| batch.position < end).last();
        let needed_to = inside.map_or(end, |batch| batch.end_position().max(end));
        if needed_to > readable_end {
            return 0;
        }
        let freed = front.chunk.len();
        self.chunks.pop_front();
        while self.batches.front().is_some_and(|batch| batch.position < end) {
            self.batches.pop_front();
        }
        freed
    }

    /// Whether [`Tail::evict_front`] may find something, now or when more is written.
    #[must_use]
    pub fn is_evictable(&self) -> bool {
        !self.chunks.is_empty()
            || self.writer.as_ref().is_some_and(|writer| writer.memory.capacity() > CHUNK_BYTES_FIRST)
    }

    /// Ends the unfinished chunk early if all its whole blocks have been handed out for writing: what follows the last of
    /// them moves to the smallest chunk, so that a partition that was busy once costs no more than any other. Returns the
    /// bytes that this frees at once; the rest can be evicted then.
    pub fn shrink(&mut self, allocate: Allocate<'_>) -> usize {
        let Some(writer) = &self.writer else { return 0 };
        let (whole, capacity) = (block_floor(writer.memory.filled() as u64), writer.memory.capacity());
        if capacity <= CHUNK_BYTES_FIRST || writer.written < whole {
            return 0;
        }
        self.chunk_bytes_next = CHUNK_BYTES_FIRST;
        self.end_chunk(index(whole), |_| CHUNK_BYTES_FIRST, allocate);
        if whole > 0 { 0 } else { capacity - CHUNK_BYTES_FIRST }
    }
}
