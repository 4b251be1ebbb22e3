//! What has changed from one image to the next: whoever has the one looks only at that.

use std::ops::Range;

use crate::base::TopicId;

use super::image::Resource;

/// What one record of the metadata log has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A topic is there, without partitions yet.
    TopicAdded(TopicId),
    TopicRemoved(TopicId),
    Partitions(PartitionRun),
    /// Partitions of one topic that are not all beside each other.
    SomePartitions(Vec<PartitionRun>),
    TopicConfigs(TopicId),
    Configs(Resource),
    /// Servers, the quorum or features.
    Servers,
    /// Nothing that an image shows.
    Counters,
}

impl Change {
    /// Partitions came or went, or their states changed.
    #[must_use]
    pub fn is_of_partitions(&self) -> bool {
        matches!(
            self,
            Change::TopicAdded(_)
                | Change::TopicRemoved(_)
                | Change::Partitions(_)
                | Change::SomePartitions(_)
        )
    }

    /// Topics may have other settings, or none any more.
    #[must_use]
    pub fn is_of_settings(&self) -> bool {
        matches!(self, Change::TopicConfigs(_) | Change::Configs(_) | Change::TopicRemoved(_))
    }

    #[must_use]
    pub fn is_a_removal(&self) -> bool {
        matches!(self, Change::TopicRemoved(_))
    }
}

/// Consecutive partitions of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionRun {
    pub topic: TopicId,
    pub partitions: Range<usize>,
}
