//! A snapshot of the metadata that comes from a leader, piece by piece, in order, on one stream.
//!
//! Limits: what has come is kept, and no more is believed of what is said to come; [`SNAPSHOT_BYTES_MAX`] in all.

use thiserror::Error;

use crate::base::{LeaderEpoch, LogEnd, Offset, StreamNumber};
use crate::peer::SnapshotPart;
use crate::replication::Cut;

use super::super::snapshot::{Gathered, SNAPSHOT_BYTES_MAX};

/// Pieces of a snapshot that is on its way.
#[derive(Debug)]
pub(super) struct Gathering {
    pub(super) stream: StreamNumber,
    pub(super) slot: u32,
    /// What the leader has said it would send.
    end: LogEnd,
    total: Option<u64>,
    bytes: Vec<u8>,
}

/// Why a piece is not taken: the stream is closed, and asked for again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub(super) enum PieceRefused {
    #[error("a piece of the snapshot before {said} of epoch {of} came, that before {asked} was to come")]
    Other { said: Offset, of: LeaderEpoch, asked: Offset },
    #[error("a piece of the snapshot lies at {said}, {have} bytes have come")]
    OutOfOrder { said: u64, have: u64 },
    #[error("the snapshot has {said} bytes now and {before} before")]
    OtherTotal { said: u64, before: u64 },
    #[error("the snapshot has {0} bytes, more than {SNAPSHOT_BYTES_MAX}")]
    TooLarge(u64),
    #[error("the snapshot stands for nothing")]
    Nothing,
    #[error("a piece of the snapshot has no bytes, or the last one is not called so")]
    NoProgress,
}

impl Gathering {
    pub(super) fn new(stream: StreamNumber, slot: u32, cut: Cut) -> Option<Gathering> {
        let Cut::All { begin, epoch } = cut else { return None };
        let end = LogEnd { last_epoch: epoch, end: begin };
        Some(Gathering { stream, slot, end, total: None, bytes: Vec::new() })
    }

    /// Takes the next piece. Tells whether it was the last one.
    pub(super) fn take(&mut self, part: &SnapshotPart, piece: &[u8]) -> Result<bool, PieceRefused> {
        let said = LogEnd { last_epoch: part.epoch, end: part.offset };
        if said != self.end {
            let asked = self.end.end;
            return Err(PieceRefused::Other { said: part.offset, of: part.epoch, asked });
        }
        if part.offset <= Offset(0) {
            return Err(PieceRefused::Nothing);
        }
        if part.total > SNAPSHOT_BYTES_MAX {
            return Err(PieceRefused::TooLarge(part.total));
        }
        if let Some(before) = self.total.filter(|before| *before != part.total) {
            return Err(PieceRefused::OtherTotal { said: part.total, before });
        }
        let have = self.bytes.len() as u64;
        if part.position != have || have + piece.len() as u64 > part.total {
            return Err(PieceRefused::OutOfOrder { said: part.position, have });
        }
        let is_whole = have + piece.len() as u64 == part.total;
        if piece.is_empty() || part.is_last != is_whole {
            return Err(PieceRefused::NoProgress);
        }
        self.total = Some(part.total);
        self.bytes.extend_from_slice(piece);
        Ok(is_whole)
    }

    pub(super) fn into_gathered(self) -> Gathered {
        Gathered { slot: self.slot, end: self.end, bytes: self.bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathering() -> Gathering {
        let cut = Cut::All { begin: Offset(70), epoch: LeaderEpoch(3) };
        Gathering::new(StreamNumber(5), 0, cut).expect("a cut of everything")
    }

    fn part(position: u64, is_last: bool) -> SnapshotPart {
        let (stream, offset, epoch) = (StreamNumber(5), Offset(70), LeaderEpoch(3));
        SnapshotPart { stream, offset, epoch, position, total: 6, is_last }
    }

    #[test]
    fn pieces_in_their_order_are_the_snapshot() {
        let mut it = gathering();
        assert_eq!(it.take(&part(0, false), b"ab"), Ok(false));
        assert_eq!(it.take(&part(2, false), b"cde"), Ok(false));
        assert_eq!(it.take(&part(5, true), b"f"), Ok(true));
        assert_eq!(it.bytes, b"abcdef");
    }

    #[test]
    fn whatever_does_not_fit_is_refused() {
        use PieceRefused::{NoProgress, Nothing, Other, OtherTotal, OutOfOrder, TooLarge};
        let other = |said, of| Other { said: Offset(said), of: LeaderEpoch(of), asked: Offset(70) };
        let max = SNAPSHOT_BYTES_MAX + 1;
        let table: [(SnapshotPart, &[u8], PieceRefused); 10] = [
            (SnapshotPart { offset: Offset(71), ..part(2, false) }, b"c", other(71, 3)),
            (SnapshotPart { epoch: LeaderEpoch(4), ..part(2, false) }, b"c", other(70, 4)),
            (SnapshotPart { total: max, ..part(2, false) }, b"c", TooLarge(max)),
            (SnapshotPart { total: 7, ..part(2, false) }, b"c", OtherTotal { said: 7, before: 6 }),
            (part(0, false), b"ab", OutOfOrder { said: 0, have: 2 }),
            (part(3, false), b"d", OutOfOrder { said: 3, have: 2 }),
            (part(2, true), b"cdefg", OutOfOrder { said: 2, have: 2 }),
            (part(2, false), b"", NoProgress),
            (part(2, true), b"cde", NoProgress),
            (part(2, false), b"cdef", NoProgress),
        ];
        for (wrong, piece, refused) in table {
            let mut it = gathering();
            assert_eq!(it.take(&part(0, false), b"ab"), Ok(false));
            assert_eq!(it.take(&wrong, piece), Err(refused));
            assert_eq!(it.take(&part(2, true), b"cdef"), Ok(true), "nothing was taken of it");
        }
        let nothing = Cut::All { begin: Offset(0), epoch: LeaderEpoch(3) };
        let mut it = Gathering::new(StreamNumber(5), 0, nothing).expect("a cut of everything");
        assert_eq!(it.take(&SnapshotPart { offset: Offset(0), ..part(0, false) }, b"ab"), Err(Nothing));
        assert!(Gathering::new(StreamNumber(5), 0, Cut::To(Offset(3))).is_none());
    }

    proptest::proptest! {
        /// Whatever comes in whatever order: what is called whole is what was sent, each byte in its place.
        #[test]
        fn what_is_whole_is_what_was_sent(
            sent in proptest::collection::vec((0u64..9, 0u64..9, 0usize..5, proptest::bool::ANY), 0..40),
        ) {
            let whole = b"abcdefgh";
            let mut it = gathering();
            for (position, total, length, is_last) in sent {
                let at = usize::try_from(position).expect("small");
                let piece = &whole[at.min(8)..(at + length).min(8)];
                let part = SnapshotPart { total, ..part(position, is_last) };
                if it.take(&part, piece) == Ok(true) {
                    assert_eq!(it.bytes, &whole[..it.bytes.len()]);
                    assert_eq!((it.bytes.len() as u64, is_last), (total, true));
                    it = gathering();
                }
            }
        }
    }
}
