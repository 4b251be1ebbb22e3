//! The walk: every state that can be reached, breadth first, so that what is found wrong is found by the fewest steps.

use std::collections::VecDeque;
use std::collections::hash_map::Entry;

use ringmain::base::hash::IdMap;

use crate::actions::possible;
use crate::setting::Setting;
use crate::steps::after;
use crate::world::World;

/// What a walk found.
#[derive(Debug)]
pub struct Walked {
    pub states: usize,
    pub depth: usize,
    /// Whether there was nothing left to try.
    pub complete: bool,
    /// What is wrong, and the steps that lead there.
    pub wrong: Option<(String, Vec<String>)>,
}

/// Walks through all states that can be reached from `start`, until there are more than `states_max` of them.
pub fn walk(start: &World, setting: &Setting, states_max: usize) -> Walked {
    // Each state's fingerprint, with that of the state it was first reached from.
    let mut came_from: IdMap<u64, u64> = IdMap::default();
    let mut left = VecDeque::from([(start.clone(), 0)]);
    came_from.insert(start.fingerprint(), start.fingerprint());
    let mut depth = 0;
    while let Some((world, at)) = left.pop_front() {
        let from = world.fingerprint();
        depth = at;
        for action in possible(&world, setting) {
            let next = after(&world, setting, action);
            if let Some(wrong) = next.wrong {
                let mut steps = way(start, setting, &came_from, from);
                steps.push(action.to_string());
                return Walked {
                    states: came_from.len(),
                    depth,
                    complete: false,
                    wrong: Some((wrong, steps)),
                };
            }
            if let Entry::Vacant(new) = came_from.entry(next.fingerprint()) {
                new.insert(from);
                left.push_back((next, at + 1));
            }
        }
        if came_from.len() > states_max {
            return Walked { states: came_from.len(), depth, complete: false, wrong: None };
        }
    }
    Walked { states: came_from.len(), depth, complete: true, wrong: None }
}

/// The steps from the start to a state: found once more, since keeping them would take most of the memory.
fn way(start: &World, setting: &Setting, came_from: &IdMap<u64, u64>, to: u64) -> Vec<String> {
    let mut fingerprints = vec![to];
    while let Some(from) =
        fingerprints.last().and_then(|to| came_from.get(to)).filter(|from| fingerprints.last() != Some(from))
    {
        fingerprints.push(*from);
    }
    let mut world = start.clone();
    let mut steps = Vec::new();
    for fingerprint in fingerprints.into_iter().rev().skip(1) {
        let mut actions = possible(&world, setting).into_iter();
        let step = actions.find_map(|action| {
            let next = after(&world, setting, action);
            (next.fingerprint() == fingerprint).then_some((action, next))
        });
        let (action, next) = step.expect("the step that was taken");
        steps.push(action.to_string());
        world = next;
    }
    steps
}
