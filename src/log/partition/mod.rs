//! One partition's log: what is appended, what of it is durable, which segments hold it.
//!
//! Owns the offsets: where the log starts, is flushed to, and ends ([`state`]). Appending is in [`append`] for a leader and in
//! [`replicate`] for its followers, what both do in [`place`]; cutting is in [`cut`]. What is not durable yet is in [`unflushed`], segments on their way to being sealed in [`rolling`], the commit files still needed in [`release`]. Reading,
//! retention, compaction and snapshots are the parent module's files of those names. Knows of the commit log only that bytes
//! handed to it come back durable, and in which order its files were filled.

mod append;
mod checkpoint;
mod coverage;
mod cut;
mod cutting;
mod damaged;
mod place;
mod release;
mod replicate;
mod rolling;
mod state;
#[cfg(test)]
mod tests;
mod unflushed;

pub use append::AppendError;
pub use place::Accepted;
pub use replicate::{Gap, ReplicateError, ReplicateRules, RunHeader};
pub use state::PartitionLog;
