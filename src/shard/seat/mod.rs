//! Seats: the state machines that live on partitions of their own. Group coordinators on those of `__consumer_offsets`, the
//! controller on the metadata log of shard 0.
//!
//! Owns what they have decided and not answered. Appends their records like any data, and reads their logs through the read
//! room like any client. Knows nothing of segments, files or the commit log. Transactions and share groups will sit here
//! too: each is a state machine, its records, and a [`Seat`](held::Seat).
//!
//! | file | what |
//! |---|---|
//! | held | decide, append, wait until durable, answer |
//! | coordinators, load, answers | group coordinators; how they read their logs; requests with several questions |
//! | controller | the metadata controller |

mod answers;
mod controller;
mod coordinators;
mod held;
mod load;

use bytes::Bytes;

use crate::base::metrics::CommittedMetric;
use crate::base::{LaneId, MonoNanos, Offset, ServerId, ShardId, VoterId};
use crate::controller::{Controller, ControllerRequest};
use crate::group::Coordinator;
use crate::peer::Message;

use super::config::ShardConfig;
use super::metrics::ShardGauges;
use super::note::{IsrWanted, ShardStatus};
use super::read::Read;
use super::replica::{LaneNews, Replica};
use super::request::{FetchResult, GroupCall, RequestId, ShardReply};
use super::store::{ImageChanged, Store};
use super::turn::Turn;
use controller::ControllerSeat;
use coordinators::Coordinators;

#[derive(Debug)]
pub struct Seats {
    controller: Option<ControllerSeat>,
    coordinators: Coordinators,
}

impl Seats {
    pub fn new(config: &ShardConfig, controller: Option<Controller>, store: &mut Store) -> Seats {
        let seat = |controller| ControllerSeat::new(controller, config.shards, config.seed, store);
        Seats {
            controller: controller.map(seat),
            coordinators: Coordinators::new(config.groups.clone(), config.seed),
        }
    }

    pub fn ask_controller(
        &mut self,
        id: RequestId,
        request: &ControllerRequest,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        match &mut self.controller {
            Some(seat) => seat.ask(id, request, store, turn),
            None => turn.reply(id, ShardReply::Controller(controller::not_controller(request))),
        }
    }

    pub fn ask_groups(
        &mut self,
        id: RequestId,
        calls: Vec<GroupCall>,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        self.coordinators.ask(id, calls, store, turn);
    }

    pub fn list_groups(&self, id: RequestId, turn: &mut Turn<'_>) {
        self.coordinators.list(id, turn);
    }

    /// The cluster state has changed.
    pub fn image_changed(&mut self, changed: ImageChanged, store: &mut Store, turn: &mut Turn<'_>) {
        if changed.partitions {
            self.coordinators.take_seats(store, turn);
        }
        if changed.removals {
            self.coordinators.topics_changed(store, turn);
        }
    }

    /// The shard begins: seats are taken, and their logs are read in the first turn.
    pub fn begin(&mut self, store: &Store, turn: &mut Turn<'_>) {
        self.coordinators.take_seats(store, turn);
    }

    /// A shard serves the cluster state of this version.
    pub fn image_applied(&mut self, version: i64, turn: &mut Turn<'_>) {
        if let Some(seat) = &mut self.controller {
            seat.applied(version, turn);
        }
    }

    pub fn turn(&mut self, read: &mut Read, replica: &mut Replica, store: &mut Store, turn: &mut Turn<'_>) {
        _ = replica;
        self.coordinators.turn(read, store, turn);
    }

    /// Something was said on a lane that is not about streams.
    pub fn heard(
        &mut self,
        lane: LaneId,
        message: Message,
        payload: &Bytes,
        replica: &mut Replica,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        _ = (lane, message, payload, replica, store, turn);
    }

    /// What became of a lane.
    pub fn lane(&mut self, news: LaneNews, replica: &mut Replica, store: &mut Store, turn: &mut Turn<'_>) {
        _ = (news, replica, store, turn);
    }

    /// Leaders on a shard of this server ask for other in-sync sets.
    pub fn isr_wanted(
        &mut self,
        from: ShardId,
        wanted: Vec<IsrWanted>,
        replica: &mut Replica,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        _ = (from, wanted, replica, store, turn);
    }

    /// What a shard of this server has for the next heartbeat.
    pub fn status(&mut self, from: ShardId, status: ShardStatus) {
        _ = (from, status);
    }

    /// A follower of the metadata log has flushed it up to here.
    pub fn acked(
        &mut self,
        server: ServerId,
        voter: VoterId,
        flushed: Offset,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        _ = (server, voter, flushed, store, turn);
    }

    /// This server leads a partition from now on, or no more.
    pub fn role_changed(&mut self, slot: u32, store: &mut Store, turn: &mut Turn<'_>) {
        _ = (slot, store, turn);
    }

    /// What is durable of a partition has changed.
    pub fn progressed(&mut self, slot: u32, store: &Store, turn: &mut Turn<'_>) {
        if let Some(seat) = self.controller.as_mut().filter(|seat| seat.slot() == slot) {
            seat.progressed(store, turn);
        } else {
            self.coordinators.progressed(slot, store, turn);
        }
    }

    /// A seat that reads its log gets a part of it.
    pub fn part(&mut self, slot: u32, results: Vec<FetchResult>, store: &Store, turn: &mut Turn<'_>) {
        self.coordinators.part(slot, results, store, turn);
    }

    /// Seats that have folded a part of their log ask for the next, or begin.
    pub fn load(&mut self, read: &mut Read, store: &mut Store, turn: &mut Turn<'_>) {
        self.coordinators.load_on(read, store, turn);
    }

    /// Before the orderly stop: whoever waits in a group is told to find another coordinator.
    pub fn resign(&mut self, turn: &mut Turn<'_>) {
        self.coordinators.resign(turn);
    }

    pub fn next_deadline(&self) -> MonoNanos {
        self.coordinators.next_deadline()
    }

    /// Offsets committed to the coordinators here.
    pub fn committed(&self) -> impl Iterator<Item = CommittedMetric> + '_ {
        self.coordinators.active().flat_map(Coordinator::committed).map(|it| CommittedMetric {
            group: it.group,
            topic: it.topic,
            partition: it.partition,
            offset: it.committed,
        })
    }

    /// Fills in this room's levels.
    pub fn gauges(&self, gauges: &mut ShardGauges) {
        (gauges.groups, gauges.group_members) = self.coordinators.counts();
    }
}
