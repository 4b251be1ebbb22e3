//! Block-aligned memory that is appended to once, read by many, and written to disk as it stands.
//!
//! A partition's newest bytes live in chunks: the same memory is the append target, the tail cache that fetches are
//! served from, and the buffer that direct I/O writes. The runtime hands chunks out (its own registered I/O memory
//! behind them); the simulator and tests use [`Chunk::heap`].
//!
//! Assumption that the unsafe code here rests on: a chunk has at most one [`ChunkWriter`], which only ever writes at or
//! beyond `filled`, and slices are only handed out below `filled`. Written and read ranges are therefore disjoint.
//! Chunks are `Rc`-counted and never leave their shard.

use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::ops::{Deref, Range};
use std::rc::Rc;

use super::BLOCK_BYTES;

/// Shared, reference-counted, block-aligned memory.
#[derive(Clone)]
pub struct Chunk {
    owner: Rc<dyn Any>,
    start: *mut u8,
    len: usize,
}

impl Chunk {
    /// Wraps memory that `owner` keeps alive.
    ///
    /// # Safety
    /// `start..start + len` must be initialised, stay valid and stay in place while any clone of `owner` lives, and must
    /// not be written by anybody but the chunk's writer.
    #[must_use]
    pub unsafe fn from_raw(owner: Rc<dyn Any>, start: *mut u8, len: usize) -> Chunk {
        Chunk { owner, start, len }
    }

    /// Zeroed, block-aligned memory from the heap; for tests, the simulator and start-up code.
    #[must_use]
    pub fn heap(len: usize) -> Chunk {
        let memory = Rc::new(AlignedBlocks::zeroed(len));
        let start = memory.blocks.as_ptr().cast_mut().cast::<u8>();
        // SAFETY: the boxed blocks are zero-initialised, never move and live as long as the owner.
        unsafe { Chunk::from_raw(memory, start, len) }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A chunk of the same memory that is counted in `alive` for as long as anybody holds a part of it.
    #[must_use]
    pub fn counted(self, alive: &Rc<Cell<usize>>) -> Chunk {
        let (start, len) = (self.start, self.len);
        let owner = Rc::new((self, Counted::new(len, alive)));
        // SAFETY: the memory is the chunk's, which the owner keeps; whoever made that has vouched for it.
        unsafe { Chunk::from_raw(owner, start, len) }
    }

    /// The owner this chunk was made from, if it is a `T`: how the runtime finds its I/O buffer again.
    #[must_use]
    pub fn owner<T: Any>(&self) -> Option<Rc<T>> {
        Rc::clone(&self.owner).downcast::<T>().ok()
    }

    /// A readable part. Only for chunks without a writer (filled and frozen, or read from disk).
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> ChunkSlice {
        assert!(range.start <= range.end && range.end <= self.len, "a slice lies within its chunk");
        ChunkSlice { chunk: self.clone(), start: range.start, end: range.end }
    }

    /// The whole chunk.
    #[must_use]
    pub fn all(&self) -> ChunkSlice {
        self.slice(0..self.len)
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chunk({} bytes)", self.len)
    }
}

/// A guard: its bytes are part of a sum for as long as it lives.
#[derive(Debug)]
pub struct Counted {
    bytes: usize,
    sum: Rc<Cell<usize>>,
}

impl Counted {
    #[must_use]
    pub fn new(bytes: usize, sum: &Rc<Cell<usize>>) -> Counted {
        sum.set(sum.get() + bytes);
        Counted { bytes, sum: Rc::clone(sum) }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.sum.set(self.sum.get() - self.bytes);
    }
}

/// The one appender of a chunk.
#[derive(Debug)]
pub struct ChunkWriter {
    chunk: Chunk,
    filled: usize,
}

impl ChunkWriter {
    /// Takes a fresh chunk, of which no slice exists yet.
    #[must_use]
    pub fn new(chunk: Chunk) -> ChunkWriter {
        assert_eq!(Rc::strong_count(&chunk.owner), 1, "a writer needs memory nobody else reads");
        ChunkWriter { chunk, filled: 0 }
    }

    /// Number of bytes written so far. All of them are readable.
    #[must_use]
    pub fn filled(&self) -> usize {
        self.filled
    }

    /// Number of bytes that still fit.
    #[must_use]
    pub fn room(&self) -> usize {
        self.chunk.len - self.filled
    }

    #[must_use]
    pub fn capacity(&self) -> usize {
        self.chunk.len
    }

    /// The memory beyond `filled`, for a caller that writes in steps. [`ChunkWriter::advance`] then makes a part of it
    /// readable; the rest may be written again.
    pub fn spare(&mut self) -> &mut [u8] {
        // SAFETY: `filled..len` lies within the chunk, and no slice reaches beyond `filled` (module head).
        unsafe {
            std::slice::from_raw_parts_mut(self.chunk.start.add(self.filled), self.chunk.len - self.filled)
        }
    }

    /// Makes the next `len` bytes, which were written through [`ChunkWriter::spare`], readable.
    pub fn advance(&mut self, len: usize) {
        assert!(len <= self.room(), "an append fits its chunk");
        self.filled += len;
    }

    /// The next `len` bytes, for `fill` to write in place; they become readable when it returns `true` and are left
    /// unwritten otherwise. `len` must fit.
    pub fn append_with(&mut self, len: usize, fill: impl FnOnce(&mut [u8]) -> bool) -> bool {
        assert!(len <= self.room(), "an append fits its chunk");
        // SAFETY: `filled..filled + len` lies within the chunk, and no slice reaches beyond `filled` (module head).
        let target = unsafe { std::slice::from_raw_parts_mut(self.chunk.start.add(self.filled), len) };
        let keep = fill(target);
        if keep {
            self.filled += len;
        }
        keep
    }

    /// Appends as much of `source` as fits; returns how much that was.
    pub fn append(&mut self, source: &[u8]) -> usize {
        let len = source.len().min(self.room());
        self.append_with(len, |target| {
            target.copy_from_slice(&source[..len]);
            true
        });
        len
    }

    /// A readable part of what is filled.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> ChunkSlice {
        assert!(range.end <= self.filled, "only filled bytes are readable");
        self.chunk.slice(range)
    }

    /// Ends the writing. The rest of the chunk is zeroed, so that whole blocks of it can go to disk.
    #[must_use]
    pub fn freeze(mut self) -> Chunk {
        let rest = self.room();
        self.append_with(rest, |target| {
            target.fill(0);
            true
        });
        self.chunk
    }

    /// Ends the writing, and the chunk after its first `len` bytes, all of which are filled.
    #[must_use]
    pub fn freeze_at(self, len: usize) -> Chunk {
        assert!(len <= self.filled, "what is left has been written");
        Chunk { len, ..self.chunk }
    }
}

/// A readable part of a chunk; keeps it alive.
#[derive(Clone)]
pub struct ChunkSlice {
    chunk: Chunk,
    start: usize,
    end: usize,
}

impl ChunkSlice {
    /// The chunk this is a part of.
    #[must_use]
    pub fn chunk(&self) -> &Chunk {
        &self.chunk
    }

    /// See [`Chunk::counted`].
    #[must_use]
    pub fn counted(self, alive: &Rc<Cell<usize>>) -> ChunkSlice {
        ChunkSlice { chunk: self.chunk.counted(alive), ..self }
    }

    /// A part of this part.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> ChunkSlice {
        assert!(
            range.start <= range.end && self.start + range.end <= self.end,
            "a slice lies within its slice"
        );
        ChunkSlice { chunk: self.chunk.clone(), start: self.start + range.start, end: self.start + range.end }
    }
}

impl Deref for ChunkSlice {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the range lies within initialised memory that the owner keeps alive, below what the writer writes.
        unsafe { std::slice::from_raw_parts(self.chunk.start.add(self.start), self.end - self.start) }
    }
}

impl fmt::Debug for ChunkSlice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChunkSlice({} bytes)", self.len())
    }
}

/// Heap memory in whole aligned blocks.
struct AlignedBlocks {
    blocks: Box<[Block]>,
}

#[repr(C, align(4096))]
#[derive(Clone)]
struct Block([u8; BLOCK_BYTES]);

impl AlignedBlocks {
    fn zeroed(len: usize) -> AlignedBlocks {
        AlignedBlocks {
            blocks: vec![Block([0; BLOCK_BYTES]); len.div_ceil(BLOCK_BYTES).max(1)].into_boxed_slice(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_taken_early_keep_their_bytes_while_the_writer_goes_on() {
        let mut writer = ChunkWriter::new(Chunk::heap(8192));
        assert_eq!(writer.append(b"hello"), 5);
        let hello = writer.slice(0..5);
        assert!(!writer.append_with(5, |_| false));
        assert_eq!(writer.append(b"world"), 5);
        assert_eq!(&*writer.slice(5..10), b"world");
        assert_eq!(&*hello, b"hello");
        let chunk = writer.freeze();
        assert_eq!(chunk.all()[10..], [0; 8182]);
        assert_eq!(chunk.all().as_ptr() as usize % BLOCK_BYTES, 0);
    }

    #[test]
    fn a_counted_chunk_counts_until_its_last_part_is_gone() {
        let alive = Rc::default();
        let chunk = Chunk::heap(8192).counted(&alive);
        let part = chunk.slice(100..200);
        drop(chunk);
        assert_eq!((alive.get(), part.len()), (8192, 100));
        drop(part);
        assert_eq!(alive.get(), 0);
    }
}
