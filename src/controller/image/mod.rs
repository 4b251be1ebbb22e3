//! The cluster's state as everybody but the controller sees it: immutable, shared, one per metadata version.
//!
//! [`ClusterImage`] is the cluster: a fold of the metadata log, the same on every server. [`Here`] is what that means on
//! this one. [`MetadataImage`] is both, and answers the question that needs both: where is a partition
//! ([`MetadataImage::place`])?
//!
//! Owned by shard 0, which folds the metadata log; every shard holds an `Arc` of the newest image it was given.

mod buckets;
mod cluster;
mod here;
mod minimum;
mod partition;
mod servers;
mod topics;

use std::ops::Deref;
use std::sync::Arc;

use crate::base::{Home, LeaderEpoch, NodeId, ServerId, ShardId};
use crate::config::Changes;
use crate::config::topic::TopicSettings;

pub use cluster::{ClusterImage, QuorumImage, Resource, ServerImage, Voter};
pub use here::Here;
pub use minimum::MinIsr;
pub(super) use minimum::{MIN_ISR, UNCLEAN};
pub(super) use partition::PartitionState;
pub use partition::{PartitionFault, PartitionImage, REPLICAS_MAX};
pub use servers::{Led, NoLeader};
pub use topics::{TopicImage, Topics};

/// State as of one metadata version: the cluster, and this server's view of it. An image reads as its cluster.
#[derive(Clone, Debug, Default)]
pub struct MetadataImage {
    pub cluster: Arc<ClusterImage>,
    pub here: Arc<Here>,
}

/// Where requests about a partition go: to its leader.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// This server leads the partition, on this shard.
    Here(ShardId),
    /// Another server does.
    Elsewhere(ServerId),
    /// No replica may lead it now.
    Nobody,
}

/// Who leads a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Leader {
    pub server: ServerId,
    /// On that server; `None` as long as it is not known how many shards the server has.
    pub shard: Option<ShardId>,
    pub epoch: LeaderEpoch,
}

impl MetadataImage {
    /// Where requests about a partition go.
    #[must_use]
    pub fn place(&self, partition: &PartitionImage) -> Place {
        match partition.leader() {
            Some(leader) if leader == self.here.server => Place::Here(self.here.shard(partition.home())),
            Some(leader) => Place::Elsewhere(leader),
            None => Place::Nobody,
        }
    }

    /// Who leads a partition, and since which epoch.
    #[must_use]
    pub fn leader(&self, partition: &PartitionImage) -> Option<Leader> {
        let server = partition.leader()?;
        let shard = self.shard_on(server, partition.home());
        Some(Leader { server, shard, epoch: partition.leader_epoch() })
    }

    /// The shard of this server that keeps a replica of the partition, if this server does.
    #[must_use]
    pub fn replica_here(&self, partition: &PartitionImage) -> Option<ShardId> {
        let is_here = partition.replicas().contains(&self.here.server);
        is_here.then(|| self.here.shard(partition.home()))
    }

    /// The shard that a home means on a server; `None` for a server that is not known.
    #[must_use]
    pub fn shard_on(&self, server: ServerId, home: Home) -> Option<ShardId> {
        if server == self.here.server {
            return Some(self.here.shard(home));
        }
        let server = self.cluster.servers.get(&server)?;
        Some(home.shard(server.shards))
    }

    /// The server that decides: the quorum's leader; this one as long as no quorum was ever formed.
    #[must_use]
    pub fn controller(&self) -> ServerId {
        self.cluster.quorum.leader.unwrap_or(self.here.server)
    }

    /// Settings of this server that were changed since its start.
    #[must_use]
    pub fn changes(&self) -> Changes {
        self.here.changes(&self.cluster)
    }

    /// What a topic's configs mean on this server.
    #[must_use]
    pub fn settings(&self, topic: &TopicImage) -> &TopicSettings {
        self.here.settings(topic.id)
    }
}

impl Deref for MetadataImage {
    type Target = ClusterImage;

    fn deref(&self) -> &ClusterImage {
        &self.cluster
    }
}

/// How Metadata presents this server to one connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum View {
    /// One node for the whole server; any shard answers, requests are split over the mesh.
    Server,
    /// A node per shard, all at one host and port; connections are steered.
    Shards,
    /// A node per shard, each at its own port (`base port + shard`).
    ShardPorts,
}

impl View {
    /// The node that a client under this view sends a partition's requests to.
    #[must_use]
    pub fn node(self, server: ServerId, shard: ShardId) -> NodeId {
        match self {
            View::Server => NodeId::of_server(server),
            View::Shards | View::ShardPorts => NodeId::of_shard(server, shard),
        }
    }
}

#[cfg(test)]
impl MetadataImage {
    /// Puts a topic in the place of any of its name, in a new version of the image.
    pub fn put(&mut self, topic: TopicImage) {
        self.take(&Arc::clone(&topic.name));
        let cluster = Arc::make_mut(&mut self.cluster);
        cluster.topics.add(topic);
        cluster.version += 1;
    }

    /// Takes a topic out, in a new version of the image.
    pub fn take(&mut self, name: &str) -> Option<Arc<TopicImage>> {
        let id = self.topic(name)?.id;
        let cluster = Arc::make_mut(&mut self.cluster);
        cluster.version += 1;
        cluster.topics.remove(id)
    }
}

#[cfg(test)]
mod tests {
    use crate::base::{BrokerEpoch, PartitionEpoch};

    use super::*;

    fn image() -> MetadataImage {
        let mut image = MetadataImage::default();
        Arc::make_mut(&mut image.here).server = ServerId(1);
        Arc::make_mut(&mut image.here).shards = 2;
        let other = ServerImage { broker_epoch: BrokerEpoch(5), shards: 4, ..ServerImage::example("two") };
        Arc::make_mut(&mut image.cluster).servers.insert(ServerId(2), Arc::new(other));
        image
    }

    fn partition(leader: Option<i32>, replicas: &[i32], home: u32) -> PartitionImage {
        let replicas: Vec<ServerId> = replicas.iter().copied().map(ServerId).collect();
        let state = PartitionState {
            isr: replicas.clone(),
            replicas,
            leader: leader.map(ServerId),
            leader_epoch: LeaderEpoch(6),
            partition_epoch: PartitionEpoch(0),
            unclean_epoch: None,
            elr: Vec::new(),
            last_known: Vec::new(),
            adding: Vec::new(),
            removing: Vec::new(),
            home: Home(home),
        };
        PartitionImage::new(&state).expect("sound")
    }

    #[test]
    fn a_partition_is_here_elsewhere_or_nowhere() {
        let image = image();
        let check =
            |leader: Option<i32>, replicas: &[i32], home, place, shard: Option<u16>, here: Option<u16>| {
                let partition = partition(leader, replicas, home);
                assert_eq!(image.place(&partition), place);
                assert_eq!(image.replica_here(&partition), here.map(ShardId));
                let found = image.leader(&partition).map(|leader| (leader.server, leader.epoch));
                assert_eq!(found, leader.map(|leader| (ServerId(leader), LeaderEpoch(6))));
                assert_eq!(image.leader(&partition).and_then(|leader| leader.shard), shard.map(ShardId));
            };
        check(Some(1), &[1, 2], 7, Place::Here(ShardId(1)), Some(1), Some(1));
        check(Some(2), &[1, 2], 7, Place::Elsewhere(ServerId(2)), Some(3), Some(1));
        check(Some(2), &[2], 6, Place::Elsewhere(ServerId(2)), Some(2), None);
        check(Some(3), &[3], 6, Place::Elsewhere(ServerId(3)), None, None);
        check(None, &[1], 6, Place::Nobody, None, Some(0));
    }

    #[test]
    fn the_controller_is_the_quorums_leader() {
        let mut image = image();
        assert_eq!(image.controller(), ServerId(1));
        Arc::make_mut(&mut image.cluster).quorum.leader = Some(ServerId(2));
        assert_eq!(image.controller(), ServerId(2));
    }
}
