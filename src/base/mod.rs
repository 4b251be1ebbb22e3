//! The vocabulary that all other modules share: ids, offsets, epochs, checksums, varints, time, memory.
//!
//! Knows no other module. Lives on every shard; nothing here is shared between shards except what is plainly `Send`.

pub mod checksum;
pub mod chunk;
pub mod cluster;
pub mod hash;
pub mod ids;
pub mod io;
pub mod keys;
pub mod marks;
pub mod metrics;
pub mod payload;
pub mod question;
pub mod rng;
pub mod rules;
pub mod time;
pub mod varint;

pub use chunk::{Chunk, ChunkSlice, ChunkWriter, Counted};
pub use cluster::{LaneId, LogEnd, StreamNumber, Voter};
pub use ids::*;
pub use marks::mark;
pub use payload::{Payload, joined};
pub use question::{AnswerTo, Question};
pub use rules::{Rule, holds};
pub use time::{MonoNanos, Now, TimestampMs};

/// Direct I/O works in whole blocks of this many bytes, in memory, in length and in file position.
/// 4096 suits every NVMe format and file system (512e and 4Kn drives alike).
pub const BLOCK_BYTES: usize = 4096;

/// `value` rounded down to a whole block.
#[must_use]
pub const fn block_floor(value: u64) -> u64 {
    value & !(BLOCK_BYTES as u64 - 1)
}

/// `value` rounded up to a whole block. `value` must be at most `u64::MAX - 4095`.
#[must_use]
pub const fn block_ceil(value: u64) -> u64 {
    block_floor(value + (BLOCK_BYTES as u64 - 1))
}
