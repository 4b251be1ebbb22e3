//! Snapshots of the metadata: when one is made, when an old one lets the log begin later, and how one that the leader has sent
//! takes the place of a log that ends too early.
//!
//! Every server makes its own, of what is committed and durable here: its records in pieces, one a turn, then a file beside the
//! log. Two are kept, and the log from the older one on, so that a rotten file costs nothing. The same pieces go to followers
//! whose log ends before this one begins.
//!
//! A snapshot that the leader has sent is installed in steps, of which a crash may end any:
//!
//! | step | what a start finds after a crash in it |
//! |---|---|
//! | its records are read, some in each turn | the old log |
//! | its file is written | the old log, or the next |
//! | the log is emptied, to begin behind it | a snapshot beyond the log's end: the log is dropped, and begins there |
//! | the fold is replaced, its voters count, shards are told | the snapshot, and an empty log behind it |
//!
//! Nothing of the log is read from the third step on before the fourth. If another leader comes before the third, the snapshot is
//! forgotten; its file does no harm, for all that it stands for is committed.
//!
//! Limits: one snapshot is made or read at a time, and one written; [`SNAPSHOT_BYTES_MAX`] each.

mod schedule;

use crate::base::io::IoOp;
use crate::base::{LogEnd, MonoNanos, Offset, TimestampMs, mark};
use crate::controller::SnapshotWriter;

use super::super::config::ClusterTimers;
use super::super::event::Operation;
use super::super::replica::Replica;
use super::super::snapshot::{self, Gathered, PIECE_BYTES, SNAPSHOT_BYTES_MAX, Snapshot, Unfolding};
use super::super::store::Store;
use super::super::turn::Turn;
use super::controller::ControllerSeat;
use schedule::Schedule;

#[derive(Debug)]
pub(super) struct Snapshots {
    slot: u32,
    schedule: Schedule,
    /// The newest one that is durable.
    newest: Option<LogEnd>,
    /// Where the log is to begin, as soon as nobody is handed an older snapshot.
    start: Option<Offset>,
    making: Option<Making>,
    /// The file that is being written.
    writing: Option<LogEnd>,
    installing: Option<Installing>,
}

/// A snapshot in the making.
#[derive(Debug)]
struct Making {
    end: LogEnd,
    purpose: Purpose,
    writer: SnapshotWriter,
    wall: TimestampMs,
    pieces: Vec<Vec<u8>>,
    bytes: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Purpose {
    /// For this server's own disk; a follower that asks meanwhile gets it as well.
    Keep,
    /// For a follower only.
    Hand,
}

/// A snapshot of the leader's on its way into the place of this server's log.
#[derive(Debug)]
struct Installing {
    end: LogEnd,
    unfolding: Unfolding,
    step: Step,
}

#[derive(Debug)]
enum Step {
    Reading(Vec<u8>),
    /// Everything was read; waits until no other file is being written.
    Read(Vec<u8>),
    Writing,
    Cutting,
}

impl Snapshots {
    /// Begins with what a start has found: the snapshot that its fold began with, if there was one.
    pub(super) fn new(
        timers: &ClusterTimers,
        newest: Option<LogEnd>,
        slot: u32,
        store: &mut Store,
    ) -> Snapshots {
        store.set_metadata_segments(slot, timers.snapshot_bytes);
        let owed = store.partitions.get(slot).map_or(0, |it| it.log().size_bytes());
        Snapshots {
            slot,
            schedule: Schedule::new(timers, owed),
            newest,
            start: None,
            making: None,
            writing: None,
            installing: None,
        }
    }

    pub(super) fn next_deadline(&self, controller: &ControllerSeat) -> MonoNanos {
        match &self.installing {
            Some(Installing { step: Step::Reading(_), .. }) => MonoNanos(0),
            // The next step follows an operation.
            Some(_) => MonoNanos::NEVER,
            None if self.making.is_some() => MonoNanos(0),
            None if self.writing.is_none() && self.has_news(controller) => self.schedule.by_time(),
            None => MonoNanos::NEVER,
        }
    }

    pub(super) fn turn(
        &mut self,
        controller: &ControllerSeat,
        replica: &mut Replica,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        self.schedule.begins(turn.now.mono);
        if !store.is_running() {
            return;
        }
        if self.installing.is_some() {
            return self.go_on_installing(replica, store, turn);
        }
        replica.let_snapshot_go(turn.now.mono);
        self.move_start(replica, store, turn);
        if self.making.is_none() && self.writing.is_none() {
            self.begin(controller, replica, store, turn);
        }
        self.go_on_making(replica, store, turn);
    }

    /// Whether something was folded since the newest snapshot.
    fn has_news(&self, controller: &ControllerSeat) -> bool {
        controller.controller.version() > self.newest.map_or(0, |newest| newest.end.0)
    }

    /// The log begins with the older of the two snapshots that are kept.
    fn move_start(&mut self, replica: &Replica, store: &mut Store, turn: &mut Turn<'_>) {
        let Some(wanted) = self.start else { return };
        let Some(log) = store.partitions.get(self.slot).map(|it| it.log()) else { return };
        let start = replica.handed_from().map_or(wanted, |handed_from| handed_from.min(wanted));
        let start = start.min(log.finished_end());
        if start > log.log_start() {
            store.advance_start(self.slot, start, turn);
        }
        if start == wanted {
            self.start = None;
        }
    }

    fn begin(
        &mut self,
        controller: &ControllerSeat,
        replica: &mut Replica,
        store: &Store,
        turn: &mut Turn<'_>,
    ) {
        let now = turn.now.mono;
        if replica.wants_snapshot() && !store.presides(self.slot) {
            replica.offer_snapshot(None, now);
        }
        let is_due = self.has_news(controller) && self.schedule.is_due(controller.folded_bytes(), now);
        let purpose = match (is_due, replica.wants_snapshot()) {
            (true, _) => Purpose::Keep,
            (false, true) if !self.schedule.is_paused(now) => Purpose::Hand,
            (false, _) => return,
        };
        let end = Offset(controller.controller.version());
        let log = store.partitions.get(self.slot).map(|it| it.log());
        // The epoch of the last record before: a log that begins there is compared by it (D4).
        let Some(last_epoch) = log.and_then(|log| log.epochs().at(end.plus(-1))) else {
            self.schedule.pause(now);
            return;
        };
        if purpose == Purpose::Keep {
            self.schedule.begun(controller.folded_bytes(), now);
        }
        let writer = controller.controller.snapshot();
        let (end, wall) = (LogEnd { last_epoch, end }, turn.now.wall);
        self.making = Some(Making { end, purpose, writer, wall, pieces: Vec::new(), bytes: 0 });
    }

    fn go_on_making(&mut self, replica: &mut Replica, store: &mut Store, turn: &mut Turn<'_>) {
        let Some(making) = &mut self.making else { return };
        let piece = making.writer.next_piece(PIECE_BYTES);
        let piece = piece.map(|records| snapshot::encode(&records, making.wall)).transpose();
        match piece {
            Ok(Some(piece)) => {
                making.bytes += piece.len() as u64;
                making.pieces.push(piece);
                if making.bytes > SNAPSHOT_BYTES_MAX {
                    mark("a snapshot of the metadata becomes too large");
                    let reason = format!("it has more than {SNAPSHOT_BYTES_MAX} bytes");
                    self.not_made(&reason, replica, turn);
                }
            }
            Ok(None) => self.made(replica, store, turn),
            Err(error) => self.not_made(&error.to_string(), replica, turn),
        }
    }

    fn not_made(&mut self, reason: &str, replica: &mut Replica, turn: &mut Turn<'_>) {
        self.making = None;
        self.schedule.pause(turn.now.mono);
        replica.offer_snapshot(None, turn.now.mono);
        turn.notice(format!("no snapshot of the metadata is made, and its log keeps all it has: {reason}"));
    }

    fn made(&mut self, replica: &mut Replica, store: &mut Store, turn: &mut Turn<'_>) {
        let Some(Making { end, purpose, pieces, .. }) = self.making.take() else { return };
        if replica.wants_snapshot() {
            replica.offer_snapshot(Some(Snapshot::new(end, &pieces)), turn.now.mono);
        }
        if purpose == Purpose::Keep {
            self.write(end, pieces, store, turn);
        }
    }

    fn write(&mut self, end: LogEnd, pieces: Vec<Vec<u8>>, store: &mut Store, turn: &mut Turn<'_>) {
        assert!(self.writing.is_none(), "one snapshot is written at a time");
        self.writing = Some(end);
        store.issue(Operation::Snapshot, IoOp::WriteSnapshot { end, pieces }, turn);
    }

    /// A file is on stable storage, or could not be written.
    pub(super) fn written(
        &mut self,
        outcome: Result<(), String>,
        controller: &mut ControllerSeat,
        replica: &mut Replica,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        let end = self.writing.take().expect("a file that was written was to be written");
        let is_fetched = matches!(&self.installing, Some(Installing { step: Step::Writing, .. }));
        match outcome {
            Ok(()) if is_fetched => self.begin_cut(end, controller, replica, store, turn),
            Ok(()) => self.keep(end, store, turn),
            Err(reason) => {
                mark("a snapshot of the metadata is not written");
                turn.notice(format!("a snapshot of the metadata is not written: {reason}"));
                self.schedule.pause(turn.now.mono);
                if is_fetched {
                    self.forget(replica, store, turn);
                }
            }
        }
    }

    /// A snapshot of this server's own is durable.
    fn keep(&mut self, end: LogEnd, store: &mut Store, turn: &mut Turn<'_>) {
        mark("a snapshot of the metadata is durable");
        let Some(older) = self.newest.replace(end) else { return };
        mark("the second snapshot of the metadata lets the log begin with the first");
        self.start = Some(older.end);
        self.remove_older(older, store, turn);
    }

    fn remove_older(&self, than: LogEnd, store: &mut Store, turn: &mut Turn<'_>) {
        store.issue(Operation::OldSnapshots, IoOp::RemoveSnapshots { below: than.end }, turn);
    }

    /// The leader has sent a snapshot: what it says is looked at in the next turns.
    pub(super) fn gathered(
        &mut self,
        gathered: Gathered,
        controller: &ControllerSeat,
        replica: &mut Replica,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        let Gathered { slot, end, bytes } = gathered;
        let is_busy =
            matches!(&self.installing, Some(Installing { step: Step::Writing | Step::Cutting, .. }));
        if slot != self.slot || is_busy {
            mark("a snapshot comes while one is being put in its place");
            return replica.refuse_snapshot(slot, store, turn);
        }
        // What is in the making would be older.
        self.making = None;
        let unfolding = Unfolding::new(controller.controller.snapshot_reader());
        self.installing = Some(Installing { end, unfolding, step: Step::Reading(bytes) });
    }

    fn go_on_installing(&mut self, replica: &mut Replica, store: &mut Store, turn: &mut Turn<'_>) {
        let Some(Installing { end, unfolding, step }) = &mut self.installing else { return };
        let end = *end;
        if !matches!(step, Step::Reading(_) | Step::Read(_)) {
            return;
        }
        if !replica.awaits_snapshot(self.slot, end, store) {
            mark("a snapshot that nobody waits for any more is forgotten");
            self.installing = None;
            return;
        }
        if let Step::Reading(bytes) = step {
            match unfolding.go_on(bytes, PIECE_BYTES) {
                Ok(false) => return,
                Ok(true) => *step = Step::Read(std::mem::take(bytes)),
                Err(error) => {
                    mark("what the leader has sent is no snapshot");
                    turn.notice(format!("the leader's snapshot of the metadata is refused: {error}"));
                    return self.forget(replica, store, turn);
                }
            }
        }
        if let Step::Read(bytes) = step
            && self.writing.is_none()
        {
            let bytes = std::mem::take(bytes);
            *step = Step::Writing;
            self.write(end, vec![bytes], store, turn);
        }
    }

    /// The leader's snapshot comes to nothing: its stream is opened again later.
    fn forget(&mut self, replica: &mut Replica, store: &mut Store, turn: &mut Turn<'_>) {
        if let Some(Installing { end, .. }) = self.installing.take()
            && replica.awaits_snapshot(self.slot, end, store)
        {
            replica.refuse_snapshot(self.slot, store, turn);
        }
    }

    /// The leader's snapshot is durable: only now does the log go.
    fn begin_cut(
        &mut self,
        end: LogEnd,
        controller: &mut ControllerSeat,
        replica: &mut Replica,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        let Some(installing) = &mut self.installing else { return };
        mark("a snapshot of the leader is durable, and the log is not cut yet");
        if !store.is_running() || !replica.snapshot_durable(self.slot, end, store, turn) {
            mark("a durable snapshot that nobody waits for any more is left to the next start");
            self.installing = None;
            return;
        }
        installing.step = Step::Cutting;
        controller.hold();
    }

    /// A log was cut. If it begins behind the snapshot now, that is the fold from here on: tells where it ends.
    pub(super) fn cut(
        &mut self,
        slot: u32,
        controller: &mut ControllerSeat,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) -> Option<LogEnd> {
        let is_cutting = matches!(&self.installing, Some(Installing { step: Step::Cutting, .. }));
        if slot != self.slot || !is_cutting {
            return None;
        }
        let Installing { end, unfolding, .. } = self.installing.take()?;
        mark("the fold of the metadata begins with a snapshot of the leader");
        controller.install(unfolding.into_reader(), end.end, turn);
        (self.newest, self.start) = (Some(end), None);
        self.schedule.begun(controller.folded_bytes(), turn.now.mono);
        self.remove_older(end, store, turn);
        Some(end)
    }
}
