//! How many replicas must be in sync for a partition to go on: a function of the image alone, so that leader and controller
//! read one number at one version.
//!
//! A server's own settings file says nothing here. Unset, the minimum follows the number of replicas, so that no record has to
//! change it when a cluster grows; and while an assignment changes, the smaller one of both sets counts, so that a partition
//! goes on while it is copied.

use crate::base::PartitionIndex;

use super::cluster::{ClusterImage, Resource};
use super::partition::PartitionImage;
use super::topics::TopicImage;

/// The config, by Kafka's name, of topics and of all brokers.
pub(in crate::controller) const MIN_ISR: &str = "min.insync.replicas";

/// The config, by Kafka's name, of topics and of all brokers, that lets any replica lead where nobody else can.
pub(in crate::controller) const UNCLEAN: &str = "unclean.leader.election.enable";

/// `min.insync.replicas` as the cluster says it; `None` where nobody does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MinIsr(pub Option<u32>);

impl MinIsr {
    /// The minimum of a partition that is kept so many times.
    #[must_use]
    pub fn of(self, replication: usize) -> usize {
        let unset = replication.saturating_sub(1).clamp(1, 2);
        let wanted = self.0.map_or(unset, |set| usize::try_from(set).unwrap_or(usize::MAX));
        wanted.min(replication).max(1)
    }
}

impl ClusterImage {
    /// What a topic's config says, or else that of all brokers.
    #[must_use]
    pub fn min_isr_of(&self, topic: &TopicImage) -> MinIsr {
        let of_all = || self.configs(&Resource::AllBrokers)?.get(MIN_ISR);
        let said = topic.overrides.get(MIN_ISR).or_else(of_all);
        MinIsr(said.and_then(|value| value.trim().parse().ok()))
    }

    /// How many replicas of a partition must be in sync for its leader to go on.
    #[must_use]
    pub fn min_isr(&self, topic: &TopicImage, partition: PartitionIndex) -> Option<usize> {
        Some(self.min_isr_of(topic).of(topic.partition(partition)?.replication()))
    }
}

impl PartitionImage {
    /// How many replicas are wanted; while an assignment changes, the smaller number.
    #[must_use]
    pub fn replication(&self) -> usize {
        let all = self.replicas().len();
        (all - self.adding().count()).min(all - self.removing().count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_minimum_follows_the_number_of_replicas_unless_it_is_set() {
        for (set, replication, minimum) in [
            (None, 1, 1),
            (None, 2, 1),
            (None, 3, 2),
            (None, 5, 2),
            (Some(1), 3, 1),
            (Some(2), 2, 2),
            (Some(2), 1, 1),
            (Some(9), 3, 3),
            (Some(0), 3, 1),
        ] {
            assert_eq!(MinIsr(set).of(replication), minimum, "{set:?} of {replication}");
        }
    }
}
