//! Whole clusters in one thread: the pure shards of several servers on simulated disks, clocks and networks, their clients,
//! a nemesis, and an independent account of what must be true.
//!
//! One seed is one course of events. RINGMAIN_CLUSTER_SEED=N repeats that of a failure, which tells its last events then;
//! RINGMAIN_CLUSTER_TRACE=1 prints all of them. RINGMAIN_CLUSTER_SEEDS=N runs so many, RINGMAIN_CLUSTER_MINUTES=N makes each so
//! long in virtual time. RINGMAIN_MUTATE=R3 (or all) switches a rule off and demands that a violation is found.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod atlas;
mod checks;
mod clients;
mod clock;
mod course;
#[allow(dead_code, reason = "the simulator of one server uses all of it")]
#[path = "../sim/disk/mod.rs"]
mod disk;
mod event;
mod marks;
mod mutations;
mod nemesis;
mod net;
mod oracle;
mod queue;
mod seam;
mod server;
#[path = "../sim/settings.rs"]
mod settings;
mod trace;
mod wires;

use std::collections::BTreeMap;
use std::num::NonZero;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{panic, thread};

use course::{Course, Outcome, Plan};
use oracle::Layout;
use queue::Span;

/// In every run of the tests that is not told otherwise: `scripts/test` runs more of them, optimised.
const SEEDS: u64 = 2;
const MINUTES: u64 = 1;

/// Files come and go: without this, each costs the kernel's zeroing of every page.
fn keep_memory() {
    // SAFETY: two settings of the allocator; it heeds them or not.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 30);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 1 << 30);
    }
}

/// What this thread has taken of a processor: others may be busy beside it.
fn cpu_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes to a place that is ours.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn plan(seed: u64, minutes: u64) -> Plan {
    let length = Span::seconds(60 * minutes);
    Plan {
        seed,
        length,
        layout: if std::env::var_os("RINGMAIN_CLUSTER_APART").is_some() {
            Layout::Apart
        } else {
            Layout::Together
        },
        is_told: false,
    }
}

/// Runs a course; one that fails is run again, and tells its last events.
fn run(plan: Plan) -> Outcome {
    match panic::catch_unwind(|| Course::new(plan).run()) {
        Ok(outcome) => outcome,
        Err(cause) => {
            let mut course = Course::new(Plan { is_told: true, ..plan });
            let again = panic::catch_unwind(panic::AssertUnwindSafe(|| course.course()));
            eprintln!("{}", course.trace.last_words());
            eprintln!("RINGMAIN_CLUSTER_SEED={} repeats this failure: {}", plan.seed, words_of(&*cause));
            assert!(again.is_err(), "the same seed fails only sometimes");
            panic::resume_unwind(cause);
        }
    }
}

pub fn words_of(cause: &(dyn std::any::Any + Send)) -> &str {
    let owned = cause.downcast_ref::<String>().map(String::as_str);
    owned.or(cause.downcast_ref::<&str>().copied()).unwrap_or("a panic without words")
}

#[test]
fn what_was_acknowledged_survives_whatever_happens_to_the_servers() {
    keep_memory();
    let first = from_environment("RINGMAIN_CLUSTER_SEED");
    let count = from_environment("RINGMAIN_CLUSTER_SEEDS").unwrap_or(if first.is_some() { 1 } else { SEEDS });
    let minutes = from_environment("RINGMAIN_CLUSTER_MINUTES").unwrap_or(MINUTES);
    let first = first.unwrap_or(1);
    let (done, took) = run_all(first..first + count, |seed| plan(seed, minutes));
    let mut all = Outcome { trace: 0, events: 0, records: 0, lives: 0 };
    for Outcome { trace, events, records, lives } in done {
        all.trace = all.trace.rotate_left(7) ^ trace;
        all.events += events;
        all.records += records;
        all.lives += lives;
    }
    println!(
        "{count} seeds of {minutes} minutes in {took:.1} s of a processor: {:.0} x real time, {:.0} events a second, {} records, {} lives; \
         hash of the courses: {:016x}",
        (count * minutes * 60) as f64 / took,
        all.events as f64 / took,
        all.records,
        all.lives,
        all.trace,
    );
    for (invariant, times) in checks::looked_at() {
        println!("{times:>10} x {invariant}");
    }
    marks::report(count);
}

/// Runs courses on all processors: their outcomes in the order of the seeds, and what they took of processors, in seconds. A
/// failure ends what has not begun.
fn run_all(seeds: Range<u64>, plan: impl Fn(u64) -> Plan + Sync) -> (Vec<Outcome>, f64) {
    let (next, done) = (AtomicU64::new(seeds.start), Mutex::new(BTreeMap::new()));
    let run_some = || {
        let began = cpu_seconds();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return cpu_seconds() - began;
            }
            let plan = plan(seed);
            let outcome = panic::catch_unwind(|| run(plan));
            if outcome.is_err() {
                next.store(seeds.end, Ordering::Relaxed);
            }
            done.lock().unwrap().insert(seed, outcome);
        }
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let took = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(run_some)).collect();
        threads.into_iter().map(|it| it.join().unwrap()).sum()
    });
    let outcomes = done.into_inner().unwrap().into_values();
    (outcomes.map(|it| it.unwrap_or_else(|cause| panic::resume_unwind(cause))).collect(), took)
}

#[test]
fn rules_that_are_off_are_missed() {
    let Ok(names) = std::env::var("RINGMAIN_MUTATE") else { return };
    keep_memory();
    let minutes = from_environment("RINGMAIN_CLUSTER_MINUTES").unwrap_or(MINUTES);
    mutations::run(&names, from_environment("RINGMAIN_CLUSTER_SEEDS"), |seed| plan(seed, minutes));
}

#[test]
fn one_seed_is_one_course() {
    assert_eq!(run(plan(7, 1)), run(plan(7, 1)));
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
