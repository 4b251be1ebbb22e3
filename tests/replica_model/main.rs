//! An exhaustive walk of a small world over the product's own replication code: three replicas, two of which must be in sync,
//! two values, two elections, one crash that loses what is not flushed or one disk that is lost, messages in any order, one
//! lane lost with what is on it. Logs are lists of (epoch, value); the controller is a reduced one that never fails.
//!
//! Walks begin in scripted states and go on to every state that can follow, nearest first, as far as a number of states; then
//! some wander farther by chance. In each state the invariants hold. With a rule switched off, one of them is broken within few
//! steps: so the walks would find it if the code broke the rule.
//!
//! `RINGMAIN_MODEL_STATES=4000000 cargo test --locked --test replica_model` goes far, in an optimised build with debug
//! assertions within half an hour. `RINGMAIN_MODEL_OFF=R3` shows what is found without a rule.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod checks;
mod cluster;
mod controller;
mod replica;
mod starts;
mod steps;
mod walk;

use ringmain::base::Rule;
use ringmain::base::rules::switch_off;

use walk::{Found, walk, wander};

/// Rules with the starts near which their absence shows.
const FOUND_FROM: [(Rule, &str); 11] = [
    (Rule::R1, "fresh"),
    (Rule::R2, "one behind"),
    (Rule::R2b, "one out"),
    (Rule::R3, "fresh"),
    (Rule::R4, "one behind"),
    (Rule::R6, "committed"),
    (Rule::R11, "followed again"),
    (Rule::D11, "alone"),
    (Rule::AgreeFirst, "replaced"),
    (Rule::OpenAnew, "led again"),
    (Rule::IsrByImage, "fresh"),
];
/// So many states are enough to find any rule's absence.
const STATES_OFF: usize = 60_000;

/// One test, because a rule is switched off for the whole process.
#[test]
fn invariants_hold_wherever_the_rules_do() {
    let states = states();
    for start in starts::all() {
        let cluster = start.cluster().unwrap_or_else(|what| panic!("{}: {what}", start.name));
        match walk(&cluster, states) {
            Found::Nothing { states, depth } => {
                println!("{}: {states} states, {depth} steps far", start.name)
            }
            Found::Wrong { what, steps } => panic!("{}: {what} after {steps:?}", start.name),
        }
        for seed in 0..u64::try_from(states / 500).unwrap() {
            if let Some((what, steps)) = wander(&cluster, seed, 60) {
                panic!("{}: {what} after {steps:?}", start.name);
            }
        }
    }
    for (rule, start) in FOUND_FROM {
        let found = without(rule, start, STATES_OFF);
        println!("{rule} off, {start}: {}", found.as_deref().unwrap_or("nothing"));
        assert!(found.is_some(), "with {rule} off, nothing is found from {start:?}");
    }
    an_ask_is_granted_after_a_later_copy();
}

/// How far the walks go.
fn states() -> usize {
    let told = std::env::var("RINGMAIN_MODEL_STATES").ok();
    told.map_or(30_000, |it| it.parse().unwrap())
}

/// What is found with a rule switched off.
fn without(rule: Rule, start: &str, states: usize) -> Option<String> {
    switch_off(Some(rule));
    let start = starts::all().into_iter().find(|it| it.name == start).unwrap();
    let found = match start.cluster().map(|cluster| walk(&cluster, states)) {
        Err(what) => Some(format!("{what}, within the script")),
        Ok(Found::Wrong { what, steps }) => Some(format!("{what} after {steps:?}")),
        Ok(Found::Nothing { .. }) => None,
    };
    switch_off(None);
    found
}

/// Why the controller takes the asks of one leader in their order: else a copy that a later one has overtaken is granted after
/// the later one's refusal, which has settled the ask.
fn an_ask_is_granted_after_a_later_copy() {
    let start = starts::all().into_iter().find(|it| it.name == "one out").unwrap();
    let mut cluster = start.cluster().unwrap();
    cluster.takes_any_ask = true;
    let found = walk(&cluster, 5 * STATES_OFF);
    assert!(matches!(found, Found::Wrong { .. }), "asks in any order are harmless");
}

#[test]
fn a_rule_named_in_the_environment_is_off() {
    let Ok(name) = std::env::var("RINGMAIN_MODEL_OFF") else { return };
    let rule = Rule::ALL.iter().find(|it| it.name() == name).unwrap();
    for start in starts::all() {
        println!("{}: {:?}", start.name, without(*rule, start.name, states()));
    }
}
