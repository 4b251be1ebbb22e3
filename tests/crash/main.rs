//! kill -9 under load, again and again: what was acknowledged is there afterwards, once, in order, at its offset, whole;
//! what was served once is served again; a retry after the crash never appends twice.
//!
//! RINGMAIN_CRASH_CYCLES and RINGMAIN_CRASH_SEED change length and course.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../load/mod.rs"]
mod load;
#[path = "../process/mod.rs"]
mod process;

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use ringmain::base::rng::Rng;

use load::{Course, Ended, busy};
use process::{Launch, scratch};

#[test]
fn nothing_acknowledged_is_lost_or_changed_by_crashes() {
    let cycles = from_environment("RINGMAIN_CRASH_CYCLES").unwrap_or(100);
    let seed = from_environment("RINGMAIN_CRASH_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("RINGMAIN_CRASH_SEED={seed} RINGMAIN_CRASH_CYCLES={cycles}");
    let scratch = scratch();
    let launch = busy(Launch::new(&scratch.path().join("data")));
    let mut rng = Rng::seeded(seed);
    let mut course = Course::new(seed, Arc::new(|| 0));
    let mut recycled = 0;
    for cycle in 0..cycles {
        if cycle % 100 == 99 {
            println!("{cycle} cycles; {}", course.summary());
        }
        course.live(launch.start(), |server| {
            // The moment is what is random here; nothing is waited for.
            thread::sleep(Duration::from_millis(200 + rng.below(400)));
            recycled += server.metric("ringmain_segments_recycled_total");
            if cycle % 10 == 9 {
                assert_eq!(server.stop(), Some(0), "cycle {cycle}");
                return Ended::InOrder;
            }
            server.kill();
            Ended::AtOnce
        });
    }
    let server = launch.start();
    course.finish(&server.address());
    println!("{}; {recycled} segments in old files", course.summary());
    assert!(recycled > 0, "files are used again");
    assert_eq!(server.stop(), Some(0));
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}
