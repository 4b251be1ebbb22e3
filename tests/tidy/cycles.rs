//! Imports between the files of src go round in no circle, and in src/shard few of them run back up.

use std::collections::{BTreeMap, BTreeSet};

use crate::exceptions;
use crate::imports::{Imports, Modules};
use crate::source::sources;

/// Files of src that import each other, as the first of them and their number, with the reason.
const CYCLES_LEFT: &[(&str, &str)] = &[
    ("src/admin/mod.rs: 2 files", "Scraped lives beside the server that renders it"),
    (
        "src/api/answer.rs: 10 files",
        "Step holds what single APIs continue with, and a connection's state what they remember",
    ),
    ("src/api/api_versions.rs: 2 files", "the table names each API, and one API answers with the table"),
    ("src/cli/completions.rs: 2 files", "completions are made from the whole command line"),
    ("src/client/producer.rs: 2 files", "ProducerOptions lives beside the producer"),
    ("src/config/mod.rs: 2 files", "Changes lives beside Config"),
    ("src/config/parsed.rs: 2 files", "a setting is read by its kind, and kinds live beside the setting"),
    ("src/controller/configs.rs: 4 files", "ControllerConfig lives beside the decisions"),
    ("src/group/consumer/assign/mod.rs: 3 files", "MemberSpec lives beside the choice of the assignor"),
    ("src/group/consumer/describe.rs: 6 files", "the group's verbs are in files beside it"),
    ("src/inspect/commit.rs: 4 files", "Report lives beside the choice of what to inspect"),
    ("src/log/admit.rs: 6 files", "the log's verbs are in files beside it"),
    ("src/record/batch.rs: 6 files", "Codec and BatchError live beside the batch"),
    ("src/runtime/cleaner.rs: 7 files", "the cleaner and recovery share functions for files"),
    ("src/server/connection.rs: 4 files", "a connection and its shard's thread know each other"),
    ("src/shard/cache.rs: 17 files", "every file adds verbs to the one Shard"),
];

/// Folders of src/shard in the order in which they may use each other: a later one may use what the `mod.rs` of an earlier
/// one shows. Above all of them are the files right in src/shard.
const ROOMS: [&str; 4] = ["store", "read", "seat", "upkeep"];
/// Files right in src/shard that are plain data, which every room may use.
const PLAIN_DATA: [&str; 4] = ["request", "effect", "event", "turn"];
/// Imports of rooms from what is above them.
const BACK_UP_MAX: usize = 5;

fn imports() -> Imports {
    Modules::new("src", &sources("src")).imports()
}

#[test]
fn imports_go_round_in_no_circle() {
    let found = circles(&imports());
    let problems = found.iter().map(|circle| {
        let name = format!("{}: {} files", circle.files[0], circle.files.len());
        let problem = format!("{name} import each other in a circle:\n  {}", circle.imports.join("\n  "));
        (name, problem)
    });
    exceptions::check("CYCLES_LEFT in tests/tidy/cycles.rs", CYCLES_LEFT, problems);
}

/// Files of which each one reaches every other.
#[derive(Debug, PartialEq)]
struct Circle {
    files: Vec<String>,
    imports: Vec<String>,
}

fn circles(imports: &Imports) -> Vec<Circle> {
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        imports.keys().map(|from| (from.as_str(), reached_from(imports, from))).collect();
    let mut circles: Vec<Circle> = Vec::new();
    for from in imports.keys() {
        let together: BTreeSet<&str> =
            reached[from.as_str()].iter().copied().filter(|to| reached[to].contains(from.as_str())).collect();
        if together.first() == Some(&from.as_str()) {
            circles.push(Circle::new(&together, imports));
        }
    }
    circles
}

impl Circle {
    fn new(together: &BTreeSet<&str>, imports: &Imports) -> Circle {
        let of = |from: &str| {
            let inside = imports[from].iter().filter(|(to, _)| together.contains(to.as_str()));
            inside.map(|(to, name)| format!("{from} imports {name} from {to}")).collect::<Vec<_>>()
        };
        Circle {
            files: together.iter().map(|file| (*file).to_owned()).collect(),
            imports: together.iter().flat_map(|from| of(from)).collect(),
        }
    }
}

fn reached_from<'a>(imports: &'a Imports, from: &str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut left: Vec<&str> = imports[from].keys().map(String::as_str).collect();
    while let Some(file) = left.pop() {
        if reached.insert(file) {
            left.extend(imports[file].keys().map(String::as_str));
        }
    }
    reached
}

#[test]
fn few_imports_of_the_shard_run_back_up() {
    let imports = imports();
    let mut back_up = Vec::new();
    for (from, imported) in &imports {
        let Some(from_room) = room(from) else { continue };
        for (to, name) in imported {
            if to.starts_with("src/shard/") && runs_back_up(from_room, to) {
                back_up.push(format!("{from} imports {name} from {to}"));
            }
        }
    }
    assert!(
        back_up.len() <= BACK_UP_MAX,
        "{} imports of rooms in src/shard run back up, {BACK_UP_MAX} may:\n{}",
        back_up.len(),
        back_up.join("\n")
    );
}

/// The folder of src/shard in which a file is.
fn room(file: &str) -> Option<&str> {
    let (room, _) = file.strip_prefix("src/shard/")?.split_once('/')?;
    Some(room)
}

fn runs_back_up(from: &str, to: &str) -> bool {
    let order = |name: &str| {
        let place = ROOMS.iter().position(|room| *room == name);
        place.unwrap_or_else(|| panic!("src/shard/{name} has no place in ROOMS of tests/tidy/cycles.rs"))
    };
    match room(to) {
        Some(to_room) if to_room == from => false,
        Some(to_room) => order(to_room) > order(from) || !to.ends_with("/mod.rs"),
        None => !PLAIN_DATA.iter().any(|name| to == format!("src/shard/{name}.rs")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circles_are_found_whole() {
        let edges = [("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("d", "e"), ("f", "g"), ("g", "f")];
        let mut imports = Imports::new();
        for (from, to) in edges {
            imports.entry(from.to_owned()).or_default().insert(to.to_owned(), "X".to_owned());
            imports.entry(to.to_owned()).or_default();
        }
        let found = circles(&imports);
        let files: Vec<&[String]> = found.iter().map(|circle| &circle.files[..]).collect();
        assert_eq!(files, [&["a", "b", "c"][..], &["f", "g"]]);
        assert_eq!(found[1].imports, ["f imports X from g", "g imports X from f"]);
    }

    #[test]
    fn rooms_use_plain_data_themselves_and_what_earlier_ones_show() {
        let check = |from: &str, to: &str, expected: bool| {
            assert_eq!(runs_back_up(from, to), expected, "{from} {to}");
        };
        check("read", "src/shard/read/cache.rs", false);
        check("read", "src/shard/effect.rs", false);
        check("read", "src/shard/mod.rs", true);
        check("read", "src/shard/store/mod.rs", false);
        check("read", "src/shard/store/io.rs", true);
        check("store", "src/shard/read/mod.rs", true);
    }
}
