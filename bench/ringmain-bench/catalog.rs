//! The scenarios that come with this program, and their variants.
//!
//! A file may hold `[variants.NAME]` tables: each is the file with these values in place of its own, named FILE/NAME.

use std::path::Path;

use toml::{Table, Value};

use crate::error::BenchError;
use crate::scenario::Scenario;

/// Files of bench/scenarios, by name.
macro_rules! files {
    ($($name:literal),* $(,)?) => {
        const FILES: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../scenarios/", $name, ".toml")))),*];
    };
}

files![
    "1-topic-1-partition-100b",
    "1-topic-1-partition-1kb",
    "1-topic-100-partitions-100b",
    "1-topic-100-partitions-1kb",
    "1-topic-10000-partitions-100b",
    "1-topic-10000-partitions-1kb",
    "1-topic-16-partitions-100b",
    "1-topic-16-partitions-1kb",
    "backlog-drain",
    "batch-size-1",
    "codecs",
    "compaction",
    "disk-80-percent-full",
    "f1",
    "f10",
    "f11",
    "f2",
    "f3",
    "f4",
    "f5",
    "f6",
    "f7",
    "f8",
    "groups",
    "ingest-at-retention",
    "keyed",
    "lagging-consumer",
    "retention",
    "retention-begins",
    "small-batches",
];

/// A scenario and what it is called.
#[derive(Clone, Debug)]
pub struct Named {
    pub name: String,
    pub scenario: Scenario,
}

/// Every scenario there is.
pub fn all() -> Result<Vec<Named>, BenchError> {
    let files = FILES.iter().map(|(name, text)| variants(name, text));
    Ok(files.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

/// What was asked for: a name, a name with all its variants, or a file.
pub fn find(wanted: &str) -> Result<Vec<Named>, BenchError> {
    if Path::new(wanted).extension().is_some_and(|extension| extension == "toml") {
        let text = std::fs::read_to_string(wanted).map_err(BenchError::io("read the scenario"))?;
        let stem = Path::new(wanted).file_stem().map(|stem| stem.to_string_lossy().into_owned());
        return variants(&stem.unwrap_or_default(), &text);
    }
    let is_wanted = |named: &Named| {
        named.name == wanted || named.name.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('/'))
    };
    let found: Vec<Named> = all()?.into_iter().filter(is_wanted).collect();
    if found.is_empty() {
        return Err(BenchError::NoScenario(wanted.to_owned()));
    }
    Ok(found)
}

fn variants(name: &str, text: &str) -> Result<Vec<Named>, BenchError> {
    let wrong = |why: String| BenchError::Scenario { name: name.to_owned(), why };
    let mut table: Table = text.parse().map_err(|error| wrong(format!("{error}")))?;
    let mut tables = Vec::new();
    match table.remove("variants") {
        None => tables.push((name.to_owned(), table)),
        Some(Value::Table(variants)) => {
            for (variant, changes) in variants {
                let Value::Table(changes) = changes else { return Err(wrong("a variant is a table".into())) };
                let mut whole = table.clone();
                overlay(&mut whole, changes);
                tables.push((format!("{name}/{variant}"), whole));
            }
        }
        Some(_) => return Err(wrong("variants are tables".into())),
    }
    let read = |(name, table): (String, Table)| {
        let wrong = |why: String| BenchError::Scenario { name: name.clone(), why };
        let scenario: Scenario = table.try_into().map_err(|error| wrong(format!("{error}")))?;
        scenario.check().map_err(wrong)?;
        Ok(Named { name, scenario })
    };
    tables.into_iter().map(read).collect()
}

/// Puts `changes` over `table`, table by table.
fn overlay(table: &mut Table, changes: Table) {
    for (key, change) in changes {
        match (table.get_mut(&key), change) {
            (Some(Value::Table(below)), Value::Table(above)) if key != "pace" => overlay(below, above),
            (_, change) => {
                table.insert(key, change);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_file_is_known_and_makes_sense() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/scenarios");
        let files = std::fs::read_dir(folder).expect("is there").map(|entry| {
            let path = entry.expect("readable").path();
            path.file_stem().expect("has a name").to_string_lossy().into_owned()
        });
        let known: BTreeSet<String> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(files.collect::<BTreeSet<_>>(), known);
        let all = all().expect("all can be read");
        let names: BTreeSet<&str> = all.iter().map(|named| named.name.as_str()).collect();
        assert_eq!(names.len(), all.len());
    }

    #[test]
    fn a_variant_is_the_file_with_other_values() {
        let text = r#"
            about = "x"
            [topic]
            partitions = 4
            [produce]
            connections = 2
            pace = { depth = 1 }
            [variants.wide.topic]
            partitions = 64
            [variants.open.produce]
            pace = { records-per-second = 100.0, arrivals = { bursts = 10 } }
        "#;
        let found = variants("file", text).expect("valid");
        let names: Vec<_> =
            found.iter().map(|named| (named.name.as_str(), named.scenario.topic.partitions)).collect();
        assert_eq!(names, [("file/open", 4), ("file/wide", 64)]);
        assert!(variants("file", &text.replace("about", "abbout")).is_err());
    }

    #[test]
    fn a_name_stands_for_its_variants() {
        assert!(find("f1").expect("is there").len() > 1);
        assert_eq!(find("f1/4x1m").expect("is there").len(), 1);
        assert!(matches!(find("nothing"), Err(BenchError::NoScenario(_))));
    }
}
