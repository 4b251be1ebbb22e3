//! One direction of one connection: bytes on their way, in their order.

use std::collections::VecDeque;

use ringmain::base::rng::Rng;

use super::Arrival;
use crate::queue::{Instant, Span};

/// The time of what a blocked link holds up.
const NEVER: Instant = Instant(u64::MAX);
/// One arrival in so many is cut in two.
const CUT_ONE_IN: u64 = 6;
/// The rest of an arrival that was cut comes within this.
const CUT_PAUSE: Span = Span::micros(40);

#[derive(Debug, Default)]
pub struct Pipe {
    /// Each with the time it arrives at; ascending.
    pieces: VecDeque<(Instant, Vec<u8>)>,
    /// Nothing comes after this.
    end: Option<Instant>,
    /// An arrival has been announced for this time.
    announced: Option<Instant>,
    /// The end has arrived.
    is_over: bool,
}

impl Pipe {
    /// Bytes that arrive at a time, or wait. Answers when to look, if nobody looks by then.
    pub fn push(&mut self, at: Option<Instant>, bytes: Vec<u8>) -> Option<Instant> {
        if self.end.is_some() || self.is_over {
            return None;
        }
        let at = self.after_all(at);
        self.pieces.push_back((at, bytes));
        self.announce()
    }

    pub fn end(&mut self, at: Option<Instant>) -> Option<Instant> {
        if self.is_over {
            return None;
        }
        let at = self.after_all(at);
        self.end = Some(self.end.map_or(at, |end| end.min(at)));
        self.announce()
    }

    /// Some bytes from the end never arrive.
    pub fn lose_some(&mut self, rng: &mut Rng) {
        let all: usize = self.pieces.iter().map(|(_, bytes)| bytes.len()).sum();
        let mut kept = usize::try_from(rng.below(all as u64 + 1)).unwrap();
        for (_, bytes) in &mut self.pieces {
            bytes.truncate(kept);
            kept -= bytes.len();
        }
        self.pieces.retain(|(_, bytes)| !bytes.is_empty());
        self.end = None;
    }

    pub fn lose_all(&mut self) {
        self.pieces.clear();
    }

    /// What was held up arrives from now on.
    pub fn release(&mut self, at: Option<Instant>) -> Option<Instant> {
        let at = at.expect("the link is open");
        let mut last = at;
        for (when, _) in &mut self.pieces {
            if *when == NEVER {
                *when = last;
            }
            last = last.max(*when);
        }
        if self.end == Some(NEVER) {
            self.end = Some(last);
        }
        self.announce()
    }

    pub fn arrive(&mut self, now: Instant, rng: &mut Rng) -> (Arrival, Option<Instant>) {
        if self.announced.is_some_and(|at| at <= now) {
            self.announced = None;
        }
        let mut bytes: Vec<u8> = Vec::new();
        while let Some((at, _)) = self.pieces.front()
            && *at <= now
        {
            let (_, piece) = self.pieces.pop_front().expect("it was just seen");
            if bytes.is_empty() {
                bytes = piece;
            } else {
                bytes.extend_from_slice(&piece);
            }
        }
        if bytes.len() > 1 && rng.below(CUT_ONE_IN) == 0 {
            let kept = 1 + usize::try_from(rng.below(bytes.len() as u64 - 1)).unwrap();
            let rest = bytes.split_off(kept);
            self.pieces.push_front((now.plus(Span(1 + rng.below(CUT_PAUSE.0))), rest));
        }
        let is_over = self.pieces.is_empty() && self.end.is_some_and(|end| end <= now);
        if is_over {
            (self.end, self.is_over) = (None, true);
        }
        (Arrival { bytes, is_over }, self.announce())
    }

    /// Not before anything that was sent before.
    fn after_all(&self, at: Option<Instant>) -> Instant {
        let last = self.pieces.back().map_or(Instant(0), |(at, _)| *at);
        at.unwrap_or(NEVER).max(last)
    }

    fn announce(&mut self) -> Option<Instant> {
        let first = self.pieces.front().map(|(at, _)| *at).or(self.end)?;
        if first == NEVER || self.announced.is_some_and(|at| at <= first) {
            return None;
        }
        self.announced = Some(first);
        self.announced
    }
}
