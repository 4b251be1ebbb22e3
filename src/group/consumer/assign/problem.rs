//! The input of an assignor.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::TopicId;
use crate::group::Name;

use super::Assignment;

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

/// Subscribed topics that exist: partition count, and the subscribers as positions in the order of member ids.
pub(super) fn subscribers(problem: Problem<'_>) -> BTreeMap<TopicId, (i32, Vec<usize>)> {
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
