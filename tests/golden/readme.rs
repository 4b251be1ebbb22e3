//! README says which settings do nothing; so do their descriptions. README says which APIs are served in which versions; so
//! does the server's table. Neither side may know of one that the other does not.

use std::collections::BTreeMap;

use ringmain::api::APIS;
use ringmain::config::setting::{Setting, Support};
use ringmain::config::{broker, client_metrics, group, topic};

/// How README's tables begin.
const SETTINGS: &str = "| settings | why |\n|---|---|\n";
const LEDGER: &str = "| API | versions | not done |\n|---|---|---|\n";

/// The rows of a table of README, each as its cells.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(path).unwrap();
    let (_, table) = readme.split_once(heading).expect("README has the table");
    let rows = table.lines().take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// What the table of settings names: whole names, and beginnings of names before a `*`.
fn named() -> Vec<String> {
    let rows = rows(SETTINGS);
    let quoted = rows.iter().flat_map(|row| row[0].split('`').skip(1).step_by(2));
    quoted.map(str::to_owned).collect()
}

/// An API as README writes it, and its versions.
fn in_readme(row: &[String]) -> Vec<(String, String)> {
    let apis: Vec<&str> = row[0].split(", ").collect();
    let versions: Vec<&str> = row[1].split(", ").collect();
    // APIs that share a row share their versions, too, unless each has its own.
    let each = |at: usize| if versions.len() == apis.len() { versions[at] } else { &row[1] };
    apis.iter().enumerate().map(|(at, api)| ((*api).to_owned(), each(at).to_owned())).collect()
}

#[test]
fn readme_names_the_apis_that_are_served_with_their_versions_and_no_others() {
    let said: Vec<_> = rows(LEDGER).iter().flat_map(|row| in_readme(row)).collect();
    let served = APIS.iter().map(|api| {
        let (min, max) = (api.min, api.max);
        let mut versions = if min == max { format!("{min}") } else { format!("{min}-{max}") };
        if api.advertised_min != min {
            versions += &format!(" (advertised from {}, KAFKA-18659)", api.advertised_min);
        }
        (format!("{:?} ({})", api.key, api.key.code()), versions)
    });
    assert_eq!(said, served.collect::<Vec<_>>());
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
        match setting.support {
            Support::Acts => {
                assert!(covering.is_empty(), "{} acts, README says it does nothing", setting.name);
            }
            Support::Listed => {
                let [row] = covering[..] else { panic!("{} is in {covering:?} of README", setting.name) };
                *used.get_mut(row.as_str()).unwrap() += 1;
                assert!(setting.documentation().contains("does not act on it"), "{}", setting.name);
            }
        }
    }
    assert!(used.values().all(|times| *times > 0), "rows that name nothing: {used:?}");
}
