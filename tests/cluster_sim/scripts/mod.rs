//! Named courses of events, each written down step by step: what was walked through when the cluster was designed, and what an
//! attack on the design has found (D and U with their numbers).
//!
//! RINGMAIN_CLUSTER_SCRIPT=words runs those whose names have these words.

mod controllers;
mod disks;
mod leaders;
mod moves;
mod play;

use play::Play;

/// A script, by what it shows.
type Script = (&'static str, fn());

/// All of them.
pub fn all() -> Vec<Script> {
    [leaders::SCRIPTS, disks::SCRIPTS, controllers::SCRIPTS, moves::SCRIPTS].concat()
}

#[test]
fn every_script_ends_as_it_says() {
    let wanted = std::env::var("RINGMAIN_CLUSTER_SCRIPT").unwrap_or_default();
    let mut failed = Vec::new();
    for (name, script) in all().into_iter().filter(|(name, _)| name.contains(&wanted)) {
        println!("script: {name}");
        if let Err(cause) = std::panic::catch_unwind(script) {
            failed.push(format!("'{name}': {}", crate::words_of(&*cause)));
        }
    }
    assert!(failed.is_empty(), "{} scripts failed\n{}", failed.len(), failed.join("\n"));
}
