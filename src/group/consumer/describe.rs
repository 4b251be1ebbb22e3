//! The group as ConsumerGroupDescribe and ListGroups show it.

use crate::group::Name;

use super::{ConsumerGroup, ConsumerGroupLimits, DescribedConsumerGroup, DescribedConsumerMember};

impl ConsumerGroup {
    /// Kafka's name of the group's state. Kafka's "Dead" is a group that does not exist.
    #[must_use]
    pub fn state_name(&self) -> &'static str {
        if self.members.is_empty() {
            "Empty"
        } else if self.epoch > self.target_epoch {
            "Assigning"
        } else if self.is_settled() {
            "Stable"
        } else {
            "Reconciling"
        }
    }

    /// Whether every member has its target assignment in the group's epoch.
    pub(super) fn is_settled(&self) -> bool {
        let reached = |it: &super::Member| it.current.has_reached(self.target_epoch);
        self.epoch == self.target_epoch && self.members.values().all(reached)
    }

    #[must_use]
    pub fn describe(&self, limits: &ConsumerGroupLimits) -> DescribedConsumerGroup {
        let member = |(id, it): (&Name, &super::Member)| DescribedConsumerMember {
            id: Name::clone(id),
            epoch: it.current.epoch,
            metadata: it.metadata.clone(),
            assigned: it.current.assigned.clone(),
            target: self.target.get(id).cloned().unwrap_or_default(),
        };
        DescribedConsumerGroup {
            state: self.state_name(),
            epoch: self.epoch,
            target_epoch: self.target_epoch,
            assignor: self.assignor(limits).name(),
            members: self.members.iter().map(member).collect(),
        }
    }
}
