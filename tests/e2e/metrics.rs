//! The page of metrics, as a scraper and a dashboard find it.

use std::collections::BTreeSet;

use ringmain::base::Offset;
use ringmain::client::Position;

use super::server::{Server, topic_name};

/// The names that a page explains, each once.
fn explained(page: &str) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    for line in page.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, _) = help.split_once(' ').expect("a name and its help");
            assert!(names.insert(name), "{name} is explained twice");
        }
    }
    names
}

#[test]
fn every_number_belongs_to_the_family_above_it() {
    let server = Server::start_with(&["--shards", "2"]);
    let topic = topic_name("metrics");
    server.create_topic(&topic, 3, &[]);
    assert_eq!(server.find(&topic, Position::Latest), Offset(0));
    let page = server.page("/metrics");
    explained(&page);
    let mut family = ("", "");
    for line in page.lines() {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            family = kind.split_once(' ').expect("a name and its kind");
            assert!(["counter", "gauge", "histogram"].contains(&family.1), "{line}");
        } else if !line.starts_with("# HELP ") {
            let name = line.split(['{', ' ']).next().expect("a name");
            let part = name.strip_prefix(family.0).unwrap_or_else(|| panic!("{line} under {family:?}"));
            let is_part = family.1 == "histogram" && ["_bucket", "_sum", "_count"].contains(&part);
            assert!(part.is_empty() || is_part, "{line} under {family:?}");
            assert_eq!(family.1 == "counter", name.ends_with("_total"), "{line}");
            assert!(line.rsplit(' ').next().is_some_and(|value| value.parse::<f64>().is_ok()), "{line}");
        }
    }
}

#[test]
fn the_dashboard_draws_only_what_the_page_has() {
    let server = Server::start();
    let (page, dashboard) = (server.page("/metrics"), server.page("/dashboard.json"));
    let names = explained(&page);
    for name in dashboard.split(|it: char| !(it.is_ascii_alphanumeric() || it == '_')) {
        let is_metric = ["ringmain_", "process_"].iter().any(|prefix| name.starts_with(prefix));
        assert!(!is_metric || names.contains(name.trim_end_matches("_bucket")), "the dashboard draws {name}");
    }
}
