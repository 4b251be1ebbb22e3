//! Snapshots of the metadata on streams: the leader's end hands out what the follower's gathers.
//!
//! A follower whose log ends before the leader's begins is told to ask again until the seat behind this room has made a snapshot,
//! of what is committed by then. Its pieces go out in the turns of its stream, under the lane's credit, and nothing else goes out
//! on that stream: when the snapshot is in its place, the follower opens another.
//!
//! The follower keeps the pieces until they are all there: then the seats behind this room look at what they say. With the
//! stream, or its lane, the pieces are gone.
//!
//! Limits: one snapshot is on offer at a time; it is let go when nobody has asked for [`OFFERED_MS`]. Streams that are being
//! handed an older one keep that.

use std::rc::Rc;

use bytes::Bytes;

use crate::base::{LaneId, LogEnd, MonoNanos, Offset, StreamNumber, mark};
use crate::peer::{CloseReason, OpenStream, SnapshotPart};
use crate::replication::{Cut, Left, Lies, Outcome, Phase, Run};

use super::super::snapshot::Snapshot;
use super::super::store::{Role, Store};
use super::super::turn::{News, Turn};
use super::answers::broker_epoch;
use super::following::Followings;
use super::gathering::Gathering;
use super::handing::{Handing, Offer};
use super::lanes::Dialler;
use super::leading::{Leadings, OutStream};

/// A snapshot that nobody asks for any more is let go after this.
const OFFERED_MS: u64 = 60_000;

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
        lane_end.out.has_news(asked.stream, Lies::InTail);
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
                let whole = end.gathering.take().map(Gathering::into_gathered);
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
