//! Where walks begin, and what they let happen.

use ringmain::base::MonoNanos;
use ringmain::quorum::Ballot;

use crate::actions::{Action, possible};
use crate::setting::{Answers, Flushes, PreVotes, Setting, Writes};
use crate::steps::after;
use crate::world::{Budget, Node, Passed, World, voter};

/// One walk.
pub struct Scenario {
    pub name: &'static str,
    pub setting: Setting,
    pub start: World,
}

pub const NOTHING: Budget =
    Budget { elections: 0, decisions: 0, crashes: 0, losses: 0, restores: 0, changes: 0 };

const USUAL: Setting = Setting {
    first_voters: 0b111,
    targets: &[],
    pre_votes: PreVotes::Granted,
    answers: Answers::Late,
    writes: Writes::AtOnce,
    flushes: Flushes::Late,
    resigning: false,
    showing: false,
};
/// Everything late, as it may be.
const LATE: Setting = Setting { writes: Writes::Late, ..USUAL };
/// One voter, which two observers follow: 1 -> 3.
const GROWING: Setting = Setting { first_voters: 0b001, targets: &[0b111], ..USUAL };
/// What may be said to happen at once does, so that larger worlds are walked through.
const QUICK: Setting = Setting { answers: Answers::AtOnce, flushes: Flushes::AtOnce, ..USUAL };
/// Three voters and an observer: 3 -> 4.
const ADDING: Setting = Setting { targets: &[0b1111], ..QUICK };

/// What every run of the tests walks through to the end.
pub fn usual() -> Vec<Scenario> {
    let budget = |elections, decisions, crashes| Budget { elections, decisions, crashes, ..NOTHING };
    let changing =
        |elections, decisions, crashes| Budget { changes: 1, ..budget(elections, decisions, crashes) };
    let asked = Setting { pre_votes: PreVotes::Asked, ..USUAL };
    let resigning = Setting { resigning: true, ..USUAL };
    let growing_quickly = Setting { answers: Answers::AtOnce, flushes: Flushes::AtOnce, ..GROWING };
    vec![
        cold("two elections from nothing, one crash", LATE, budget(2, 0, 1)),
        cold("two elections from nothing, with pre-votes", asked, budget(2, 0, 0)),
        led("a leader with a decision, another election, one crash", 3, resigning, budget(1, 1, 1)),
        led("one voter becomes three, one crash", 3, GROWING, changing(1, 1, 1)),
        led("one voter becomes three, two more elections", 3, growing_quickly, changing(2, 0, 1)),
        led("three voters become four, one crash", 4, ADDING, changing(1, 0, 1)),
        led("three voters become four, with a decision", 4, ADDING, changing(1, 1, 0)),
    ]
}

/// What is walked through by hand: hours.
pub fn deep() -> Vec<Scenario> {
    let budget = |elections, decisions, crashes| Budget { elections, decisions, crashes, ..NOTHING };
    let changing =
        |elections, decisions, crashes| Budget { changes: 1, ..budget(elections, decisions, crashes) };
    let resigning = Setting { resigning: true, ..USUAL };
    let quick = Setting { resigning: true, ..QUICK };
    let growing_late = Setting { writes: Writes::Late, resigning: true, ..GROWING };
    let adding_late = Setting { answers: Answers::Late, ..ADDING };
    let there_and_back = Setting { targets: &[0b1111, 0b1110, 0b0111], ..ADDING };
    vec![
        cold("three elections from nothing", LATE, budget(3, 0, 0)),
        cold("three elections from nothing, one crash", USUAL, budget(3, 1, 1)),
        led("two more elections, one crash", 3, resigning, budget(2, 1, 1)),
        led("three more elections, two decisions, one crash", 3, quick, budget(3, 2, 1)),
        led("two more elections, two crashes", 3, quick, budget(2, 1, 2)),
        led("one voter becomes three, two more elections", 3, growing_late, changing(2, 1, 1)),
        led("three voters become four, two more elections", 4, ADDING, changing(2, 1, 1)),
        led("three voters become four, late answers", 4, adding_late, changing(1, 1, 1)),
        led("voters change twice", 4, there_and_back, Budget { changes: 2, ..budget(2, 0, 1) }),
    ]
}

/// All that can happen, for runs at random.
pub fn everything() -> Scenario {
    let targets = &[0b0111, 0b1111, 0b1110, 0b1101, 0b0110, 0b0011];
    let setting = Setting {
        targets,
        pre_votes: PreVotes::Asked,
        writes: Writes::Late,
        resigning: true,
        showing: true,
        ..GROWING
    };
    let budget = Budget { elections: 12, decisions: 6, crashes: 4, losses: 0, restores: 0, changes: 5 };
    led("everything", 4, setting, budget)
}

/// Nobody knows of any leader, and all logs are empty.
pub fn cold(name: &'static str, setting: Setting, budget: Budget) -> Scenario {
    let start = empty(3, &setting, budget);
    Scenario { name, setting, start }
}

/// Server 0 leads, and its first record is on all servers.
pub fn led(name: &'static str, servers: usize, setting: Setting, budget: Budget) -> Scenario {
    let mut start = empty(servers, &setting, budget);
    start.budget.elections += 1;
    let all: Vec<usize> = start.servers().collect();
    let start = settled(elected(start, &setting, 0, &all), &setting, &all);
    assert_eq!(start.committed.len(), 1, "the first record is committed");
    Scenario { name, setting, start }
}

fn empty(servers: usize, setting: &Setting, budget: Budget) -> World {
    let node = |server| {
        let file = Ballot::new(voter(server).id);
        Node::new(server, file, setting.first_voters, Vec::new(), Passed(MonoNanos(0)))
    };
    World::new((0..servers).map(node).collect(), budget)
}

/// The server asks these others for their votes, and leads.
pub fn elected(world: World, setting: &Setting, server: usize, among: &[usize]) -> World {
    let world = step(&world, setting, Action::Time(server));
    let world = repeated(world, setting, |action| match action {
        Action::Deliver((to, _)) => among.contains(to),
        Action::Written(server) => among.contains(server),
        _ => false,
    });
    assert!(world.node(server).leading.is_some(), "server {server} is elected");
    world
}

/// Lets these servers hear who leads, take what the leader has, and flush it.
pub fn settled(world: World, setting: &Setting, among: &[usize]) -> World {
    repeated(world, setting, |action| match action {
        Action::Named { server, .. }
        | Action::Follow(server)
        | Action::Flush(server)
        | Action::Written(server) => among.contains(server),
        _ => false,
    })
}

/// Steps of this kind, until none changes anything.
fn repeated(mut world: World, setting: &Setting, meant: impl Fn(&Action) -> bool) -> World {
    'next: loop {
        for action in possible(&world, setting).into_iter().filter(&meant) {
            let next = step(&world, setting, action);
            if next.fingerprint() != world.fingerprint() {
                world = next;
                continue 'next;
            }
        }
        return world;
    }
}

pub fn step(world: &World, setting: &Setting, action: Action) -> World {
    let world = after(world, setting, action);
    assert_eq!(world.wrong, None, "a walk begins where all is right");
    world
}

/// What each of the rules prevents: where it is found soon if the rule is off.
pub mod forbidden {
    use super::*;

    /// A vote that is forgotten in a crash is given twice.
    pub fn q1() -> Scenario {
        cold("Q1", LATE, Budget { elections: 2, crashes: 1, ..NOTHING })
    }

    pub fn q2() -> Scenario {
        cold("Q2", USUAL, Budget { elections: 2, ..NOTHING })
    }

    /// Servers 0 and 1 have a decision that server 2 lacks.
    pub fn q3() -> Scenario {
        decided("Q3", USUAL, Budget { elections: 1, ..NOTHING }, &[0, 1])
    }

    /// Server 0 leads for the second time and has a record of its first epoch, which only it has. Server 2 led in between
    /// and has a record that only it has.
    pub fn q4() -> Scenario {
        let budget = Budget { elections: 3, decisions: 1, ..NOTHING };
        let Scenario { setting, start, .. } = led("Q4", 3, QUICK, budget);
        let start = step(&start, &setting, Action::Decide(0));
        let start = step(&start, &setting, Action::Flush(0));
        let start = elected(start, &setting, 2, &[1, 2]);
        let start = step(&start, &setting, Action::Flush(2));
        // Server 0 hears of the epoch in which it is not elected, and is in the next.
        let start = step(&start, &setting, Action::Named { server: 0, leader: 2 });
        let start = elected(start, &setting, 0, &[0, 1]);
        Scenario { name: "Q4", setting, start }
    }

    /// A decision is committed that the next leader has and does not know as committed.
    pub fn q5() -> Scenario {
        decided("Q5", QUICK, Budget { elections: 1, decisions: 1, ..NOTHING }, &[0, 1])
    }

    /// Beyond what a quorum survives: one server that has what is committed forgets it and keeps its vote. The others keep
    /// what they have shown.
    pub fn q6() -> Scenario {
        let setting = Setting { showing: true, ..QUICK };
        decided("Q6", setting, Budget { elections: 1, restores: 1, ..NOTHING }, &[0, 1])
    }

    /// One voter that becomes three before it has flushed that it does.
    pub fn q7() -> Scenario {
        led("Q7", 3, GROWING, Budget { elections: 2, crashes: 1, changes: 1, ..NOTHING })
    }

    /// A server of the majority that has a decision loses its log.
    pub fn q10() -> Scenario {
        decided("Q10", USUAL, Budget { elections: 1, losses: 1, ..NOTHING }, &[0, 1])
    }

    /// One voter sends a record before it is flushed, and leads again after a crash.
    pub fn d14() -> Scenario {
        led(
            "D14",
            3,
            Setting { resigning: true, ..GROWING },
            Budget { elections: 1, decisions: 1, crashes: 1, ..NOTHING },
        )
    }

    /// One voter becomes three and decides in the same write.
    pub fn d15() -> Scenario {
        led("D15", 3, GROWING, Budget { elections: 1, decisions: 1, changes: 1, ..NOTHING })
    }

    /// Server 0 leads and has decided something that is committed on these servers.
    fn decided(name: &'static str, setting: Setting, budget: Budget, among: &[usize]) -> Scenario {
        let budget = Budget { decisions: budget.decisions + 1, ..budget };
        let Scenario { setting, start, .. } = led(name, 3, setting, budget);
        let start = settled(step(&start, &setting, Action::Decide(0)), &setting, among);
        assert_eq!(start.committed.len(), 2, "the decision is committed");
        Scenario { name, setting, start }
    }
}
