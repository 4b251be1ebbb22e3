//! A snapshot of the metadata on its way to a follower: what of it was sent.

use std::rc::Rc;

use bytes::Bytes;

use crate::base::{MonoNanos, Offset, StreamNumber};
use crate::peer::SnapshotPart;

use super::super::snapshot::Snapshot;

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
    pub(super) snapshot: Option<Rc<Snapshot>>,
    /// When somebody asked last.
    pub(super) asked_at: MonoNanos,
    /// Somebody needs one that is not there.
    pub(super) is_wanted: bool,
}

impl Handing {
    pub(super) fn new(snapshot: Rc<Snapshot>) -> Handing {
        Handing { snapshot, piece: 0, within: 0, position: 0 }
    }

    pub(super) fn end(&self) -> Offset {
        self.snapshot.end.end
    }

    /// The next bytes, at most so many; `None` when all are sent.
    pub(super) fn next(&mut self, stream: StreamNumber, most: usize) -> Option<(SnapshotPart, Bytes)> {
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
