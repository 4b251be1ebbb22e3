//! `ringmain inspect`: whatever a server writes is in order, and whatever is changed in it is found and named.

use std::fs;
use std::ops::Range;
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
        assert_eq!((kinds("ballot"), kinds("unknown")), (1, 0), "{files:#?}");
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

/// A stopped server's topic, whose files are changed and then put back.
struct Written {
    server: Server,
    logs: Vec<PathBuf>,
}

impl Written {
    fn new() -> Written {
        let mut server = Server::start();
        let topic = written(&mut server);
        server.stop();
        let logs = segments(&server.data_directory(), &topic);
        Written { server, logs }
    }

    fn bytes(&self, segment: usize) -> Vec<u8> {
        fs::read(&self.logs[segment]).expect("readable")
    }

    /// What is found in one file while it holds other bytes.
    fn with(&self, path: &Path, bytes: &[u8]) -> Vec<(String, Option<u64>)> {
        let good = fs::read(path).expect("readable");
        fs::write(path, bytes).expect("writable");
        let found = problems(path);
        fs::write(path, good).expect("writable");
        found
    }
}

fn names(found: &[(String, Option<u64>)]) -> Vec<&str> {
    found.iter().map(|(name, _)| name.as_str()).collect()
}

fn changed(bytes: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    change(&mut bytes);
    bytes
}

/// What is wrong, the bytes of the segment, the faults that are named, and the places they lie in.
type SegmentRow<'a> = (&'a str, Vec<u8>, &'a [&'a str], Range<u64>);

#[test]
fn what_was_changed_in_a_segment_is_found_and_named() {
    let written = Written::new();
    let good = written.bytes(0);
    let (half, end) = (good.len() / 2, good.len() as u64);
    let rows: [SegmentRow<'_>; 5] = [
        ("a bit has fallen over", changed(&good, |it| it[half] ^= 1), &["checksum"], 0..half as u64),
        ("cut in the middle", changed(&good, |it| it.truncate(half)), &["cut-short"], 0..half as u64),
        ("foreign bytes behind", changed(&good, |it| it.extend([7; 100])), &["not-a-batch"], end..end + 1),
        ("space taken ahead", changed(&good, |it| it.extend([0; 10_000])), &[], 0..1),
        (
            "older blocks came back behind",
            changed(&good, |it| it.extend_from_within(..half)),
            &["out-of-order", "cut-short"],
            end..2 * end,
        ),
    ];
    for (what, bytes, wanted, place) in rows {
        let found = written.with(&written.logs[0], &bytes);
        let mut named = names(&found);
        named.dedup();
        assert_eq!(named, wanted, "{what}: {found:?}");
        let is_there = |at: &Option<u64>| at.is_some_and(|at| place.contains(&at));
        assert!(found.iter().all(|(_, at)| is_there(at)), "{what}: {found:?}, not within {place:?}");
    }
}

/// What has become of the newer segment, its own bytes, how long the file is made, and the fault that is named; an empty
/// name stands for any fault.
type ReusedRow<'a> = (&'a str, &'a [u8], &'a dyn Fn(usize) -> usize, Option<&'a str>);

/// A file that was an older segment's, in which the server did not get to its end: from some place on it holds old bytes.
#[test]
fn a_file_that_was_used_again_is_in_order_as_far_as_it_was_written() {
    let written = Written::new();
    let (old, new) = (written.bytes(0), written.bytes(1));
    let torn = &new[..new.len() - 100];
    let rotten = changed(&new, |it| it[new.len() / 2] ^= 1);
    let whole_blocks = |length: usize| length.next_multiple_of(4096);
    let finished = |length: usize| length.next_multiple_of(4096) + 1;
    let rows: [ReusedRow<'_>; 5] = [
        ("written to its end", &new, &whole_blocks, None),
        ("torn", torn, &whole_blocks, None),
        ("nothing was written yet", &[], &finished, None),
        ("finished, but not of its length", &new, &finished, Some("")),
        ("a bit has fallen over", &rotten, &whole_blocks, Some("checksum")),
    ];
    // Where the older bytes begin is a batch, or the middle of one.
    for from in [0, 5000] {
        for (what, own, length, wanted) in &rows {
            let mut bytes = [own, &old[from..]].concat();
            bytes.resize(length(bytes.len()), 0);
            let found = written.with(&written.logs[1], &bytes);
            match wanted {
                None => assert_eq!(found, [], "{what}, old bytes from {from}"),
                Some("") => assert!(!found.is_empty(), "{what}, old bytes from {from}"),
                Some(name) => assert_eq!(names(&found), [*name], "{what}, old bytes from {from}"),
            }
        }
    }
}

/// What is changed, in which file, how, and the fault that is named.
type BesideRow<'a> = (&'a str, PathBuf, &'a dyn Fn(&mut Vec<u8>), &'a str);

#[test]
fn what_was_changed_beside_segments_is_found_and_named() {
    let written = Written::new();
    let (data, first) = (written.server.data_directory(), &written.logs[0]);
    let rows: [BesideRow<'_>; 5] = [
        (
            "each byte of an index",
            first.with_extension("index"),
            &|it| it.iter_mut().for_each(|byte| *byte ^= 1),
            "index",
        ),
        (
            "the end of a checkpoint",
            data.join("commit/0/checkpoint"),
            &|it| it.truncate(it.len() - 1),
            "checksum",
        ),
        ("the version of a checkpoint", data.join("commit/0/checkpoint"), &|it| it[8] += 1, "unreadable"),
        ("the epoch of a ballot", data.join("meta/quorum"), &|it| it[28] ^= 1, "checksum"),
        ("the version of a ballot", data.join("meta/quorum"), &|it| it[8] += 1, "unreadable"),
    ];
    for (what, path, change, wanted) in &rows {
        let good = fs::read(path).expect("readable");
        let found = written.with(path, &changed(&good, change));
        assert_eq!(names(&found), [*wanted], "{what}");
    }
}

#[test]
fn files_that_are_missing_or_foreign_are_named() {
    let written = Written::new();
    let data = written.server.data_directory();
    let (second, aside) = (&written.logs[1], data.join("aside"));
    for extension in ["log", "index", "timeindex"] {
        let _ = fs::rename(second.with_extension(extension), aside.with_extension(extension));
    }
    let folder = second.parent().expect("a folder");
    assert_eq!(names(&problems(folder)), ["gap"]);
    fs::write(data.join("what.is.this"), b"").expect("writable");
    assert!(names(&problems(&data)).contains(&"unknown"));
    let (code, _) = inspect(&[Path::new("no/such/file")]);
    assert_eq!(code, 1);
}
