//! Broker settings: Kafka's by Kafka's names, and ours under `ringmain.`.
//!
//! There is one file per subject. Together they are the one table for the command line, the settings file, defaults,
//! limits, help and DescribeConfigs. Settings that this version does not act on are in the table too, and say so.

mod cluster;
mod coordinators;
mod log;
mod network;
mod remote;
mod ringmain;
mod security;
mod share;

use super::setting::Setting;

const TABLES: [&[Setting]; 8] = [
    cluster::ROWS,
    coordinators::ROWS,
    log::ROWS,
    network::ROWS,
    remote::ROWS,
    ringmain::ROWS,
    security::ROWS,
    share::ROWS,
];

/// Every broker setting, table by table.
pub fn settings() -> impl Iterator<Item = &'static Setting> {
    TABLES.into_iter().flatten()
}

/// The broker setting of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Setting> {
    settings().find(|setting| setting.name == name)
}

/// The name that is most similar to an unknown one, if any is similar enough.
#[must_use]
pub fn nearest(name: &str) -> Option<&'static str> {
    let (distance, nearest) = settings().map(|setting| (edits(name, setting.name), setting.name)).min()?;
    (distance <= 1 + name.len() / 6).then_some(nearest)
}

/// How many characters must be inserted, removed or replaced to make `b` of `a`.
fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_defaults_valid() {
        let mut names = BTreeSet::new();
        for setting in settings() {
            assert!(names.insert(setting.name), "{} twice", setting.name);
            assert!(!setting.doc.is_empty() && setting.doc.ends_with('.'), "{}", setting.name);
            if let Some(default) = setting.default {
                assert_eq!(setting.check(default), Ok(()), "{}", setting.name);
            }
        }
    }

    #[test]
    fn a_mistyped_name_is_recognised() {
        assert_eq!(nearest("num.partition"), Some("num.partitions"));
        assert_eq!(nearest("log.retention.hour"), Some("log.retention.hours"));
        assert_eq!(nearest("qqqqqq"), None);
    }
}
