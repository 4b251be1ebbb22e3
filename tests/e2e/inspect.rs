//! `ringmain inspect`: whatever a server writes is in order, and whatever is changed in it is found and named.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ringmain::base::Offset;
use ringmain::protocol::ErrorCode;
use serde_json::Value;

use super::server::{Server, topic_name};
use super::wire::{Limits, Wire, batch, headers};

/// The exit code, and what is said of each file.
fn inspect(paths: &[&Path]) -> (i32, Vec<Value>) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_ringmain")).args(["inspect", "--json"]).args(paths).output();
    let output = output.expect("it runs");
    let lines = String::from_utf8(output.stdout).expect("text");
    let files = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    (output.status.code().expect("an exit code"), files)
}

/// Names and positions of all problems.
fn problems(path: &Path) -> Vec<(String, Option<u64>)> {
    let (code, files) = inspect(&[path]);
    let problems = files.iter().flat_map(|file| file["problems"].as_array().expect("a list"));
    let problems: Vec<_> = problems
        .map(|it| (it["name"].as_str().expect("a name").to_owned(), it["position"].as_u64()))
        .collect();
    assert_eq!(code, if problems.is_empty() { 0 } else { 66 });
    problems
}

fn segments(data: &Path, topic: &str) -> Vec<PathBuf> {
    let folder = data.join("topics").join(topic).join("0");
    let entries = fs::read_dir(folder).expect("a partition").map(|entry| entry.expect("an entry").path());
    let mut logs: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|it| it == "log")).collect();
    logs.sort();
    logs
}

/// A stopped server's data directory with a topic of several segments; the topic's id.
fn written(server: &mut Server) -> String {
    let topic = topic_name("inspected");
    server.create_topic(&topic, 1, &[("segment.bytes", "1048576")]);
    let mut wire = Wire::to(server, &topic, 0);
    for at in 0..120 {
        wire.append(batch(&[&format!("{at}{}", "x".repeat(10_000 * (at % 8)))]));
    }
    let id = server.admin().describe_topic(&topic).expect("it was created").id;
    id.to_string()
}

#[test]
fn what_a_server_writes_is_in_order() {
    let mut server = Server::start();
    let topic = written(&mut server);
    for stop in [Server::kill, Server::stop] {
        stop(&mut server);
        let data = server.data_directory();
        let (code, files) = inspect(&[&data]);
        assert_eq!(code, 0, "{files:#?}");
        let kinds = |kind: &str| files.iter().filter(|file| file["kind"] == kind).count();
        assert!(kinds("segment") >= 2 && kinds("commit file") >= 3 && kinds("checkpoint") >= 1, "{files:#?}");
        assert_eq!(kinds("unknown"), 0);
        assert!(segments(&data, &topic).len() >= 3);
        server.start_again(&[]);
    }
}

#[test]
fn marks_lead_through_a_segment_that_a_kill_left_unfinished() {
    let small_log = ["--set", "ringmain.commit.file.bytes=4194304", "--set", "ringmain.commit.files.max=4"];
    let mut server = Server::start_with(&[&["--shards", "1"], &small_log[..]].concat());
    let topic = topic_name("marked");
    server.create_topic(&topic, 1, &[]);
    let id = server.admin().describe_topic(&topic).expect("it was created").id.to_string();
    let folder = server.data_directory().join("topics").join(id).join("0");
    let file = |extension: &str| folder.join("00000000000000000000").with_extension(extension);
    let mut wire = Wire::to(&server, &topic, 0);
    for number in 0..500 {
        wire.append(batch(&[&format!("{number}"), &"x".repeat(50_000)]));
    }
    server.kill();
    // 25 MB, less the last step and what the log still covers.
    let (code, reports) = inspect(&[&file("marks")]);
    assert_eq!((code, &reports[0]["kind"]), (0, &"marks".into()), "{reports:?}");
    let marks = fs::metadata(file("marks")).expect("there").len() / 24;
    assert!((150..500).contains(&marks) && !file("index").exists(), "{marks} marks");
    for _ in 0..2 {
        server.start_again(&[&["--shards", "1"], &small_log[..]].concat());
        let mut wire = Wire::to(&server, &topic, 0);
        for offset in (0..1000).step_by(86) {
            let fetched = wire.fetch(Offset(offset), Limits { max_bytes: 1, ..Limits::NOW });
            assert_eq!(fetched.error, ErrorCode::None);
            assert_eq!(headers(&fetched.bytes)[0].base_offset, Offset(offset));
        }
        server.kill();
    }
    let mut rotten = fs::read(file("marks")).expect("there");
    rotten[2 * 24..3 * 24].fill(0);
    fs::write(file("marks"), &rotten).expect("writable");
    assert_eq!(problems(&file("marks")), [], "a crash may do that");
    server.start_again(&[]);
    server.stop();
    assert!(!file("marks").exists() && file("index").exists(), "the finished segment has Kafka's index");
    assert_eq!(problems(&folder), []);
}

#[test]
fn what_was_changed_is_found_and_named() {
    let mut server = Server::start();
    let topic = written(&mut server);
    server.stop();
    let data = server.data_directory();
    let logs = segments(&data, &topic);
    let (first, second) = (&logs[0], &logs[1]);
    let good = fs::read(first).expect("readable");
    let change = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        fs::write(first, bytes).expect("writable");
        let found = problems(first);
        fs::write(first, &good).expect("writable");
        found
    };
    let names =
        |found: &[(String, Option<u64>)]| found.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let half = good.len() / 2;
    let rotten = change(&|bytes| bytes[half] ^= 1);
    assert_eq!(names(&rotten), ["checksum"]);
    assert!(rotten[0].1.is_some_and(|at| at < half as u64));
    assert_eq!(names(&change(&|bytes| bytes.truncate(half))), ["cut-short"]);
    let foreign = change(&|bytes| bytes.extend([7; 100]));
    assert_eq!(foreign, [("not-a-batch".to_owned(), Some(good.len() as u64))]);
    assert_eq!(change(&|bytes| bytes.extend([0; 10_000])), [], "space taken ahead");
    assert!(!change(&|bytes| bytes.extend_from_within(..half)).is_empty(), "an old block came back");
    // A file that was an older segment's, in which the server did not get to its end.
    let newer = fs::read(second).expect("readable");
    let mut rotten = newer.clone();
    rotten[newer.len() / 2] ^= 1;
    // Where the older bytes begin is a batch, or the middle of one.
    for from in [0, 5000] {
        let used_again = |own: &[u8], whole_blocks: bool| {
            let mut bytes = [own, &good[from..]].concat();
            bytes.resize(bytes.len().next_multiple_of(4096) + usize::from(!whole_blocks), 0);
            fs::write(second, bytes).expect("writable");
            let found = names(&problems(second));
            fs::write(second, &newer).expect("writable");
            found
        };
        assert_eq!(used_again(&newer, true), Vec::<String>::new());
        assert_eq!(used_again(&newer[..newer.len() - 100], true), Vec::<String>::new(), "torn");
        assert_eq!(used_again(&[], false), Vec::<String>::new(), "nothing was written yet");
        assert!(!used_again(&newer, false).is_empty(), "a finished segment has its length");
        assert_eq!(used_again(&rotten, true), ["checksum"]);
    }
    let index = first.with_extension("index");
    let entries = fs::read(&index).expect("readable");
    fs::write(&index, entries.iter().map(|byte| byte ^ 1).collect::<Vec<u8>>()).expect("writable");
    assert_eq!(names(&problems(&index)), ["index"]);
    fs::write(&index, entries).expect("writable");
    let checkpoint = data.join("commit/0/checkpoint");
    let bytes = fs::read(&checkpoint).expect("readable");
    fs::write(&checkpoint, &bytes[..bytes.len() - 1]).expect("writable");
    assert_eq!(names(&problems(&checkpoint)), ["checksum"]);
    fs::write(&checkpoint, bytes).expect("writable");
    let folder = first.parent().expect("a folder");
    let aside = data.join("aside");
    for extension in ["log", "index", "timeindex"] {
        let _ = fs::rename(second.with_extension(extension), aside.with_extension(extension));
    }
    assert_eq!(names(&problems(folder)), ["gap"]);
    fs::write(data.join("what.is.this"), b"").expect("writable");
    assert!(names(&problems(&data)).contains(&"unknown".to_owned()));
    let (code, _) = inspect(&[Path::new("no/such/file")]);
    assert_eq!(code, 1);
}
