//! The uniform assignor: all members get equal numbers of partitions, and as few as possible move.
//!
//! First, members keep the partitions they have and may still have. Second, each partition that nobody has goes to the
//! subscriber with the fewest. Third, single partitions move from fuller to emptier members, until no move between two
//! members would bring their numbers closer. Each move lowers the sum of the squared numbers, so this ends. The numbers of
//! members with equal subscriptions then differ by one at most, and no more partitions have moved than had to.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use crate::base::TopicId;
use crate::group::Name;

use super::Assignment;
use super::problem::{MemberSpec, Problem, subscribers};

/// Most pairs of members that are looked at for moves. An unusual mix of subscriptions could need more; it stays as
/// balanced as it is by then, so that the shard is not held up.
const PROBES_MAX: usize = 1_000_000;

pub fn assign(problem: Problem<'_>) -> BTreeMap<Name, Assignment> {
    let mut balancer = Balancer::keeping(problem);
    balancer.assign_rest(problem);
    balancer.balance();
    problem.members.keys().cloned().zip(balancer.loads.into_iter().map(|load| load.assigned)).collect()
}

struct Load<'a> {
    spec: &'a MemberSpec,
    previous: Option<&'a Assignment>,
    assigned: Assignment,
    count: usize,
}

struct Balancer<'a> {
    /// In the order of member ids.
    loads: Vec<Load<'a>>,
    /// Partitions somebody has.
    taken: Assignment,
}

/// How good a move is; better moves compare greater.
type Merit = (bool, isize);

impl<'a> Balancer<'a> {
    /// A balancer in which every member has those of its former partitions that it may keep.
    fn keeping(problem: Problem<'a>) -> Balancer<'a> {
        let mut taken = Assignment::default();
        let loads = problem.members.iter().map(|(id, spec)| {
            let previous = problem.previous.get(id);
            let kept: Assignment = previous
                .into_iter()
                .flat_map(Assignment::iter)
                .filter(|(topic, partition)| {
                    let exists =
                        problem.partitions.get(topic).is_some_and(|count| (0..*count).contains(partition));
                    exists && spec.topics.contains(topic) && taken.insert(*topic, *partition)
                })
                .collect();
            let count = kept.len();
            Load { spec, previous, assigned: kept, count }
        });
        let loads = loads.collect();
        Balancer { loads, taken }
    }

    /// Gives out the partitions that nobody has. Topics with the fewest subscribers come first, because the other topics have
    /// more ways to even the numbers out.
    fn assign_rest(&mut self, problem: Problem<'_>) {
        let mut topics: Vec<_> = subscribers(problem).into_iter().collect();
        topics.sort_by_key(|(topic, (_, takers))| (takers.len(), *topic));
        for (topic, (count, takers)) in topics {
            let mut emptiest: BinaryHeap<Reverse<(usize, usize)>> =
                takers.into_iter().map(|at| Reverse((self.loads[at].count, at))).collect();
            for partition in 0..count {
                if !self.taken.insert(topic, partition) {
                    continue;
                }
                let Reverse((load, at)) = emptiest.pop().expect("a topic listed has a subscriber");
                self.loads[at].assigned.insert(topic, partition);
                self.loads[at].count += 1;
                emptiest.push(Reverse((load + 1, at)));
            }
        }
    }

    fn balance(&mut self) {
        let mut by_load: BTreeSet<(usize, usize)> =
            self.loads.iter().enumerate().map(|(at, load)| (load.count, at)).collect();
        let mut probes = PROBES_MAX;
        while let Some((from, to, topic, partition)) = self.next_move(&by_load, &mut probes) {
            for (at, grows) in [(from, false), (to, true)] {
                let load = &mut self.loads[at];
                by_load.remove(&(load.count, at));
                if grows {
                    load.assigned.insert(topic, partition);
                    load.count += 1;
                } else {
                    load.assigned.remove(topic, partition);
                    load.count -= 1;
                }
                by_load.insert((load.count, at));
            }
        }
    }

    /// The next move: from the fullest member that can give a partition to the emptiest one that can take it and would then
    /// have no more than the giver.
    fn next_move(
        &self,
        by_load: &BTreeSet<(usize, usize)>,
        probes: &mut usize,
    ) -> Option<(usize, usize, TopicId, i32)> {
        for (full, from) in by_load.iter().rev() {
            for (_, to) in by_load.iter().take_while(|(empty, _)| empty + 2 <= *full) {
                *probes = probes.checked_sub(1)?;
                if let Some((topic, partition)) = self.movable(&self.loads[*from], &self.loads[*to]) {
                    return Some((*from, *to, topic, partition));
                }
            }
        }
        None
    }

    /// The best partition to move. One that the giver did not have before is preferred; then one of the topic of which the
    /// giver has the most more than the taker.
    fn movable(&self, from: &Load<'_>, to: &Load<'_>) -> Option<(TopicId, i32)> {
        let mut best: Option<(Merit, TopicId, i32)> = None;
        for (topic, partitions) in from.assigned.topics() {
            if !to.spec.topics.contains(&topic) {
                continue;
            }
            let is_new = |partition: &i32| !from.previous.is_some_and(|it| it.contains(topic, *partition));
            let fresh = partitions.iter().rev().copied().find(|partition| is_new(partition));
            let Some(partition) = fresh.or(partitions.last().copied()) else { continue };
            let surplus = partitions.len().cast_signed() - to.assigned.count(topic).cast_signed();
            let merit = (fresh.is_some(), surplus);
            if best.is_none_or(|(found, ..)| merit > found) {
                best = Some((merit, topic, partition));
            }
        }
        best.map(|(_, topic, partition)| (topic, partition))
    }
}
