//! Appending to a tail: through the chunk being filled, or as a direct run with a chunk of its own.

use crate::base::{BLOCK_BYTES, ChunkSlice, ChunkWriter, block_floor};

use super::grid::{CHUNK_BYTES_FIRST, ChunkGrid, index};
use super::held::{Allocate, Tail, TailBatch, TailChunk, TailWriter, ToWrite};
use super::run::{BadCrc, Run};

/// What an append put where.
#[derive(Debug)]
pub struct Placed {
    /// The pieces that the commit log must make durable; for a direct run only what lies beyond its last whole block.
    pub commit_bytes: [Option<ChunkSlice>; 2],
    /// Position in the segment of their first byte.
    pub commit_bytes_at: u64,
    /// Chunks that are full now, or that the direct run cut off.
    pub writes: Vec<ToWrite>,
    /// The direct run itself: durable when written.
    pub direct: Option<ToWrite>,
}

impl Tail {
    /// Appends a run at file position `end` through the current chunk and, if it does not fit, a fresh one. If a checksum does
    /// not match, nothing has changed.
    pub fn append(
        &mut self,
        end: u64,
        run: &Run<'_>,
        grid: ChunkGrid,
        allocate: Allocate<'_>,
    ) -> Result<Placed, BadCrc> {
        assert!(self.end().is_none_or(|held| held == end), "a run is appended where the last one ends");
        let room = self.writer.as_ref().map_or(0, |writer| writer.memory.room());
        let beyond = run.len().saturating_sub(room);
        let start = end + (run.len() - beyond) as u64;
        let mut fresh =
            (beyond > 0).then(|| ChunkWriter::new(allocate(self.next_chunk_bytes(start, beyond, grid))));
        {
            let first = self.writer.as_mut().map_or(&mut [][..], |writer| writer.memory.spare());
            let second = fresh.as_mut().map_or(&mut [][..], |memory| memory.spare());
            run.scatter(first, second)?;
        }
        let mut commit_bytes = [None, None];
        let mut writes = Vec::new();
        if let Some(writer) = &mut self.writer {
            let at = writer.memory.filled();
            let len = run.len().min(room);
            writer.memory.advance(len);
            commit_bytes[0] = Some(writer.memory.slice(at..at + len));
        }
        writes.extend(self.freeze_if_full());
        if let Some(mut memory) = fresh {
            memory.advance(beyond);
            commit_bytes[usize::from(commit_bytes[0].is_some())] = Some(memory.slice(0..beyond));
            assert_eq!(start, block_floor(start), "chunks begin at whole blocks");
            self.writer = Some(TailWriter { start, memory, written: 0 });
            writes.extend(self.freeze_if_full());
        }
        Ok(Placed { commit_bytes, commit_bytes_at: end, writes, direct: None })
    }

    /// Appends a large run at file position `end` so that its whole blocks form a chunk of their own, which goes
    /// straight to the segment; the bytes before it in its first block are copied along, those after its last whole
    /// block begin the next chunk. If a checksum does not match, nothing has changed.
    pub fn append_direct(
        &mut self,
        end: u64,
        run: &Run<'_>,
        allocate: Allocate<'_>,
    ) -> Result<Placed, BadCrc> {
        assert!(self.end().is_none_or(|held| held == end), "a run is appended where the last one ends");
        let start = block_floor(end);
        let carry = index(end - start);
        let whole = index(block_floor((carry + run.len()) as u64));
        let rest = carry + run.len() - whole;
        assert!(whole > carry, "a direct run has whole blocks");
        let mut blocks = ChunkWriter::new(allocate(whole));
        if carry > 0 {
            for piece in self.slices(start, end) {
                blocks.append(&piece);
            }
        }
        let mut next = (rest > 0).then(|| ChunkWriter::new(allocate(CHUNK_BYTES_FIRST)));
        run.scatter(blocks.spare(), next.as_mut().map_or(&mut [][..], |memory| memory.spare()))?;
        let writes = self.cut_writer(start);
        blocks.advance(whole - carry);
        let chunk = blocks.freeze();
        self.chunks.push_back(TailChunk { start, len: whole as u64, chunk: chunk.clone() });
        let mut commit_bytes = [None, None];
        if let Some(mut memory) = next {
            memory.advance(rest);
            commit_bytes[0] = Some(memory.slice(0..rest));
            self.writer = Some(TailWriter { start: start + whole as u64, memory, written: 0 });
        }
        let direct = Some(ToWrite { position: start, chunk, part: None });
        Ok(Placed { commit_bytes, commit_bytes_at: start + whole as u64, writes, direct })
    }

    /// Enters a batch that was just appended; those of a run one after the other.
    pub fn enter(&mut self, batch: TailBatch) {
        let adjoins = |last: &TailBatch| last.last < batch.base && last.end_position() == batch.position;
        assert!(self.batches.back().is_none_or(adjoins), "batches ascend, and lie back to back");
        self.batches.push_back(batch);
    }

    pub(super) fn next_chunk_bytes(&mut self, start: u64, at_least: usize, grid: ChunkGrid) -> usize {
        let doubled = self.chunk_bytes_next.max(CHUNK_BYTES_FIRST);
        let bytes = if doubled < grid.bytes_max {
            self.chunk_bytes_next = doubled * 2;
            doubled
        } else {
            grid.bytes_at(start)
        };
        bytes.max(at_least.next_multiple_of(BLOCK_BYTES))
    }

    fn freeze_if_full(&mut self) -> Option<ToWrite> {
        if self.writer.as_ref()?.memory.room() > 0 {
            return None;
        }
        let TailWriter { start, memory, written } = self.writer.take()?;
        let len = memory.filled();
        let chunk = memory.freeze();
        let all_written = written == len as u64;
        self.chunks.push_back(TailChunk { start, len: len as u64, chunk: chunk.clone() });
        let part = (written > 0).then(|| (index(written), len));
        (!all_written).then_some(ToWrite { position: start + written, chunk, part })
    }

    /// Ends the current chunk at file position `at`, a whole block; what lies beyond is held by another chunk now.
    fn cut_writer(&mut self, at: u64) -> Vec<ToWrite> {
        let Some(TailWriter { start, memory, written }) = self.writer.take() else { return Vec::new() };
        assert!(
            start <= at && at <= start + memory.filled() as u64,
            "a direct run begins in the current block"
        );
        let len = at - start;
        if len == 0 {
            return Vec::new();
        }
        let chunk = memory.freeze();
        self.chunks.push_back(TailChunk { start, len, chunk: chunk.clone() });
        if written == len {
            return Vec::new();
        }
        vec![ToWrite { position: start + written, chunk, part: Some((index(written), index(len))) }]
    }
}
