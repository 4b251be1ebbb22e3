//! Golden transcripts: what a state machine does with its inputs, as text that reads as a specification.
//!
//! Each file under `shard/` begins with a comment that says what it specifies, then the setting (settings of the server,
//! topics, records that are there already), a line `---`, and the script. A line of the script is one input; the lines with an
//! arrow below are everything it causes, in order. Time passes, operations end and clients ask only where the script says so:
//!
//! ```text
//! 1: produce 3 records to t-0          question 1 of some client
//! turn                                 the shard's turn after a batch of inputs
//! done write commit file               the oldest operation under way with these words ends well; `done every ...`: all such
//! failed ..., full ..., rotten ...     it fails (EIO), the disk is full, the bytes are not those that were written
//! pass 500 ms                          time passes; a turn comes only if the script gives one
//! settle                               everything under way ends well, with turns; operations are not shown
//! show                                 what waits or is under way, and when the shard wants its next turn
//! show holdings                        commit files, memory of what was read, spare files, groups
//! ```
//!
//! `RINGMAIN_UPDATE=1 cargo test --locked --test transcripts` writes down what really happens; review that as a diff.
//! `RINGMAIN_TRANSCRIPT=name` plays one only. `ask.rs` has the questions, `driver/mod.rs` the other inputs.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod ask;
#[path = "../sim/disk/mod.rs"]
mod disk;
mod driver;
mod names;
mod script;
mod server;
#[path = "../sim/settings.rs"]
mod settings;
mod words;

use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};

#[test]
fn a_shard_does_what_its_transcripts_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts/shard");
    let only = std::env::var("RINGMAIN_TRANSCRIPT").ok();
    let mut transcripts: Vec<PathBuf> =
        fs::read_dir(folder).expect("transcripts").map(|it| it.expect("an entry").path()).collect();
    transcripts.sort();
    assert!(!transcripts.is_empty(), "the transcripts are beside the code that plays them");
    let is_meant = |path: &&PathBuf| only.as_ref().is_none_or(|it| path.file_stem() == Some(it.as_ref()));
    let different: Vec<String> =
        transcripts.iter().filter(is_meant).filter_map(|path| differs(path)).collect();
    assert!(different.is_empty(), "{}\nRINGMAIN_UPDATE=1 writes down what happens now", different.join("\n"));
}

/// Plays one transcript; tells in which lines it is not what happens.
fn differs(path: &Path) -> Option<String> {
    let name = path.file_name().expect("a file").display().to_string();
    let text = fs::read_to_string(path).expect("readable");
    assert!(text.starts_with("# "), "{name} begins with a comment that says what it specifies");
    let played = panic::catch_unwind(AssertUnwindSafe(|| script::play(&text)));
    let played = played.unwrap_or_else(|cause| {
        eprintln!("in the transcript {name}");
        panic::resume_unwind(cause)
    });
    if std::env::var_os("RINGMAIN_UPDATE").is_some() {
        fs::write(path, &played).expect("writable");
        return None;
    }
    let difference = script::difference(&text, &played);
    (!difference.is_empty()).then(|| format!("{name}:\n{difference}"))
}
