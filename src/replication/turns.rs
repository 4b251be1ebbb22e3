//! Words of a lane's leader end: whose turn it is, and what a stream put into the frame.

use crate::base::{Offset, StreamNumber};

/// Where the next record of a stream is to be read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Lies {
    /// In the tail's memory: a hot stream.
    InTail,
    /// In segments: a cold stream.
    InSegments,
}

/// A stream's turn in the frame being filled.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Turn {
    /// A run from `next` on is to be offered, of `bytes_max` or of one batch.
    Run { stream: StreamNumber, next: Offset, bytes_max: u32 },
    /// A part without a run, for the high watermark in it.
    Watermark { stream: StreamNumber, next: Offset },
}

/// A run that is offered for the frame: whole batches.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Run {
    /// Where the follower's log ends after it: behind its last record, or behind a gap after that.
    pub end: Offset,
    /// None if the stream has nothing to send after all.
    pub bytes: u32,
    pub left: Left,
}

/// Where the stream goes on after a run.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Left {
    /// There is nothing more for now.
    Nothing,
    InTail,
    /// In what was read from segments for this stream.
    InWindow,
    /// In segments, not read yet.
    InSegments,
}

/// What becomes of an offered run.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Offer {
    /// The run is part of the frame.
    Placed,
    /// The run does not fit; the stream is the first of a later frame.
    NotNow,
}

/// A frame as it leaves; without parts a ping.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Frame {
    pub parts: usize,
    pub bytes: u64,
}
