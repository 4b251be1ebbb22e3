//! The load generator against the real server: scenarios run, what they checked is told, reports are whole.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::server::{Server, topic_name};

/// A loaded machine brings too few samples for percentiles in so short a time.
const FIGURES: [&str; 3] = ["produce throughput", "produce latency max", "server memory"];

/// Runs scenarios for some seconds each and returns the report: half a second may go by, where all tests run at once,
/// without a request that begins and ends in it.
fn run(server: &Server, scratch: &Path, arguments: &[&str]) -> Value {
    let (json, html) = (scratch.join("report.json"), scratch.join("report.html"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringmain-bench"));
    command.args(arguments).args(["--bootstrap-server", server.address(), "--topic", &topic_name("bench")]);
    command.args(["--seconds", "3", "--warmup", "0.1", "--quiet"]);
    let done = command.arg("--json").arg(&json).arg("--html").arg(&html).output().expect("it starts");
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    let page = std::fs::read_to_string(html).expect("a page");
    assert!(page.contains("<svg") && page.ends_with("</html>\n"));
    serde_json::from_str(&std::fs::read_to_string(json).expect("a report")).expect("JSON")
}

fn figure(run: &Value, name: &str) -> f64 {
    let figures = run["figures"].as_array().expect("figures");
    let found = figures.iter().find(|figure| figure["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {run}"))["value"].as_f64().expect("a number")
}

#[test]
fn scenarios_load_a_broker_and_check_it() {
    let (server, scratch) = (Server::start(), tempfile::tempdir().expect("scratch"));
    let report =
        run(&server, scratch.path(), &["run", "f2", "f3/single-bursts", "codecs/lz4", "keyed/4-producers"]);
    let runs = report["runs"].as_array().expect("runs");
    assert_eq!(runs.len(), 4);
    for run in runs {
        for name in FIGURES {
            assert!(figure(run, name) > 0.0, "{name} of {run}");
        }
        let count = |name: &str| run["checked"][name].as_u64().expect("a count");
        assert!(count("acknowledged_records") > 0);
        // A run's bound on what is read back is far above what three seconds bring.
        assert_eq!(count("read_records"), count("acknowledged_records"));
        assert_eq!(count("compared_records"), count("read_records"));
    }
}

#[test]
fn what_was_filled_in_is_read_again_and_again() {
    let (server, scratch) = (Server::start(), tempfile::tempdir().expect("scratch"));
    let arguments = ["fetch", "--fill-bytes", "8388608", "--groups", "2", "--instructions"];
    let report = run(&server, scratch.path(), &arguments);
    let run = &report["runs"][0];
    for name in ["fetch throughput", "fetch hot path instructions per request"] {
        assert!(figure(run, name) > 0.0, "{name} of {run}");
    }
    assert_eq!(run["check"], "every batch as it was read");
}

#[test]
fn a_topic_beside_is_filled_and_then_looked_after() {
    let scratch = tempfile::tempdir().expect("scratch");
    let server = Server::start_with(&["--set", "log.retention.check.interval.ms=20"]);
    let file = scratch.path().join("beside.toml");
    let scenario = r#"
        about = "a topic beside"
        produce = { connections = 1, pace = { depth = 1 }, batch = { bytes = 1024 } }
        [beside]
        topic = { partitions = 2, configs = { "segment.bytes" = "1048576" } }
        fill = { bytes = 8388608, batch = { bytes = 65536 } }
        then = { "retention.bytes" = "1" }
    "#;
    std::fs::write(&file, scenario).expect("writable");
    let report = run(&server, scratch.path(), &["run", file.to_str().expect("a name")]);
    let run = &report["runs"][0];
    let (before, after) = (figure(run, "topic beside, before"), figure(run, "topic beside, after"));
    assert!(before > 8.0 && after < before / 2.0, "{before} MB, then {after} MB");
}

#[test]
fn wrong_uses_are_refused_with_a_reason() {
    for (arguments, code, reason) in [
        (&["run", "f99"][..], 1, "run --list"),
        (&["run"], 1, "name a scenario"),
        (&["compare"], 2, "SCENARIOS"),
        (&["compare", "f2", "--peer", "nobody"], 2, "HOST:PORT"),
        (&["produce", "--record-bytes", "8"], 1, "at least 36"),
    ] {
        let done = Command::new(env!("CARGO_BIN_EXE_ringmain-bench")).args(arguments).output();
        let done = done.expect("it starts");
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(reason), "{arguments:?}: {said}");
    }
}

/// What the hot path takes, by name.
fn instructions(scratch: &Path, names: &[&str], requests: &str) -> BTreeMap<String, f64> {
    let json = scratch.join("instructions.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringmain-bench"));
    command.arg("instructions").args(names).args(["--requests", requests]);
    let done = command.arg("--json").arg(&json).output().expect("it starts");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let report: Value =
        serde_json::from_str(&std::fs::read_to_string(json).expect("a report")).expect("JSON");
    let named = |it: &Value| Some((it["name"].as_str()?.to_owned(), it["value"].as_f64()?));
    report["figures"].as_array().expect("figures").iter().map(|it| named(it).expect("a figure")).collect()
}

#[test]
fn instructions_of_the_hot_path_are_the_same_twice() {
    let scratch = tempfile::tempdir().expect("scratch");
    // So few that all shapes do not take long.
    let all = instructions(scratch.path(), &[], "4");
    let of = |name: &str| *all.get(name).unwrap_or_else(|| panic!("{name} in {all:?}"));
    // A start takes some thousand instructions more or less, by how its hash tables are seeded: that is to be little
    // beside what is counted.
    let [first, again] =
        [(); 2].map(|()| instructions(scratch.path(), &["produce 1 x 100 B", "fetch 4"], "64"));
    assert_eq!(first.len(), 6, "three shapes: {first:?}");
    for (name, count) in &first {
        assert!((again[name] / count - 1.0).abs() < 0.01, "{name}: {first:?}, {again:?}");
    }
    // Whatever the compiler made of it: a request is decoded and answered, a record looked at and copied.
    let alone = of("produce 1 x 100 B: instructions per request");
    assert!((1e3..1e6).contains(&alone), "{all:?}");
    assert!(
        of("produce 1 x 100 B, 16 at once: instructions per request") < alone,
        "a group is shared: {all:?}"
    );
    assert!((100.0..1e5).contains(&of("produce 1000 x 1024 B: instructions per record")), "{all:?}");
    // What is in memory is sent as it lies there.
    assert!(of("fetch 64 batches of 16 x 1024 B: instructions per record") < 1e3, "{all:?}");
}

#[test]
fn without_valgrind_it_is_said_where_to_get_it() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringmain-bench"));
    let done = command.arg("instructions").env("PATH", "").output().expect("it starts");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(!done.status.success() && said.contains("apt-get install valgrind"), "{said}");
}
