//! The shard's commit log: what makes acknowledged bytes durable, for all partitions of the shard at once.
//!
//! Per-partition syncs are what makes a broker slow with many partitions or small batches. A shard therefore has one
//! log of fixed-size, pre-written, recycled files, and one write (`O_DIRECT | O_DSYNC`, no file-system metadata
//! changes) makes durable whatever all its partitions have waiting. Natural batching: an idle log writes at once, a
//! busy one gathers until the write in flight completes. Segments are laid out for reading at leisure; before a commit
//! file is used again, everything it covers is synced in its segment.
//!
//! Pure. Lives on every shard; knows neither segments nor partitions beyond their names.
//!
//! Limits: a group is at most [`GROUP_BYTES_MAX`]; at most one group is being written; at most `files_max` files exist.

mod checkpoint;
mod commit_log;
mod group;
mod replay;

pub use checkpoint::{Checkpoint, CheckpointError};
pub use commit_log::{
    CommitLog, CommitStart, CommitWrite, FILES_MIN, FileSerial, GROUP_BYTES_MAX, Pending, Receipt,
};
pub use group::{ENTRY_HEADER_BYTES, Entry, EntryHeader, GROUP_HEADER_BYTES, Group, GroupError, GroupHeader};
pub use replay::{Found, Ordered, Verdict, order, scan_file};
