//! The page for operators says what the server says of itself: every metric, and every exit code.

use std::collections::BTreeMap;
use std::process::Command;

use super::server::Server;

const PAGE: &str = include_str!("../../src/guide/operating.md");

/// The rows of the page's tables that begin with these words, each as its cells.
fn rows(heading: &str) -> Vec<Vec<&'static str>> {
    let tables = PAGE.split(heading).skip(1);
    let rows = tables.flat_map(|table| table.lines().skip(2).take_while(|line| line.starts_with('|')));
    rows.map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect()).collect()
}

#[test]
fn every_metric_is_in_the_guide_and_no_other() {
    let server = Server::start();
    let page = server.page("/metrics");
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let served: BTreeMap<String, &str> = types.map(|(name, kind)| (format!("`{name}`"), kind)).collect();
    let described = rows("| metric | kind |").into_iter().map(|cells| (cells[0].to_owned(), cells[1]));
    let described: BTreeMap<String, &str> = described.collect();
    assert_eq!(described, served, "left: operating.md, right: /metrics");
}

#[test]
fn every_exit_code_is_in_the_guide_and_no_other() {
    let help = Command::new(env!("CARGO_BIN_EXE_ringmain")).args(["serve", "--help"]).output();
    let help = String::from_utf8(help.expect("the binary was built for this test").stdout).expect("text");
    let (_, table) = help.split_once("Exit codes:\n").expect("the help has the table");
    let codes: Vec<(&str, &str)> = table.lines().map_while(|line| line.trim().split_once("  ")).collect();
    let described: Vec<(&str, &str)> =
        rows("| code | meaning |").into_iter().map(|cells| (cells[0], cells[1])).collect();
    assert_eq!(described, codes, "left: operating.md, right: serve --help");
}
