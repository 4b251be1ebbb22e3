//! The coordinators' seats: one per partition of `__consumer_offsets` this shard owns.
//!
//! A coordinator reads its partition's log before it answers anything; from then on it decides, its records are appended
//! like any data, and its answers leave when everything appended before them is durable. If the log refuses records, the
//! coordinator begins again from the log: its state is never ahead of what can become durable.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::base::rng::Rng;
use crate::base::{LeaderEpoch, MonoNanos, Now, Rule, TopicPartition, holds};
use crate::group::{
    Coordinator, GroupError, GroupLimits, GroupRecord, GroupReply, GroupRequest, OFFSETS_TOPIC, Outcome,
    Ticket,
};
use crate::record::BatchBuilder;

use super::super::read::Read;
use super::super::request::{FetchResult, GroupCall, PartitionError, RequestId, ShardReply};
use super::super::store::{Partition, Store};
use super::super::turn::{Reading, Turn};
use super::answers::Answers;
use super::held::{Phase, Seat};
use super::load;

/// Records of one step go into batches of about this size at most, so that no number of them exceeds a batch's limit.
const BATCH_BYTES: usize = 256 * 1024;

#[derive(Debug)]
pub(super) struct Coordinators {
    limits: Arc<GroupLimits>,
    /// Draws a seed for each coordinator: one that reads its log anew must not draw the ids again that it drew before.
    rng: Rng,
    seats: BTreeMap<u32, CoordinatorSeat>,
    answers: Answers,
    /// Slots whose coordinator wants the next part of its log.
    to_load: Vec<u32>,
    /// Parts that were asked for so far.
    reads: u64,
}

#[derive(Debug)]
struct CoordinatorSeat {
    coordinator: Coordinator,
    seat: Seat<(Ticket, GroupReply)>,
    /// The leader epoch of the partition in which the seat was taken.
    epoch: LeaderEpoch,
    /// The part of the log that was asked for: the next one is asked for when it has been folded.
    reading: Option<u64>,
}

impl Coordinators {
    pub(super) fn new(limits: GroupLimits, seed: u64) -> Coordinators {
        Coordinators {
            limits: Arc::new(limits),
            rng: Rng::seeded(seed),
            seats: BTreeMap::new(),
            answers: Answers::default(),
            to_load: Vec::new(),
            reads: 0,
        }
    }

    pub(super) fn next_deadline(&self) -> MonoNanos {
        if !self.to_load.is_empty() {
            return MonoNanos(0);
        }
        self.active().map(Coordinator::next_deadline).min().unwrap_or(MonoNanos::NEVER)
    }

    /// Groups and members of all coordinators here.
    pub(super) fn counts(&self) -> (usize, usize) {
        let counts = self.seats.values().map(|it| it.coordinator.counts());
        counts.fold((0, 0), |sum, (groups, members)| (sum.0 + groups, sum.1 + members))
    }

    /// Coordinators that have read their logs.
    pub(super) fn active(&self) -> impl Iterator<Item = &Coordinator> {
        self.seats.values().filter(|it| it.seat.phase() == Phase::Active).map(|it| &it.coordinator)
    }

    /// Answers every question of a request; the answer leaves with the last of them.
    pub(super) fn ask(
        &mut self,
        id: RequestId,
        calls: Vec<GroupCall>,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        let tickets = self.answers.open(id, calls.len(), turn);
        for (call, ticket) in calls.into_iter().zip(tickets) {
            self.ask_one(ticket, call.partition, call.request, store, turn);
        }
    }

    fn ask_one(
        &mut self,
        ticket: Ticket,
        partition: TopicPartition,
        request: GroupRequest,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        if let Some(error) = self.refusal(partition, &request, store) {
            return self.answers.release(vec![(ticket, request.refused(error))], turn);
        }
        let slot = store.partitions.find(partition).expect("what is not here was refused");
        let it = self.seats.get_mut(&slot).expect("what has no seat was refused");
        let mut out = Outcome::default();
        it.coordinator.handle(turn.now, store.image(), ticket, request, &mut out);
        self.settle(slot, out, store, turn);
    }

    fn refusal(
        &self,
        partition: TopicPartition,
        request: &GroupRequest,
        store: &Store,
    ) -> Option<GroupError> {
        let it = store.partitions.find(partition).and_then(|slot| self.seats.get(&slot));
        let Some(it) = it.filter(|_| !store.is_stopping()) else {
            return Some(GroupError::NotCoordinator);
        };
        let reads = matches!(
            request,
            GroupRequest::Heartbeat { .. }
                | GroupRequest::FetchOffsets(_)
                | GroupRequest::Describe { .. }
                | GroupRequest::DescribeConsumers { .. }
        );
        match it.seat.phase() {
            Phase::Loading(_) => Some(GroupError::CoordinatorLoadInProgress),
            Phase::Failed => Some(GroupError::CoordinatorNotAvailable),
            Phase::Active if store.is_failed() => Some(GroupError::CoordinatorNotAvailable),
            Phase::Active if store.is_disk_full() && !reads => Some(GroupError::CoordinatorNotAvailable),
            Phase::Active if request.makes_group() && !it.coordinator.knows(request.group()) => {
                self.is_full().then_some(GroupError::TooManyGroups)
            }
            Phase::Active => None,
        }
    }

    /// A client must not fill the memory with names of groups.
    fn is_full(&self) -> bool {
        let count: usize = self.seats.values().map(|it| it.coordinator.group_count()).sum();
        count >= self.limits.count_max
    }

    /// All groups coordinated here; a list that lacks those of a coordinator that is still loading would be a wrong one.
    pub(super) fn list(&self, id: RequestId, turn: &mut Turn<'_>) {
        let is_loading = self.seats.values().any(|it| matches!(it.seat.phase(), Phase::Loading(_)));
        let listed = if is_loading {
            Err(GroupError::CoordinatorLoadInProgress)
        } else {
            Ok(self.active().flat_map(Coordinator::list).collect())
        };
        turn.reply(id, ShardReply::ListGroups(listed));
    }

    /// The cluster state has changed: makes a seat for each partition of the offsets topic that is new here, and leaves
    /// those that are gone.
    pub(super) fn take_seats(&mut self, store: &Store, turn: &mut Turn<'_>) {
        let topic = store.image().topic(OFFSETS_TOPIC);
        let owned: Vec<u32> = topic
            .iter()
            .flat_map(|topic| topic.partition_ids())
            .filter_map(|partition| store.partitions.find(partition))
            .filter(|slot| store.partitions.get(*slot).is_some_and(Partition::leads))
            .collect();
        // A new leader epoch is another seat: what was decided in the one before may be cut off.
        let epoch = |slot: &u32| store.partitions.get(*slot).map(Partition::epoch);
        let stays =
            |(slot, it): &(&u32, &CoordinatorSeat)| owned.contains(slot) && epoch(slot) == Some(it.epoch);
        let gone: Vec<u32> = self.seats.iter().filter(|it| !stays(it)).map(|(slot, _)| *slot).collect();
        for slot in gone {
            self.leave(slot, turn);
        }
        for slot in owned {
            if !self.seats.contains_key(&slot) {
                self.take_seat(slot, store);
            }
        }
    }

    /// This server leads a partition from now on, or no more, or in another epoch.
    pub(super) fn role_changed(&mut self, slot: u32, store: &Store, turn: &mut Turn<'_>) {
        let id = store.partitions.get(slot).map(|it| it.log().id.topic);
        let topic = store.image().topic(OFFSETS_TOPIC).map(|topic| topic.id);
        if self.seats.contains_key(&slot) || (id.is_some() && id == topic) {
            self.take_seats(store, turn);
        }
    }

    fn take_seat(&mut self, slot: u32, store: &Store) {
        let Some(partition) = store.partitions.get(slot) else { return };
        let from = partition.watermarks().log_start;
        let seed = self.rng.next_u64();
        let coordinator = Coordinator::new(Arc::clone(&self.limits), seed, Now::default());
        let seat = Seat::new(slot, Phase::Loading(from));
        let epoch = partition.epoch();
        self.seats.insert(slot, CoordinatorSeat { coordinator, seat, epoch, reading: None });
        self.to_load.push(slot);
    }

    /// Topics have changed: coordinators forget what belongs to those that are gone.
    pub(super) fn topics_changed(&mut self, store: &mut Store, turn: &mut Turn<'_>) {
        let image = Arc::clone(store.image());
        self.each(store, turn, |coordinator, out| coordinator.topics_changed(&image, out));
    }

    /// Reads on where coordinators are loading, and lets time pass for the others.
    pub(super) fn turn(&mut self, read: &mut Read, store: &mut Store, turn: &mut Turn<'_>) {
        self.load_on(read, store, turn);
        let now = turn.now;
        if self.next_deadline() <= now.mono {
            self.each(store, turn, |coordinator, out| {
                if coordinator.next_deadline() <= now.mono {
                    coordinator.tick(now, out);
                }
            });
        }
    }

    /// Goes on with the coordinators that want the next part of their logs.
    pub(super) fn load_on(&mut self, read: &mut Read, store: &mut Store, turn: &mut Turn<'_>) {
        while let Some(slot) = self.to_load.pop() {
            self.load(slot, read, store, turn);
        }
    }

    /// Before the orderly stop: whoever waits in a group is told to find another coordinator.
    pub(super) fn resign(&mut self, turn: &mut Turn<'_>) {
        let Coordinators { seats, answers, .. } = self;
        for it in seats.values_mut() {
            let mut out = Outcome::default();
            it.coordinator.resign(&mut out);
            answers.release(out.replies, turn);
        }
    }

    /// The log of a coordinator has moved: answers leave, or loading goes on.
    pub(super) fn progressed(&mut self, slot: u32, store: &Store, turn: &mut Turn<'_>) {
        let Some(it) = self.seats.get_mut(&slot) else { return };
        if matches!(it.seat.phase(), Phase::Loading(_)) {
            self.to_load.push(slot);
            return;
        }
        let settled = it.seat.settled(store);
        let ready = it.seat.release(settled);
        self.answers.release(ready, turn);
    }

    fn each(
        &mut self,
        store: &mut Store,
        turn: &mut Turn<'_>,
        mut act: impl FnMut(&mut Coordinator, &mut Outcome),
    ) {
        if !store.is_running() {
            return;
        }
        let slots: Vec<u32> = self.seats.keys().copied().collect();
        for slot in slots {
            let mut out = Outcome::default();
            if let Some(it) = self.seats.get_mut(&slot)
                && it.seat.phase() == Phase::Active
            {
                act(&mut it.coordinator, &mut out);
            }
            if !out.is_empty() {
                self.settle(slot, out, store, turn);
            }
        }
    }

    /// Appends what a coordinator has decided; its answers wait until that, and all before it, is durable.
    fn settle(&mut self, slot: u32, out: Outcome, store: &mut Store, turn: &mut Turn<'_>) {
        let Some(it) = self.seats.get_mut(&slot) else { return };
        for batch in batches(&out.records, turn.now) {
            if let Err(error) = it.seat.append(&batch, store, turn) {
                return self.begin_again(slot, out.replies, &error, store, turn);
            }
        }
        it.seat.hold(out.replies, store);
        let settled = it.seat.settled(store);
        let ready = it.seat.release(settled);
        self.answers.release(ready, turn);
    }

    /// The log has refused records the coordinator has counted on: it is read anew.
    fn begin_again(
        &mut self,
        slot: u32,
        replies: Vec<(Ticket, GroupReply)>,
        error: &PartitionError,
        store: &Store,
        turn: &mut Turn<'_>,
    ) {
        turn.notice(format!("a group coordinator reads its log anew: its records were refused: {error}"));
        self.answers.release(refused(replies, GroupError::CoordinatorNotAvailable), turn);
        self.leave(slot, turn);
        self.take_seat(slot, store);
    }

    fn leave(&mut self, slot: u32, turn: &mut Turn<'_>) {
        let Some(mut it) = self.seats.remove(&slot) else { return };
        let mut out = Outcome::default();
        it.coordinator.resign(&mut out);
        out.replies.extend(refused(it.seat.leave(), GroupError::NotCoordinator));
        self.answers.release(out.replies, turn);
    }

    /// Asks for the next part of a coordinator's log, or lets the coordinator begin if there is none.
    fn load(&mut self, slot: u32, read: &mut Read, store: &mut Store, turn: &mut Turn<'_>) {
        let Some(partition) = store.partitions.get(slot) else { return };
        let (id, marks) = (partition.log().id, *partition.watermarks());
        let is_settled = partition.is_settled();
        let Some(it) = self.seats.get_mut(&slot).filter(|it| it.reading.is_none()) else { return };
        let Phase::Loading(offset) = it.seat.phase() else { return };
        // Before, the log may hold what another leader has never had (rule R5).
        if holds(Rule::R5) && !is_settled {
            return;
        }
        if offset >= marks.log_end {
            it.seat.advance(Phase::Active);
            let mut out = Outcome::default();
            it.coordinator.loaded(turn.now, store.image(), &mut out);
            return self.settle(slot, out, store, turn);
        }
        if marks.high > offset {
            self.reads += 1;
            it.reading = Some(self.reads);
            load::ask(Reading { slot, number: self.reads }, id, offset, read, store, turn);
        }
        // Otherwise the rest was appended before the coordinator had to begin again: it goes on when that is durable.
    }

    /// A coordinator that is loading gets a part of its log.
    pub(super) fn part(
        &mut self,
        part: Reading,
        results: Vec<FetchResult>,
        store: &Store,
        turn: &mut Turn<'_>,
    ) {
        let slot = part.slot;
        // A part that was asked for by a seat that was left since is nobody's.
        let Some(it) = self.seats.get_mut(&slot).filter(|it| it.reading == Some(part.number)) else { return };
        it.reading = None;
        let Phase::Loading(offset) = it.seat.phase() else { return };
        match load::fold(&mut it.coordinator, offset, results) {
            Ok(next) => {
                it.seat.advance(Phase::Loading(next));
                self.to_load.push(slot);
            }
            Err(error) => {
                it.seat.advance(Phase::Failed);
                let index = store.partitions.get(slot).map_or(-1, |it| it.log().id.partition.0);
                turn.notice(format!(
                    "{OFFSETS_TOPIC}-{index} cannot be read, its groups are not available: {error}"
                ));
            }
        }
    }
}

fn refused(
    replies: impl IntoIterator<Item = (Ticket, GroupReply)>,
    error: GroupError,
) -> Vec<(Ticket, GroupReply)> {
    replies.into_iter().map(|(ticket, reply)| (ticket, reply.refused(error))).collect()
}

fn batches(records: &[GroupRecord], now: Now) -> Vec<Bytes> {
    let mut batches = Vec::new();
    let mut batch = BatchBuilder::new(now.wall);
    for record in records {
        if batch.bytes() >= BATCH_BYTES {
            let full = std::mem::replace(&mut batch, BatchBuilder::new(now.wall));
            batches.push(full);
        }
        batch.append(Some(&record.key), record.value.as_deref());
    }
    if !batch.is_empty() {
        batches.push(batch);
    }
    let finish = |batch: BatchBuilder| Bytes::from(batch.finish().expect("not empty, and far below 2 GiB"));
    batches.into_iter().map(finish).collect()
}
