//! One partition's log: what is appended, what of it is durable, which segments hold it.
//!
//! Owns the offsets: where the log starts, is flushed to, and ends ([`state`]). Appending is in [`append`], what is not durable
//! yet in [`unflushed`], segments on their way to being sealed in [`rolling`], the commit files still needed in [`release`]. Reading,
//! retention, compaction and snapshots are the parent module's files of those names. Knows of the commit log only that bytes
//! handed to it come back durable, and in which order its files were filled.

mod append;
mod checkpoint;
mod coverage;
mod damaged;
mod release;
mod rolling;
mod state;
mod unflushed;

pub use append::{Accepted, AppendError};
pub use state::PartitionLog;
