//! What a shard wants done in the world.
//!
//! The runtime performs effects in their order; the shard's head has the law. An [`Effect::Io`] only begins at its place:
//! its operation goes on beside others, and the runtime answers it exactly once with
//! [`Shard::io_done`](super::Shard::io_done). The runtime knows no order among operations. Two operations of one file that
//! must not overlap are never under way together: whoever decides them, mostly the partition's log, holds the next one back
//! until the one before has ended.

use std::sync::Arc;

use bytes::Bytes;

use crate::base::io::{IoOp, SegmentId};
use crate::base::{LaneId, Payload, ServerId, ShardId};
use crate::controller::Published;

use super::note::Note;
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
    /// Connect to another server's cluster listener, and report with [`Shard::dialled`](super::Shard::dialled).
    Dial { lane: LaneId, to: ServerId, host: String, port: u16 },
    /// Send this on a lane, behind what was sent before. What cannot be sent because the connection is gone is dropped; the
    /// end of the connection is reported with [`Shard::lane_closed`](super::Shard::lane_closed).
    Send { lane: LaneId, frame: OutFrame },
    /// Close a lane when everything sent is out. Nothing is reported for it any more.
    Hang { lane: LaneId },
    /// Hand this to another shard of this server: its [`Shard::told`](super::Shard::told).
    Tell { to: ShardId, note: Note },
    /// Something an operator should read in the log; the server goes on.
    Notice(String),
    /// Storage has failed: stop serving, log this line, end the process with the I/O error exit code.
    Fatal { reason: String },
}

/// A frame on its way to a peer: the payload is sent behind the head, by reference.
#[derive(Clone, Debug)]
pub struct OutFrame {
    pub head: Bytes,
    pub payload: Vec<Payload>,
}

/// Why a dial failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DialError {
    /// Nobody listens there: the process is gone.
    Refused,
    NoAnswer,
}

/// The shard's own number for an operation it waits for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct IoId(pub u64);

#[derive(Debug)]
pub struct IoRequest {
    pub id: IoId,
    pub op: IoOp,
}
