//! Replicas: lanes to other servers, and the streams of partitions that this shard leads or follows.
//!
//! Owns every lane and every stream. What a leader or a follower decides is [`crate::replication`]'s; the roles themselves are in
//! the store, beside the logs that they speak for. Knows nothing of who decides: what is said on a lane that is not about streams
//! goes on to the seats.
//!
//! A follower dials its leader's shard: one lane for all partitions between the two. It opens a stream for each partition, takes
//! runs into its logs, and acknowledges what is durable. A leader sends what its followers lack, by reference, in the turn in
//! which it was appended.
//!
//! | file | what |
//! |---|---|
//! | lanes, target, me | connections, handshakes; whom this server dials, and who it is |
//! | following, incoming, taking, words | streams of partitions that others lead; their lanes; the runs that come; what leaders say |
//! | leading, sending | streams to followers; what is sent in a turn |
//! | answers | what a leader answers to whoever asks for a stream |
//! | pieces, handing, gathering | snapshots of the metadata, to followers and from leaders |
//! | in_sync | in-sync sets that leaders here ask for |
//!
//! Limits: credits bound what is on the lanes, and streams are one for each partition and replica.

mod answers;
mod following;
mod gathering;
mod handing;
mod in_sync;
mod incoming;
mod lanes;
mod leading;
mod me;
mod pieces;
mod sending;
mod taking;
mod target;
mod words;

use crate::base::{LaneId, LogEnd, MonoNanos, Offset, ServerId, ShardId, TopicPartition};
use crate::peer::{Frame, Hello, IsrOutcome, LaneKind, Message};

use super::config::ShardConfig;
use super::effect::DialError;
use super::read::Read;
use super::request::FetchResult;
use super::snapshot::Snapshot;
use super::store::Store;
use super::turn::Turn;
use following::Followings;
use in_sync::InSync;
use lanes::Lanes;
use leading::Leadings;
use me::Me;

pub use lanes::{Dialler, LaneNews, Loss};
pub use me::QuorumSeen;
pub use target::Target;

/// Everything between this shard and other servers.
#[derive(Debug)]
pub struct Replica {
    shard: ShardId,
    shards: u16,
    lanes: Lanes,
    following: Followings,
    leading: Leadings,
    in_sync: InSync,
    /// Whether there are other servers at all.
    is_clustered: bool,
    /// The server stops: nothing more is said, heard or dialled.
    has_left: bool,
    quorum: QuorumSeen,
}

impl Replica {
    pub fn new(config: &ShardConfig) -> Replica {
        let timers = config.cluster.as_ref().map(|cluster| cluster.timers).unwrap_or_default();
        Replica {
            shard: config.shard,
            shards: config.shards,
            lanes: Lanes::new(config.seed),
            following: Followings::default(),
            leading: Leadings::default(),
            in_sync: InSync::new(timers.lag_ms),
            is_clustered: config.cluster.is_some(),
            has_left: false,
            quorum: QuorumSeen::default(),
        }
    }

    /// The quorum as Hello and Welcome tell it.
    pub fn quorum_is(&mut self, seen: QuorumSeen) {
        self.quorum = seen;
    }

    /// A lane to this target is needed from now on.
    pub fn want(&mut self, target: Target) {
        self.lanes.want(target);
    }

    /// Nobody needs the target any more, unless streams do.
    pub fn unwant(&mut self, target: Target, turn: &mut Turn<'_>) {
        if !self.following.needs(target) {
            self.lanes.drop_target(target, turn);
        }
    }

    /// A lane on which something can be said to shard 0 of a server.
    pub fn control_to(&self, server: ServerId) -> Option<LaneId> {
        let target = Target { server, shard: ShardId(0), kind: LaneKind::Control };
        let accepted = || {
            let mut lanes = self.lanes.accepted();
            lanes.find(|(_, from)| from.server == server && from.kind == LaneKind::Control).map(|it| it.0)
        };
        self.lanes.open_to(target).or_else(accepted)
    }

    /// Servers whose shard 0 is dialled, or is to be.
    pub fn control_targets(&self) -> Vec<Target> {
        self.lanes.targets().filter(|target| target.kind == LaneKind::Control).collect()
    }

    /// Whom a dialled lane leads to.
    pub fn target_of(&self, lane: LaneId) -> Option<Target> {
        self.lanes.target_of(lane)
    }

    /// Accepted lanes, with who dialled.
    pub fn accepted_lanes(&self) -> impl Iterator<Item = (LaneId, Dialler)> + '_ {
        self.lanes.accepted()
    }

    /// Every lane on which something can be said to shard 0 of some server.
    pub fn control_lanes(&self) -> Vec<LaneId> {
        let dialled = self.lanes.targets().filter(|target| target.kind == LaneKind::Control);
        let dialled = dialled.filter_map(|target| self.lanes.open_to(target));
        let accepted = self.lanes.accepted().filter(|(_, from)| from.kind == LaneKind::Control);
        dialled.chain(accepted.map(|(lane, _)| lane)).collect()
    }

    /// Says something on a lane that is not about streams.
    pub fn say(&self, lane: LaneId, message: &Message, turn: &mut Turn<'_>) {
        lanes::send(lane, message, Vec::new(), turn);
    }

    /// The server stops: closes every lane. Streams end, so that no log here grows any more.
    pub fn leave(&mut self, turn: &mut Turn<'_>) {
        self.has_left = true;
        for lane in self.lanes.all() {
            self.lanes.hang(lane, turn);
        }
    }

    pub fn accepted(&mut self, lane: LaneId, hello: &Hello, store: &Store, turn: &mut Turn<'_>) {
        let Some(config) = store.cluster().filter(|_| !self.has_left) else {
            return turn.effect(super::effect::Effect::Hang { lane });
        };
        let me = self.me(config, store);
        self.lanes.accept(lane, hello, &me, turn);
    }

    pub fn dialled(
        &mut self,
        lane: LaneId,
        outcome: Result<(), DialError>,
        store: &Store,
        turn: &mut Turn<'_>,
    ) {
        let Some(config) = store.cluster() else { return };
        let me = self.me(config, store);
        self.lanes.dialled(lane, outcome, &me, turn);
    }

    pub fn closed(&mut self, lane: LaneId, turn: &mut Turn<'_>) {
        self.lanes.closed(lane, turn.now.mono);
    }

    /// Takes a frame; gives back what is not about streams.
    pub fn frame(
        &mut self,
        lane: LaneId,
        frame: Frame,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) -> Option<Message> {
        let Frame { message, payload } = frame;
        let is_known = self.lanes.dialler_of(lane).is_some() || self.lanes.target_of(lane).is_some();
        if !is_known {
            // Given up meanwhile: what was still on its way is nobody's.
            return None;
        }
        match message {
            Message::Welcome(welcome) => {
                let config = store.cluster()?.clone();
                let me = self.me(&config, store);
                self.lanes.welcomed(lane, &welcome, &me, turn);
            }
            Message::Refused(refused) => self.lanes.refused(lane, &refused, turn),
            // Said once, before the lane was accepted.
            Message::Hello(_) => self.lanes.hang(lane, turn),
            Message::Open(streams) => self.leading.open(lane, &streams, &self.lanes, store, turn),
            Message::Ack(ack) => self.leading.acked(lane, &ack, &self.lanes, store, turn),
            Message::Opened(streams) => self.following.opened(lane, &streams, store, turn),
            Message::Append(parts) => self.following.append(lane, &parts, &payload, store, turn),
            Message::Close(streams) => match lane {
                LaneId::Accepted(_) => self.leading.close(lane, &streams),
                LaneId::Dialled(_) => self.following.closed(lane, &streams, store, turn),
            },
            Message::SnapshotPart(part) => self.following.piece(lane, &part, &payload, store, turn),
            message => return Some(message),
        }
        None
    }

    /// The role of a partition has changed, or its replicas have.
    pub fn role_changed(&mut self, slot: u32, store: &mut Store, turn: &mut Turn<'_>) {
        self.leading.role_changed(slot, store, turn);
        if let Some(target) = self.following.role_changed(slot, store, turn) {
            self.lanes.want(target);
        }
    }

    /// A partition is gone.
    pub fn dropped(&mut self, slot: u32, turn: &mut Turn<'_>) {
        self.leading.dropped(slot, turn);
        self.following.dropped(slot, turn);
    }

    /// What is durable, or visible, of a partition has changed.
    pub fn moved(&mut self, slot: u32, store: &mut Store, turn: &mut Turn<'_>) {
        self.leading.moved(slot);
        self.following.moved(slot, store, turn);
    }

    /// Something was appended to a partition that is followed.
    pub fn appended(&mut self, slot: u32) {
        self.leading.moved(slot);
    }

    /// Records that a follower lacks were read.
    pub fn run_read(&mut self, stream: u64, results: Vec<FetchResult>, store: &mut Store) {
        self.leading.run_read(stream, results, store);
    }

    /// A followed log was cut.
    pub fn cut_done(&mut self, slot: u32, store: &mut Store, turn: &mut Turn<'_>) {
        self.following.cut_done(slot, store, turn);
    }

    /// How much the disk has left has changed.
    pub fn room_changed(&mut self, store: &mut Store, turn: &mut Turn<'_>) {
        self.following.room_changed(store, turn);
    }

    /// The controller's word on an in-sync set that was asked for.
    pub fn isr_answered(
        &mut self,
        partition: TopicPartition,
        number: u64,
        outcome: IsrOutcome,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        self.in_sync.answered(partition, number, outcome, store, turn);
    }

    /// Whether a follower of the metadata log waits for a snapshot that there is not.
    pub fn wants_snapshot(&self) -> bool {
        self.leading.wants_snapshot()
    }

    /// A snapshot for followers; `None` if there will be none.
    pub fn offer_snapshot(&mut self, snapshot: Option<Snapshot>, now: MonoNanos) {
        self.leading.offer_snapshot(snapshot, now);
    }

    /// The metadata log must not begin later than here: a follower gets a snapshot and goes on from its end.
    pub fn handed_from(&self) -> Option<Offset> {
        self.leading.handed_from()
    }

    /// Lets go of a snapshot that no follower has asked for lately.
    pub fn let_snapshot_go(&mut self, now: MonoNanos) {
        self.leading.let_offer_go(now);
    }

    /// Whether the metadata log here is to begin behind this snapshot, which its leader has sent.
    pub fn awaits_snapshot(&self, slot: u32, end: LogEnd, store: &Store) -> bool {
        pieces::awaits_snapshot(slot, end, store)
    }

    /// What the leader has sent is no snapshot to go on from.
    pub fn refuse_snapshot(&mut self, slot: u32, store: &mut Store, turn: &mut Turn<'_>) {
        self.following.refuse_snapshot(slot, store, turn);
    }

    /// A leader's snapshot is on stable storage: the log begins to be emptied, if somebody still wants that.
    #[must_use]
    pub fn snapshot_durable(
        &mut self,
        slot: u32,
        end: LogEnd,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) -> bool {
        self.following.snapshot_durable((slot, end), store, turn)
    }

    /// Sends what followers lack, acknowledges what is durable, dials whoever is needed.
    pub fn turn(&mut self, read: &mut Read, store: &mut Store, turn: &mut Turn<'_>) {
        let Some(config) = store.cluster().cloned().filter(|_| !self.has_left) else { return };
        self.in_sync.turn(store, turn);
        self.following.turn(&self.lanes, store, turn);
        self.leading.turn(&self.lanes, read, store, turn);
        for lane in self.following.take_silent(turn.now.mono) {
            self.lanes.hang(lane, turn);
        }
        for lane in self.leading.take_faulty() {
            self.lanes.hang(lane, turn);
        }
        let me = self.me(&config, store);
        self.lanes.turn(&me, turn);
    }

    /// What became of lanes since the last time. Streams hear it first.
    pub fn take_lane_news(&mut self, store: &mut Store, turn: &mut Turn<'_>) -> Vec<LaneNews> {
        let news = self.lanes.take_news();
        for it in &news {
            match *it {
                LaneNews::Open { lane, target, .. } => self.following.lane_open(lane, target, store, turn),
                LaneNews::Lost { lane, target, .. } => {
                    self.following.lane_lost(lane, store);
                    let is_needed = target.kind == LaneKind::Control || self.following.needs(target);
                    if !is_needed {
                        self.lanes.drop_target(target, turn);
                    }
                }
                LaneNews::Accepted { lane, from, .. } => self.leading.lane_open(lane, from, turn.now.mono),
                LaneNews::Left { lane, .. } => self.leading.lane_left(lane),
            }
        }
        news
    }

    pub fn next_deadline(&self, now: MonoNanos) -> MonoNanos {
        if !self.is_clustered || self.has_left {
            return MonoNanos::NEVER;
        }
        let streams = self.following.next_deadline(now).min(self.leading.next_deadline(now));
        streams.min(self.lanes.next_deadline()).min(self.in_sync.next_deadline())
    }

    fn me<'a>(&self, config: &'a super::config::ClusterConfig, store: &'a Store) -> Me<'a> {
        Me { config, image: store.image(), shard: self.shard, shards: self.shards, quorum: self.quorum }
    }
}
