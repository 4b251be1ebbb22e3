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
//! # Words
//!
//! - A commit *group* is what one write to the commit log makes durable: entries of many partitions.
//! - A commit file *covers* the bytes in it until they are synced in their segments. A partition's *coverage* is the oldest
//!   commit file that it still needs.
//! - A partition is *released* from old commit files when its whole blocks are written to the segment and synced, and its
//!   tail was logged again.
//! - To *relog* is to log a tail again: the rest of a partition's last block, which no segment write can take, goes into a
//!   newer commit file, so that the older file is not needed any more.
//! - A file is *reclaimed* when nothing in it is needed any more: it is then ready to be filled again.
//! - The *reserve* are ready files that only relogged tails may begin, so that reclaiming can always finish.
//! - A file's *serial* counts the files begun before it: a larger serial is newer.
//!
//! Limits: a group is at most [`CommitStart::group_bytes_max`] long; at most one group is being written; at most `files_max` files exist.

mod checkpoint;
mod commit_log;
mod entry;
mod group;
mod plan;
mod replay;

pub use checkpoint::{Checkpoint, CheckpointError};
pub use commit_log::{CommitLog, CommitStart, CommitWrite, FILES_MIN, FileSerial, Logged, Pending, Receipt};
pub use entry::{CutHeader, ENTRY_HEADER_BYTES, Entry, EntryHeader, Says};
pub use group::{GROUP_BYTES_MAX, GROUP_HEADER_BYTES, Group, GroupError, GroupHeader};
pub use plan::{Fence, Plan, Replay};
pub use replay::{Found, Ordered, Verdict, order, scan_file};
