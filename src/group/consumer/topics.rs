//! The topics of a group: subscribed by name or by pattern, as far as they exist.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::TopicId;
use crate::group::Name;

use super::assign::{MemberSpec, Problem};
use super::{
    Assignor, Change, ConsumerGroup, ConsumerGroupLimits, Context, Journal, Metadata, TopicSize, Topics,
};

/// What a request has changed for the group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Changed {
    /// Whether the group has a member more.
    pub members: bool,
    /// Whether a member subscribes to other topics, or asks for another assignor.
    pub subscription: bool,
}

impl ConsumerGroup {
    /// Compares the group's topics with the image, if subscriptions or the image have changed. True if the group's epoch must
    /// rise.
    pub(super) fn refresh_topics(
        &mut self,
        context: &Context<'_>,
        changed: Changed,
        journal: &mut Journal,
    ) -> bool {
        if !changed.subscription && self.seen == Some(context.image.version) {
            return false;
        }
        let patterns: BTreeSet<Name> =
            self.members.values().filter_map(|it| it.metadata.pattern.clone()).collect();
        self.matches.keep(&patterns);
        for text in &patterns {
            // A recorded pattern that this version refuses, though an earlier one took it, matches nothing.
            let _ = self.matches.add(text);
        }
        let complete = self.matches.refresh(context.now, context.image);
        self.seen = complete.then_some(context.image.version);
        let exists = |name: &Name| {
            let topic = context.image.topic(name)?;
            let partitions = i32::try_from(topic.partitions.len()).expect("partition counts fit i32");
            Some((Name::clone(name), TopicSize { id: topic.id, partitions }))
        };
        let topics: Topics = self.names().into_iter().filter_map(exists).collect();
        let changed = topics != self.topics;
        if changed {
            self.write(journal, Change::Topics(Some(topics)));
        }
        changed
    }

    /// Removes topics that no remaining member subscribes to.
    pub(super) fn prune_topics(&mut self, journal: &mut Journal) {
        let is_known = |it: &Metadata| it.pattern.as_ref().is_none_or(|it| self.matches.topics(it).is_some());
        if !self.members.values().all(|it| is_known(&it.metadata)) {
            return;
        }
        let names = self.names();
        let left: Topics = self
            .topics
            .iter()
            .filter(|(name, _)| names.contains(*name))
            .map(|(name, size)| (Name::clone(name), *size))
            .collect();
        if left.len() < self.topics.len() {
            self.write(journal, Change::Topics(Some(left)));
        }
    }

    /// Computes the target assignment for the group's epoch.
    pub(super) fn retarget(&mut self, limits: &ConsumerGroupLimits, journal: &mut Journal) {
        let members: BTreeMap<Name, MemberSpec> = self
            .members
            .iter()
            .map(|(id, it)| {
                let (instance_id, topics) = (it.metadata.instance_id.clone(), self.topic_ids(&it.metadata));
                (Name::clone(id), MemberSpec { instance_id, topics })
            })
            .collect();
        let partitions: BTreeMap<TopicId, i32> =
            self.topics.values().map(|size| (size.id, size.partitions)).collect();
        let problem = Problem { members: &members, partitions: &partitions, previous: &self.target };
        for (id, assignment) in self.assignor(limits).assign(problem) {
            if self.target.get(&id) != Some(&assignment) {
                self.write(journal, Change::Target(id, Some(assignment)));
            }
        }
        self.write(journal, Change::TargetEpoch(Some(self.epoch)));
    }

    /// The assignor that most members ask for.
    pub(super) fn assignor(&self, limits: &ConsumerGroupLimits) -> Assignor {
        let asked = |assignor: &Assignor| {
            let asks = |it: &&Metadata| it.assignor.as_deref() == Some(assignor.name());
            self.members.values().map(|it| &it.metadata).filter(asks).count()
        };
        // Among equals the first assignor wins; `max_by_key` returns the last maximum, hence the reversal.
        let best = limits.assignors.iter().rev().max_by_key(|it| asked(it));
        best.copied().unwrap_or(Assignor::Uniform)
    }

    /// All topic names that members subscribe to, whether the topics exist or not.
    fn names(&self) -> BTreeSet<&Name> {
        self.members.values().flat_map(|it| self.names_of(&it.metadata)).collect()
    }

    fn names_of<'a>(&'a self, metadata: &'a Metadata) -> impl Iterator<Item = &'a Name> {
        let matched = metadata.pattern.as_ref().and_then(|it| self.matches.topics(it));
        metadata.topics.iter().chain(matched.into_iter().flatten())
    }

    fn topic_ids(&self, metadata: &Metadata) -> BTreeSet<TopicId> {
        self.names_of(metadata).filter_map(|name| self.topics.get(name)).map(|size| size.id).collect()
    }
}
