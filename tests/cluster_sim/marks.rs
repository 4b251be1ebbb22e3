//! Marks at rare branches: which of them a run has passed, of all that the sources have.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A run of so many courses passes every mark.
const SEEDS_FOR_ALL: u64 = 1000;

/// Prints what was passed, and fails a long run that has passed one of them never.
pub fn report(seeds: u64) {
    let passed = ringmain::base::marks::passed();
    let all = in_sources();
    for (name, times) in &passed {
        println!("{times:>10} x mark: {name}");
    }
    let never: Vec<&String> = all.iter().filter(|name| !passed.contains_key(name.as_str())).collect();
    println!("{} of {} marks passed; never: {never:#?}", all.len() - never.len(), all.len());
    assert!(seeds < SEEDS_FOR_ALL || never.is_empty(), "{} marks were never passed", never.len());
}

/// The names of all marks.
fn in_sources() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        for path in entries.collect::<Vec<PathBuf>>() {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                names.extend(in_text(&fs::read_to_string(path).unwrap()));
            }
        }
    }
    names
}

fn in_text(text: &str) -> impl Iterator<Item = String> + '_ {
    let calls = text.split("mark(\"").skip(1);
    calls.filter_map(|call| Some(call.split_once('"')?.0.to_owned()))
}

#[test]
fn marks_are_found_in_sources() {
    assert_eq!(in_text("x(); mark(\"a cut\"); { mark(\"b\") }").collect::<Vec<_>>(), ["a cut", "b"]);
    assert!(in_sources().len() > 60);
}
