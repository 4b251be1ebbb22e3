//! A member of a consumer group: its metadata, and how far it is on the way to its target assignment.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::base::TopicId;
use crate::group::Name;

use super::Assignment;

/// The epoch in which a member joins.
pub const JOIN_EPOCH: i32 = 0;
/// The epoch in which a member leaves.
pub const LEAVE_EPOCH: i32 = -1;
/// The epoch in which a static member leaves to come back.
pub const STATIC_LEAVE_EPOCH: i32 = -2;

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Member {
    pub metadata: Metadata,
    pub current: Current,
}

/// What a member has said about itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Metadata {
    pub instance_id: Option<Name>,
    pub rack_id: Option<Name>,
    pub client_id: Name,
    pub client_host: Name,
    pub topics: BTreeSet<Name>,
    pub pattern: Option<Name>,
    pub rebalance_timeout_ms: i32,
    pub assignor: Option<Name>,
    /// Set if the member speaks the classic protocol: the group is then changing from one protocol to the other.
    pub classic: Option<ClassicMember>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClassicMember {
    pub session_timeout_ms: i32,
    /// The member's protocols in order of preference, each with the member's metadata.
    pub protocols: Vec<(Name, Bytes)>,
}

impl Metadata {
    /// Whether both would lead to the same assignment: the same topics, pattern and assignor.
    #[must_use]
    pub fn subscribes_like(&self, other: &Metadata) -> bool {
        self.topics == other.topics && self.pattern == other.pattern && self.assignor == other.assignor
    }
}

/// A member's current assignment, on the way from what it has to its target assignment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Current {
    /// The epoch of the target assignment that the member last moved to.
    pub epoch: i32,
    /// The epoch before that, which the member may still name: the answer with the new epoch may have been lost.
    pub previous_epoch: i32,
    pub state: MemberState,
    /// The partitions that the member was told it has.
    pub assigned: Assignment,
    /// The partitions that the member was told to give up, and has not yet said that it gave up.
    pub revoking: Assignment,
    /// The epoch in which the member was given each of these partitions (KIP-1251). A commit under an older epoch is from before
    /// the member lost the partition and got it back.
    pub given: Given,
}

/// Partitions, each with the epoch in which the member was given it.
pub type Given = BTreeMap<(TopicId, i32), i32>;

/// Numbers as in Kafka's records.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum MemberState {
    #[default]
    Stable,
    /// The member must give up partitions before it moves on.
    UnrevokedPartitions,
    /// The member waits for partitions that others have not given up.
    UnreleasedPartitions,
}

impl MemberState {
    #[must_use]
    pub fn number(self) -> i8 {
        match self {
            MemberState::Stable => 0,
            MemberState::UnrevokedPartitions => 1,
            MemberState::UnreleasedPartitions => 2,
        }
    }

    #[must_use]
    pub fn numbered(number: i8) -> Option<MemberState> {
        [MemberState::Stable, MemberState::UnrevokedPartitions, MemberState::UnreleasedPartitions]
            .into_iter()
            .find(|state| state.number() == number)
    }
}

/// A member's part of the target assignment.
#[derive(Clone, Copy, Debug)]
pub struct Goal<'a> {
    pub epoch: i32,
    pub assignment: &'a Assignment,
}

impl Current {
    #[must_use]
    pub fn has_reached(&self, target_epoch: i32) -> bool {
        self.state == MemberState::Stable && self.epoch == target_epoch
    }

    /// The epochs in which the member was given these partitions; partitions that it was not given are left out.
    #[must_use]
    pub fn given_of(&self, partitions: &Assignment) -> Given {
        let given =
            self.given.iter().filter(|((topic, partition), _)| partitions.contains(*topic, *partition));
        given.map(|(partition, epoch)| (*partition, *epoch)).collect()
    }

    /// All partitions that no other member may be given.
    pub fn held(&self) -> impl Iterator<Item = (TopicId, i32)> + '_ {
        self.assigned.iter().chain(self.revoking.iter())
    }

    /// The member's next step towards the goal: first it gives up the partitions that are not in the goal, then it moves to the
    /// goal's epoch, then it takes the partitions that are free. `owned` is what the member says it has; `None` proves nothing.
    #[must_use]
    pub fn towards(
        &self,
        goal: Goal<'_>,
        owned: Option<&Assignment>,
        is_free: impl Fn(TopicId, i32) -> bool,
    ) -> Current {
        let still_has = |partitions: &Assignment| owned.is_none_or(|owned| owned.intersects(partitions));
        match self.state {
            MemberState::Stable if self.epoch == goal.epoch => return self.clone(),
            MemberState::UnrevokedPartitions if still_has(&self.revoking) => return self.clone(),
            _ => {}
        }
        let (mut kept, surplus) =
            self.assigned.split(|topic, partition| goal.assignment.contains(topic, partition));
        if !surplus.is_empty() && still_has(&surplus) {
            let state = MemberState::UnrevokedPartitions;
            let given = self.given_of(&self.assigned);
            return Current { state, assigned: kept, revoking: surplus, given, ..self.clone() };
        }
        let mut state = MemberState::Stable;
        let mut given = self.given_of(&kept);
        for (topic, partition) in goal.assignment.iter() {
            if is_free(topic, partition) {
                if kept.insert(topic, partition) {
                    given.insert((topic, partition), goal.epoch);
                }
            } else if !kept.contains(topic, partition) {
                state = MemberState::UnreleasedPartitions;
            }
        }
        let previous_epoch = if goal.epoch == self.epoch { self.previous_epoch } else { self.epoch };
        let revoking = Assignment::default();
        Current { epoch: goal.epoch, previous_epoch, state, assigned: kept, revoking, given }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::TopicId;

    fn set(partitions: &[i32]) -> Assignment {
        partitions.iter().map(|partition| (TopicId([1; 16]), *partition)).collect()
    }

    fn at(
        epoch: i32,
        previous_epoch: i32,
        state: MemberState,
        assigned: &[i32],
        revoking: &[i32],
    ) -> Current {
        let (assigned, revoking) = (set(assigned), set(revoking));
        Current { epoch, previous_epoch, state, assigned, revoking, given: Given::new() }
    }

    fn check(from: &Current, goal: &[i32], owned: Option<&[i32]>, taken: &[i32], to: &Current) {
        let (target, owned) = (set(goal), owned.map(set));
        let goal = Goal { epoch: 5, assignment: &target };
        let next = from.towards(goal, owned.as_ref(), |_, it| !taken.contains(&it));
        assert_eq!(&Current { given: Given::new(), ..next }, to);
    }

    #[test]
    fn what_is_kept_was_given_earlier_than_what_comes() {
        let step = |from: &Current, epoch, target: &[i32], owned: &[i32]| {
            from.towards(Goal { epoch, assignment: &set(target) }, Some(&set(owned)), |_, _| true)
        };
        let epochs = |it: &Current| it.given.iter().map(|((_, at), epoch)| (*at, *epoch)).collect::<Vec<_>>();
        let first = step(&Current::default(), 3, &[0, 1], &[]);
        assert_eq!(epochs(&first), [(0, 3), (1, 3)]);
        let gives_up = step(&first, 4, &[0, 2], &[0, 1]);
        assert_eq!((epochs(&gives_up), gives_up.epoch), (vec![(0, 3), (1, 3)], 3));
        let moved = step(&gives_up, 4, &[0, 2], &[0]);
        assert_eq!(epochs(&moved), [(0, 3), (2, 4)]);
        let back = step(&moved, 6, &[0, 1, 2], &[0, 2]);
        assert_eq!(epochs(&back), [(0, 3), (1, 6), (2, 4)]);
    }

    #[test]
    fn a_member_gives_up_then_moves_then_takes() {
        use MemberState::{Stable, UnreleasedPartitions as Unreleased, UnrevokedPartitions as Unrevoked};
        // Joins: takes what is free, waits for the rest.
        check(&at(0, 0, Stable, &[], &[]), &[1, 2], Some(&[]), &[2], &at(5, 0, Unreleased, &[1], &[]));
        check(&at(5, 0, Unreleased, &[1], &[]), &[1, 2], None, &[2], &at(5, 0, Unreleased, &[1], &[]));
        check(&at(5, 0, Unreleased, &[1], &[]), &[1, 2], None, &[], &at(5, 0, Stable, &[1, 2], &[]));
        // Must give up: stays in its epoch until it says it has.
        let waits = at(4, 3, Unrevoked, &[1], &[2]);
        check(&at(4, 3, Stable, &[1, 2], &[]), &[1, 3], None, &[], &waits);
        check(&at(4, 3, Stable, &[1, 2], &[]), &[1, 3], Some(&[1, 2]), &[], &waits);
        check(&waits, &[1, 3], None, &[], &waits);
        check(&waits, &[1, 3], Some(&[1, 2]), &[], &waits);
        check(&waits, &[1, 3], Some(&[1]), &[], &at(5, 4, Stable, &[1, 3], &[]));
        // Has said before being asked that it has not.
        check(&at(4, 3, Stable, &[1, 2], &[]), &[1], Some(&[1]), &[], &at(5, 4, Stable, &[1], &[]));
        // The target changed again meanwhile: more to give up.
        check(&waits, &[3], Some(&[1]), &[], &at(4, 3, Unrevoked, &[], &[1]));
        // Where it should be.
        check(&at(5, 4, Stable, &[1], &[]), &[1, 2], Some(&[]), &[], &at(5, 4, Stable, &[1], &[]));
    }
}
