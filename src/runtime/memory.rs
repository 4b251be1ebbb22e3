//! Chunk memory: glommio's I/O buffers behind `base::Chunk`, with a small pool, because a fresh megabyte costs a page
//! fault for each of its pages.
//!
//! One of the audited homes of `unsafe`. A buffer is owned by one [`PooledBuffer`]; its memory never moves. Chunks hold
//! the `PooledBuffer`, writes under way hold the inner `Rc<DmaBuffer>` as well; only when the last of both is gone is the
//! memory given out again.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use glommio::io::{DmaBuffer, ReadResult};

use crate::base::{Chunk, ChunkSlice};

/// Memory kept for reuse, per shard.
const POOLED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Hands out chunk memory.
#[derive(Clone, Debug, Default)]
pub struct ChunkMemory {
    pool: Rc<Pool>,
}

#[derive(Debug, Default)]
struct Pool {
    /// Bytes of chunks alive.
    live: Rc<Cell<usize>>,
    free: RefCell<HashMap<usize, Vec<Rc<DmaBuffer>>>>,
    free_bytes: Cell<usize>,
}

/// Keeps a buffer for the pool when its last chunk goes.
#[derive(Debug)]
pub struct PooledBuffer {
    buffer: Option<Rc<DmaBuffer>>,
    len: usize,
    pool: Rc<Pool>,
}

impl ChunkMemory {
    /// Bytes of chunks alive, kept current.
    #[must_use]
    pub fn live(&self) -> Rc<Cell<usize>> {
        Rc::clone(&self.pool.live)
    }

    /// A chunk of `len` bytes, initialised; `len` must be a multiple of 4096 and not 0.
    #[must_use]
    pub fn allocate(&self, len: usize) -> Chunk {
        let mut buffer = self.pool.take(len).unwrap_or_else(|| {
            let mut fresh = glommio::allocate_dma_buffer_global(len);
            fresh.as_bytes_mut().fill(0);
            Rc::new(fresh)
        });
        let start = Rc::get_mut(&mut buffer).expect("nobody else holds a free buffer").as_mut_ptr();
        self.pool.live.set(self.pool.live.get() + len);
        let owner = Rc::new(PooledBuffer { buffer: Some(buffer), len, pool: Rc::clone(&self.pool) });
        // SAFETY: the buffer's memory is initialised, never moves, and lives until the owner's drop at least.
        unsafe { Chunk::from_raw(owner, start, len) }
    }
}

impl PooledBuffer {
    /// The buffer, for writing it out.
    #[must_use]
    pub fn buffer(&self) -> Rc<DmaBuffer> {
        Rc::clone(self.buffer.as_ref().expect("only taken on drop"))
    }
}

impl Drop for PooledBuffer {
    fn drop(&mut self) {
        self.pool.live.set(self.pool.live.get() - self.len);
        if let Some(buffer) = self.buffer.take() {
            self.pool.give_back(buffer, self.len);
        }
    }
}

impl Pool {
    fn take(&self, len: usize) -> Option<Rc<DmaBuffer>> {
        let buffer = self.free.borrow_mut().get_mut(&len)?.pop()?;
        self.free_bytes.set(self.free_bytes.get() - len);
        Some(buffer)
    }

    fn give_back(&self, buffer: Rc<DmaBuffer>, len: usize) {
        // A write still under way keeps it: then it is not for reuse.
        if Rc::strong_count(&buffer) == 1 && self.free_bytes.get() + len <= POOLED_BYTES_MAX {
            self.free_bytes.set(self.free_bytes.get() + len);
            self.free.borrow_mut().entry(len).or_default().push(buffer);
        }
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
