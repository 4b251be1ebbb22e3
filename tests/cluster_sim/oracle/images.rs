//! Images: one version, one content, on whichever server.

use std::collections::BTreeMap;

use ringmain::base::{LeaderEpoch, ServerId, TopicPartition};
use ringmain::controller::{ClusterImage, PartitionImage};

use crate::checks::{Invariant, require};

/// All images that were ever published by one cluster, as numbers.
#[derive(Debug, Default)]
pub struct Images {
    /// What each version stands for, of each cluster.
    seen: BTreeMap<(usize, i64), u64>,
    /// Who leads in which epoch.
    leaders: BTreeMap<(TopicPartition, LeaderEpoch), ServerId>,
    pub count: u64,
}

impl Images {
    /// A server of a cluster has published an image.
    pub fn published(&mut self, cluster: usize, server: ServerId, image: &ClusterImage) {
        self.count += 1;
        let digest = digest(image);
        let known = *self.seen.entry((cluster, image.version)).or_insert(digest);
        require(Invariant::OneMetadata, known == digest, || {
            format!("version {} is another image on server {server} than elsewhere: {image:?}", image.version)
        });
        for topic in image.topics.values() {
            for (id, partition) in topic.partitions_by_id() {
                self.partition(id, partition, image);
            }
        }
    }

    fn partition(&mut self, id: TopicPartition, partition: &PartitionImage, image: &ClusterImage) {
        if let Some(leader) = partition.leader() {
            let known = *self.leaders.entry((id, partition.leader_epoch())).or_insert(leader);
            require(Invariant::OneLeader, known == leader, || {
                format!("{id} is led by {known} and by {leader} in epoch {}", partition.leader_epoch())
            });
        }
        let is_replica = |server: &ServerId| partition.replicas().contains(server);
        let is_in_sync = |server: &ServerId| partition.isr().any(|it| it == *server);
        let is_fenced = |server: &ServerId| image.servers.get(server).is_some_and(|server| server.fenced);
        // The restart of the server with the only replica changes nothing for the partition.
        let is_sole = partition.replicas().len() == 1;
        let is_sound = partition.isr().all(|it| is_replica(&it) && (is_sole || !is_fenced(&it)))
            && partition.elr().all(|server| is_replica(&server) && !is_in_sync(&server))
            && partition.leader().is_none_or(|leader| is_in_sync(&leader));
        require(Invariant::Sets, is_sound, || format!("{id} in version {}: {partition:?}", image.version));
    }
}

/// Everything of an image, in its order, as one number.
fn digest(image: &ClusterImage) -> u64 {
    let mut digest = Digest(17);
    digest.text(&image.cluster_id);
    digest.text(&format!("{:?}{:?}{:?}", image.quorum, image.features, image.servers));
    for topic in image.topics.values() {
        digest.bytes(&topic.id.0);
        digest.text(&topic.name);
        for (name, value) in &topic.overrides {
            digest.text(name);
            digest.text(value);
        }
        for partition in &topic.partitions {
            digest.partition(partition);
        }
    }
    for (resource, configs) in &*image.configs {
        digest.text(&format!("{resource:?}{configs:?}"));
    }
    digest.0
}

struct Digest(u64);

impl Digest {
    fn number(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        for piece in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..piece.len()].copy_from_slice(piece);
            self.number(u64::from_le_bytes(word));
        }
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn servers(&mut self, servers: impl Iterator<Item = ServerId>) {
        self.number(u64::MAX);
        servers.for_each(|server| self.number(u64::from(server.0.unsigned_abs())));
    }

    fn partition(&mut self, partition: &PartitionImage) {
        self.servers(partition.replicas().iter().copied());
        self.servers(partition.leader().into_iter());
        self.servers(partition.isr());
        self.servers(partition.elr());
        self.servers(partition.last_known());
        self.servers(partition.adding());
        self.servers(partition.removing());
        self.number(u64::from(partition.leader_epoch().0.unsigned_abs()));
        self.number(u64::from(partition.partition_epoch().0.unsigned_abs()));
        self.number(partition.unclean_epoch().map_or(u64::MAX, |epoch| u64::from(epoch.0.unsigned_abs())));
        self.number(u64::from(partition.home().0));
    }
}
