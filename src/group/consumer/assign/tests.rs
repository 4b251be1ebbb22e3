#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use proptest::prelude::*;

use crate::base::TopicId;

use super::*;

fn topic(number: u8) -> TopicId {
    TopicId([number; 16])
}

fn name(number: usize) -> Name {
    Arc::from(format!("m{number:03}"))
}

type Members = BTreeMap<Name, MemberSpec>;
type Target = BTreeMap<Name, Assignment>;

fn members(subscriptions: &[Vec<u8>]) -> Members {
    let spec = |topics: &Vec<u8>| MemberSpec {
        instance_id: None,
        topics: topics.iter().copied().map(topic).collect(),
    };
    subscriptions.iter().enumerate().map(|(at, topics)| (name(at), spec(topics))).collect()
}

fn partitions(counts: &[i32]) -> BTreeMap<TopicId, i32> {
    (0..).zip(counts).map(|(at, count)| (topic(at), *count)).collect()
}

fn assign(assignor: Assignor, members: &Members, counts: &[i32], previous: &Target) -> Target {
    let target = assignor.assign(Problem { members, partitions: &partitions(counts), previous });
    check(members, counts, &target);
    target
}

/// Checks that every partition of every subscribed topic is assigned once, and to a subscriber.
fn check(members: &Members, counts: &[i32], target: &Target) {
    assert!(members.keys().eq(target.keys()), "every member is in the target");
    let mut seen = Assignment::default();
    for (id, assigned) in target {
        for (topic, partition) in assigned.iter() {
            assert!(members[id].topics.contains(&topic), "{id} does not subscribe to {topic}");
            assert!(seen.insert(topic, partition), "{topic}-{partition} twice");
        }
    }
    for (topic, count) in partitions(counts) {
        let subscribed = members.values().any(|it| it.topics.contains(&topic));
        let expected = if subscribed { usize::try_from(count).unwrap() } else { 0 };
        assert_eq!(seen.count(topic), expected, "{topic}");
    }
}

fn spread(target: &Target) -> usize {
    let loads = || target.values().map(Assignment::len);
    loads().max().unwrap_or(0) - loads().min().unwrap_or(0)
}

/// Number of partitions that have moved between members that are in both targets.
fn moved(before: &Target, after: &Target) -> usize {
    let lost = |(id, had): (&Name, &Assignment)| {
        had.iter()
            .filter(|(topic, partition)| !after.get(id).is_some_and(|it| it.contains(*topic, *partition)))
            .count()
    };
    before.iter().map(lost).sum()
}

/// Whether no single move between two members would bring their numbers closer.
fn settled(members: &Members, target: &Target) -> bool {
    target.iter().all(|(_, from)| {
        target.iter().all(|(to_id, to)| {
            from.len() < to.len() + 2
                || from.topics().all(|(topic, _)| !members[to_id].topics.contains(&topic))
        })
    })
}

#[test]
fn names_are_kafkas() {
    for assignor in Assignor::ALL {
        assert_eq!(Assignor::named(assignor.name()), Some(assignor));
    }
    assert_eq!(Assignor::named("sticky"), None);
}

#[test]
fn nobody_and_nothing_are_fine() {
    for assignor in Assignor::ALL {
        assert!(assign(assignor, &Members::new(), &[3], &Target::new()).is_empty());
        let target = assign(assignor, &members(&[vec![], vec![7]]), &[3], &Target::new());
        assert!(target.values().all(Assignment::is_empty));
    }
}

#[test]
fn range_gives_the_same_numbers_of_all_topics() {
    let target = assign(Assignor::Range, &members(&vec![vec![0, 1]; 3]), &[7, 7], &Target::new());
    for assigned in target.values() {
        let numbers: Vec<_> = assigned.topics().map(|(_, partitions)| partitions.clone()).collect();
        assert_eq!(numbers[0], numbers[1]);
    }
    assert_eq!(target.values().map(Assignment::len).collect::<Vec<_>>(), [6, 4, 4]);
}

#[test]
fn range_orders_static_members_by_instance() {
    let mut members = members(&vec![vec![0]; 3]);
    members.get_mut(&name(2)).unwrap().instance_id = Some(Arc::from("a"));
    members.get_mut(&name(1)).unwrap().instance_id = Some(Arc::from("b"));
    let target = assign(Assignor::Range, &members, &[3], &Target::new());
    assert!(target[&name(2)].contains(topic(0), 0));
    assert!(target[&name(1)].contains(topic(0), 1));
    assert!(target[&name(0)].contains(topic(0), 2));
}

#[test]
fn uniform_spreads_each_topic() {
    let target = assign(Assignor::Uniform, &members(&vec![vec![0, 1, 2]; 4]), &[4, 4, 4], &Target::new());
    for assigned in target.values() {
        assert!((0..3).all(|at| assigned.count(topic(at)) == 1));
    }
}

#[test]
fn uniform_gives_those_with_few_choices_theirs() {
    let target = assign(Assignor::Uniform, &members(&[vec![0], vec![0, 1]]), &[4, 4], &Target::new());
    assert_eq!(target.values().map(Assignment::len).collect::<Vec<_>>(), [4, 4]);
    assert_eq!(target[&name(1)].count(topic(1)), 4);
}

#[test]
fn uniform_bears_a_large_group() {
    let many = members(&vec![(0..50).collect(); 500]);
    let before = assign(Assignor::Uniform, &many, &[100; 50], &Target::new());
    assert_eq!(spread(&before), 0);
    let more = members(&vec![(0..50).collect(); 501]);
    let after = assign(Assignor::Uniform, &more, &[100; 50], &before);
    assert_eq!(moved(&before, &after), 9);
}

fn subscriptions(members_max: usize) -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(0u8..6, 0..5), 1..members_max)
}

fn counts() -> impl Strategy<Value = Vec<i32>> {
    prop::collection::vec(0i32..12, 1..6)
}

proptest! {
    #[test]
    fn every_partition_once_and_settled(first in subscriptions(9), then in subscriptions(9), counts in counts(), more in counts()) {
        for assignor in Assignor::ALL {
            let before = assign(assignor, &members(&first), &counts, &Target::new());
            let after = assign(assignor, &members(&then), &more, &before);
            if assignor == Assignor::Uniform {
                prop_assert!(settled(&members(&first), &before) && settled(&members(&then), &after));
                // A settled assignment does not change.
                let again = assign(assignor, &members(&then), &more, &after);
                prop_assert_eq!(&again, &after);
            }
        }
    }

    #[test]
    fn equal_subscriptions_are_balanced_and_a_join_moves_the_minimum(count in 1usize..12, counts in counts()) {
        let topics: Vec<u8> = (0..6).collect();
        let before = assign(Assignor::Uniform, &members(&vec![topics.clone(); count]), &counts, &Target::new());
        prop_assert!(spread(&before) <= 1);
        let after = assign(Assignor::Uniform, &members(&vec![topics.clone(); count + 1]), &counts, &before);
        prop_assert!(spread(&after) <= 1);
        let total: usize = before.values().map(Assignment::len).sum();
        prop_assert_eq!(moved(&before, &after), total / (count + 1));
        // When the member leaves, the others keep all they have.
        let mut others = after.clone();
        others.remove(&name(count));
        let left = assign(Assignor::Uniform, &members(&vec![topics; count]), &counts, &others);
        prop_assert!(spread(&left) <= 1);
        prop_assert_eq!(moved(&others, &left), 0);
    }
}
