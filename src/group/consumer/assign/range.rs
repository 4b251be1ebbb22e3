//! The range assignor: each member gets a run of neighbouring partitions of each topic.

use std::collections::BTreeMap;

use crate::group::Name;

use super::Assignment;
use super::problem::{MemberSpec, Problem, subscribers};

/// Cuts each topic into runs. Members have one order for all topics, static members first and by instance id, so that a
/// restart changes nothing. Topics of equal size with the same subscribers are therefore cut at the same places.
pub fn assign(problem: Problem<'_>) -> BTreeMap<Name, Assignment> {
    let members: Vec<(&Name, &MemberSpec)> = problem.members.iter().collect();
    let mut assigned: Vec<Assignment> = members.iter().map(|_| Assignment::default()).collect();
    for (topic, (count, mut takers)) in subscribers(problem) {
        takers.sort_by_key(|at| {
            let (id, spec) = members[*at];
            (spec.instance_id.is_none(), spec.instance_id.as_ref().unwrap_or(id), id)
        });
        let count = usize::try_from(count).unwrap_or(0);
        let (share, longer) = (count / takers.len(), count % takers.len());
        let mut partitions = 0..;
        for (rank, at) in takers.into_iter().enumerate() {
            let run = share + usize::from(rank < longer);
            assigned[at].extend(partitions.by_ref().take(run).map(|partition| (topic, partition)));
        }
    }
    members.into_iter().map(|(id, _)| id.clone()).zip(assigned).collect()
}
