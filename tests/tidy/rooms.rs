//! Which folder of src may use which, and which are pure: as the table under "Shape" in src/lib.rs says.

use std::collections::BTreeSet;
use std::fs;

use crate::source::{Source, root, sources};

/// What a pure folder does not say: I/O, clock, threads, entropy.
const IMPURE: [&str; 8] =
    ["glommio", "std::fs", "std::net", "std::thread", "Instant::now", "SystemTime", "RandomState", "tokio"];

/// A row of the table.
struct Row {
    folder: String,
    pure: bool,
    may_use: BTreeSet<String>,
}

/// The table: lines such as "//! | [`log`] | one partition's log; pure | base, config |".
fn table() -> Vec<Row> {
    let text = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let mut rows: Vec<Row> = Vec::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("//! | [`")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [name, what, may_use, ""] = cells[..] else { panic!("a row of src/lib.rs's table: {line}") };
        let may_use = allowed(may_use, &rows);
        let folder = name.trim_end_matches("`]").to_owned();
        rows.push(Row { folder, pure: what.ends_with("; pure"), may_use });
    }
    assert!(!rows.is_empty(), "src/lib.rs has a table of its folders");
    rows
}

/// "nothing", "base, config" or "all above but protocol".
fn allowed(cell: &str, above: &[Row]) -> BTreeSet<String> {
    let names = |list: &str| list.split(", ").map(str::to_owned).collect::<BTreeSet<String>>();
    match cell.strip_prefix("all above") {
        _ if cell == "nothing" => BTreeSet::new(),
        None => names(cell),
        Some(but) => {
            let but = but.strip_prefix(" but ").map(names).unwrap_or_default();
            above.iter().map(|row| row.folder.clone()).filter(|name| !but.contains(name)).collect()
        }
    }
}

/// Lines of the folder's code, with where they are.
fn lines(files: &[Source]) -> impl Iterator<Item = (String, &str)> {
    files
        .iter()
        .flat_map(|source| source.code_lines().map(|(at, line)| (format!("{}:{at}", source.path), line)))
}

#[test]
fn folders_use_only_what_the_table_allows() {
    let rows = table();
    let mut wrong = Vec::new();
    for row in &rows {
        for source in sources(&format!("src/{}", row.folder)) {
            for (at, name) in folders_named(&source) {
                let known = rows.iter().any(|other| other.folder == name);
                if known && name != row.folder && !row.may_use.contains(&name) {
                    wrong.push(format!("{}:{at}: {} must not use {name}", source.path, row.folder));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// First words after `crate::`, also of groups, with their lines.
fn folders_named(source: &Source) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, line) in source.code_lines() {
        for after in line.split("crate::").skip(1) {
            let name: String = after.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            assert!(
                !name.is_empty(),
                "{}:{at}: no group right after crate::, so that this check sees it",
                source.path
            );
            found.push((at, name));
        }
    }
    found
}

#[test]
fn the_table_uses_all_that_it_allows() {
    for row in table() {
        let used: BTreeSet<String> = sources(&format!("src/{}", row.folder))
            .iter()
            .flat_map(|source| folders_named(source).into_iter().map(|(_, name)| name))
            .collect();
        let idle: Vec<&String> = row.may_use.difference(&used).collect();
        assert!(
            idle.is_empty(),
            "{} is allowed {idle:?} by the table in src/lib.rs, and does not use it",
            row.folder
        );
    }
}

#[test]
fn every_folder_is_in_the_table() {
    let rows = table();
    for entry in fs::read_dir(root().join("src")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let name = path.file_name().unwrap().to_str().unwrap();
            assert!(
                rows.iter().any(|row| row.folder == name),
                "src/{name} has no row in the table of src/lib.rs"
            );
        }
    }
}

#[test]
fn pure_folders_have_no_io_clock_or_entropy() {
    let mut wrong = Vec::new();
    for row in table().iter().filter(|row| row.pure) {
        let files = sources(&format!("src/{}", row.folder));
        for (at, line) in lines(&files) {
            for word in IMPURE.iter().filter(|word| line.contains(*word)) {
                wrong.push(format!("{at}: {} is pure and must not use {word}", row.folder));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
