//! Rigs: the real server on disks that lose power, fail, crawl or are full.
//!
//! | rig | how | what must hold |
//! |---|---|---|
//! | [`power_cut`] | every write and flush of a disk is recorded; crash images are made of any prefix | nothing acknowledged is lost, nothing invented, no manual step |
//! | [`io_errors`] | a disk that fails and crawls at a word | after a failed write or flush nothing is acknowledged and the server ends; a failed read costs its reader; a slow disk slows producers down |
//! | [`shutdown`] | file systems that stop at once | as at a power cut |
//! | [`full_disk`] | a disk that promised more space than there is | as at a failed write |
//! | [`held_up`] | strace holds the server's threads up at each moment of its start | it starts |
//!
//! They take root, loop devices and FUSE. Where these are not there, each says so and does nothing; a missing program is a
//! failure. RINGMAIN_RIGS_IMAGES and RINGMAIN_RIGS_SEED change length and course; `scripts/rigs` is the way to long runs.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod block_log;
mod daemon;
mod disk;
mod failing_disk;
mod full_disk;
mod held_up;
mod io_errors;
#[path = "../load/mod.rs"]
mod load;
mod machine;
mod power_cut;
#[path = "../process/mod.rs"]
mod process;
mod shutdown;

/// A number that a long run sets.
fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

fn seed() -> u64 {
    let seed = from_environment("RINGMAIN_RIGS_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    machine::say(&format!("RINGMAIN_RIGS_SEED={seed}"));
    seed
}
