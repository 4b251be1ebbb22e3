//! What this server is to each of its partitions, as the image says it: the only place where a role changes.
//!
//! A server takes no role before the image holds the registration of its own incarnation: whatever the image says of the
//! incarnation before, the controller settles first (rule R8). A server that knows no others leads all it has at once.
//!
//! A new leader epoch is a new role, also with the same leader. In the same input everybody who waits for an ack of the old one
//! fails (rule R11), before anything else is decided. An image that changes the partition within an epoch updates the role and
//! never begins it again (KAFKA-13790).

use std::sync::Arc;

use crate::base::{
    BrokerEpoch, LeaderEpoch, MonoNanos, Offset, PartitionEpoch, Rule, ServerId, ShardId, holds, mark,
};
use crate::config::topic::TopicSettings;
use crate::controller::{MetadataImage, PartitionImage, TopicImage};
use crate::log::PartitionLog;
use crate::replication::{Assignment, Counts, Following, Kind, Leader, Leading, Member, Replica, Room};

use super::super::config::ClusterConfig;
use super::super::request::PartitionError;
use super::super::turn::{News, Turn};
use super::standing::{Follows, LedBy, Part, Role, ends};
use super::state::Store;

impl Store {
    /// Who this server is among its partitions' replicas; `None` as long as the image lacks this incarnation.
    pub(super) fn member(&self) -> Option<(ServerId, BrokerEpoch)> {
        self.member_of(&self.image)
    }

    /// Whether the image has this life of the server, and it is not fenced.
    pub fn takes_part(&self) -> bool {
        let is_fenced = || self.image.servers.get(&self.image.here.server).is_some_and(|it| it.fenced);
        self.member().is_some() && !is_fenced()
    }

    /// Who this server is among its partitions' replicas as some image says.
    pub(super) fn member_of(&self, image: &MetadataImage) -> Option<(ServerId, BrokerEpoch)> {
        let Some(config) = &self.config.cluster else {
            return Some((image.here.server, BrokerEpoch(-1)));
        };
        let mine = image.servers.get(&config.server)?;
        (mine.incarnation == config.incarnation).then_some((config.server, mine.broker_epoch))
    }

    /// Gives the partition at a slot the role that the image says.
    pub(super) fn assign(
        &mut self,
        slot: u32,
        topic: &TopicImage,
        state: &PartitionImage,
        turn: &mut Turn<'_>,
    ) {
        let image = Arc::clone(&self.image);
        let member = self.member();
        let Some(partition) = self.partitions.get(slot) else { return };
        if partition.log().is_cutting() && matches!(partition.role, Role::Idle) {
            // The end of the cut asks again.
            return;
        }
        let epoch = state.leader_epoch();
        let part = match (member, state.leader()) {
            (Some((me, _)), Some(leader)) if leader == me => Part::Leads,
            (Some((me, _)), Some(leader)) if state.replicas().contains(&me) => {
                let shard = image.shard_on(leader, state.home());
                shard.map_or(Part::Idle, |shard| Part::Follows(LedBy { server: leader, shard }))
            }
            _ => Part::Idle,
        };
        let unclean_epoch = state.unclean_epoch().unwrap_or(LeaderEpoch(-1));
        let is_same = partition.part() == part && epoch == partition.epoch();
        match (part, member) {
            (Part::Leads, Some(member)) if is_same => {
                self.reassign(slot, assignment(member, topic, state, &image), turn);
            }
            (Part::Leads, Some(member)) => {
                self.elected(slot, epoch, assignment(member, topic, state, &image), turn);
            }
            (Part::Follows(_), _) if is_same => {}
            (Part::Follows(led_by), _) => {
                let kind = if topic.internal { Kind::Internal } else { Kind::User };
                let leader = Leader { epoch, server: led_by.server, unclean_epoch };
                self.follow(slot, leader, led_by.shard, kind, turn);
            }
            (Part::Leads | Part::Idle, _) => self.stand_aside(slot, turn),
        }
    }

    /// This server leads the partition in an epoch that is new to it.
    fn elected(&mut self, slot: u32, epoch: LeaderEpoch, assignment: Assignment, turn: &mut Turn<'_>) {
        let Some(partition) = self.partitions.get_mut(slot) else { return };
        if let Role::Following(follows) = &mut partition.role
            && !follows.following.elected(epoch)
        {
            // What is being cut is cut to its end before anything else (T2); then the image is asked again.
            return turn.tell(News::Role(slot));
        }
        self.end_role(slot, turn);
        self.begin_to_lead(slot, epoch, assignment, turn);
        turn.tell(News::Role(slot));
    }

    /// This server leads the metadata log in this epoch of the quorum.
    pub fn preside(&mut self, slot: u32, epoch: LeaderEpoch, turn: &mut Turn<'_>) {
        if let Some(partition) = self.partitions.get_mut(slot)
            && let Role::Following(follows) = &mut partition.role
            && !follows.following.elected(epoch)
        {
            return turn.tell(News::Role(slot));
        }
        self.end_role(slot, turn);
        let Some(partition) = self.partitions.get_mut(slot) else { return };
        partition.lead(epoch);
        let high_watermark = partition.watermarks().high;
        partition.set_role(Role::Presiding { high_watermark, sends_until: None });
        turn.tell(News::Role(slot));
    }

    /// Whether this server leads the metadata log.
    pub fn presides(&self, slot: u32) -> bool {
        self.partitions.get(slot).is_some_and(|it| matches!(it.role(), Role::Presiding { .. }))
    }

    /// A majority of voters has the metadata log up to here.
    pub fn preside_up_to(&mut self, slot: u32, high: Offset, turn: &mut Turn<'_>) {
        let Some(partition) = self.partitions.get_mut(slot) else { return };
        let has_moved = partition.change_role(|role, _| match role {
            Role::Presiding { high_watermark, .. } if high > *high_watermark => {
                *high_watermark = high;
                true
            }
            _ => false,
        });
        if has_moved {
            self.progressed(slot, turn);
        }
    }

    /// Records of the metadata log from there on are sent to nobody yet.
    pub fn send_until(&mut self, slot: u32, until: Option<Offset>, turn: &mut Turn<'_>) {
        let Some(partition) = self.partitions.get_mut(slot) else { return };
        if let Role::Presiding { sends_until, .. } = &mut partition.role
            && std::mem::replace(sends_until, until) != until
        {
            turn.tell(News::Appended(slot));
        }
    }

    /// This server leads a partition that no other has a part in, whatever an image says.
    pub fn lead_alone(&mut self, slot: u32) {
        let me = self.image.here.server;
        let Some(partition) = self.partitions.get_mut(slot) else { return };
        let epoch = partition.log().epoch();
        let assignment = Assignment {
            me,
            broker_epoch: BrokerEpoch(-1),
            partition_epoch: PartitionEpoch(0),
            isr: std::iter::once(me).collect(),
            followers: Vec::new(),
            min_isr: 1,
            counts: Counts::Flushed,
        };
        partition.lead(epoch);
        let (ends, high) = (ends(partition.log()), partition.watermarks().high);
        let leading = Leading::new(epoch, ends, high, assignment, MonoNanos(0));
        partition.set_role(Role::Leading(Box::new(leading)));
    }

    /// Another server leads the partition, in an epoch that is new here.
    pub fn follow(&mut self, slot: u32, leader: Leader, shard: ShardId, kind: Kind, turn: &mut Turn<'_>) {
        let room = self.room();
        let Some(partition) = self.partitions.get_mut(slot) else { return };
        let led_by = LedBy { server: leader.server, shard };
        if let Role::Following(follows) = &mut partition.role {
            follows.following.renewed(leader);
            follows.led_by = led_by;
            partition.set_epoch(leader.epoch);
            return turn.tell(News::Role(slot));
        }
        self.end_role(slot, turn);
        let Some(partition) = self.partitions.get_mut(slot) else { return };
        partition.set_epoch(leader.epoch);
        let replica = Replica {
            own: ends(partition.log()),
            high_watermark: partition.watermarks().high,
            agreed: partition.agreed(),
            kind,
            counts: counts(partition.settings()),
            room,
        };
        let following = Following::new(leader, replica);
        partition.set_role(Role::Following(Box::new(Follows { following, led_by })));
        self.moved(slot, turn);
        turn.tell(News::Role(slot));
    }

    /// Nobody leads the partition, or this server has no part in it now. A cut under way is finished all the same.
    pub fn stand_aside(&mut self, slot: u32, turn: &mut Turn<'_>) {
        let Some(partition) = self.partitions.get(slot) else { return };
        let is_cutting = matches!(&partition.role, Role::Following(it) if it.following.is_cutting());
        if !is_cutting && !matches!(partition.role, Role::Idle) {
            self.end_role(slot, turn);
            turn.tell(News::Role(slot));
        }
    }

    /// The role that the partition has had is over: whoever waits for its acks fails (rule R11).
    fn end_role(&mut self, slot: u32, turn: &mut Turn<'_>) {
        if holds(Rule::R11) {
            self.fail_acks(slot, &PartitionError::NotLeader, turn);
        }
        if let Some(partition) = self.partitions.get_mut(slot) {
            partition.end_role();
        }
    }

    fn begin_to_lead(&mut self, slot: u32, epoch: LeaderEpoch, assignment: Assignment, turn: &mut Turn<'_>) {
        let Some(partition) = self.partitions.get_mut(slot) else { return };
        partition.lead(epoch);
        let (ends, high) = (ends(partition.log()), partition.watermarks().high);
        let leading = Leading::new(epoch, ends, high, assignment, turn.now.mono);
        partition.set_role(Role::Leading(Box::new(leading)));
        self.progressed(slot, turn);
    }

    /// A newer image of a partition that this server leads already, in the same epoch.
    fn reassign(&mut self, slot: u32, assignment: Assignment, turn: &mut Turn<'_>) {
        let now = turn.now.mono;
        let moved = self.with_leading(slot, |leading| leading.reassigned(assignment, now));
        if moved.is_some_and(|moved| moved.high_watermark) {
            self.progressed(slot, turn);
        }
        turn.tell(News::Role(slot));
    }

    /// Changes how a partition is led, and its watermarks with it.
    pub fn with_leading<R>(&mut self, slot: u32, change: impl FnOnce(&mut Leading) -> R) -> Option<R> {
        let partition = self.partitions.get_mut(slot)?;
        partition.change_role(|role, _| match role {
            Role::Leading(leading) => Some(change(leading)),
            Role::Idle | Role::Following(_) | Role::Presiding { .. } => None,
        })
    }

    /// Tells a leader something that moves no watermark.
    pub fn with_leading_quietly<R>(&mut self, slot: u32, tell: impl FnOnce(&mut Leading) -> R) -> Option<R> {
        match &mut self.partitions.get_mut(slot)?.role {
            Role::Leading(leading) => Some(tell(leading)),
            Role::Idle | Role::Following(_) | Role::Presiding { .. } => None,
        }
    }

    /// The high watermark of a led partition has moved by what its followers have said.
    pub fn high_watermark_moved(&mut self, slot: u32, turn: &mut Turn<'_>) {
        self.progressed(slot, turn);
    }

    /// How long the oldest append that is not durable has waited for this shard's own disk.
    pub fn own_lag_ms(&self, now: MonoNanos) -> u64 {
        self.waiting_since.map_or(0, |since| now.since(since) / 1_000_000)
    }

    /// The sequence of the newest commit group that is durable.
    pub fn newest_durable_sequence(&self) -> u64 {
        self.commit.durable_sequence()
    }

    /// Who this server is in its cluster.
    pub fn cluster(&self) -> Option<&Arc<ClusterConfig>> {
        self.config.cluster.as_ref()
    }

    /// The image may say something else of a partition than when it was last asked.
    pub fn assign_again(&mut self, slot: u32, turn: &mut Turn<'_>) {
        let Some(id) = self.partitions.get(slot).map(|it| it.log().id) else { return };
        let image = Arc::clone(&self.image);
        let Some(topic) = image.topic_by_id(id.topic) else { return };
        let state = usize::try_from(id.partition.0).ok().and_then(|at| topic.partitions.get(at));
        if let Some(state) = state {
            self.assign(slot, topic, state, turn);
        }
    }

    /// Changes how a partition is followed, and its watermarks with it.
    pub fn with_following<R>(
        &mut self,
        slot: u32,
        change: impl FnOnce(&mut Following, &PartitionLog) -> R,
    ) -> Option<R> {
        let partition = self.partitions.get_mut(slot)?;
        partition.change_role(|role, log| match role {
            Role::Following(follows) => Some(change(&mut follows.following, log)),
            Role::Idle | Role::Leading(_) | Role::Presiding { .. } => None,
        })
    }

    /// How much the disk has left.
    pub fn room(&self) -> Room {
        match (self.disk_full, self.disk_low) {
            (true, _) => Room::Full,
            (false, true) => Room::Low,
            (false, false) => Room::Enough,
        }
    }

    /// Whether this server may still answer what does not wait for all replicas (rule R10).
    pub fn holds_lease(&self, now: MonoNanos) -> bool {
        self.config.cluster.is_none() || !holds(Rule::R10) || now < self.lease_until
    }

    /// Until then nobody else leads what this server leads.
    pub fn extend_lease(&mut self, until: MonoNanos) {
        if until < self.lease_until {
            mark("a lease that ends before the one there is");
        }
        self.lease_until = self.lease_until.max(until);
    }
}

fn assignment(
    (me, broker_epoch): (ServerId, BrokerEpoch),
    topic: &TopicImage,
    state: &PartitionImage,
    image: &MetadataImage,
) -> Assignment {
    let others = state.replicas().iter().filter(|server| **server != me);
    let member = |server: &ServerId| {
        let known = image.servers.get(server);
        Member {
            server: *server,
            broker_epoch: known.map_or(BrokerEpoch(-1), |it| it.broker_epoch),
            may_join: known.is_some_and(|it| !it.fenced && !it.stopping),
        }
    };
    Assignment {
        me,
        broker_epoch,
        partition_epoch: state.partition_epoch(),
        isr: state.isr().collect(),
        followers: others.map(member).collect(),
        min_isr: image.min_isr_of(topic).of(state.replication()),
        counts: counts(image.settings(topic)),
    }
}

fn counts(settings: &TopicSettings) -> Counts {
    if settings.sync_before_ack() { Counts::Flushed } else { Counts::Appended }
}
