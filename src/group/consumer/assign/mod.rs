//! Assignors: how a group's partitions are spread over its members. Pure functions of the members' subscriptions, the
//! number of partitions, and the former assignment.
//!
//! Every partition of every subscribed topic goes to exactly one of the topic's subscribers. Names are Kafka's, so that
//! clients' `group.remote.assignor` means what they expect.

mod problem;
mod range;
mod uniform;

use std::collections::BTreeMap;

use crate::group::Name;

use super::Assignment;
use problem::subscribers;
pub use problem::{MemberSpec, Problem};

/// Ways to assign that members can ask for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Assignor {
    /// Gives all members equal numbers of partitions, and moves as few as possible.
    Uniform,
    /// Cuts each topic into runs, so that one member has the same partition numbers of all topics.
    Range,
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

#[cfg(test)]
mod tests;
