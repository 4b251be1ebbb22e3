//! README says which settings do nothing; so do their descriptions. Neither may know of one that the other does not.

use std::collections::BTreeMap;

use ringmain::config::setting::{Effect, Setting};
use ringmain::config::{broker, client_metrics, group, topic};

/// How README's table begins.
const HEADING: &str = "| settings | why |\n|---|---|\n";

/// What the table names: whole names, and beginnings of names before a `*`.
fn named() -> Vec<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(path).unwrap();
    let (_, table) = readme.split_once(HEADING).expect("README has the table");
    let rows = table.lines().take_while(|line| line.starts_with('|'));
    let settings = rows.map(|row| row.split('|').nth(1).unwrap());
    let quoted = settings.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    quoted.map(str::to_owned).collect()
}

fn covers(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |beginning| name.starts_with(beginning))
}

#[test]
fn settings_that_do_nothing_are_in_readme_and_no_others() {
    let tables: [Vec<&'static Setting>; 4] = [
        broker::settings().collect(),
        topic::settings().collect(),
        group::settings().collect(),
        client_metrics::settings().collect(),
    ];
    let patterns = named();
    let mut used: BTreeMap<&str, usize> = patterns.iter().map(|pattern| (pattern.as_str(), 0)).collect();
    for setting in tables.into_iter().flatten() {
        let covering: Vec<&String> =
            patterns.iter().filter(|pattern| covers(pattern, setting.name)).collect();
        match setting.effect {
            Effect::Acts => {
                assert!(covering.is_empty(), "{} acts, README says it does nothing", setting.name);
            }
            Effect::Listed => {
                let [row] = covering[..] else { panic!("{} is in {covering:?} of README", setting.name) };
                *used.get_mut(row.as_str()).unwrap() += 1;
                assert!(setting.documentation().contains("does not act on it"), "{}", setting.name);
            }
        }
    }
    assert!(used.values().all(|times| *times > 0), "rows that name nothing: {used:?}");
}
