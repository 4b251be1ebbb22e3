//! What a shard wants done in the world.
//!
//! The runtime performs effects in their order; the shard's head has the law. An [`Effect::Io`] only begins at its place:
//! its operation goes on beside others, and the runtime answers it exactly once with
//! [`Shard::io_done`](super::Shard::io_done). The runtime knows no order among operations. Two operations of one file that
//! must not overlap are never under way together: whoever decides them, mostly the partition's log, holds the next one back
//! until the one before has ended.

use std::sync::Arc;

use crate::base::io::{IoOp, SegmentId};
use crate::controller::Published;

use super::request::{RequestId, ShardReply};

#[derive(Debug)]
pub enum Effect {
    /// Give this answer to the asker, here or across the mesh.
    Reply { to: RequestId, reply: ShardReply },
    /// Perform this and report back with the same id.
    Io(IoRequest),
    /// Put what compaction left of a segment in its place, before anything else happens, and report with
    /// [`Shard::swapped`](super::Shard::swapped). It is the last effect of its input.
    Swap(SegmentId),
    /// What compaction under way may read and write from now on.
    CleanerRate { bytes_per_second: u64 },
    /// Shard 0 has a new cluster state: hand it to every shard's [`Shard::image`](super::Shard::image), this one
    /// included, and report each shard's completion with [`Shard::image_applied`](super::Shard::image_applied).
    Publish(Arc<Published>),
    /// Something an operator should read in the log; the server goes on.
    Notice(String),
    /// Storage has failed: stop serving, log this line, end the process with the I/O error exit code.
    Fatal { reason: String },
}

/// The shard's own number for an operation it waits for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct IoId(pub u64);

#[derive(Debug)]
pub struct IoRequest {
    pub id: IoId,
    pub op: IoOp,
}
