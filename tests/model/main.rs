//! Walks through all states of a small quorum: the real elections of `ringmain::quorum`, with logs that are vectors.
//!
//! A state is three or four servers and the messages under way. Whatever can happen next is tried in each: a deadline comes,
//! a message arrives (in any order, or never), a write or a flush ends, a follower gets one record, a leader decides or
//! changes the voters, a server dies and loses what it had not flushed. In every state at most one server has led each epoch,
//! nothing that was committed is lost or other than it was, a leader has all of it, and logs that have the same epoch at the
//! same offset are equal up to there.
//!
//! What cannot make a difference is left out, so that the rest is few enough: a message that is of no use any more counts as
//! lost; acks arrive at once, since a leader that learns later what was flushed only commits later; times are not compared,
//! a deadline may come at any moment. `setting::Setting` says what else one walk leaves out.
//!
//! With one of the rules off, the same walk must find something wrong: so it would have found it in the code. Rules
//! about how soon there is a leader (Q8, Q9) are in `soon`.
//!
//! `RINGMAIN_MODEL=10000000 cargo test --release --test model` walks through so many states of each of some larger worlds (a
//! million takes some 15 seconds and 500 MB); `RINGMAIN_MODEL_ONLY` names one of them. Rules can be switched only without
//! optimisation.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod actions;
mod checks;
mod mixer;
mod random;
mod scenarios;
mod setting;
mod soon;
mod steps;
mod transcript;
mod walk;
mod world;

use std::sync::RwLock;
use std::time::Instant;

use scenarios::Scenario;
use walk::{Walked, walk};

/// Rules are switched for the whole process: whoever needs all of them reads, whoever switches writes.
static RULES: RwLock<()> = RwLock::new(());

/// How many states of each larger world are wanted.
fn deep() -> Option<usize> {
    let states = std::env::var("RINGMAIN_MODEL").ok()?;
    Some(states.parse().expect("RINGMAIN_MODEL is a number of states"))
}

#[test]
fn nothing_goes_wrong_in_a_small_quorum() {
    let _all = RULES.read().unwrap();
    let only = std::env::var("RINGMAIN_MODEL_ONLY").unwrap_or_default();
    let scenarios = if deep().is_some() { scenarios::deep() } else { scenarios::usual() };
    for Scenario { name, setting, start } in scenarios.into_iter().filter(|it| it.name.contains(&only)) {
        let began = Instant::now();
        let Walked { states, depth, complete, wrong } = walk(&start, &setting, deep().unwrap_or(usize::MAX));
        println!("{name}: {states} states, {depth} steps deep, all: {complete}, {:.1?}", began.elapsed());
        if let Some((wrong, steps)) = wrong {
            panic!("{name}: {wrong}\n{}", steps.join("\n"));
        }
        assert!(deep().is_some() || complete && states > 1_000, "{name} is walked through");
    }
}

#[test]
fn nothing_goes_wrong_at_random() {
    let _all = RULES.read().unwrap();
    let runs = deep().map_or(5_000, |states| u64::try_from(states / 10).unwrap());
    let reached = random::run(0..runs);
    println!("{reached:?} in {runs} runs");
    let enough = |count: usize| u64::try_from(count).unwrap() > runs;
    assert!(
        enough(reached.leaders) && enough(reached.committed / 3) && enough(reached.changes),
        "{reached:?}"
    );
}

#[cfg(debug_assertions)]
#[test]
fn without_a_rule_it_takes_longer() {
    use ringmain::base::Rule;
    use ringmain::base::rules::switch_off;

    let _one = RULES.write().unwrap();
    switch_off(Some(Rule::Q8));
    let deposed = (0..20).filter(|seed| !soon::leader_survives_a_return(*seed)).count();
    switch_off(Some(Rule::Q9));
    let replaced = (0..20).filter_map(soon::deaf_leader_is_replaced).count();
    switch_off(None);
    assert_eq!((deposed, replaced), (20, 0));
}

/// Whether a voter of which the log is a snapshot of epoch 7 alone gives its vote to a log that ends in epoch 3.
#[cfg(debug_assertions)]
fn snapshot_gives_way() -> bool {
    use ringmain::base::{LeaderEpoch, MonoNanos, Offset};
    use ringmain::quorum::{Ballot, Message, Quorum, Timers, VoteAsk, VoteKind, VotersLog, log_end};

    let ballot = Ballot::new(world::voter(1).id);
    let log = VotersLog::new(world::voters(0b111));
    let now = MonoNanos(0);
    let mut quorum = Quorum::new(world::voter(1).server, ballot, log, Timers::default(), 1, now);
    let ask = VoteAsk {
        kind: VoteKind::Pre,
        epoch: LeaderEpoch(1),
        candidate: world::voter(0),
        asked: world::voter(1),
        log: log_end(Some(LeaderEpoch(3)), None, Offset(200)),
    };
    let outcome = quorum.vote_asked(now, &ask, log_end(None, Some(LeaderEpoch(7)), Offset(1_000)));
    matches!(outcome.send[..], [(_, Message::Answer(answer))] if answer.granted)
}

#[cfg(debug_assertions)]
#[test]
fn without_a_rule_a_snapshot_gives_way() {
    use ringmain::base::Rule;
    use ringmain::base::rules::switch_off;

    let _one = RULES.write().unwrap();
    assert!(!snapshot_gives_way());
    switch_off(Some(Rule::D4));
    let gives_way = snapshot_gives_way();
    switch_off(None);
    assert!(gives_way);
}

#[cfg(debug_assertions)]
#[test]
fn without_a_rule_something_goes_wrong() {
    use ringmain::base::Rule;
    use ringmain::base::rules::switch_off;
    use scenarios::forbidden;

    let _one = RULES.write().unwrap();
    let found: [(Rule, fn() -> Scenario); 10] = [
        (Rule::Q1, forbidden::q1),
        (Rule::Q2, forbidden::q2),
        (Rule::Q3, forbidden::q3),
        (Rule::Q4, forbidden::q4),
        (Rule::Q5, forbidden::q5),
        (Rule::Q6, forbidden::q6),
        (Rule::Q7, forbidden::q7),
        (Rule::Q10, forbidden::q10),
        (Rule::D14, forbidden::d14),
        (Rule::D15, forbidden::d15),
    ];
    for (rule, scenario) in found {
        let Scenario { setting, start, .. } = scenario();
        switch_off(Some(rule));
        let began = Instant::now();
        let without = walk(&start, &setting, 200_000);
        switch_off(None);
        let with = walk(&start, &setting, without.states + 5_000);
        let Some((wrong, steps)) = without.wrong else {
            panic!("without {rule} nothing goes wrong in {} states", without.states);
        };
        println!(
            "without {rule}: {wrong}, after {} steps and {} states, {:.1?}:\n  {}",
            steps.len(),
            without.states,
            began.elapsed(),
            steps.join("\n  ")
        );
        assert_eq!(with.wrong, None, "with {rule}");
    }
}
