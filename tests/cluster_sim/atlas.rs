//! What may be destroyed, so that what the checks demand can still be had.
//!
//! A disk may be lost if its server is fenced and, of every partition on it, another server has all that was ever acknowledged, and if a majority of the
//! voters stays. A disk may be rolled back to an older copy under the same conditions, and only where the cluster can tell: the
//! copy is of a life before the one that was admitted last, and its server does not vote (a voter with an older log is outside
//! the model of the quorum, see D7). Every loss counts until its replicas are in sync again, and only one server has any.

use std::collections::BTreeMap;

use ringmain::base::{ServerId, TopicPartition};
use ringmain::controller::MetadataImage;

/// What a disk is about to suffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loss {
    /// Everything is gone.
    Disk,
    /// The disk is as it was before the server's present life.
    RolledBack,
}

/// Losses that are not made good yet.
#[derive(Debug, Default)]
pub struct Atlas {
    /// Servers that have lost a partition, and the newest version when they did.
    replicas: BTreeMap<(TopicPartition, ServerId), i64>,
    /// Servers that vote no more by what they had.
    voters: BTreeMap<ServerId, i64>,
}

impl Atlas {
    /// Whether the cluster, as the newest image has it, can do without a server's disk.
    pub fn may_lose(&self, image: &MetadataImage, server: ServerId, loss: Loss) -> bool {
        // Until it is fenced, others may leave an ISR to it alone, and partitions may be placed on it.
        let is_out = image.servers.get(&server).is_some_and(|it| it.fenced);
        let votes = image.quorum.voters.iter().any(|voter| voter.server == server);
        let data = image.topics.values().flat_map(|topic| topic.partitions_by_id());
        let has_another = |(id, partition): (TopicPartition, &ringmain::controller::PartitionImage)| {
            let has_all = |it: ServerId| it != server && !self.replicas.contains_key(&(id, it));
            !partition.replicas().contains(&server) || partition.isr().chain(partition.elr()).any(has_all)
        };
        let voters = match (votes, loss) {
            (false, _) => true,
            (true, Loss::RolledBack) => false,
            (true, Loss::Disk) => {
                let all = image.quorum.voters.len();
                let left = image.quorum.voters.iter().map(|voter| voter.server);
                let left = left.filter(|it| *it != server && !self.voters.contains_key(it)).count();
                2 * left > all
            }
        };
        // What is being reassigned may end with any two of its replicas.
        let is_first = self.replicas.keys().all(|(_, it)| *it == server);
        is_out && is_first && voters && data.into_iter().all(has_another)
    }

    /// A server's disk is lost.
    pub fn lost(&mut self, image: &MetadataImage, server: ServerId) {
        for (id, partition) in image.topics.values().flat_map(|topic| topic.partitions_by_id()) {
            if partition.replicas().contains(&server) {
                self.replicas.insert((id, server), image.version);
            }
        }
        if image.quorum.voters.iter().any(|voter| voter.server == server) {
            self.voters.insert(server, image.version);
        }
    }

    /// Whether a server has lost what it had of a partition, and has not got it back.
    pub fn has_lost(&self, partition: TopicPartition, server: ServerId) -> bool {
        self.replicas.contains_key(&(partition, server))
    }

    /// An image was published: what is in sync since a loss is made good.
    pub fn published(&mut self, image: &MetadataImage) {
        if self.replicas.is_empty() && self.voters.is_empty() {
            return;
        }
        let registered_after = |server: &ServerId, version: i64| {
            image.servers.get(server).is_some_and(|it| it.broker_epoch.0 >= version)
        };
        self.replicas.retain(|(id, server), version| {
            let topic = image.topic_by_id(id.topic);
            let Some(partition) = topic.and_then(|topic| topic.partition(id.partition)) else { return false };
            let is_in_sync = partition.isr().any(|it| it == *server);
            partition.replicas().contains(server) && !(is_in_sync && registered_after(server, *version))
        });
        self.voters.retain(|server, version| !registered_after(server, *version));
    }
}
