//! The newest bytes of one segment, in memory: append target, write buffer and read cache in one.
//!
//! Chunks lie back to back from `start` to the segment's end. All but the last are frozen; the last may still have its
//! writer. Chunks begin at whole blocks of the file, so a frozen one goes to disk as it stands. A batch may straddle
//! chunks. Old chunks whose bytes are in the segment file are dropped from the front when memory is needed elsewhere.

use std::collections::VecDeque;

use crate::base::checksum::Crc32c;
use crate::base::{BLOCK_BYTES, Chunk, ChunkSlice, ChunkWriter, LeaderEpoch, Offset, block_floor};
use crate::record::BATCH_HEADER_BYTES;

/// First chunk of a partition; each following one doubles up to the configured size, so that an idle partition costs
/// little and a busy one writes in large pieces.
const CHUNK_BYTES_FIRST: usize = BLOCK_BYTES;

/// What is written early is a chunk of its own from here on: of less, a copy costs less than another chunk.
const EARLY_CHUNK_BYTES_MIN: usize = 4 * BLOCK_BYTES;

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
    fn bytes_at(self, start: u64) -> usize {
        let bytes = self.bytes_max as u64;
        let shift = block_floor((bytes * u64::from(self.phase)) >> 32);
        let past = (start + bytes - shift) % bytes;
        index(bytes - past)
    }
}

/// Hands out zero-filled or at least initialised block-aligned memory of exactly the length asked for.
pub type Allocate<'a> = &'a mut dyn FnMut(usize) -> Chunk;

#[derive(Debug, Default)]
pub struct Tail {
    chunks: VecDeque<TailChunk>,
    writer: Option<TailWriter>,
    batches: VecDeque<TailBatch>,
    chunk_bytes_next: usize,
}

/// A frozen chunk.
#[derive(Debug)]
struct TailChunk {
    start: u64,
    /// May be less than the chunk's own length: a direct run took over from there.
    len: u64,
    chunk: Chunk,
}

#[derive(Debug)]
struct TailWriter {
    start: u64,
    memory: ChunkWriter,
    /// Bytes of it that early writes have put into the segment already; whole blocks.
    written: u64,
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
    /// `None` if the whole chunk goes; else only `from..to` of it (whole blocks), to be copied.
    pub part: Option<(usize, usize)>,
}

impl ToWrite {
    /// Whole blocks.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.part.map_or(self.chunk.len(), |(from, to)| to - from)
    }
}

/// What an append put where.
#[derive(Debug)]
pub struct Placed {
    /// The pieces that the commit log must make durable; for a direct run only what lies beyond its last whole block.
    pub log: [Option<ChunkSlice>; 2],
    /// File position of the first byte in `log`.
    pub log_position: u64,
    /// Chunks that are full now, or that the direct run cut off.
    pub writes: Vec<ToWrite>,
    /// The direct run itself: durable when written.
    pub direct: Option<ToWrite>,
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

    /// Appends one batch at file position `end` through the current chunk and, if it does not fit, a fresh one. `None`
    /// if its checksum does not match: then nothing has changed.
    pub fn append(
        &mut self,
        end: u64,
        batch: &Stamped<'_>,
        grid: ChunkGrid,
        allocate: Allocate<'_>,
    ) -> Option<Placed> {
        let room = self.writer.as_ref().map_or(0, |writer| writer.memory.room());
        let beyond = batch.len().saturating_sub(room);
        let start = end + (batch.len() - beyond) as u64;
        let mut fresh =
            (beyond > 0).then(|| ChunkWriter::new(allocate(self.next_chunk_bytes(start, beyond, grid))));
        let crc = {
            let first = self.writer.as_mut().map_or(&mut [][..], |writer| writer.memory.spare());
            let second = fresh.as_mut().map_or(&mut [][..], |memory| memory.spare());
            batch.scatter(first, second)
        };
        if crc != batch.crc {
            return None;
        }
        let mut log = [None, None];
        let mut writes = Vec::new();
        if let Some(writer) = &mut self.writer {
            let at = writer.memory.filled();
            let len = batch.len().min(room);
            writer.memory.advance(len);
            log[0] = Some(writer.memory.slice(at..at + len));
        }
        writes.extend(self.freeze_if_full());
        if let Some(mut memory) = fresh {
            memory.advance(beyond);
            log[usize::from(log[0].is_some())] = Some(memory.slice(0..beyond));
            assert_eq!(start, block_floor(start), "chunks begin at whole blocks");
            self.writer = Some(TailWriter { start, memory, written: 0 });
            writes.extend(self.freeze_if_full());
        }
        Some(Placed { log, log_position: end, writes, direct: None })
    }

    /// Appends one large batch at file position `end` so that its whole blocks form a chunk of their own, which goes
    /// straight to the segment; the bytes before it in its first block are copied along, those after its last whole
    /// block begin the next chunk. `None` if the checksum does not match.
    pub fn append_direct(&mut self, end: u64, batch: &Stamped<'_>, allocate: Allocate<'_>) -> Option<Placed> {
        let start = block_floor(end);
        let carry = index(end - start);
        let whole = index(block_floor((carry + batch.len()) as u64));
        let rest = carry + batch.len() - whole;
        assert!(whole > carry, "a direct run has whole blocks");
        let mut run = ChunkWriter::new(allocate(whole));
        if carry > 0 {
            for piece in self.slices(start, end) {
                run.append(&piece);
            }
        }
        let mut next = (rest > 0).then(|| ChunkWriter::new(allocate(CHUNK_BYTES_FIRST)));
        let crc = batch.scatter(run.spare(), next.as_mut().map_or(&mut [][..], |memory| memory.spare()));
        if crc != batch.crc {
            return None;
        }
        let writes = self.cut_writer(start);
        run.advance(whole - carry);
        let chunk = run.freeze();
        self.chunks.push_back(TailChunk { start, len: whole as u64, chunk: chunk.clone() });
        let mut log = [None, None];
        if let Some(mut memory) = next {
            memory.advance(rest);
            log[0] = Some(memory.slice(0..rest));
            self.writer = Some(TailWriter { start: start + whole as u64, memory, written: 0 });
        }
        let direct = Some(ToWrite { position: start, chunk, part: None });
        Some(Placed { log, log_position: start + whole as u64, writes, direct })
    }

    /// Enters the batch that was just appended.
    pub fn enter(&mut self, batch: TailBatch) {
        self.batches.push_back(batch);
    }

    /// What of the unfinished chunk can be written now: its whole blocks that are not in the segment yet. If these are many,
    /// the chunk ends with them; else it goes on being filled, and when it is full only the rest is written.
    pub fn early_write(&mut self, grid: ChunkGrid, allocate: Allocate<'_>) -> Option<ToWrite> {
        let writer = self.writer.as_ref()?;
        let whole = block_floor(writer.memory.filled() as u64);
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
        let padded = len.div_ceil(BLOCK_BYTES as u64) * BLOCK_BYTES as u64;
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

    fn next_chunk_bytes(&mut self, start: u64, at_least: usize, grid: ChunkGrid) -> usize {
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

/// A batch on its way into the log: the header as it will be stored, the rest as it came.
#[derive(Debug)]
pub struct Stamped<'a> {
    /// With base offset and leader epoch patched (and, for LogAppendTime, timestamp, attributes and checksum).
    pub header: [u8; BATCH_HEADER_BYTES],
    /// The checksummed part of the header as it arrived.
    pub original: [u8; BATCH_HEADER_BYTES],
    pub payload: &'a [u8],
    /// The checksum the batch arrived with.
    pub crc: u32,
}

impl Stamped<'_> {
    fn len(&self) -> usize {
        BATCH_HEADER_BYTES + self.payload.len()
    }

    /// Writes the batch over two targets, the second taking what the first cannot hold, and returns the CRC-32C of what
    /// arrived: one pass over the payload for both.
    fn scatter(&self, first: &mut [u8], second: &mut [u8]) -> u32 {
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

/// The checksum covers a batch from its attributes on.
const CRC_FROM: usize = 21;

fn index(value: u64) -> usize {
    usize::try_from(value).expect("positions within memory fit usize")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_written_to_evenly_fill_their_chunks_in_turn() {
        let bytes_max = 16 * BLOCK_BYTES;
        let mut at_once = [0; 16];
        for partition in 0..64_u32 {
            let grid = ChunkGrid { bytes_max, phase: partition.wrapping_mul(0x9E37_79B9) };
            let mut tail = Tail::default();
            let mut end = 0;
            // Beyond the chunks that double.
            while end < 100 * BLOCK_BYTES as u64 {
                let bytes = tail.next_chunk_bytes(end, 1, grid);
                assert!(bytes <= bytes_max && bytes.is_multiple_of(BLOCK_BYTES), "{bytes}");
                end += bytes as u64;
            }
            assert_eq!(tail.next_chunk_bytes(end, 1, grid), bytes_max);
            at_once[index(end) / BLOCK_BYTES % 16] += 1;
        }
        assert!(at_once.iter().all(|count| (3..=5).contains(count)), "{at_once:?}");
    }

    #[test]
    fn what_is_written_early_is_written_once_and_stays_readable() {
        let grid = ChunkGrid { bytes_max: 16 * BLOCK_BYTES, phase: 0 };
        for step in [700, 5_000, 20_000, 90_000] {
            let mut tail = Tail::default();
            let (mut all, mut file) = (Vec::new(), Vec::new());
            let mut take = |writes: Vec<ToWrite>| {
                for write in writes {
                    let (from, to) = write.part.unwrap_or((0, write.chunk.len()));
                    assert_eq!(
                        (write.position, write.position % 4096),
                        (file.len() as u64, 0),
                        "each byte once"
                    );
                    file.extend_from_slice(&write.chunk.slice(from..to));
                }
                file.len()
            };
            for round in 0..60_u8 {
                let payload = vec![round; step];
                let mut crc = Crc32c::new();
                let header = [round; BATCH_HEADER_BYTES];
                crc.update(&header[CRC_FROM..]);
                crc.update(&payload);
                let batch = Stamped { header, original: header, payload: &payload, crc: crc.finish() };
                let placed = tail.append(all.len() as u64, &batch, grid, &mut Chunk::heap).expect("sound");
                all.extend_from_slice(&header);
                all.extend_from_slice(&payload);
                take(placed.writes);
                let written = take(tail.early_write(grid, &mut Chunk::heap).into_iter().collect());
                assert_eq!(written as u64, block_floor(all.len() as u64));
                assert!(tail.early_write(grid, &mut Chunk::heap).is_none());
                let remainder = tail.remainder().map_or(0, |(_, rest)| rest.len());
                assert_eq!(written + remainder, all.len());
                let read: Vec<u8> =
                    tail.slices(0, all.len() as u64).iter().flat_map(|piece| piece.to_vec()).collect();
                assert_eq!(read, all);
            }
            // Idle from here on, it keeps a block beside what can be evicted.
            tail.shrink(&mut Chunk::heap);
            assert!(tail.writer.as_ref().is_none_or(|it| it.memory.capacity() == CHUNK_BYTES_FIRST));
            assert_eq!(tail.slices(0, all.len() as u64).iter().map(|it| it.len()).sum::<usize>(), all.len());
            take(tail.seal().into_iter().collect());
            assert!(file.starts_with(&all) && file.len() < all.len() + BLOCK_BYTES);
        }
    }

    #[test]
    fn a_batch_larger_than_the_largest_chunk_gets_one_of_its_own_size() {
        let grid = ChunkGrid { bytes_max: BLOCK_BYTES, phase: u32::MAX };
        assert_eq!(Tail::default().next_chunk_bytes(0, 3 * BLOCK_BYTES + 1, grid), 4 * BLOCK_BYTES);
    }
}
