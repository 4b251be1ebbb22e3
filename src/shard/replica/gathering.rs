//! Gathering a snapshot of the metadata that the leader sends in pieces.
//!
//! The pieces come in order on one stream, and are kept until they are all there: then the seats behind this room look at what
//! they say. With the stream, or its lane, the pieces are gone.
//!
//! Limits: what has come is kept and no more is believed of what is said to come; [`SNAPSHOT_BYTES_MAX`] in all.

use thiserror::Error;

use crate::base::{LaneId, LeaderEpoch, LogEnd, Offset, StreamNumber, mark};
use crate::peer::{CloseReason, SnapshotPart};
use crate::replication::{Cut, Phase};

use super::super::snapshot::{Gathered, SNAPSHOT_BYTES_MAX};
use super::super::store::{Role, Store};
use super::super::turn::{News, Turn};
use super::following::Followings;

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
    fn take(&mut self, part: &SnapshotPart, piece: &[u8]) -> Result<bool, PieceRefused> {
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
}

impl Followings {
    /// A piece of a snapshot. Its credit goes back at once: it is in memory, and so is the next only when there is room.
    pub(super) fn piece(
        &mut self,
        lane: LaneId,
        part: &SnapshotPart,
        piece: &[u8],
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        let Some(end) = self.lanes.get_mut(&lane) else { return };
        if let Err(error) = end.intake.received(piece.len() as u64, turn.now.mono) {
            turn.notice(format!("server {} misuses a lane: {error}", end.target.server));
            return self.faulty.push(lane);
        }
        end.intake.dropped(u32::try_from(piece.len()).expect("a frame is small"));
        let is_asked = |it: &&mut Gathering| it.stream == part.stream;
        let Some(gathering) = end.gathering.as_mut().filter(is_asked) else {
            mark("a piece of a snapshot that is not gathered any more");
            return;
        };
        let slot = gathering.slot;
        match gathering.take(part, piece) {
            Ok(false) => {}
            Ok(true) => {
                mark("a snapshot of the metadata is gathered");
                let whole = end.gathering.take();
                let whole = whole.map(|it| Gathered { slot, end: it.end, bytes: it.bytes });
                whole.into_iter().for_each(|whole| turn.tell(News::Snapshot(whole)));
            }
            Err(error) => {
                mark("a piece of a snapshot is refused");
                turn.notice(format!("server {} sends no snapshot to go on from: {error}", end.target.server));
                self.refuse_snapshot(slot, store, turn);
            }
        }
    }

    /// The snapshot that was sent is of no use: it is asked for again a little later.
    pub(super) fn refuse_snapshot(&mut self, slot: u32, store: &mut Store, turn: &mut Turn<'_>) {
        _ = store.with_following(slot, |following, _| following.close(turn.now.mono));
        self.forget(slot, turn.now.mono, CloseReason::Mismatch);
        self.ask_later(slot, store);
    }

    /// The snapshot is on stable storage: the log is emptied, and begins behind it. Tells whether somebody still wants that.
    pub(super) fn snapshot_durable(
        &mut self,
        (slot, end): (u32, LogEnd),
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) -> bool {
        if !awaits_snapshot(slot, end, store) {
            return false;
        }
        let cut = store.with_following(slot, |following, _| {
            following.snapshot_installed();
            following.phase()
        });
        self.forget(slot, turn.now.mono, CloseReason::Epoch);
        let Some(Phase::Truncating(cut)) = cut else { return false };
        store.begin_cut(slot, cut, turn);
        true
    }
}

/// Whether the partition's log is to begin behind this snapshot.
pub(super) fn awaits_snapshot(slot: u32, end: LogEnd, store: &Store) -> bool {
    let cut = Cut::All { begin: end.end, epoch: end.last_epoch };
    let role = store.partitions.get(slot).map(|it| it.role());
    matches!(role, Some(Role::Following(follows)) if follows.following.phase() == Phase::Installing(cut))
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
}
