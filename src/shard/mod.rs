//! The shard: one core's share of the data, as a pure state machine.
//!
//! Owns its partitions, their logs, the commit log, whoever waits on them, its lanes to other servers and, on shard 0, the metadata
//! controller and this server's part in its cluster. Inputs and the time go in ([`Shard::request`], [`Shard::io_done`],
//! [`Shard::image`], [`Shard::frame`], [`Shard::turn`]); effects come out.
//! No I/O, no clock, no entropy in here: the same shard runs in the simulator.
//!
//! The law: the effects of an input are performed in their order, and the caller gives the next input when all of them are
//! performed. Performing an effect may itself lead to an input, which is given at the effect's place in the list, and whose
//! effects are performed before the rest of the list: [`Effect::Publish`] and [`Effect::Swap`] are answered by one, and who
//! gets an [`Effect::Reply`] may ask the next question. So an effect may be performed after those of a later input, and the
//! shard does not rely on the order of two inputs' effects. It puts nothing after an [`Effect::Swap`]: nothing is decided
//! between that and its outcome.
//!
//! Direct runs, and what writeback lets pass, are issued within the input. Small batches only queue for the commit log:
//! [`Shard::turn`], called once after a batch of inputs, gathers the commit group from them. That is where batching comes
//! from.
//!
//! This file is the spine: it routes inputs, and the file `hear` routes what the rooms tell each other. Five rooms hold the state, each a type of its own that may use the ones before it in
//! this table and never one behind it:
//!
//! | room | owns | may use |
//! |---|---|---|
//! | [`store`] | partitions, the commit log, operations, produce requests that wait | |
//! | [`read`] | fetches and lookups that wait, the read cache, indexes | store |
//! | [`replica`] | lanes to other servers, streams of partitions that are led or followed, cuts | store, read |
//! | [`upkeep`] | retention, compaction, scrubbing, spares, DeleteRecords | store, read |
//! | [`seat`] | group coordinators, the quorum, the controller, this server's membership | store, read, replica |
//!
//! What a room has to tell the ones behind it is [`News`](turn::News): the spine hears it before the input ends. The end of an
//! operation is an [`Event`](event::Event), which the spine hands to the room it concerns.
//!
//! Limits: what is not durable yet is bounded by the bytes the server admits, for answers that do not wait for it by
//! `unflushed_bytes_max`; memory for tails by `cache_bytes` beyond that; what is read from segments by `read_cache_bytes`, and
//! by `read_bytes_max` with what answers still hold of it; indexes of finished segments by `index_bytes`; waiting fetches by
//! the requests the server lets a connection have in progress.

mod config;
mod directory;
mod effect;
mod event;
mod hear;
mod metrics;
mod note;
mod offsets;
mod read;
mod replica;
mod request;
mod seat;
mod snapshot;
mod store;
mod timings;
mod turn;
mod upkeep;
mod view;

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;

use crate::base::{LaneId, MonoNanos, Now, Offset, ShardId};
use crate::controller::Published;
use crate::peer::{Frame, Hello, LaneKind, Message, OpenOutcome};

pub use crate::base::io::{IoDone, SegmentId, WriteData};
pub use crate::log::record_rules;
pub use config::{
    ChunkAllocator, ClusterConfig, ClusterTimers, CompactionConfig, RetentionConfig, ScrubConfig, Seed,
    ShardConfig, ShardRecovery, SpareConfig,
};
pub use directory::{DamagedPartitions, DirectoryRecovery, KnownVoters, LastStop};
pub use effect::{DialError, Effect, IoId, IoRequest, OutFrame};
pub use metrics::{COUNTERS, GAUGES, LogCounters, ShardGauges};
pub use note::{IsrWanted, Note, ShardStatus};
pub use offsets::*;
use read::Read;
use replica::Replica;
pub use request::*;
use seat::Seats;
pub use store::PRODUCER_BYTES;
use store::Store;
pub use timings::TIMINGS;
use turn::{Asker, News, Turn};
use upkeep::Upkeep;
pub use view::ReplicaView;

/// One core's share of the data. The module's head says how it is driven.
pub struct Shard {
    store: Store,
    read: Read,
    replica: Replica,
    upkeep: Upkeep,
    seats: Seats,
    /// The time of the last input.
    mono: MonoNanos,
    /// The empty queue of the next input's news.
    news: VecDeque<News>,
}

impl Shard {
    #[must_use]
    pub fn new(
        config: ShardConfig,
        recovered: ShardRecovery,
        allocate: ChunkAllocator,
        memory: Rc<Cell<usize>>,
    ) -> Shard {
        let (read, upkeep) = (Read::new(&config), Upkeep::new(&config));
        let ShardRecovery { commit, partitions, image, controller, directory, unplaced } = recovered;
        let mut store = Store::new(config.clone(), commit, partitions, image, allocate, memory);
        store.leave_unplaced(unplaced);
        let seats = Seats::new(&config, controller, directory, &mut store);
        let replica = Replica::new(&config);
        let news = VecDeque::new();
        let mut shard = Shard { store, read, replica, upkeep, seats, mono: MonoNanos(0), news };
        // Nobody waits for anything yet, and what begins wants nothing done before the first turn: there is no news.
        let mut effects = Vec::new();
        let mut turn = Turn::begin(Now::default(), &mut effects, VecDeque::new());
        shard.store.begin(&mut turn);
        shard.seats.begin(&shard.store, &mut turn);
        turn.forget_news();
        assert!(effects.is_empty(), "effects of a beginning would be lost: {effects:?}");
        shard
    }

    /// Settings that were changed while the server runs.
    pub fn reconfigure(&mut self, retention: RetentionConfig, compaction: CompactionConfig) {
        self.upkeep.reconfigure(retention, compaction);
    }

    /// A question from a connection, here or elsewhere. Answered by [`Effect::Reply`] with the same id, once.
    pub fn request(&mut self, now: Now, id: RequestId, request: ShardRequest, effects: &mut Vec<Effect>) {
        self.input(now, effects, |shard, turn| {
            let Shard { store, read, replica, upkeep, seats, .. } = shard;
            match request {
                ShardRequest::Produce(request) => store.produce(id, request, turn),
                ShardRequest::Fetch(request) => read.fetch(Asker::Connection(id), request, store, turn),
                ShardRequest::FetchNow(fetch) => read.fetch_now(fetch, store, turn),
                ShardRequest::ListOffsets(partitions) => read.list_offsets(id, &partitions, store, turn),
                ShardRequest::OffsetForLeaderEpoch(partitions) => {
                    read.offset_for_leader_epoch(id, &partitions, store, turn);
                }
                ShardRequest::DeleteRecords(partitions) => {
                    upkeep.delete_records(id, &partitions, store, turn)
                }
                ShardRequest::DescribePartitions(partitions) => {
                    read.describe_partitions(id, &partitions, store, turn);
                }
                ShardRequest::Groups(calls) => seats.ask_groups(id, calls, store, turn),
                ShardRequest::ListGroups => seats.list_groups(id, turn),
                ShardRequest::Controller(request) => seats.ask_controller(id, request, store, turn),
                ShardRequest::Join(join) => seats.join(id, &join, replica, store, turn),
            }
        });
    }

    /// A new cluster state. Partitions that are this shard's and new exist from now on; those that are gone are dropped.
    pub fn image(&mut self, now: Now, published: &Published, effects: &mut Vec<Effect>) {
        self.input(now, effects, |shard, turn| {
            let Some(changed) = shard.store.take_image(published, turn) else { return };
            if changed.settings {
                shard.upkeep.review();
            }
            shard.seats.image_changed(changed, &mut shard.store, turn);
        });
    }

    /// A shard serves the cluster state of this version. Shard 0 only.
    pub fn image_applied(&mut self, now: Now, _shard: ShardId, version: i64, effects: &mut Vec<Effect>) {
        self.input(now, effects, |shard, turn| shard.seats.image_applied(version, turn));
    }

    /// Another server has dialled, and its Hello names this shard. Answered with Welcome or Refused.
    pub fn accepted(&mut self, now: Now, lane: LaneId, hello: &Hello, effects: &mut Vec<Effect>) {
        self.lanes(now, effects, |shard, turn| shard.replica.accepted(lane, hello, &shard.store, turn));
    }

    /// A dial has ended: the answer to [`Effect::Dial`].
    pub fn dialled(
        &mut self,
        now: Now,
        lane: LaneId,
        outcome: Result<(), DialError>,
        effects: &mut Vec<Effect>,
    ) {
        self.lanes(now, effects, |shard, turn| shard.replica.dialled(lane, outcome, &shard.store, turn));
    }

    /// A frame has come on a lane.
    pub fn frame(&mut self, now: Now, lane: LaneId, frame: Frame, effects: &mut Vec<Effect>) {
        self.lanes(now, effects, |shard, turn| {
            let Shard { store, replica, seats, .. } = shard;
            let told = high_watermark_told(&frame.message);
            if let (Some(high), Some(target)) = (told, replica.target_of(lane))
                && target.kind == LaneKind::Control
            {
                seats.leader_heard(target.server, high, replica, store, turn);
            }
            if let Some(message) = replica.frame(lane, frame, store, turn) {
                seats.heard(lane, message, replica, store, turn);
            }
        });
    }

    /// A lane's connection is gone: the peer has closed it, or it was reset.
    pub fn lane_closed(&mut self, now: Now, lane: LaneId, effects: &mut Vec<Effect>) {
        self.lanes(now, effects, |shard, turn| shard.replica.closed(lane, turn));
    }

    /// Another shard of this server tells something: the end of [`Effect::Tell`].
    pub fn told(&mut self, now: Now, from: ShardId, note: Note, effects: &mut Vec<Effect>) {
        self.lanes(now, effects, |shard, turn| {
            let Shard { store, replica, seats, .. } = shard;
            match note {
                Note::IsrWanted(wanted) => seats.isr_wanted(from, wanted, replica, store, turn),
                Note::IsrAnswered { partition, number, outcome } => {
                    replica.isr_answered(partition, number, outcome, store, turn);
                }
                Note::Lease { until } => store.extend_lease(until),
                Note::Status(status) => seats.status(from, status),
            }
        });
    }

    /// What is free of the disk, and what producing must leave of it.
    pub fn disk_space(&mut self, now: Now, free_bytes: u64, reserve_bytes: u64, effects: &mut Vec<Effect>) {
        self.input(now, effects, |shard, turn| shard.store.disk_space(free_bytes, reserve_bytes, turn));
    }

    /// An operation has ended. Every [`Effect::Io`] comes back here exactly once.
    pub fn io_done(&mut self, now: Now, id: IoId, done: IoDone, effects: &mut Vec<Effect>) {
        self.input(now, effects, |shard, turn| {
            let event = shard.store.ended(id, done, turn);
            shard.happened(event, turn);
            shard.store.go_on_writing_back(turn);
            shard.store.remove_dropped(turn);
        });
    }

    /// What stays of a segment is in its place, or is not: the answer to [`Effect::Swap`].
    pub fn swapped(
        &mut self,
        now: Now,
        segment: SegmentId,
        outcome: Result<(), String>,
        effects: &mut Vec<Effect>,
    ) {
        self.input(now, effects, |shard, turn| {
            let Shard { store, read, upkeep, .. } = shard;
            upkeep.swapped(segment, outcome, read, store, turn);
        });
    }

    /// Call once after a batch of inputs: gathers the next commit group, answers fetches whose time has come, frees
    /// memory and commit files.
    pub fn turn(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.input(now, effects, |shard, turn| {
            let Shard { store, read, replica, upkeep, seats, .. } = shard;
            store.expire_produces(turn);
            read.turn(store, turn);
            seats.turn(read, replica, store, turn);
            upkeep.turn(read, store, turn);
            store.write_commit_group(turn);
            replica.turn(read, store, turn);
            store.free_commit_files(turn);
            if store.is_checkpoint_due(upkeep.wants_checkpoint()) {
                upkeep.cover(store);
                store.write_checkpoint(turn);
            }
            store.sync_segments(turn);
            store.make_commit_file(turn);
            store.free_memory();
            store.retry_full_disk(turn);
            store.advance_stop(turn);
            shard.hear(turn);
            shard.hear_lanes(turn);
            shard.upkeep.turn_compaction(&shard.read, &mut shard.store, turn);
        });
        assert!(
            !self.store.waits_in_vain() || self.next_deadline() < MonoNanos::NEVER,
            "bytes wait for the commit log, and nothing will bring another turn"
        );
    }

    /// When [`Shard::turn`] must be called even if nothing comes in.
    #[must_use]
    pub fn next_deadline(&self) -> MonoNanos {
        // Neither coordinators nor upkeep decide anything once the shard stops or has failed.
        let decides = self.store.is_running();
        let decisions = self.seats.next_deadline(&self.store).min(self.upkeep.next_deadline());
        let decisions = if decides { decisions } else { MonoNanos::NEVER };
        let reads = self.read.next_deadline(self.mono).min(self.replica.next_deadline(self.mono));
        decisions.min(self.store.next_deadline(self.mono)).min(reads)
    }

    /// Before the orderly stop: whoever waits in a group is told to find another coordinator.
    pub fn resign(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.input(now, effects, |shard, turn| {
            let Shard { store, replica, seats, .. } = shard;
            seats.resign(replica, store, turn);
        });
    }

    /// Before the orderly stop of a server in a cluster: what it leads goes to others. Shard 0 only.
    pub fn hand_over(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.input(now, effects, |shard, _| shard.seats.hand_over());
    }

    /// Begins the orderly stop: everything into segments, then a clean checkpoint. New appends must not come any more.
    pub fn stop(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.lanes(now, effects, |shard, turn| {
            shard.replica.leave(turn);
            shard.store.begin_stop(turn);
        });
    }

    /// Works on an input from another server or shard: the rooms hear what became of lanes.
    fn lanes(&mut self, now: Now, effects: &mut Vec<Effect>, act: impl FnOnce(&mut Shard, &mut Turn<'_>)) {
        self.input(now, effects, |shard, turn| {
            act(shard, turn);
            shard.hear_lanes(turn);
        });
    }

    fn hear_lanes(&mut self, turn: &mut Turn<'_>) {
        let Shard { store, replica, seats, .. } = self;
        for news in replica.take_lane_news(store, turn) {
            seats.lane(news, replica, store, turn);
        }
    }

    /// Works on one input, and hears all news it has caused.
    fn input(&mut self, now: Now, effects: &mut Vec<Effect>, act: impl FnOnce(&mut Shard, &mut Turn<'_>)) {
        self.mono = now.mono;
        let mut turn = Turn::begin(now, effects, std::mem::take(&mut self.news));
        act(self, &mut turn);
        self.hear(&mut turn);
        self.news = turn.end();
    }
}

/// Whether a frame comes from a leader that streams, and how far it says the log is committed.
fn high_watermark_told(message: &Message) -> Option<Option<Offset>> {
    match message {
        Message::Append(parts) => Some(parts.iter().map(|part| part.high_watermark).max()),
        Message::Opened(streams) => {
            let from = |it: &&crate::peer::OpenedStream| matches!(it.outcome, OpenOutcome::From { .. });
            // A server that leads no more answers, too: whoever took that for a sign of life would follow it for ever.
            let leads = |outcome| matches!(outcome, OpenOutcome::From { .. } | OpenOutcome::Snapshot { .. });
            let is_leader = streams.iter().any(|it| leads(it.outcome));
            is_leader.then(|| streams.iter().filter(from).map(|it| it.high_watermark).max())
        }
        _ => None,
    }
}
