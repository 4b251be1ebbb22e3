//! Runs at random through worlds that are too large to be walked through: four servers, voters that change, several crashes.

use ringmain::base::rng::Rng;

use crate::actions::{Action, possible};
use crate::scenarios::{Scenario, everything};
use crate::setting::Setting;
use crate::steps::after;
use crate::world::{What, World};

const STEPS: usize = 150;

/// How far runs came, so that one sees that they do something.
#[derive(Default, Debug)]
pub struct Reached {
    pub leaders: usize,
    pub committed: usize,
    pub changes: usize,
}

pub fn run(seeds: std::ops::Range<u64>) -> Reached {
    let Scenario { setting, start, .. } = everything();
    let mut reached = Reached::default();
    for seed in seeds {
        let world = run_one(&start, &setting, seed);
        reached.leaders += world.led.len();
        reached.committed += world.committed.len();
        let changes = world.committed.iter().filter(|it| matches!(it.entry.what, What::Voters(_)));
        reached.changes += changes.count();
    }
    reached
}

fn run_one(start: &World, setting: &Setting, seed: u64) -> World {
    let mut rng = Rng::seeded(seed);
    let mut world = start.clone();
    let mut steps = Vec::new();
    for _ in 0..STEPS {
        let actions = possible(&world, setting);
        let Some(action) = pick(&actions, &mut rng) else { break };
        world = after(&world, setting, action);
        steps.push(action.to_string());
        if let Some(wrong) = &world.wrong {
            panic!("seed {seed}: {wrong}\n{}", steps.join("\n"));
        }
    }
    world
}

/// Deadlines and crashes come rarely, so that what they interrupt gets somewhere.
fn pick(actions: &[Action], rng: &mut Rng) -> Option<Action> {
    let mut any = || {
        let count = u64::try_from(actions.len()).unwrap();
        actions.get(usize::try_from(rng.next_u64() % count.max(1)).unwrap()).copied()
    };
    let first = any()?;
    let is_rare = matches!(first, Action::Time(_) | Action::Crash(_));
    if is_rare { any() } else { Some(first) }
}
