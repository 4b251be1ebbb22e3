//! Handing a snapshot of the metadata to followers whose log ends before the leader's begins.
//!
//! A follower that needs one is told to ask again until the seat behind this room has made one, of what is committed by then.
//! Its pieces go out in the turns of its stream, under the lane's credit, and nothing else goes out on that stream: when the
//! snapshot is in its place, the follower opens another.
//!
//! Limits: one snapshot is on offer at a time; it is let go when nobody has asked for [`OFFERED_MS`]. Streams that are being
//! handed an older one keep that.

use std::rc::Rc;

use bytes::Bytes;

use crate::base::{LaneId, MonoNanos, Offset, StreamNumber, mark};
use crate::peer::{OpenStream, SnapshotPart};
use crate::replication::{Left, Outcome, Run};

use super::super::snapshot::Snapshot;
use super::super::store::Store;
use super::super::turn::Turn;
use super::lanes::Dialler;
use super::leading::{Leadings, OutStream, broker_epoch};

/// A snapshot that nobody asks for any more is let go after this.
const OFFERED_MS: u64 = 60_000;

/// A snapshot on its way to one follower.
#[derive(Debug)]
pub(super) struct Handing {
    snapshot: Rc<Snapshot>,
    /// The piece that is sent next, and what of it was sent.
    piece: usize,
    within: usize,
    /// What was sent of all.
    position: u64,
}

/// What there is to be handed.
#[derive(Debug, Default)]
pub(super) struct Offer {
    snapshot: Option<Rc<Snapshot>>,
    /// When somebody asked last.
    asked_at: MonoNanos,
    /// Somebody needs one that is not there.
    is_wanted: bool,
}

impl Handing {
    fn new(snapshot: Rc<Snapshot>) -> Handing {
        Handing { snapshot, piece: 0, within: 0, position: 0 }
    }

    pub(super) fn end(&self) -> Offset {
        self.snapshot.end.end
    }

    /// The next bytes, at most so many; `None` when all are sent.
    fn next(&mut self, stream: StreamNumber, most: usize) -> Option<(SnapshotPart, Bytes)> {
        let piece = self.snapshot.pieces.get(self.piece)?;
        let bytes = piece.slice(self.within..piece.len().min(self.within.saturating_add(most)));
        let part = SnapshotPart {
            stream,
            offset: self.snapshot.end.end,
            epoch: self.snapshot.end.last_epoch,
            position: self.position,
            total: self.snapshot.bytes,
            is_last: self.position + bytes.len() as u64 == self.snapshot.bytes,
        };
        self.position += bytes.len() as u64;
        self.within += bytes.len();
        if self.within == piece.len() {
            (self.piece, self.within) = (self.piece + 1, 0);
        }
        Some((part, bytes))
    }
}

impl Leadings {
    /// Whether a follower waits for a snapshot that is not there.
    pub(super) fn wants_snapshot(&self) -> bool {
        self.offer.is_wanted
    }

    /// A snapshot was made, or cannot be: whoever has asked asks again.
    pub(super) fn offer_snapshot(&mut self, snapshot: Option<Snapshot>, now: MonoNanos) {
        self.offer = Offer { snapshot: snapshot.map(Rc::new), asked_at: now, is_wanted: false };
    }

    /// Lets go of a snapshot that nobody asks for any more.
    pub(super) fn let_offer_go(&mut self, now: MonoNanos) {
        if now >= self.offer.asked_at.plus_ms(OFFERED_MS) {
            self.offer.snapshot = None;
        }
    }

    /// Where the log must not begin later: whoever is handed a snapshot goes on from its end.
    pub(super) fn handed_from(&self) -> Option<Offset> {
        let streams = self.lanes.values().flat_map(|end| end.streams.values());
        let handed = streams.filter_map(|stream| stream.handing.as_ref()).map(Handing::end);
        handed.chain(self.offer.snapshot.as_ref().map(|it| it.end.end)).min()
    }

    /// Begins to hand a snapshot, if there is one that this log goes on from.
    pub(super) fn hand(
        &mut self,
        lane: LaneId,
        (slot, asked): (u32, &OpenStream),
        from: &Dialler,
        store: &Store,
        turn: &mut Turn<'_>,
    ) -> Outcome {
        let now = turn.now.mono;
        let log_start = store.partitions.get(slot).map_or(Offset(0), |it| it.log().log_start());
        self.offer.asked_at = now;
        let fits = |snapshot: &&Rc<Snapshot>| snapshot.end.end >= log_start;
        let Some(snapshot) = self.offer.snapshot.as_ref().filter(fits).map(Rc::clone) else {
            self.offer.is_wanted = true;
            return Outcome::NotYet;
        };
        let end = snapshot.end;
        let Some(lane_end) = self.lanes.get_mut(&lane) else { return Outcome::Refused };
        if let Err(error) = lane_end.out.open(asked.stream, end.end, now) {
            turn.notice(format!("server {} misuses a lane: {error}", from.server));
            self.fault(lane);
            return Outcome::Refused;
        }
        mark("a follower is handed a snapshot of the metadata");
        let handing = Some(Handing::new(snapshot));
        let epoch = asked.leader_epoch;
        let stream =
            OutStream { slot, epoch, broker_epoch: broker_epoch(from, store), window: Vec::new(), handing };
        lane_end.streams.insert(asked.stream, stream);
        lane_end.out.has_news(asked.stream, crate::replication::Lies::InTail);
        self.list(slot, lane, asked.stream);
        Outcome::Snapshot { offset: end.end, epoch: end.last_epoch }
    }

    /// The next piece at a stream's turn, as what a lane counts; `None` for a stream of runs.
    pub(super) fn next_piece(
        &mut self,
        lane: LaneId,
        number: StreamNumber,
        most: usize,
    ) -> Option<(Option<(SnapshotPart, Bytes)>, Run)> {
        let stream = self.lanes.get_mut(&lane)?.streams.get_mut(&number)?;
        let handing = stream.handing.as_mut()?;
        let end = handing.end();
        let next = handing.next(number, most);
        let (bytes, left) = match &next {
            Some((part, bytes)) if part.is_last => (bytes.len(), Left::Nothing),
            Some((_, bytes)) => (bytes.len(), Left::InTail),
            None => (0, Left::Nothing),
        };
        let bytes = u32::try_from(bytes).expect("a piece is small");
        Some((next, Run { end, bytes, left }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{LeaderEpoch, LogEnd};

    #[test]
    fn pieces_are_cut_as_the_lane_has_room_and_come_to_the_whole() {
        let end = LogEnd { last_epoch: LeaderEpoch(3), end: Offset(70) };
        let whole: Vec<Vec<u8>> = vec![vec![1; 10], vec![2; 1], vec![3; 7]];
        for most in [1, 3, 7, 10, 100] {
            let mut handing = Handing::new(Rc::new(Snapshot::new(end, &whole)));
            let mut bytes = Vec::new();
            while let Some((part, piece)) = handing.next(StreamNumber(5), most) {
                assert_eq!((part.position, part.total), (bytes.len() as u64, 18), "{most}");
                assert_eq!(
                    (part.offset, part.epoch, part.stream),
                    (Offset(70), end.last_epoch, StreamNumber(5))
                );
                assert!(!piece.is_empty() && piece.len() <= most);
                bytes.extend_from_slice(&piece);
                assert_eq!(part.is_last, bytes.len() == 18);
            }
            assert_eq!(bytes, whole.concat(), "{most}");
        }
    }
}
