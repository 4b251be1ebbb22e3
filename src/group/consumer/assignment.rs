//! A set of partitions, by topic.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::TopicId;

/// A set of partitions. Topics without partitions are not in it, so that equal sets are equal values.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Assignment {
    topics: BTreeMap<TopicId, BTreeSet<i32>>,
}

impl Assignment {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// Number of partitions, of all topics.
    #[must_use]
    pub fn len(&self) -> usize {
        self.topics.values().map(BTreeSet::len).sum()
    }

    /// Number of partitions of one topic.
    #[must_use]
    pub fn count(&self, topic: TopicId) -> usize {
        self.topics.get(&topic).map_or(0, BTreeSet::len)
    }

    #[must_use]
    pub fn contains(&self, topic: TopicId, partition: i32) -> bool {
        self.topics.get(&topic).is_some_and(|partitions| partitions.contains(&partition))
    }

    /// Adds a partition. False if it was in the set already.
    pub fn insert(&mut self, topic: TopicId, partition: i32) -> bool {
        self.topics.entry(topic).or_default().insert(partition)
    }

    /// Removes a partition. True if it was in the set.
    pub fn remove(&mut self, topic: TopicId, partition: i32) -> bool {
        let Some(partitions) = self.topics.get_mut(&topic) else { return false };
        let removed = partitions.remove(&partition);
        if partitions.is_empty() {
            self.topics.remove(&topic);
        }
        removed
    }

    pub fn topics(&self) -> impl Iterator<Item = (TopicId, &BTreeSet<i32>)> {
        self.topics.iter().map(|(topic, partitions)| (*topic, partitions))
    }

    pub fn iter(&self) -> impl Iterator<Item = (TopicId, i32)> + '_ {
        self.topics.iter().flat_map(|(topic, partitions)| partitions.iter().map(|it| (*topic, *it)))
    }

    /// The partitions that the predicate takes, and the others.
    #[must_use]
    pub fn split(&self, takes: impl Fn(TopicId, i32) -> bool) -> (Assignment, Assignment) {
        let (mut taken, mut left) = (Assignment::default(), Assignment::default());
        for (topic, partition) in self.iter() {
            let side = if takes(topic, partition) { &mut taken } else { &mut left };
            side.insert(topic, partition);
        }
        (taken, left)
    }

    #[must_use]
    pub fn is_subset(&self, other: &Assignment) -> bool {
        self.iter().all(|(topic, partition)| other.contains(topic, partition))
    }

    #[must_use]
    pub fn intersects(&self, other: &Assignment) -> bool {
        self.iter().any(|(topic, partition)| other.contains(topic, partition))
    }
}

impl Extend<(TopicId, i32)> for Assignment {
    fn extend<I: IntoIterator<Item = (TopicId, i32)>>(&mut self, partitions: I) {
        for (topic, partition) in partitions {
            self.insert(topic, partition);
        }
    }
}

impl FromIterator<(TopicId, i32)> for Assignment {
    fn from_iter<I: IntoIterator<Item = (TopicId, i32)>>(partitions: I) -> Assignment {
        let mut assignment = Assignment::default();
        assignment.extend(partitions);
        assignment
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: TopicId = TopicId([1; 16]);
    const B: TopicId = TopicId([2; 16]);

    #[test]
    fn an_emptied_topic_leaves_no_trace() {
        let mut some = Assignment::from_iter([(A, 0)]);
        assert!(some.remove(A, 0) && !some.remove(A, 0) && !some.remove(B, 0));
        assert_eq!(some, Assignment::default());
        assert!(some.is_empty());
    }

    #[test]
    fn sets_compare_and_split() {
        let all = Assignment::from_iter([(A, 0), (A, 1), (B, 0)]);
        let (first, rest) = all.split(|_, partition| partition == 0);
        assert_eq!((first.len(), rest.len(), all.count(A)), (2, 1, 2));
        assert!(first.is_subset(&all) && !all.is_subset(&first) && !first.intersects(&rest));
        assert!(all.intersects(&rest) && Assignment::default().is_subset(&rest));
    }
}
