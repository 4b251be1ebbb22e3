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
//! | cluster | what shard 0 of a server in a cluster does besides: joins the rest of this table and the controller |
//! | asks, lanes | what servers ask of the controller; the lanes between their shards 0 |
//! | quorum, outcomes, votes | the election, and what a majority of voters commits |
//! | member | catching up, registering, heartbeats |
//! | snapshots | snapshots of the metadata: written, and put in the place of a log |

mod answers;
mod asks;
mod cluster;
mod controller;
mod coordinators;
mod held;
mod lanes;
mod load;
mod member;
mod outcomes;
mod quorum;
mod snapshots;
mod votes;

use std::sync::Arc;

use bytes::Bytes;

use crate::base::metrics::CommittedMetric;
use crate::base::{LaneId, MonoNanos, Offset, ServerId, ShardId, Voter};
use crate::controller::{Controller, ControllerRequest, Join, RegisterError};
use crate::group::Coordinator;
use crate::peer::Message;

use super::config::ShardConfig;
use super::directory::DirectoryRecovery;
use super::metrics::ShardGauges;
use super::note::{IsrWanted, ShardStatus};
use super::read::Read;
use super::replica::{LaneNews, Replica};
use super::request::{FetchResult, GroupCall, RequestId, ShardReply};
use super::snapshot::Gathered;
use super::store::{ImageChanged, Store};
use super::turn::{Reading, Turn};
use cluster::{ClusterSeat, Hands};
use controller::{ControllerSeat, Office};
use coordinators::Coordinators;
use snapshots::Snapshots;

#[derive(Debug)]
pub struct Seats {
    controller: Option<ControllerSeat>,
    /// Shard 0 of a server in a cluster.
    cluster: Option<ClusterSeat>,
    /// Shard 0.
    snapshots: Option<Snapshots>,
    coordinators: Coordinators,
}

impl Seats {
    pub fn new(
        config: &ShardConfig,
        controller: Option<Controller>,
        directory: Option<DirectoryRecovery>,
        store: &mut Store,
    ) -> Seats {
        let seat = |controller| ControllerSeat::new(controller, config.shards, config.seed, store);
        let controller = controller.map(seat);
        let timers = config.cluster.as_ref().map(|cluster| cluster.timers).unwrap_or_default();
        let newest = directory.as_ref().and_then(|directory| directory.snapshot);
        let snapshots = controller.as_ref().map(|seat| Snapshots::new(&timers, newest, seat.slot(), store));
        let cluster = match (&config.cluster, &controller, directory) {
            (Some(cluster), Some(seat), Some(directory)) => {
                let sizes = (config.shards, config.seed);
                Some(ClusterSeat::new(Arc::clone(cluster), directory, sizes, seat.slot()))
            }
            _ => None,
        };
        let coordinators = Coordinators::new(config.groups.clone(), config.seed);
        Seats { controller, cluster, snapshots, coordinators }
    }

    pub fn ask_controller(
        &mut self,
        id: RequestId,
        request: ControllerRequest,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        let Some(seat) = &mut self.controller else {
            return turn.reply(id, ShardReply::Controller(controller::not_controller(&request)));
        };
        let office = self.cluster.as_ref().map_or(Office::Active, |cluster| cluster.office(seat));
        seat.ask(id, request, office, store, turn);
    }

    /// A directory that belongs to no cluster yet asks for a server id.
    pub fn join(
        &mut self,
        id: RequestId,
        join: &Join,
        replica: &mut Replica,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        let given = self.with_cluster(replica, store, turn, |cluster, hands| cluster.join(join, hands));
        match (given.unwrap_or(Err(RegisterError::NotController)), &mut self.controller) {
            (Ok(server), Some(seat)) => seat.given(id, server, store, turn),
            (Ok(_), None) => turn.reply(id, ShardReply::Join(Err(RegisterError::NotController))),
            (Err(why), _) => turn.reply(id, ShardReply::Join(Err(why))),
        }
    }

    /// Lets the cluster's seat work, if this shard has one.
    fn with_cluster<R>(
        &mut self,
        replica: &mut Replica,
        store: &mut Store,
        turn: &mut Turn<'_>,
        work: impl FnOnce(&mut ClusterSeat, &mut Hands<'_, '_>) -> R,
    ) -> Option<R> {
        let (Some(cluster), Some(controller)) = (&mut self.cluster, &mut self.controller) else {
            return None;
        };
        if store.is_stopping() {
            return None;
        }
        Some(work(cluster, &mut Hands { controller, replica, store, turn }))
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
        if let Some(cluster) = &mut self.cluster {
            cluster.stir();
        }
    }

    pub fn turn(&mut self, read: &mut Read, replica: &mut Replica, store: &mut Store, turn: &mut Turn<'_>) {
        self.with_cluster(replica, store, turn, |cluster, hands| cluster.turn(hands));
        if let (Some(snapshots), Some(controller)) = (&mut self.snapshots, &self.controller)
            && store.is_running()
        {
            snapshots.turn(controller, replica, store, turn);
        }
        self.load(read, store, turn);
        self.coordinators.turn(read, store, turn);
    }

    /// Something was said on a lane that is not about streams.
    pub fn heard(
        &mut self,
        lane: LaneId,
        message: Message,
        replica: &mut Replica,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        self.with_cluster(replica, store, turn, |cluster, hands| cluster.heard(lane, message, hands));
    }

    /// The stream of the metadata log was heard, which may have told how far the log is committed.
    pub fn leader_heard(
        &mut self,
        from: ServerId,
        high_watermark: Option<Offset>,
        replica: &mut Replica,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        self.with_cluster(replica, store, turn, |cluster, hands| {
            cluster.leader_heard(from, high_watermark, hands);
        });
    }

    /// What became of a lane.
    pub fn lane(&mut self, news: LaneNews, replica: &mut Replica, store: &mut Store, turn: &mut Turn<'_>) {
        self.with_cluster(replica, store, turn, |cluster, hands| cluster.lane(news, hands));
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
        self.with_cluster(replica, store, turn, |cluster, hands| cluster.isr_wanted(from, wanted, hands));
    }

    /// What a shard of this server has for the next heartbeat.
    pub fn status(&mut self, from: ShardId, status: ShardStatus) {
        if let Some(cluster) = &mut self.cluster {
            cluster.member.status(from, status);
        }
    }

    /// A follower of the metadata log is heard: it has flushed it up to here, if that is news.
    pub fn acked(
        &mut self,
        voter: Voter,
        flushed: Option<Offset>,
        replica: &mut Replica,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        self.with_cluster(replica, store, turn, |cluster, hands| cluster.acked(voter, flushed, hands));
    }

    /// The server's vote is on stable storage.
    pub fn ballot_written(&mut self, replica: &mut Replica, store: &mut Store, turn: &mut Turn<'_>) {
        self.with_cluster(replica, store, turn, |cluster, hands| cluster.ballot_written(hands));
    }

    /// The leader has sent batches of the metadata log, which are appended and may never be committed.
    pub fn replicated(
        &mut self,
        batches: &Bytes,
        replica: &mut Replica,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        self.with_cluster(replica, store, turn, |cluster, hands| cluster.replicated(batches, hands));
    }

    /// A followed log was cut.
    pub fn cut(&mut self, slot: u32, replica: &mut Replica, store: &mut Store, turn: &mut Turn<'_>) {
        let installed = match (&mut self.snapshots, &mut self.controller) {
            (Some(snapshots), Some(controller)) => snapshots.cut(slot, controller, store, turn),
            _ => None,
        };
        self.with_cluster(replica, store, turn, |cluster, hands| {
            if let Some(end) = installed {
                cluster.installed(end, hands);
            }
            cluster.cut(slot, hands);
        });
    }

    /// The leader has sent a snapshot of the metadata.
    pub fn snapshot(
        &mut self,
        gathered: Gathered,
        replica: &mut Replica,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        if let (Some(snapshots), Some(controller)) = (&mut self.snapshots, &self.controller) {
            snapshots.gathered(gathered, controller, replica, store, turn);
        }
    }

    /// A snapshot of the metadata is on stable storage, or could not be written.
    pub fn snapshot_written(
        &mut self,
        outcome: Result<(), String>,
        replica: &mut Replica,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        if let (Some(snapshots), Some(controller)) = (&mut self.snapshots, &mut self.controller) {
            snapshots.written(outcome, controller, replica, store, turn);
        }
    }

    /// This server leads a partition from now on, or no more.
    pub fn role_changed(&mut self, slot: u32, store: &Store, turn: &mut Turn<'_>) {
        self.coordinators.role_changed(slot, store, turn);
    }

    /// What is durable of a partition has changed.
    pub fn progressed(&mut self, slot: u32, replica: &mut Replica, store: &mut Store, turn: &mut Turn<'_>) {
        if let Some(seat) = self.controller.as_mut().filter(|seat| seat.slot() == slot) {
            seat.progressed();
            self.with_cluster(replica, store, turn, |cluster, hands| cluster.progressed(hands));
        } else {
            self.coordinators.progressed(slot, store, turn);
        }
    }

    /// A seat that reads its log gets a part of it.
    pub fn part(&mut self, part: Reading, results: Vec<FetchResult>, store: &mut Store, turn: &mut Turn<'_>) {
        match self.controller.as_mut().filter(|seat| seat.slot() == part.slot) {
            Some(seat) => {
                seat.part(part, results, store, turn);
                if let Some(cluster) = &mut self.cluster {
                    cluster.stir();
                }
            }
            None => self.coordinators.part(part, results, store, turn),
        }
    }

    /// Seats that have folded a part of their log ask for the next, or begin.
    pub fn load(&mut self, read: &mut Read, store: &mut Store, turn: &mut Turn<'_>) {
        if let Some(seat) = &mut self.controller {
            seat.load(read, store, turn);
        }
        self.coordinators.load_on(read, store, turn);
    }

    /// Before the orderly stop: whoever waits in a group is told to find another coordinator, and the quorum to find another
    /// leader.
    pub fn resign(&mut self, replica: &mut Replica, store: &mut Store, turn: &mut Turn<'_>) {
        self.coordinators.resign(turn);
        self.with_cluster(replica, store, turn, |cluster, hands| cluster.resign(hands));
    }

    /// What this server leads is to go to others.
    pub fn hand_over(&mut self) {
        if let Some(cluster) = &mut self.cluster {
            cluster.member.wants_to_stop();
        }
    }

    pub fn has_handed_over(&self) -> bool {
        self.cluster.as_ref().is_none_or(|cluster| cluster.member.may_stop())
    }

    pub fn next_deadline(&self, store: &Store) -> MonoNanos {
        let cluster = match (&self.cluster, &self.controller) {
            (Some(cluster), Some(seat)) => cluster.next_deadline(seat, store),
            _ => MonoNanos::NEVER,
        };
        let snapshots = match (&self.snapshots, &self.controller) {
            (Some(snapshots), Some(seat)) => snapshots.next_deadline(seat),
            _ => MonoNanos::NEVER,
        };
        self.coordinators.next_deadline().min(cluster).min(snapshots)
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
