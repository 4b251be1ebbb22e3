//! The guide may not go stale: the settings it lists have the defaults and bounds of the tables, the files, functions and
//! pages it names are there.

use std::fs;
use std::path::{Path, PathBuf};

use ringmain::config::setting::{Allowed, Kind, Setting, Support, Update};
use ringmain::config::{broker, topic};

/// How the tables of settings begin in operating.md: those of the server, and those of topics.
const HEADING: &str = "| setting | default | allowed | live | meaning |\n|---|---|---|---|---|\n";
/// How the tables of hops begin in tour.md.
const HOPS: &str = "| hop | file | function |";
/// How the table of log lines begins in operating.md.
const LINES: &str = "| level | line contains | meaning and what to do |\n";
/// A code span that begins so names a file of the repository.
const FOLDERS: [&str; 6] = ["src/", "tests/", "scripts/", "bench/", "schema/", ".github/"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// README, the pages of the guide, and the pages for contributors.
fn pages() -> Vec<PathBuf> {
    let folders = [root().join("src/guide"), root().join(".github")];
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let pages = entries.map(|entry| entry.unwrap().path());
    let mut pages: Vec<PathBuf> =
        pages.filter(|path| path.extension().is_some_and(|it| it == "md")).collect();
    assert!(pages.len() >= 6, "only {pages:?}");
    pages.push(root().join("README.md"));
    pages
}

/// The text outside code blocks.
fn prose(page: &str) -> String {
    page.split("\n```").step_by(2).collect::<Vec<_>>().join("\n")
}

/// What stands between single backticks.
fn code_spans(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn cells(row: &str) -> Vec<&str> {
    row.trim_matches('|').split(" | ").map(str::trim).collect()
}

fn allowed(setting: &Setting) -> String {
    match setting.allowed {
        Allowed::Range { min, max } if max == i64::from(i32::MAX) || max == i64::MAX => {
            format!("at least {min}")
        }
        Allowed::Range { min, max } => format!("{min} to {max}"),
        Allowed::Real { min, max } if max == f64::MAX => format!("at least {min}"),
        Allowed::Real { min, max } => format!("{min} to {max}"),
        Allowed::OneOf(values) => values.join(", "),
        Allowed::EachOf(values) => format!("any of {}", values.join(", ")),
        _ if setting.kind == Kind::Boolean => "true, false".to_owned(),
        _ => "text".to_owned(),
    }
}

fn check_setting(setting: Option<&Setting>, row: &str) {
    let cells = cells(row);
    let name = code_spans(cells[0]).next().unwrap();
    let setting = setting.unwrap_or_else(|| panic!("no setting {name}"));
    let default = setting.default.unwrap_or("unset");
    let live = if setting.update == Update::Dynamic { "yes" } else { "no" };
    let expected = [format!("`{name}`"), default.to_owned(), allowed(setting), live.to_owned()];
    assert_eq!(cells[..4], expected, "of {name}");
}

#[test]
fn settings_of_the_guide_are_those_of_the_tables() {
    let page = read(&root().join("src/guide/operating.md"));
    let tables: Vec<&str> = page.split(HEADING).skip(1).collect();
    let [of_server, of_topics] = tables[..] else { panic!("operating.md has {} tables", tables.len()) };
    let rows = |table: &str| -> Vec<String> {
        table.lines().take_while(|line| line.starts_with('|')).map(str::to_owned).collect()
    };
    let name = |row: &str| code_spans(row).next().unwrap().to_owned();
    for row in rows(of_server) {
        check_setting(broker::find(&name(&row)), &row);
    }
    for row in rows(of_topics) {
        check_setting(topic::find(&name(&row)), &row);
    }
    // One that nothing acts on is in README, with the others of its kind.
    let acts = |it: &&Setting| matches!(it.support, Support::Acts);
    for setting in broker::settings().filter(|it| it.name.starts_with("ringmain.")).filter(acts) {
        assert!(
            of_server.contains(&format!("| `{}` |", setting.name)),
            "operating.md lacks {}",
            setting.name
        );
    }
}

#[test]
fn files_named_in_the_pages_are_there() {
    let mut missing = Vec::new();
    for page in pages() {
        let text = prose(&read(&page));
        for span in code_spans(&text) {
            let path = span.split([' ', ':']).next().unwrap_or_default();
            let names_one =
                !path.contains(['*', '<', '{', '…']) && FOLDERS.iter().any(|it| path.starts_with(it));
            if names_one && !root().join(path).exists() {
                missing.push(format!("{} names {path}", page.display()));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn links_between_the_pages_lead_somewhere() {
    let mut missing = Vec::new();
    for page in pages() {
        let text = prose(&read(&page));
        let inline = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let defined =
            text.lines().filter_map(|line| line.strip_prefix('[')?.split_once("]: ")).map(|(_, to)| to);
        for target in inline.chain(defined) {
            let file = target.split('#').next().unwrap_or_default();
            let is_file = !file.is_empty() && !target.contains("://");
            if is_file && !page.parent().unwrap().join(file).exists() {
                missing.push(format!("{} links to {target}", page.display()));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn functions_of_the_tour_are_in_their_files() {
    let page = read(&root().join("src/guide/tour.md"));
    let mut hops = 0;
    for table in page.split(HOPS).skip(1) {
        for row in table.lines().skip(2).take_while(|line| line.starts_with('|')) {
            let cells = cells(row);
            let file = code_spans(cells[1]).next().unwrap();
            let code = read(&root().join(file));
            for function in code_spans(cells[2]) {
                assert!(code.contains(&format!("fn {function}")), "{file} has no function {function}");
                hops += 1;
            }
        }
    }
    assert!(hops > 20, "the tour names {hops} functions");
}

#[test]
fn lines_of_the_log_are_said_somewhere() {
    let page = read(&root().join("src/guide/operating.md"));
    let (_, table) = page.split_once(LINES).expect("operating.md has the table");
    let sources = sources(&root().join("src"));
    let said = |line: &str| sources.iter().any(|source| source.contains(line));
    let rows = table.lines().skip(1).take_while(|row| row.starts_with('|'));
    let gone: Vec<&str> = rows.filter_map(|row| code_spans(row).next()).filter(|line| !said(line)).collect();
    assert!(gone.is_empty(), "no file of src says {gone:#?}");
}

fn sources(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.extension() {
            _ if path.is_dir() => sources(&path),
            Some(extension) if extension == "rs" => vec![read(&path)],
            _ => Vec::new(),
        })
        .collect()
}
