//! Assignors: how a group's partitions are spread over its members. Pure functions of the members' subscriptions, the
//! number of partitions, and the former assignment.
//!
//! Every partition of every subscribed topic goes to exactly one of the topic's subscribers. Names are Kafka's, so that
//! clients' `group.remote.assignor` means what they expect.

mod range;
mod uniform;

use std::collections::{BTreeMap, BTreeSet};

use crate::base::TopicId;
use crate::group::Name;

use super::Assignment;

/// Ways to assign that members can ask for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Assignor {
    /// Gives all members equal numbers of partitions, and moves as few as possible.
    Uniform,
    /// Cuts each topic into runs, so that one member has the same partition numbers of all topics.
    Range,
}

/// What an assignor knows of a member.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MemberSpec {
    pub instance_id: Option<Name>,
    /// The topics it subscribes to. Topics that do not exist are ignored.
    pub topics: BTreeSet<TopicId>,
}

/// The input of an assignor.
#[derive(Clone, Copy, Debug)]
pub struct Problem<'a> {
    /// By member id.
    pub members: &'a BTreeMap<Name, MemberSpec>,
    /// Partition counts of the topics that exist.
    pub partitions: &'a BTreeMap<TopicId, i32>,
    /// The target assignment so far, by member id.
    pub previous: &'a BTreeMap<Name, Assignment>,
}

impl Assignor {
    pub const ALL: [Assignor; 2] = [Assignor::Uniform, Assignor::Range];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Assignor::Uniform => "uniform",
            Assignor::Range => "range",
        }
    }

    #[must_use]
    pub fn named(name: &str) -> Option<Assignor> {
        Assignor::ALL.into_iter().find(|assignor| assignor.name() == name)
    }

    /// The new target assignment; every member is in it.
    #[must_use]
    pub fn assign(self, problem: Problem<'_>) -> BTreeMap<Name, Assignment> {
        let target = match self {
            Assignor::Uniform => uniform::assign(problem),
            Assignor::Range => range::assign(problem),
        };
        assert_eq!(target.len(), problem.members.len(), "every member is in the target");
        let subscribed =
            subscribers(problem).into_values().map(|(count, _)| usize::try_from(count).unwrap_or(0));
        let assigned: usize = target.values().map(Assignment::len).sum();
        assert_eq!(assigned, subscribed.sum::<usize>(), "every subscribed partition is assigned once");
        target
    }
}

/// Subscribed topics that exist: partition count, and the subscribers as positions in the order of member ids.
fn subscribers(problem: Problem<'_>) -> BTreeMap<TopicId, (i32, Vec<usize>)> {
    let mut topics: BTreeMap<TopicId, (i32, Vec<usize>)> = BTreeMap::new();
    for (at, spec) in problem.members.values().enumerate() {
        for topic in &spec.topics {
            if let Some(count) = problem.partitions.get(topic) {
                topics.entry(*topic).or_insert_with(|| (*count, Vec::new())).1.push(at);
            }
        }
    }
    topics
}

#[cfg(test)]
mod tests;
