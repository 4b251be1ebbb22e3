//! The controller's seat on shard 0: decisions become records of the metadata log, records that are committed become cluster
//! state, and an answer is given when every shard serves that state.
//!
//! The state is folded from the log itself, as any reader would read it, up to what is committed and durable here (D5): so it
//! makes no difference whether this server has written a record or was sent it. Requests that come before an elected controller
//! has folded its epoch's first record wait for that, up to [`WAITING_MAX`] of them.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::base::rng::Rng;
use crate::base::{Offset, ServerId, TopicPartition, joined};
use crate::controller::{
    Change, Controller, ControllerError, ControllerReply, ControllerRequest, Published, RegisterError,
    SnapshotReader,
};
use crate::record::{self, BATCH_HEADER_BYTES, BatchBuilder, BatchHeader};

use super::super::effect::Effect;
use super::super::read::Read;
use super::super::request::{FetchResult, PartitionError, RequestId, ShardReply};
use super::super::store::Store;
use super::super::turn::{Reading, Turn};
use super::held::{Phase, Seat};
use super::load;

/// Requests that may wait for an elected controller to begin.
const WAITING_MAX: usize = 1024;

#[derive(Debug)]
pub(super) struct ControllerSeat {
    pub(super) controller: Controller,
    rng: Rng,
    /// Shards of this server, all of which must serve a state before what led to it is answered.
    shards: u16,
    seat: Seat<Decided>,
    /// Parts of the log that were asked for; the last one is awaited while `is_reading`.
    reads: u64,
    is_reading: bool,
    /// There is more to fold than has been asked for.
    wants_more: bool,
    /// The log begins anew, behind a snapshot: nothing is read of it before that is the fold.
    is_held: bool,
    /// Bytes of the log that were folded in this life.
    folded_bytes: u64,
    /// Requests that came while this server was being elected.
    waiting: VecDeque<(RequestId, ControllerRequest)>,
    /// States that are durable and published, and not yet served by every shard.
    published: VecDeque<Publication>,
    /// The newest state that every shard serves.
    applied: i64,
}

/// An answer that waits for its records.
#[derive(Debug)]
struct Decided {
    id: RequestId,
    reply: ShardReply,
    /// For the case that this server is deposed before.
    deposed: ShardReply,
}

#[derive(Debug)]
struct Publication {
    version: i64,
    /// Shards that have not applied it yet.
    missing: u16,
    replies: Vec<Decided>,
}

/// How the controller stands in the quorum.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Office {
    /// Decides.
    Active,
    /// Was elected, and decides as soon as it knows what was decided before.
    Elected,
    /// Another server decides, or nobody.
    Out,
}

impl ControllerSeat {
    /// Recovery has folded the log, as far as it is known to be committed.
    pub(super) fn new(controller: Controller, shards: u16, seed: u64, store: &mut Store) -> ControllerSeat {
        let slot = store.partitions.find_or_add(TopicPartition::METADATA);
        if store.cluster().is_none() {
            store.lead_alone(slot);
        }
        let applied = controller.version();
        ControllerSeat {
            controller,
            rng: Rng::seeded(seed),
            shards,
            seat: Seat::new(slot, Phase::Active),
            reads: 0,
            is_reading: false,
            wants_more: true,
            is_held: false,
            folded_bytes: 0,
            waiting: VecDeque::new(),
            published: VecDeque::new(),
            applied,
        }
    }

    pub(super) fn slot(&self) -> u32 {
        self.seat.slot()
    }

    /// The newest state that every shard of this server serves.
    pub(super) fn applied_version(&self) -> i64 {
        self.applied
    }

    pub(super) fn ask(
        &mut self,
        id: RequestId,
        request: ControllerRequest,
        office: Office,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        match office {
            Office::Active => self.decide(id, request, store, turn),
            Office::Elected if self.waiting.len() < WAITING_MAX => self.waiting.push_back((id, request)),
            Office::Elected | Office::Out => {
                reply(id, request.refused(&ControllerError::NotController), turn);
            }
        }
    }

    fn decide(&mut self, id: RequestId, request: ControllerRequest, store: &mut Store, turn: &mut Turn<'_>) {
        // Deleting is how a full disk gets room again; the record of it goes into commit files, which have theirs.
        let deletes = matches!(request, ControllerRequest::DeleteTopics { .. });
        if store.is_failed() || store.is_disk_full() && !deletes {
            return reply(id, request.refused(&ControllerError::StorageFailed), turn);
        }
        let decision = self.controller.decide(&request, &mut self.rng);
        if decision.records.is_empty() {
            return reply(id, decision.reply, turn);
        }
        if self.append(&decision.records, store, turn).is_some() {
            let deposed = ShardReply::Controller(request.refused(&ControllerError::NotController));
            let reply = ShardReply::Controller(decision.reply);
            self.seat.hold([Decided { id, reply, deposed }], store);
        }
    }

    /// Tells a new server its id once the record of that is served by every shard (U15): before that it may come to nothing, and
    /// the server would count itself a member for ever.
    pub(super) fn given(&mut self, id: RequestId, server: ServerId, store: &Store, turn: &mut Turn<'_>) {
        let reply = ShardReply::Join(Ok(server));
        let deposed = ShardReply::Join(Err(RegisterError::NotController));
        let decided = Decided { id, reply, deposed };
        let end = store.partitions.get(self.slot()).map_or(Offset(0), |it| it.log().log_end());
        if end.0 > self.controller.version() {
            return self.seat.hold([decided], store);
        }
        match self.published.back_mut() {
            Some(last) => last.replies.push(decided),
            None => turn.reply(decided.id, decided.reply),
        }
    }

    /// Appends records that the controller has decided, and counts on. Tells where.
    pub(super) fn append(
        &self,
        records: &[Vec<u8>],
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) -> Option<Offset> {
        let mut batch = BatchBuilder::new(turn.now.wall);
        for record in records {
            batch.append(None, Some(record));
        }
        let bytes = batch.finish().map(Bytes::from).map_err(PartitionError::Batch);
        match bytes.and_then(|bytes| self.seat.append(&bytes, store, turn)) {
            Ok(accepted) => Some(accepted.base_offset),
            Err(_) => {
                // Nothing that is decided after this can be right.
                store.fail("the metadata log refused its own records".to_owned(), turn);
                None
            }
        }
    }

    /// This server leads the quorum no more: whoever waits is told to ask another one. What was decided may be committed yet.
    pub(super) fn deposed(&mut self, turn: &mut Turn<'_>) {
        self.controller.depose();
        let slot = self.seat.slot();
        let seat = std::mem::replace(&mut self.seat, Seat::new(slot, Phase::Active));
        for Decided { id, deposed, .. } in seat.leave() {
            turn.reply(id, deposed);
        }
        for (id, request) in std::mem::take(&mut self.waiting) {
            reply(id, request.refused(&ControllerError::NotController), turn);
        }
    }

    /// The controller has begun to decide: whoever has waited for that is served.
    pub(super) fn begun(&mut self, store: &mut Store, turn: &mut Turn<'_>) {
        for (id, request) in std::mem::take(&mut self.waiting) {
            self.decide(id, request, store, turn);
        }
    }

    /// The metadata log has moved.
    pub(super) fn progressed(&mut self) {
        self.wants_more = true;
    }

    /// Reads on in the log, if there is something that is committed and not folded.
    pub(super) fn load(&mut self, read: &mut Read, store: &mut Store, turn: &mut Turn<'_>) {
        if self.is_held || !std::mem::take(&mut self.wants_more) || self.is_reading {
            return;
        }
        let slot = self.seat.slot();
        let next = Offset(self.controller.version());
        let settled = store.partitions.get(slot).map_or(Offset(0), |it| it.watermarks().settled());
        if next < settled {
            self.is_reading = true;
            self.reads += 1;
            let reading = Reading { slot, number: self.reads };
            load::ask(reading, TopicPartition::METADATA, next, read, store, turn);
        }
    }

    /// A part of the log: folds it, and publishes the state that makes.
    pub(super) fn part(
        &mut self,
        part: Reading,
        results: Vec<FetchResult>,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        if part.number != self.reads {
            return;
        }
        self.is_reading = false;
        self.wants_more = true;
        let from_version = self.controller.version();
        let changes = match self.fold(results) {
            Ok(changes) => changes,
            // A state that lacks one change is a wrong state.
            Err(reason) => return store.fail(format!("the metadata log cannot be folded: {reason}"), turn),
        };
        let image = self.controller.image();
        let version = image.version;
        if version == from_version {
            return;
        }
        self.publish(Published { image, from_version, changes }, turn);
    }

    fn publish(&mut self, published: Published, turn: &mut Turn<'_>) {
        let version = published.image.version;
        let replies = self.seat.release(Offset(version));
        let is_next = self.published.back().is_none_or(|last| last.version < version);
        assert!(is_next, "each state that is published is newer than the one before");
        self.published.push_back(Publication { version, missing: self.shards, replies });
        turn.effect(Effect::Publish(Arc::new(published)));
    }

    /// Bytes of the log that were folded in this life.
    pub(super) fn folded_bytes(&self) -> u64 {
        self.folded_bytes
    }

    /// The log is being emptied, to begin behind a snapshot: nothing is read of it, and what was read does not count.
    pub(super) fn hold(&mut self) {
        self.is_held = true;
        self.is_reading = false;
        self.reads += 1;
    }

    /// A snapshot takes the place of the fold, for the log up to there; every shard looks at all of it.
    pub(super) fn install(&mut self, snapshot: SnapshotReader, end: Offset, turn: &mut Turn<'_>) {
        (self.is_held, self.wants_more) = (false, true);
        if end.0 <= self.controller.version() {
            // The leader's log was cut below what is committed, as a test may want it: the fold is the newer one.
            return;
        }
        self.controller.install(snapshot, end.0).expect("it was read to its end before it was written");
        let (image, from_version) = (self.controller.image(), Published::FROM_NOTHING);
        self.publish(Published { image, from_version, changes: Vec::new() }, turn);
    }

    fn fold(&mut self, results: Vec<FetchResult>) -> Result<Vec<Change>, String> {
        let outcome = results.into_iter().next().map(|result| result.outcome);
        let fetched = outcome.ok_or("the read brought no answer")?.map_err(|error| error.to_string())?;
        let bytes = joined(&fetched.records);
        let (mut rest, mut changes): (&[u8], Vec<Change>) = (&bytes, Vec::new());
        while rest.len() >= BATCH_HEADER_BYTES {
            let Ok(header) = BatchHeader::parse(rest) else { break };
            let Some((batch, after)) = rest.split_at_checked(header.total_bytes()) else { break };
            self.fold_batch(&header, batch, &mut changes)?;
            self.folded_bytes += batch.len() as u64;
            rest = after;
        }
        Ok(changes)
    }

    fn fold_batch(
        &mut self,
        header: &BatchHeader,
        batch: &[u8],
        changes: &mut Vec<Change>,
    ) -> Result<(), String> {
        let mut refused = None;
        let read = record::records(batch, |_, record| {
            let offset = header.base_offset.plus(i64::from(record.offset_delta));
            if offset.0 < self.controller.version() {
                return true;
            }
            match self.controller.replay(record.value.unwrap_or_default(), offset.0) {
                Ok(change) => changes.push(change),
                Err(error) => refused = Some(error.to_string()),
            }
            refused.is_none()
        });
        read.map_err(|error| error.to_string())?;
        refused.map_or(Ok(()), Err)
    }

    /// A shard serves the cluster state of this version.
    pub(super) fn applied(&mut self, version: i64, turn: &mut Turn<'_>) {
        let Some(publication) = self.published.iter_mut().find(|it| it.version == version) else { return };
        assert!(publication.missing > 0, "a shard reports a state once");
        publication.missing -= 1;
        while self.published.front().is_some_and(|front| front.missing == 0)
            && let Some(done) = self.published.pop_front()
        {
            self.applied = done.version;
            for decided in done.replies {
                turn.reply(decided.id, decided.reply);
            }
        }
    }
}

fn reply(id: RequestId, reply: ControllerReply, turn: &mut Turn<'_>) {
    turn.reply(id, ShardReply::Controller(reply));
}

/// The answer of a shard on which no controller sits.
pub(super) fn not_controller(request: &ControllerRequest) -> ControllerReply {
    request.refused(&ControllerError::InvalidRequest("this shard is not the controller".to_owned()))
}
