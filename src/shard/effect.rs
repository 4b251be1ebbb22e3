//! What a shard wants done in the world. The runtime performs effects in order of issue where it matters (per file) and
//! answers each [`IoRequest`] exactly once with [`Shard::io_done`](super::Shard::io_done).

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
    /// [`Shard::swapped`](super::Shard::swapped).
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
