//! The walk: every state that can be reached, breadth first, so that what is found wrong is found by the fewest steps.

use std::collections::VecDeque;

use ringmain::base::hash::IdMap;

use crate::steps::{Action, Setting, after, possible};
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

/// Walks through all states that can be reached from `start`, at most `states_max` of them.
pub fn walk(start: &World, setting: &Setting, states_max: usize) -> Walked {
    let mut came_by: IdMap<u64, Option<(u64, Action)>> = IdMap::default();
    let mut left = VecDeque::from([(start.clone(), 0)]);
    came_by.insert(start.fingerprint(), None);
    let mut depth = 0;
    while let Some((world, at)) = left.pop_front() {
        let from = world.fingerprint();
        depth = at;
        for action in possible(&world, setting) {
            let next = after(&world, setting, action);
            let fingerprint = next.fingerprint();
            if let Some(wrong) = &next.wrong {
                let mut steps = way(&came_by, from);
                steps.push(action.to_string());
                let wrong = Some((wrong.clone(), steps));
                return Walked { states: came_by.len(), depth, complete: false, wrong };
            }
            if came_by.contains_key(&fingerprint) {
                continue;
            }
            came_by.insert(fingerprint, Some((from, action)));
            left.push_back((next, at + 1));
        }
        if came_by.len() > states_max {
            return Walked { states: came_by.len(), depth, complete: false, wrong: None };
        }
    }
    Walked { states: came_by.len(), depth, complete: true, wrong: None }
}

fn way(came_by: &IdMap<u64, Option<(u64, Action)>>, mut to: u64) -> Vec<String> {
    let mut steps = Vec::new();
    while let Some((from, action)) = came_by[&to] {
        steps.push(action.to_string());
        to = from;
    }
    steps.reverse();
    steps
}
