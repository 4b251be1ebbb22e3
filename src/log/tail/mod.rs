//! The newest bytes of one segment, in memory: append target, write buffer and read cache in one.
//!
//! Chunks lie back to back from `start` to the segment's end. All but the last are frozen; the last may still have its
//! writer. Chunks begin at whole blocks of the file, so a frozen one goes to disk as it stands. A batch may straddle
//! chunks. Old chunks whose bytes are in the segment file are dropped from the front when memory is needed elsewhere.
//!
//! Appending is in [`append`], what is written and let go in [`write_out`]. Knows no file and no commit log: only which bytes
//! have been handed out for writing, not which have arrived.

mod append;
mod grid;
mod held;
mod run;
#[cfg(test)]
mod tests;
mod write_out;

pub use append::Placed;
pub use grid::ChunkGrid;
pub use held::{Allocate, Tail, TailBatch, ToWrite};
pub use run::{BadCrc, Run, Stamped, batches};
