//! The states that can follow a state: all of them, nearest first, or some by chance.

use std::collections::HashMap;

use ringmain::base::rng::Rng;

use crate::cluster::{Cluster, Step};

/// What a walk has found.
pub enum Found {
    /// No state is wrong: among so many, of which all are seen that are so many steps away.
    Nothing { states: usize, depth: usize },
    /// This is wrong after these steps.
    Wrong { what: &'static str, steps: Vec<Step> },
}

/// Looks at the states that can follow `start`, about `states_max` of them.
pub fn walk(start: &Cluster, states_max: usize) -> Found {
    let mut seen: HashMap<u64, Option<(u64, Step)>> = HashMap::new();
    seen.insert(start.fingerprint(), None);
    let mut farthest = vec![start.clone()];
    let mut depth = 0;
    while !farthest.is_empty() {
        let mut next = Vec::new();
        for state in &farthest {
            let from = state.fingerprint();
            for step in state.steps() {
                let mut after = state.clone();
                after.take(step);
                let to = after.fingerprint();
                if seen.contains_key(&to) {
                    continue;
                }
                seen.insert(to, Some((from, step)));
                if let Some(what) = after.wrong() {
                    return Found::Wrong { what, steps: path(&seen, to) };
                }
                next.push(after);
            }
            if seen.len() >= states_max {
                return Found::Nothing { states: seen.len(), depth };
            }
        }
        depth += 1;
        farthest = next;
    }
    Found::Nothing { states: seen.len(), depth }
}

fn path(seen: &HashMap<u64, Option<(u64, Step)>>, mut at: u64) -> Vec<Step> {
    let mut steps = Vec::new();
    while let Some(Some((from, step))) = seen.get(&at).copied() {
        steps.push(step);
        at = from;
    }
    steps.reverse();
    steps
}

/// Goes so many steps, each by chance. What is wrong on the way, with the steps to it.
pub fn wander(start: &Cluster, seed: u64, steps_max: usize) -> Option<(&'static str, Vec<Step>)> {
    let mut rng = Rng::seeded(seed);
    let mut cluster = start.clone();
    let mut taken = Vec::new();
    for _ in 0..steps_max {
        let steps = cluster.steps();
        let count = u64::try_from(steps.len()).unwrap();
        if count == 0 {
            break;
        }
        let step = steps[usize::try_from(rng.below(count)).unwrap()];
        cluster.take(step);
        taken.push(step);
        if let Some(what) = cluster.wrong() {
            return Some((what, taken));
        }
    }
    None
}
