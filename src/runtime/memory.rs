//! Chunk memory: glommio's I/O buffers behind `base::Chunk`.
//!
//! One of the audited homes of `unsafe`. A buffer is owned by one [`ChunkBuffer`]; its memory never moves. Chunks hold
//! the `ChunkBuffer`, writes under way hold the inner `Rc<DmaBuffer>` as well; only when the last of both is gone is the
//! memory given back. The allocator keeps it for a while: a fresh megabyte costs a page fault for each of its pages.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use glommio::io::{DmaBuffer, ReadResult};

use crate::base::{Chunk, ChunkSlice, Counted};

/// Hands out chunk memory.
#[derive(Clone, Debug, Default)]
pub struct ChunkMemory {
    /// Bytes of chunks alive.
    live: Rc<Cell<usize>>,
}

/// The memory of one chunk.
#[derive(Debug)]
pub struct ChunkBuffer {
    buffer: RefCell<Rc<DmaBuffer>>,
    _counted: Counted,
}

impl ChunkMemory {
    /// A cell that holds the bytes of all chunks alive, kept current.
    #[must_use]
    pub fn live(&self) -> Rc<Cell<usize>> {
        Rc::clone(&self.live)
    }

    /// Allocates a chunk of `len` bytes, with whatever they held last; `len` must be a multiple of 4096 and not 0.
    #[must_use]
    pub fn allocate(&self, len: usize) -> Chunk {
        let mut buffer = glommio::allocate_dma_buffer_global(len);
        let start = buffer.as_mut_ptr();
        as_it_is(start);
        let owner = Rc::new(ChunkBuffer {
            buffer: RefCell::new(Rc::new(buffer)),
            _counted: Counted::new(len, &self.live),
        });
        // SAFETY: the buffer's memory is initialised, never moves, and lives until the owner's drop at least.
        unsafe { Chunk::from_raw(owner, start, len) }
    }
}

/// Makes memory count as initialised with the bytes it happens to hold. Every byte of a chunk is written before it is read;
/// to zero it first would be a second pass over memory that is in no cache.
fn as_it_is(start: *mut u8) {
    // SAFETY: does nothing. To the compiler, assembly that has a pointer may have written all that can be reached by it.
    unsafe { std::arch::asm!("/* {} */", in(reg) start, options(nostack, preserves_flags)) };
}

impl ChunkBuffer {
    /// The buffer, for writing out its first `len` bytes. It ends there from now on: `None` if it is shorter, or longer and
    /// being written.
    #[must_use]
    pub fn buffer(&self, len: usize) -> Option<Rc<DmaBuffer>> {
        let mut buffer = self.buffer.borrow_mut();
        if buffer.len() > len {
            Rc::get_mut(&mut buffer)?.trim_to_size(len);
        }
        (buffer.len() == len).then(|| Rc::clone(&buffer))
    }
}

/// What a read brought, as chunk memory.
#[must_use]
pub fn from_read(result: ReadResult) -> ChunkSlice {
    let len = result.len();
    if len == 0 {
        return Chunk::heap(0).slice(0..0);
    }
    let start = result.as_ptr().cast_mut();
    // SAFETY: the result's buffer is filled, never moves, lives as long as the owner and is never written: a chunk
    // without a writer is only read.
    let chunk = unsafe { Chunk::from_raw(Rc::new(result), start, len) };
    chunk.all()
}
