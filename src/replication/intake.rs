//! The follower's end of a lane: what has arrived, what is given back, and when to answer.
//!
//! Received bytes are counted by lane and given back when they are flushed or dropped, whatever becomes of their stream: the
//! window is always what the leader may send, what waits here, and what is about to be given back. Every Append is answered,
//! also one without parts, so that the leader hears of followers that have nothing to say.
//!
//! Stream numbers are given here, and never twice.

use std::collections::{BTreeMap, VecDeque};

use thiserror::Error;

use crate::base::{MonoNanos, Offset, StreamNumber, mark};

use super::lane::{FRAME_BYTES_MAX, SILENT_MS, STREAMS_MAX};

/// What a lane grants, unless configured.
pub const WINDOW_BYTES: u64 = 4 << 20;
/// An Append is answered at once if there is something to say, and after so long if not: well within the half second.
const ANSWER_MS: u64 = 250;
/// A lane without streams is closed.
const IDLE_MS: u64 = 60_000;

/// What a leader did wrong on a lane: the lane is dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum IntakeError {
    #[error("the leader sends {bytes} bytes where {allowed} are allowed")]
    BeyondCredit { bytes: u64, allowed: i64 },
}

/// The follower's end of a lane.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct InLane {
    streams: BTreeMap<StreamNumber, InStream>,
    next_number: u32,
    window: u64,
    /// What the leader may send, as far as it was told.
    allowed: i64,
    /// Received, and not yet taken or dropped.
    unsorted: u64,
    /// Taken, and not yet flushed.
    unflushed: u64,
    /// Given back by the next Ack.
    returning: u64,
    /// When an Append waits for its answer at the latest.
    answer_at: Option<MonoNanos>,
    heard_at: MonoNanos,
    /// Since when there are no streams.
    idle_since: MonoNanos,
}

/// Runs of a stream that are in the log and not flushed: where each ends, and its bytes.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
struct InStream {
    unflushed: VecDeque<(Offset, u32)>,
}

impl InLane {
    /// A lane that grants so many bytes.
    ///
    /// # Panics
    ///
    /// If that is none.
    #[must_use]
    pub fn new(window: u64, now: MonoNanos) -> InLane {
        let allowed = i64::try_from(window).expect("a window is far below 2^63");
        assert!(allowed > 0, "a lane without a window moves nothing");
        InLane {
            streams: BTreeMap::new(),
            next_number: 0,
            window,
            allowed,
            unsorted: 0,
            unflushed: 0,
            returning: 0,
            answer_at: None,
            heard_at: now,
            idle_since: now,
        }
    }

    /// A number for a new stream. None when all are used up, or too many are open: another lane is to be dialled.
    pub fn open(&mut self, now: MonoNanos) -> Option<StreamNumber> {
        if self.streams.len() >= STREAMS_MAX {
            return None;
        }
        let number = StreamNumber(self.next_number);
        self.next_number = self.next_number.checked_add(1)?;
        if self.streams.is_empty() {
            self.heard_at = self.heard_at.max(now);
        }
        self.streams.insert(number, InStream::default());
        Some(number)
    }

    /// Closes a stream: whatever of it is not flushed is given back.
    pub fn close(&mut self, number: StreamNumber, now: MonoNanos) {
        let Some(stream) = self.streams.remove(&number) else { return };
        let bytes: u64 = stream.unflushed.iter().map(|(_, bytes)| u64::from(*bytes)).sum();
        if bytes > 0 {
            mark("credit of a closed stream is given back");
        }
        self.unflushed -= bytes;
        self.give_back(bytes);
        if self.streams.is_empty() {
            self.idle_since = now;
        }
        self.check();
    }

    /// Takes an Append with so many bytes of runs, which [`InLane::taken`] and [`InLane::dropped`] then account for.
    pub fn received(&mut self, bytes: u64, now: MonoNanos) -> Result<(), IntakeError> {
        self.heard_at = self.heard_at.max(now);
        self.answer_at = self.answer_at.or(Some(now.plus_ms(ANSWER_MS)));
        let is_within = i64::try_from(bytes).is_ok_and(|bytes| bytes <= self.allowed);
        let is_one_large = bytes > FRAME_BYTES_MAX.min(self.window) && self.allowed > 0;
        if bytes > 0 && !is_within && !is_one_large {
            return Err(IntakeError::BeyondCredit { bytes, allowed: self.allowed });
        }
        self.allowed -= i64::try_from(bytes).unwrap_or(i64::MAX);
        self.unsorted += bytes;
        self.check();
        Ok(())
    }

    /// A run of the Append went into the log of the stream's partition, which it leaves at `end`.
    pub fn taken(&mut self, number: StreamNumber, end: Offset, bytes: u32) {
        match self.streams.get_mut(&number) {
            Some(stream) => {
                stream.unflushed.push_back((end, bytes));
                self.sort(bytes);
                self.unflushed += u64::from(bytes);
            }
            None => self.dropped(bytes),
        }
        self.check();
    }

    /// A run of the Append was thrown away: its stream is closed, or it was refused.
    pub fn dropped(&mut self, bytes: u32) {
        mark("received bytes are dropped");
        self.sort(bytes);
        self.give_back(u64::from(bytes));
        self.check();
    }

    /// The log of the stream's partition is on stable storage up to there.
    pub fn flushed(&mut self, number: StreamNumber, flushed: Offset) {
        let Some(stream) = self.streams.get_mut(&number) else { return };
        let mut bytes = 0;
        while let Some((_, run)) = stream.unflushed.front().filter(|(end, _)| *end <= flushed) {
            bytes += u64::from(*run);
            stream.unflushed.pop_front();
        }
        self.unflushed -= bytes;
        self.give_back(bytes);
        self.check();
    }

    fn sort(&mut self, bytes: u32) {
        let bytes = u64::from(bytes);
        assert!(bytes <= self.unsorted, "{bytes} bytes of an Append that has {} left", self.unsorted);
        self.unsorted -= bytes;
    }

    fn give_back(&mut self, bytes: u64) {
        self.returning += bytes;
    }

    /// The sum of all credits is the window.
    fn check(&self) {
        let here = i64::try_from(self.unsorted + self.unflushed + self.returning).expect("bytes in memory");
        let window = i64::try_from(self.window).expect("checked when the lane was made");
        assert!(self.allowed + here == window, "credit leaks: {self:?}");
    }

    /// Whether an Ack is to be sent although no stream has anything to say.
    #[must_use]
    pub fn wants_ack(&self, now: MonoNanos) -> bool {
        self.returning > 0 || self.answer_at.is_some_and(|at| now >= at)
    }

    /// The credit to give back in the Ack that is sent now, for all streams of the lane.
    ///
    /// # Panics
    ///
    /// If bytes of the last Append were neither taken nor dropped.
    pub fn ack(&mut self) -> u64 {
        assert!(self.unsorted == 0, "{} bytes were neither taken nor dropped", self.unsorted);
        self.answer_at = None;
        let credit = std::mem::take(&mut self.returning);
        self.allowed += i64::try_from(credit).expect("bytes in memory");
        self.check();
        credit
    }

    /// When [`InLane::wants_ack`], [`InLane::is_silent`] or [`InLane::is_idle`] may become true without any input.
    #[must_use]
    pub fn due(&self, now: MonoNanos) -> MonoNanos {
        if self.returning > 0 {
            return now;
        }
        let end = match self.streams.is_empty() {
            true => self.idle_since.plus_ms(IDLE_MS),
            false => self.heard_at.plus_ms(SILENT_MS),
        };
        self.answer_at.map_or(end, |at| at.min(end))
    }

    /// Something other than an Append was heard of the leader.
    pub fn heard(&mut self, now: MonoNanos) {
        self.heard_at = self.heard_at.max(now);
    }

    /// Whether the lane is to be dropped and dialled anew: it has streams, and nothing was heard for three seconds.
    #[must_use]
    pub fn is_silent(&self, now: MonoNanos) -> bool {
        let is_silent = !self.streams.is_empty() && now > self.heard_at.plus_ms(SILENT_MS);
        if is_silent {
            mark("silent leader is dropped");
        }
        is_silent
    }

    /// Whether the lane is to be closed: it has had no streams for a minute.
    #[must_use]
    pub fn is_idle(&self, now: MonoNanos) -> bool {
        self.streams.is_empty() && now >= self.idle_since.plus_ms(IDLE_MS)
    }

    /// Takes a time in which the shard did not run as no time.
    pub fn paused(&mut self, gap_ns: u64) {
        self.heard_at = MonoNanos(self.heard_at.0.saturating_add(gap_ns));
    }

    /// Bytes that have arrived and are not given back.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.unsorted + self.unflushed + self.returning
    }

    /// The open streams.
    pub fn streams(&self) -> impl Iterator<Item = StreamNumber> {
        self.streams.keys().copied()
    }
}
