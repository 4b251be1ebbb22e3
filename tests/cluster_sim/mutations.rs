//! Rules that are off: the simulator must find a violation for each, or it is too weak.
//!
//! RINGMAIN_MUTATE=R3 (or several, with commas, or all) chooses; RINGMAIN_CLUSTER_SEEDS says how many courses each rule gets.

use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};

use ringmain::base::Rule;
use ringmain::base::rules::switch_off;

use crate::course::{Course, Plan, scripts};

/// Courses without a rule, at most.
const SEEDS: u64 = 500;

static IS_QUIET: AtomicBool = AtomicBool::new(false);

/// Runs courses without each of the rules that are named, until one fails.
pub fn run(names: &str, seeds: Option<u64>, plan: impl Fn(u64) -> Plan) {
    let rules =
        Rule::ALL.iter().filter(|rule| names == "all" || names.split(',').any(|it| it == rule.name()));
    let rules: Vec<Rule> = rules.copied().collect();
    assert!(!rules.is_empty(), "RINGMAIN_MUTATE={names} names no rule");
    be_quiet();
    let mut missed = Vec::new();
    for rule in rules {
        switch_off(Some(rule));
        IS_QUIET.store(true, Ordering::Relaxed);
        let found = found(seeds.unwrap_or(SEEDS), &plan);
        IS_QUIET.store(false, Ordering::Relaxed);
        switch_off(None);
        match found {
            Some(how) => println!("{rule}: found by {how}"),
            None => {
                println!("{rule}: MISSED");
                missed.push(rule);
            }
        }
    }
    assert!(missed.is_empty(), "nothing has missed the rules {missed:?}");
}

/// What has failed first, and how.
fn found(seeds: u64, plan: &impl Fn(u64) -> Plan) -> Option<String> {
    for (name, script) in scripts::all() {
        if let Err(cause) = panic::catch_unwind(script) {
            return Some(format!("script '{name}': {}", first_line(&*cause)));
        }
    }
    (1..=seeds).find_map(|seed| {
        let cause = catch(plan(seed)).err()?;
        Some(format!("seed {seed}: {}", first_line(&*cause)))
    })
}

fn catch(plan: Plan) -> std::thread::Result<crate::course::Outcome> {
    panic::catch_unwind(|| Course::new(plan).run())
}

fn first_line(cause: &(dyn std::any::Any + Send)) -> String {
    crate::words_of(cause).lines().next().unwrap_or_default().chars().take(200).collect()
}

/// Panics that are wanted say nothing by themselves.
fn be_quiet() {
    let loud = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !IS_QUIET.load(Ordering::Relaxed) {
            loud(info);
        }
    }));
}
