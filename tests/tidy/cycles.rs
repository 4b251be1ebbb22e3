//! Imports between the files of src go round in no circle, and in src/shard few of them run back up.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::exceptions;
use crate::imports::{Imports, Modules};
use crate::source::{root, sources};

/// Files of src that import each other, as the first of them and their number, with the reason.
const CYCLES_LEFT: &[(&str, &str)] = &[];

/// Imports in src/shard from what lies above.
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
    let rooms = Rooms::read(&fs::read_to_string(root().join("src/shard/mod.rs")).unwrap());
    let mut back_up = Vec::new();
    for (from, imported) in &imports() {
        let Some(below) = from.strip_prefix("src/shard/") else { continue };
        let inside = imported.iter().filter_map(|(to, name)| Some((to.strip_prefix("src/shard/")?, name)));
        back_up.extend(
            inside
                .filter(|(to, _)| rooms.runs_back_up(Place::of(below), Place::of(to)))
                .map(|(to, name)| format!("{from} imports {name} from src/shard/{to}")),
        );
    }
    println!("{} imports in src/shard run back up:\n{}", back_up.len(), back_up.join("\n"));
    assert!(
        back_up.len() <= BACK_UP_MAX,
        "{} imports in src/shard run back up, {BACK_UP_MAX} may:\n{}",
        back_up.len(),
        back_up.join("\n")
    );
}

/// The table of rooms in the head of src/shard/mod.rs: each with the rooms that it may use.
struct Rooms(BTreeMap<String, BTreeSet<String>>);

/// Where a file of src/shard lies.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place<'a> {
    /// mod.rs, which is above everything.
    Spine,
    /// Another file right in the folder: plain data, below every room.
    Data,
    Room(&'a str),
}

impl<'a> Place<'a> {
    fn of(file: &'a str) -> Place<'a> {
        match file.split_once('/') {
            Some((room, _)) => Place::Room(room),
            None if file == "mod.rs" => Place::Spine,
            None => Place::Data,
        }
    }
}

impl Rooms {
    /// Reads lines such as "//! | [`seat`] | coordinators, the controller | store, read |".
    fn read(text: &str) -> Rooms {
        let rows = text.lines().filter_map(|line| line.strip_prefix("//! | [`"));
        let rooms = rows.map(|row| {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let [name, _, may_use, ""] = cells[..] else {
                panic!("a row of src/shard/mod.rs's table: {row}")
            };
            let may_use = may_use.split(", ").filter(|name| !name.is_empty()).map(str::to_owned);
            (name.trim_end_matches("`]").to_owned(), may_use.collect())
        });
        Rooms(rooms.collect())
    }

    fn runs_back_up(&self, from: Place<'_>, to: Place<'_>) -> bool {
        let allowed = |room: &str| {
            let row = self.0.get(room);
            row.unwrap_or_else(|| panic!("src/shard/{room} has no row in the table of src/shard/mod.rs"))
        };
        match (from, to) {
            (Place::Spine, _) | (_, Place::Data) => false,
            (_, Place::Spine) | (Place::Data, Place::Room(_)) => true,
            (Place::Room(from), Place::Room(to)) => from != to && !allowed(from).contains(to),
        }
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
    fn rooms_use_plain_data_themselves_and_what_the_table_allows() {
        let rooms =
            Rooms::read("//! | [`store`] | partitions | |\n//! | [`read`] | fetches | store |\nmod read;");
        let check = |from: &str, to: &str, expected: bool| {
            assert_eq!(rooms.runs_back_up(Place::of(from), Place::of(to)), expected, "{from} {to}");
        };
        check("read/mod.rs", "read/cache.rs", false);
        check("read/cache.rs", "effect.rs", false);
        check("read/cache.rs", "mod.rs", true);
        check("read/cache.rs", "store/io.rs", false);
        check("store/io.rs", "read/mod.rs", true);
        check("mod.rs", "read/mod.rs", false);
        check("effect.rs", "turn.rs", false);
        check("effect.rs", "read/mod.rs", true);
        check("effect.rs", "mod.rs", true);
    }
}
