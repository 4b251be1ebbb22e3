//! The topics of an image: found by name and by id, in the order of their names.

use std::collections::BTreeMap;
use std::ops::{Bound, Index};
use std::sync::Arc;

use crate::base::{PartitionIndex, TopicId, TopicPartition};

use super::buckets::Buckets;
use super::partition::PartitionImage;

/// One topic. Everything in here is the same on all servers: what the topic's configs mean on this server is kept by
/// [`Here`](super::Here).
#[derive(Clone, Debug)]
pub struct TopicImage {
    pub id: TopicId,
    pub name: Arc<str>,
    /// How many topics had been created before.
    pub ordinal: u64,
    pub partitions: Vec<PartitionImage>,
    /// What was set on this topic, by Kafka's names.
    pub overrides: BTreeMap<String, String>,
    pub internal: bool,
}

impl TopicImage {
    #[must_use]
    pub fn partition(&self, index: PartitionIndex) -> Option<&PartitionImage> {
        self.partitions.get(usize::try_from(index.0).ok()?)
    }

    /// The topic's partitions in order.
    pub fn partition_ids(&self) -> impl Iterator<Item = TopicPartition> + '_ {
        (0..self.partitions.len()).map(|index| TopicPartition {
            topic: self.id,
            partition: PartitionIndex(i32::try_from(index).expect("partition counts fit i32")),
        })
    }

    /// The topic's partitions in order, each with its state.
    pub fn partitions_by_id(&self) -> impl Iterator<Item = (TopicPartition, &PartitionImage)> + '_ {
        self.partition_ids().zip(&self.partitions)
    }
}

/// All topics. A change of a topic that exists leaves the names shared, and all topics that are not in its bucket.
#[derive(Clone, Debug, Default)]
pub struct Topics {
    ids: Arc<BTreeMap<Arc<str>, TopicId>>,
    by_id: Buckets<Arc<TopicImage>>,
}

impl Topics {
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Names in order.
    pub fn keys(&self) -> impl Iterator<Item = &Arc<str>> {
        self.ids.keys()
    }

    /// The first name.
    pub(in crate::controller) fn first(&self) -> Option<&Arc<str>> {
        self.ids.keys().next()
    }

    /// The name that follows another one.
    pub(in crate::controller) fn after(&self, name: &str) -> Option<&Arc<str>> {
        let behind = (Bound::Excluded(name), Bound::Unbounded);
        self.ids.range::<str, _>(behind).next().map(|(name, _)| name)
    }

    /// Topics in the order of their names.
    pub fn values(&self) -> impl Iterator<Item = &Arc<TopicImage>> {
        self.ids.values().map(|id| self.by_id.get(*id).expect("every name has its topic"))
    }

    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Arc<TopicImage>> {
        self.by_id.get(*self.ids.get(name)?)
    }

    #[must_use]
    pub fn by_id(&self, id: TopicId) -> Option<&Arc<TopicImage>> {
        self.by_id.get(id)
    }

    /// Adds a topic whose name and id are free.
    pub(in crate::controller) fn add(&mut self, topic: TopicImage) {
        let replaced = Arc::make_mut(&mut self.ids).insert(Arc::clone(&topic.name), topic.id);
        assert!(
            replaced.is_none() && self.by_id.get(topic.id).is_none(),
            "name and id of a new topic are free"
        );
        self.by_id.insert(topic.id, Arc::new(topic));
        assert_eq!(self.ids.len(), self.by_id.len(), "as many names as topics");
    }

    pub(in crate::controller) fn remove(&mut self, id: TopicId) -> Option<Arc<TopicImage>> {
        let topic = self.by_id.remove(id)?;
        let named = Arc::make_mut(&mut self.ids).remove(&topic.name);
        assert_eq!(named, Some(id), "a topic's name leads to it");
        Some(topic)
    }

    /// The topic, to be changed: it and its bucket are copied only if somebody else holds them. Name and id stay.
    pub(in crate::controller) fn change(&mut self, id: TopicId) -> Option<&mut TopicImage> {
        self.by_id.get_mut(id).map(Arc::make_mut)
    }
}

impl Index<&str> for Topics {
    type Output = Arc<TopicImage>;

    /// For whoever knows that the topic exists.
    fn index(&self, name: &str) -> &Arc<TopicImage> {
        self.by_name(name).expect("a topic that exists")
    }
}
