//! The pure shards on a simulated disk: random work, failing and half-done writes, power cuts at any moment, real recovery
//! of what is left; and an independent account of what must be there afterwards.
//!
//! One seed, one course of events: a failure names its seed, and RINGMAIN_SIM_SEED=N repeats it. RINGMAIN_SIM_SEEDS=N runs
//! so many (`scripts/sim`), and prints a hash of all that has happened: a change of these files or of the shard that keeps the
//! hash has changed nothing that the disk or a client could tell.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod client;
mod disk;
mod events;
mod machine;
mod model;
mod settings;
mod topics;
mod world;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic;

use world::World;

/// In every run of the tests.
const SEEDS: u64 = 25;

/// Files of megabytes come and go: without this, each costs the kernel's zeroing of every page.
fn keep_memory() {
    // SAFETY: two settings of the allocator; it heeds them or not.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 30);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 1 << 30);
    }
}

#[test]
fn what_was_acknowledged_survives_whatever_the_disk_does() {
    keep_memory();
    let first = from_environment("RINGMAIN_SIM_SEED");
    let count = from_environment("RINGMAIN_SIM_SEEDS").unwrap_or(if first.is_some() { 1 } else { SEEDS });
    let start = first.unwrap_or(1);
    let (mut recycled, mut traces) = (0, DefaultHasher::new());
    for seed in start..start + count {
        let ran = panic::catch_unwind(|| World::new(seed).run());
        match ran {
            Ok(course) => {
                recycled += course.recycled;
                course.trace.hash(&mut traces);
                if seed % 100 == 0 {
                    println!("{seed} seeds, {recycled} segments in old files");
                }
            }
            Err(cause) => {
                eprintln!("RINGMAIN_SIM_SEED={seed} repeats this failure");
                panic::resume_unwind(cause);
            }
        }
    }
    println!("{recycled} segments in old files; hash of the courses: {:016x}", traces.finish());
    assert!(recycled > 3 * count || count < SEEDS, "only {recycled} segments in old files");
}

#[test]
fn one_seed_is_one_course_of_events() {
    for seed in [7, 8] {
        assert_eq!(World::new(seed).run(), World::new(seed).run());
    }
}

#[test]
fn a_stop_ends_though_the_commit_log_is_full() {
    World::new(4).stop_with_the_commit_log_full();
}

#[test]
fn a_full_commit_log_is_freed_without_waiting_for_a_timer() {
    keep_memory();
    (1..=5).for_each(|seed| World::new(seed).fill_the_commit_log_again_and_again());
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
