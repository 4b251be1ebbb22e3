//! The leader's end of a lane: which streams go into a frame, and how much the follower takes.
//!
//! Streams take turns: hot ones, whose next record lies in memory, and cold ones, of which two at a time are read from
//! segments. A frame holds 512 KiB, a turn 256 KiB, and cold ones get a quarter while hot ones wait. Nothing is sent without
//! credit, which counts payload bytes: the follower grants a window and gives back what it has flushed or dropped, so that
//! credit and what is under way always sum up to the window. One batch larger than a frame may go below zero.
//!
//! The shard asks for turns until there is none, offers a run for each, and ends the frame. What a run is, the lane does not
//! know.

use std::collections::{BTreeMap, VecDeque};

use thiserror::Error;

use crate::base::{MonoNanos, Offset, StreamNumber, mark};

use super::turns::{Frame, Left, Lies, Offer, Run, Turn};

mod fill;

/// Bytes of runs in a frame.
pub const FRAME_BYTES_MAX: u64 = 512 << 10;
/// Bytes of one stream's turn.
pub const PIECE_BYTES_MAX: u64 = 256 << 10;
/// Parts of a frame: its header has 64 KiB.
pub const PARTS_MAX: usize = 1_000;
/// Streams that are read from segments at the same time.
const COLD_READS_MAX: usize = 2;
/// Streams that a follower may open on a lane.
pub const STREAMS_MAX: usize = 1 << 17;
/// An idle lane says that it lives.
const PING_MS: u64 = 500;
/// High watermarks go alone no more often.
const WATERMARKS_MS: u64 = 5;
/// A lane of which nothing was heard for so long is dropped.
pub(super) const SILENT_MS: u64 = 3_000;

/// What a follower did wrong on a lane: the lane is dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum LaneError {
    #[error("the follower grants no window")]
    NoWindow,
    #[error("stream {} was used before on this lane, the last one is {}", .0.0, .1.0)]
    Repeated(StreamNumber, StreamNumber),
    #[error("the follower opens more than {STREAMS_MAX} streams on a lane")]
    TooManyStreams,
    #[error("the follower gives {given} bytes of credit back, {owed} are under way")]
    TooMuchCredit { given: u64, owed: i64 },
}

/// The leader's end of a lane.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct OutLane {
    streams: BTreeMap<StreamNumber, OutStream>,
    last_number: Option<StreamNumber>,
    /// Streams whose next run lies in memory, in the order of their turns.
    hot: VecDeque<StreamNumber>,
    /// Streams whose next run was read from segments.
    read: VecDeque<StreamNumber>,
    /// Streams that are to be read from segments.
    unread: VecDeque<StreamNumber>,
    /// Streams whose high watermark the follower has not been told.
    watermarks: VecDeque<StreamNumber>,
    /// Numbers in the queues whose stream was closed.
    stale: usize,
    /// Streams in `read` and those being read.
    reads: usize,
    /// The stream whose run did not fit, with the credit it needs.
    first: Option<(StreamNumber, u64)>,
    filling: Filling,
    /// What cold streams have taken beyond their part.
    cold_debt: u64,
    window: u64,
    credit: i64,
    sent_at: MonoNanos,
    heard_at: MonoNanos,
    watermarks_at: MonoNanos,
    /// A consumer waits at the follower for a high watermark that it has not been told.
    is_urgent: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct OutStream {
    next: Offset,
    place: Place,
    /// The high watermark is news for the follower.
    is_dirty: bool,
    /// The stream is in the queue of those whose high watermark may be news.
    is_queued: bool,
    /// A consumer waits for its high watermark at the follower.
    is_awaited: bool,
}

/// Where a stream stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Place {
    Idle,
    Hot,
    Unread,
    Reading,
    Read,
}

/// The frame being filled.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
struct Filling {
    frame: Frame,
    cold_bytes: u64,
    /// What cold streams may have of this frame while hot ones wait; set by the first turn.
    cold_max: Option<u64>,
    is_full: bool,
    has_watermark: bool,
}

impl OutLane {
    /// A lane whose follower grants `window` bytes.
    pub fn new(window: u64, now: MonoNanos) -> Result<OutLane, LaneError> {
        let credit = i64::try_from(window).ok().filter(|credit| *credit > 0).ok_or(LaneError::NoWindow)?;
        Ok(OutLane {
            streams: BTreeMap::new(),
            last_number: None,
            hot: VecDeque::new(),
            read: VecDeque::new(),
            unread: VecDeque::new(),
            watermarks: VecDeque::new(),
            stale: 0,
            reads: 0,
            first: None,
            filling: Filling::default(),
            cold_debt: 0,
            window,
            credit,
            sent_at: now,
            heard_at: now,
            watermarks_at: MonoNanos(0),
            is_urgent: false,
        })
    }

    /// Opens a stream that goes on at `next`, after it was answered so.
    pub fn open(&mut self, number: StreamNumber, next: Offset, now: MonoNanos) -> Result<(), LaneError> {
        if let Some(last) = self.last_number.filter(|last| number <= *last) {
            return Err(LaneError::Repeated(number, last));
        }
        if self.streams.len() >= STREAMS_MAX {
            return Err(LaneError::TooManyStreams);
        }
        if self.streams.is_empty() {
            (self.heard_at, self.sent_at) = (self.heard_at.max(now), self.sent_at.max(now));
        }
        self.last_number = Some(number);
        let stream =
            OutStream { next, place: Place::Idle, is_dirty: false, is_queued: false, is_awaited: false };
        self.streams.insert(number, stream);
        Ok(())
    }

    /// Closes a stream. What was sent on it stays on the way until the follower gives its credit back.
    pub fn close(&mut self, number: StreamNumber) {
        let Some(stream) = self.streams.remove(&number) else { return };
        if matches!(stream.place, Place::Reading | Place::Read) {
            self.reads -= 1;
        }
        if self.first.is_some_and(|(first, _)| first == number) {
            self.first = None;
        }
        self.stale += 2;
        if self.stale > 2 * self.streams.len() + 64 {
            self.sweep();
        }
    }

    /// Takes closed streams out of the queues.
    fn sweep(&mut self) {
        let streams = &self.streams;
        for queue in [&mut self.hot, &mut self.read, &mut self.unread, &mut self.watermarks] {
            queue.retain(|number| streams.contains_key(number));
        }
        self.stale = 0;
    }

    /// The stream has something new to send.
    pub fn has_news(&mut self, number: StreamNumber, lies: Lies) {
        let Some(stream) = self.streams.get_mut(&number).filter(|stream| stream.place == Place::Idle) else {
            return;
        };
        match lies {
            Lies::InTail => {
                stream.place = Place::Hot;
                self.hot.push_back(number);
            }
            Lies::InSegments => {
                stream.place = Place::Unread;
                self.unread.push_back(number);
            }
        }
    }

    /// The partition's high watermark or log start has moved.
    pub fn watermark_moved(&mut self, number: StreamNumber) {
        let Some(stream) = self.streams.get_mut(&number) else { return };
        self.is_urgent |= stream.is_awaited;
        stream.is_dirty = true;
        if !stream.is_queued {
            stream.is_queued = true;
            self.watermarks.push_back(number);
        }
    }

    /// The follower has said whether a consumer waits there for the stream's high watermark.
    pub fn awaited(&mut self, number: StreamNumber, is_awaited: bool) {
        if let Some(stream) = self.streams.get_mut(&number) {
            stream.is_awaited = is_awaited;
            self.is_urgent |= is_awaited && stream.is_dirty;
        }
    }

    /// A stream that is to be read from segments, with where: two at a time.
    pub fn next_read(&mut self) -> Option<(StreamNumber, Offset)> {
        while self.reads < COLD_READS_MAX {
            let number = self.unread.pop_front()?;
            if let Some(stream) = self.streams.get_mut(&number).filter(|it| it.place == Place::Unread) {
                stream.place = Place::Reading;
                self.reads += 1;
                return Some((number, stream.next));
            }
        }
        None
    }

    /// What was read for the stream is in memory.
    pub fn read_done(&mut self, number: StreamNumber) {
        if let Some(stream) = self.streams.get_mut(&number).filter(|it| it.place == Place::Reading) {
            stream.place = Place::Read;
            self.read.push_back(number);
        }
    }

    /// Takes credit that the follower gives back.
    pub fn credited(&mut self, bytes: u64) -> Result<(), LaneError> {
        let owed = self.under_way();
        match i64::try_from(bytes) {
            Ok(given) if given <= owed => {
                self.credit += given;
                Ok(())
            }
            _ => Err(LaneError::TooMuchCredit { given: bytes, owed }),
        }
    }

    /// Takes credit for something that goes beside the streams' frames, such as a piece of a snapshot. None if there is none;
    /// else how many of the bytes may go.
    pub fn spend(&mut self, bytes: u64) -> Option<u64> {
        let credit = u64::try_from(self.credit).ok().filter(|credit| *credit > 0)?;
        let bytes = bytes.min(credit);
        self.credit -= i64::try_from(bytes).expect("no more than there is");
        Some(bytes)
    }

    /// Bytes that were sent and not given back.
    #[must_use]
    pub fn under_way(&self) -> i64 {
        let window = i64::try_from(self.window).expect("checked when the lane was made");
        window - self.credit
    }

    /// Bytes that the follower takes yet; below zero after one large batch.
    #[must_use]
    pub fn credit(&self) -> i64 {
        self.credit
    }

    /// Where the stream goes on; none if it is closed.
    #[must_use]
    pub fn next(&self, number: StreamNumber) -> Option<Offset> {
        self.streams.get(&number).map(|stream| stream.next)
    }

    /// The open streams, in the order in which they were opened.
    pub fn streams(&self) -> impl Iterator<Item = StreamNumber> {
        self.streams.keys().copied()
    }

    /// Something was heard of the follower.
    pub fn heard(&mut self, now: MonoNanos) {
        self.heard_at = self.heard_at.max(now);
    }

    /// Whether the lane is to be dropped: it has streams, and nothing was heard for three seconds.
    #[must_use]
    pub fn is_silent(&self, now: MonoNanos) -> bool {
        let is_silent = !self.streams.is_empty() && now > self.heard_at.plus_ms(SILENT_MS);
        if is_silent {
            mark("silent follower is dropped");
        }
        is_silent
    }

    /// Takes a time in which the shard did not run as no time.
    pub fn paused(&mut self, gap_ns: u64) {
        self.heard_at = MonoNanos(self.heard_at.0.saturating_add(gap_ns));
    }
}
