//! The coordinators' seats: one per partition of `__consumer_offsets` this shard owns.
//!
//! A coordinator reads its partition's log before it answers anything; from then on it decides, its records are appended
//! like any data, and its answers leave when everything appended before them is durable. If the log refuses records, the
//! coordinator begins again from the log: its state is never ahead of what can become durable.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use crate::base::hash::IdMap;
use crate::base::{LeaderEpoch, MonoNanos, Now, Offset, TopicPartition, joined};
use crate::group::{
    Coordinator, GroupError, GroupLimits, GroupRecord, GroupReply, GroupRequest, OFFSETS_TOPIC, Outcome,
    Ticket,
};
use crate::record::{self, BATCH_HEADER_BYTES, BatchBuilder, BatchHeader};

use super::produce::Incoming;
use super::request::{
    FetchPartition, FetchRequest, FetchResult, GroupCall, Known, PartitionError, RequestId, ShardReply,
};
use super::{Effect, Shard, Stop};

/// Read at a time while a coordinator loads.
const LOAD_BYTES: u32 = 1024 * 1024;
/// Records of one step go into batches of about this size at most, so that no number of them exceeds a batch's limit.
const BATCH_BYTES: usize = 256 * 1024;
/// Fetches a shard makes for its own coordinators; connections count theirs from 0.
const OWN: u64 = 1 << 63;

#[derive(Debug)]
pub(super) struct GroupSeats {
    limits: Arc<GroupLimits>,
    seed: u64,
    /// By slot.
    seats: BTreeMap<u32, Seat>,
    waits: IdMap<u64, Wait>,
    next_wait: u64,
    tickets: IdMap<u64, (u64, usize)>,
    next_ticket: u64,
    /// Slots whose coordinator wants the next part of its log.
    to_load: Vec<u32>,
}

#[derive(Debug)]
struct Seat {
    coordinator: Coordinator,
    state: SeatState,
    /// Answers, each with the end of what must be durable before it leaves.
    unreleased: VecDeque<(Offset, (Ticket, GroupReply))>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum SeatState {
    /// Has folded what is before this offset.
    Loading(Offset),
    Active,
    /// The log cannot be read.
    Failed,
}

/// One request, whose questions are answered one by one.
#[derive(Debug)]
struct Wait {
    id: RequestId,
    replies: Vec<Option<GroupReply>>,
    missing: usize,
}

impl GroupSeats {
    pub(super) fn new(limits: GroupLimits, seed: u64) -> GroupSeats {
        GroupSeats {
            limits: Arc::new(limits),
            seed,
            seats: BTreeMap::new(),
            waits: IdMap::default(),
            next_wait: 0,
            tickets: IdMap::default(),
            next_ticket: 0,
            to_load: Vec::new(),
        }
    }

    pub(super) fn next_deadline(&self) -> MonoNanos {
        if !self.to_load.is_empty() {
            return MonoNanos(0);
        }
        let active = self.seats.values().filter(|seat| seat.state == SeatState::Active);
        active.map(|seat| seat.coordinator.next_deadline()).min().unwrap_or(MonoNanos::NEVER)
    }

    /// Groups and members of all coordinators here.
    pub(super) fn counts(&self) -> (usize, usize) {
        let counts = self.seats.values().map(|seat| seat.coordinator.counts());
        counts.fold((0, 0), |sum, (groups, members)| (sum.0 + groups, sum.1 + members))
    }

    /// A client must not fill the memory with names of groups.
    fn is_full(&self) -> bool {
        let count: usize = self.seats.values().map(|seat| seat.coordinator.group_count()).sum();
        count >= self.limits.count_max
    }

    pub(super) fn coordinators(&self) -> impl Iterator<Item = &Coordinator> {
        self.seats.values().filter(|seat| seat.state == SeatState::Active).map(|seat| &seat.coordinator)
    }

    fn seat(&mut self, slot: u32, log_start: Offset) {
        let seed = self.seed ^ u64::from(slot).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let seat = Seat {
            coordinator: Coordinator::new(Arc::clone(&self.limits), seed, Now::default()),
            state: SeatState::Loading(log_start),
            unreleased: VecDeque::new(),
        };
        self.seats.insert(slot, seat);
        self.to_load.push(slot);
    }

    fn ticket(&mut self, wait: u64, index: usize) -> Ticket {
        self.next_ticket += 1;
        self.tickets.insert(self.next_ticket, (wait, index));
        Ticket(self.next_ticket)
    }
}

impl Shard {
    /// Answers every question of a request; the answer leaves with the last of them.
    pub(super) fn ask_groups(
        &mut self,
        now: Now,
        id: RequestId,
        calls: Vec<GroupCall>,
        effects: &mut Vec<Effect>,
    ) {
        let wait = self.groups.next_wait;
        self.groups.next_wait += 1;
        let missing = calls.len();
        let replies = (0..missing).map(|_| None).collect();
        self.groups.waits.insert(wait, Wait { id, replies, missing });
        if missing == 0 {
            return self.release(Vec::new(), Some(wait), effects);
        }
        for (index, call) in calls.into_iter().enumerate() {
            let ticket = self.groups.ticket(wait, index);
            self.ask_group(now, ticket, call.partition, call.request, effects);
        }
    }

    /// All groups coordinated here; a list that lacks those of a coordinator that is still loading would be a wrong one.
    pub(super) fn list_groups(&self, id: RequestId, effects: &mut Vec<Effect>) {
        let loading = self.groups.seats.values().any(|seat| matches!(seat.state, SeatState::Loading(_)));
        let listed = if loading {
            Err(GroupError::CoordinatorLoadInProgress)
        } else {
            Ok(self.groups.coordinators().flat_map(Coordinator::list).collect())
        };
        effects.push(Effect::Reply { to: id, reply: ShardReply::ListGroups(listed) });
    }

    /// Makes a seat for each partition of the offsets topic that is new here, and leaves those that are gone.
    pub(super) fn seat_coordinators(&mut self, effects: &mut Vec<Effect>) {
        let topic = self.image.topic(OFFSETS_TOPIC).cloned();
        let owned: Vec<u32> = topic
            .iter()
            .flat_map(|topic| topic.partition_ids())
            .filter_map(|partition| self.partitions.find(partition))
            .collect();
        let gone: Vec<u32> =
            self.groups.seats.keys().filter(|slot| owned.binary_search(slot).is_err()).copied().collect();
        for slot in gone.into_iter().filter(|slot| !owned.contains(slot)) {
            self.leave_seat(slot, effects);
        }
        for slot in owned {
            if !self.groups.seats.contains_key(&slot)
                && let Some(partition) = self.partitions.get(slot)
            {
                let log_start = partition.log.log_start();
                self.groups.seat(slot, log_start);
            }
        }
    }

    /// Topics have changed: coordinators forget what belongs to those that are gone.
    pub(super) fn tell_coordinators(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let image = Arc::clone(&self.image);
        self.each_coordinator(now, effects, |coordinator, out| coordinator.topics_changed(&image, out));
    }

    /// Reads on where coordinators are loading, and lets time pass for the others.
    pub(super) fn turn_groups(&mut self, now: Now, effects: &mut Vec<Effect>) {
        while let Some(slot) = self.groups.to_load.pop() {
            self.load(now, slot, effects);
        }
        if self.groups.next_deadline() <= now.mono {
            self.each_coordinator(now, effects, |coordinator, out| {
                if coordinator.next_deadline() <= now.mono {
                    coordinator.tick(now, out);
                }
            });
        }
    }

    /// Before the orderly stop: whoever waits in a group is told to find another coordinator.
    pub fn resign(&mut self, _now: Now, effects: &mut Vec<Effect>) {
        let slots: Vec<u32> = self.groups.seats.keys().copied().collect();
        for slot in slots {
            let mut out = Outcome::default();
            if let Some(seat) = self.groups.seats.get_mut(&slot) {
                seat.coordinator.resign(&mut out);
            }
            self.release(out.replies, None, effects);
        }
    }

    /// The log of a coordinator is durable up to `flushed`.
    pub(super) fn groups_flushed(&mut self, slot: u32, flushed: Offset, effects: &mut Vec<Effect>) {
        let Some(seat) = self.groups.seats.get_mut(&slot) else { return };
        if matches!(seat.state, SeatState::Loading(_)) {
            self.groups.to_load.push(slot);
            return;
        }
        let mut ready = Vec::new();
        while let Some((end, _)) = seat.unreleased.front()
            && *end <= flushed
        {
            ready.extend(seat.unreleased.pop_front().map(|(_, reply)| reply));
        }
        self.release(ready, None, effects);
    }

    /// A fetch has its answer: a connection's, or a part of a coordinator's log.
    pub(super) fn fetched(&mut self, id: RequestId, results: Vec<FetchResult>, effects: &mut Vec<Effect>) {
        if id.number & OWN == 0 || id.number == u64::MAX {
            effects.push(Effect::Reply { to: id, reply: ShardReply::Fetch(results) });
            return;
        }
        let slot = u32::try_from(id.number & !OWN).expect("a slot was put there");
        let outcome = results.into_iter().next().map(|result| result.outcome);
        match outcome {
            Some(Ok(fetched)) => {
                self.fold(slot, &joined(&fetched.records), effects);
            }
            Some(Err(error)) => self.cannot_load(slot, &error.to_string(), effects),
            None => {}
        }
    }

    fn ask_group(
        &mut self,
        now: Now,
        ticket: Ticket,
        partition: TopicPartition,
        request: GroupRequest,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(error) = self.group_refusal(partition, &request) {
            let reply = request.refused(error);
            return self.release(vec![(ticket, reply)], None, effects);
        }
        let Some(slot) = self.partitions.find(partition) else { return };
        let image = Arc::clone(&self.image);
        let mut out = Outcome::default();
        if let Some(seat) = self.groups.seats.get_mut(&slot) {
            seat.coordinator.handle(now, &image, ticket, request, &mut out);
        }
        self.settle_groups(now, slot, out, effects);
    }

    fn group_refusal(&self, partition: TopicPartition, request: &GroupRequest) -> Option<GroupError> {
        let seat = self.partitions.find(partition).and_then(|slot| self.groups.seats.get(&slot));
        let Some(seat) = seat.filter(|_| self.stop == Stop::Running) else {
            return Some(GroupError::NotCoordinator);
        };
        let reads = matches!(
            request,
            GroupRequest::Heartbeat { .. }
                | GroupRequest::FetchOffsets(_)
                | GroupRequest::Describe { .. }
                | GroupRequest::DescribeConsumers { .. }
        );
        match seat.state {
            SeatState::Loading(_) => Some(GroupError::CoordinatorLoadInProgress),
            SeatState::Failed => Some(GroupError::CoordinatorNotAvailable),
            SeatState::Active if self.failed.is_some() => Some(GroupError::CoordinatorNotAvailable),
            SeatState::Active if self.disk_full && !reads => Some(GroupError::CoordinatorNotAvailable),
            SeatState::Active if request.makes_group() && !seat.coordinator.knows(request.group()) => {
                self.groups.is_full().then_some(GroupError::TooManyGroups)
            }
            SeatState::Active => None,
        }
    }

    fn each_coordinator(
        &mut self,
        now: Now,
        effects: &mut Vec<Effect>,
        mut act: impl FnMut(&mut Coordinator, &mut Outcome),
    ) {
        if self.stop != Stop::Running || self.failed.is_some() {
            return;
        }
        let slots: Vec<u32> = self.groups.seats.keys().copied().collect();
        for slot in slots {
            let mut out = Outcome::default();
            if let Some(seat) = self.groups.seats.get_mut(&slot)
                && seat.state == SeatState::Active
            {
                act(&mut seat.coordinator, &mut out);
            }
            if !out.is_empty() {
                self.settle_groups(now, slot, out, effects);
            }
        }
    }

    /// Appends what a coordinator has decided; its answers wait until that, and all before it, is durable.
    fn settle_groups(&mut self, now: Now, slot: u32, out: Outcome, effects: &mut Vec<Effect>) {
        for batch in batches(&out.records, now) {
            if let Err(error) = self.append_to(now, slot, Incoming::own(&batch), effects) {
                return self.begin_again(slot, out.replies, &error, effects);
            }
        }
        let Some(partition) = self.partitions.get(slot) else { return };
        let (end, flushed) = (partition.log.log_end(), partition.log.flushed_offset());
        if end <= flushed {
            return self.release(out.replies, None, effects);
        }
        if let Some(seat) = self.groups.seats.get_mut(&slot) {
            seat.unreleased.extend(out.replies.into_iter().map(|reply| (end, reply)));
        }
    }

    /// The log has refused records the coordinator has counted on: it is read anew.
    fn begin_again(
        &mut self,
        slot: u32,
        replies: Vec<(Ticket, GroupReply)>,
        error: &PartitionError,
        effects: &mut Vec<Effect>,
    ) {
        effects.push(Effect::Notice(format!(
            "a group coordinator reads its log anew: its records were refused: {error}"
        )));
        let refused = replies.into_iter();
        let refused =
            refused.map(|(ticket, reply)| (ticket, reply.refused(GroupError::CoordinatorNotAvailable)));
        self.release(refused.collect(), None, effects);
        self.leave_seat(slot, effects);
        if let Some(partition) = self.partitions.get(slot) {
            let log_start = partition.log.log_start();
            self.groups.seat(slot, log_start);
        }
    }

    fn leave_seat(&mut self, slot: u32, effects: &mut Vec<Effect>) {
        let Some(mut seat) = self.groups.seats.remove(&slot) else { return };
        let mut out = Outcome::default();
        seat.coordinator.resign(&mut out);
        let unreleased = seat.unreleased.into_iter();
        let unreleased =
            unreleased.map(|(_, (ticket, reply))| (ticket, reply.refused(GroupError::NotCoordinator)));
        out.replies.extend(unreleased);
        self.release(out.replies, None, effects);
    }

    /// Asks for the next part of a coordinator's log.
    fn load(&mut self, now: Now, slot: u32, effects: &mut Vec<Effect>) {
        let Some(partition) = self.partitions.get(slot) else { return };
        let (id, end) = (partition.log.id, partition.log.log_end());
        let Some(seat) = self.groups.seats.get_mut(&slot) else { return };
        let SeatState::Loading(offset) = seat.state else { return };
        if offset >= end {
            seat.state = SeatState::Active;
            let image = Arc::clone(&self.image);
            let mut out = Outcome::default();
            seat.coordinator.loaded(now, &image, &mut out);
            return self.settle_groups(now, slot, out, effects);
        }
        if partition.high_watermark() <= offset {
            // Appended before the coordinator had to begin again; it goes on when that is durable.
            return;
        }
        let part = FetchPartition {
            partition: id,
            offset,
            current_leader_epoch: LeaderEpoch(-1),
            last_fetched_epoch: LeaderEpoch(-1),
            bytes_max: LOAD_BYTES,
            known: Known::NOTHING,
        };
        let request = FetchRequest {
            partitions: Arc::new(vec![part]),
            first: 0,
            wait_ms_max: 0,
            bytes_min: 0,
            bytes_max: LOAD_BYTES,
            read_committed: false,
        };
        let own = RequestId { origin: self.config.shard, number: OWN | u64::from(slot) };
        self.fetch(now, own, request, effects);
    }

    fn fold(&mut self, slot: u32, bytes: &[u8], effects: &mut Vec<Effect>) {
        let Some(seat) = self.groups.seats.get_mut(&slot) else { return };
        let SeatState::Loading(mut offset) = seat.state else { return };
        let mut rest = bytes;
        while rest.len() >= BATCH_HEADER_BYTES {
            let Ok(header) = BatchHeader::parse(rest) else { break };
            let Some((batch, after)) = rest.split_at_checked(header.total_bytes()) else { break };
            let coordinator = &mut seat.coordinator;
            let mut refused = None;
            // The clock does not matter to what is folded: deadlines begin when the whole log is.
            let folded = record::records(batch, |_, record| {
                let result = coordinator.replay(Now::default(), record.key.unwrap_or_default(), record.value);
                refused = result.err();
                refused.is_none()
            });
            let error = folded.err().map(|it| it.to_string()).or_else(|| refused.map(|it| it.to_string()));
            if let Some(error) = error.filter(|_| !header.is_control()) {
                return self.cannot_load(slot, &error, effects);
            }
            offset = header.last_offset().plus(1);
            rest = after;
        }
        if let SeatState::Loading(before) = seat.state
            && before == offset
        {
            return self.cannot_load(slot, "nothing whole at the offset read", effects);
        }
        seat.state = SeatState::Loading(offset);
        self.groups.to_load.push(slot);
    }

    fn cannot_load(&mut self, slot: u32, error: &str, effects: &mut Vec<Effect>) {
        if let Some(seat) = self.groups.seats.get_mut(&slot) {
            seat.state = SeatState::Failed;
        }
        let name = self.partitions.get(slot).map(|partition| partition.log.id.partition);
        let index = name.map_or(-1, |index| index.0);
        effects.push(Effect::Notice(format!(
            "{OFFSETS_TOPIC}-{index} cannot be read, its groups are not available: {error}"
        )));
    }

    /// Gives answers their place in the requests that wait for them.
    fn release(&mut self, replies: Vec<(Ticket, GroupReply)>, only: Option<u64>, effects: &mut Vec<Effect>) {
        let mut touched: Vec<u64> = only.into_iter().collect();
        for (ticket, reply) in replies {
            let Some((wait, index)) = self.groups.tickets.remove(&ticket.0) else { continue };
            let Some(waiting) = self.groups.waits.get_mut(&wait) else { continue };
            if let Some(place) = waiting.replies.get_mut(index)
                && place.replace(reply).is_none()
            {
                waiting.missing -= 1;
            }
            touched.push(wait);
        }
        for wait in touched {
            let done = self.groups.waits.get(&wait).is_some_and(|waiting| waiting.missing == 0);
            if done && let Some(waiting) = self.groups.waits.remove(&wait) {
                let replies = waiting.replies.into_iter().flatten().collect();
                effects.push(Effect::Reply { to: waiting.id, reply: ShardReply::Groups(replies) });
            }
        }
    }
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
