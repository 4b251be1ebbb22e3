//! What servers have of each partition, as they say themselves: who writes, how far each reaches, and that no log goes back.

use std::collections::BTreeMap;

use ringmain::base::{LeaderEpoch, ServerId, TopicPartition};
use ringmain::controller::{ClusterImage, PartitionImage};
use ringmain::shard::ReplicaView;

use crate::checks::{Invariant, require};

/// What has been seen of all replicas.
#[derive(Debug, Default)]
pub struct Replicas {
    /// Who has led in which epoch.
    writers: BTreeMap<(TopicPartition, LeaderEpoch), ServerId>,
    /// The largest high watermark that each server had: its log may never end below.
    highs: BTreeMap<(ServerId, TopicPartition), i64>,
}

/// A replica that was looked at.
#[derive(Clone, Copy)]
pub struct Look<'a> {
    pub server: ServerId,
    pub replica: &'a ReplicaView,
    /// The newest state of the cluster that any server has.
    pub image: &'a ClusterImage,
    /// All below was deleted.
    pub start: i64,
    /// All below was acknowledged by all, or served, each by itself.
    pub acknowledged: i64,
    /// All below was shown to somebody.
    pub exposed: i64,
    /// The server's disk was lost or set back, and what it had is not made good yet.
    pub is_lost: bool,
}

impl Replicas {
    /// A state of the cluster was published: a replica that is moved away may come back with less.
    pub fn published(&mut self, image: &ClusterImage) {
        self.highs.retain(|(server, id), _| {
            let topic = image.topic_by_id(id.topic);
            let state = topic.and_then(|topic| topic.partition(id.partition));
            state.is_some_and(|state| state.replicas().contains(server))
        });
    }

    /// A server's disk is another one.
    pub fn lost(&mut self, server: ServerId) {
        self.highs.retain(|(it, _), _| *it != server);
    }

    pub fn look(&mut self, look: Look<'_>) {
        let Look { server, replica, image, .. } = look;
        let id = replica.id;
        let topic = image.topic_by_id(id.topic);
        let state = topic.and_then(|topic| topic.partition(id.partition));
        self.writer(server, replica);
        let Some(state) = state.filter(|state| state.replicas().contains(&server)) else { return };
        let high = self.highs.entry((server, id)).or_insert(replica.high_watermark.0);
        // A log of deleted records alone may begin anew.
        require(Invariant::TruncationBound, replica.log_end.0 >= *high || *high <= look.start, || {
            format!("server {server} had {id} to {high}: {replica:?}")
        });
        *high = replica.high_watermark.0.max(*high);
        candidates(look, state);
        leader(look, state);
    }

    /// In an epoch only one server writes.
    fn writer(&mut self, server: ServerId, replica: &ReplicaView) {
        if replica.leads {
            let known = *self.writers.entry((replica.id, replica.epoch)).or_insert(server);
            require(Invariant::OneLeader, known == server, || {
                format!("{} is written to by {known} and by {server} in epoch {}", replica.id, replica.epoch)
            });
        }
    }
}

/// Who may lead at once has all that was promised.
fn candidates(look: Look<'_>, state: &PartitionImage) {
    let Look { server, replica, acknowledged, exposed, is_lost, .. } = look;
    let may_lead = state.isr().chain(state.elr()).any(|it| it == server);
    if may_lead && !is_lost {
        require(Invariant::NoEarlyAck, replica.flushed.0 >= acknowledged, || {
            format!(
                "server {server} may lead; what was acknowledged to {acknowledged}, it has so: {replica:?}; {state:?}"
            )
        });
        require(Invariant::CandidatesComplete, replica.flushed.0 >= exposed, || {
            format!(
                "server {server} may lead; what was shown to {exposed}, it has so: {replica:?}; {state:?}"
            )
        });
    }
}

/// The leader of the newest state waits for all members of its ISR, and has all that was promised.
fn leader(look: Look<'_>, state: &PartitionImage) {
    let Look { server, replica, .. } = look;
    let promised = look.acknowledged.max(look.exposed);
    if !replica.leads || state.leader() != Some(server) || state.leader_epoch() != replica.epoch {
        return;
    }
    require(Invariant::LeaderComplete, replica.log_end.0 >= promised, || {
        format!("server {server} leads, of what was promised to {promised} it has {replica:?}")
    });
    let is_waited_for = |it: ServerId| replica.maximal_isr.contains(&it);
    require(Invariant::QuorumSuperset, state.isr().all(is_waited_for), || {
        format!("server {server} does not wait for all of {state:?}: {replica:?}")
    });
}
