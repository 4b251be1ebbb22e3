//! A busy partition's old segment files are used again: readers and crashes see only what was written last.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use ringmain::base::{Offset, PartitionIndex};
use ringmain::client::Position;
use ringmain::protocol::ErrorCode;
use ringmain::record::records;

use super::server::{Server, topic_name, wait_until};
use super::wire::{Limits, Wire, batch, headers};

const ARGS: [&str; 4] = ["--shards", "1", "--set", "log.retention.check.interval.ms=50"];
const CONFIGS: [(&str, &str); 2] = [("segment.bytes", "1048576"), ("retention.bytes", "3000000")];
const RECYCLED: &str = "ringmain_segments_recycled_total";
const SPARES: &str = "ringmain_spare_segments";
/// Answers that are waited for at a time.
const GROUP: i64 = 8;

/// The record that is to have an offset. Those of the same size as one long before differ from it.
fn value(offset: i64) -> String {
    let times = match offset % 7 {
        0 => 9000,
        1..4 => 3000,
        _ => 5,
    };
    format!("{offset:09} ").repeat(times + usize::try_from(offset % 5).expect("small"))
}

fn folder(server: &Server, topic: &str) -> PathBuf {
    let id = server.admin().describe_topic(topic).expect("it was created").id;
    server.data_directory().join("topics").join(id.to_string()).join("0")
}

/// How many files have each extension.
fn files(folder: &PathBuf) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let extension = path.extension().unwrap_or_default().to_string_lossy().into_owned();
        *found.entry(extension).or_default() += 1;
    }
    found
}

fn count(server: &Server, topic: &str, extension: &str) -> usize {
    files(&folder(server, topic)).get(extension).copied().unwrap_or(0)
}

/// Sends the records from `next` on, in groups; where the next one goes.
fn write(wire: &mut Wire, next: Offset, groups: i64) -> Offset {
    let end = next.0 + groups * GROUP;
    for first in (next.0..end).step_by(usize::try_from(GROUP).expect("small")) {
        for offset in first..first + GROUP {
            wire.send_produce(PartitionIndex(0), batch(&[&value(offset)]));
        }
        for offset in first..first + GROUP {
            let produced = wire.receive_produced();
            assert_eq!((produced.error, produced.base_offset), (ErrorCode::None, Offset(offset)));
        }
    }
    Offset(end)
}

/// Reads once from `offset` on; each record must be the one written there. Where to go on, or `None` if retention has
/// taken what was asked for.
fn read(wire: &mut Wire, offset: Offset) -> Option<Offset> {
    let fetched = wire.fetch(offset, Limits { max_bytes: 300_000, ..Limits::NOW });
    match fetched.error {
        ErrorCode::None => {}
        ErrorCode::OffsetOutOfRange => return None,
        error => panic!("{error:?} at {offset}"),
    }
    let (mut next, mut rest) = (offset, &fetched.bytes[..]);
    for header in headers(&fetched.bytes) {
        let (batch, after) = rest.split_at(header.total_bytes());
        assert_eq!(header.base_offset, next, "batches follow each other");
        records(batch, |header, record| {
            let value_read = record.value.expect("each has one");
            assert!(value_read == value(record.offset(header).0).as_bytes(), "at {}", record.offset(header));
            true
        })
        .expect("whole");
        (next, rest) = (header.last_offset().plus(1), after);
    }
    Some(next)
}

/// Reads everything there is.
fn read_whole(server: &Server, topic: &str) -> (Offset, Offset) {
    let mut wire = Wire::to(server, topic, 0);
    let (start, end) = (server.find(topic, Position::Earliest), server.log_end(topic));
    let mut next = start;
    while next < end {
        next = read(&mut wire, next).unwrap_or_else(|| server.find(topic, Position::Earliest).max(next));
    }
    (start, end)
}

/// Readers that go over the log again and again until they are told to stop, one of them at its end.
struct Readers {
    stop: Arc<AtomicBool>,
    read: Arc<AtomicU64>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Readers {
    fn begin(server: &Server, topic: &str) -> Readers {
        let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let begin = [Position::Earliest, Position::Earliest, Position::Latest];
        let threads = begin.map(|position| {
            let (mut wire, from) = (Wire::to(server, topic, 0), server.find(topic, position));
            let (stop, count) = (Arc::clone(&stop), Arc::clone(&count));
            thread::spawn(move || {
                let mut next = from;
                while !stop.load(Ordering::Relaxed) {
                    next = match read(&mut wire, next) {
                        // The log's start is somewhere behind: what was asked for is part of it no more.
                        None => Offset(next.0 + GROUP),
                        // From the start again, or wherever it is by then.
                        Some(same) if same == next && position == Position::Earliest => from,
                        Some(further) => further,
                    };
                    count.fetch_add(1, Ordering::Relaxed);
                }
            })
        });
        Readers { stop, read: count, threads: threads.into() }
    }

    fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|reader| reader.join().expect("a reader found what it should"));
        self.read.load(Ordering::Relaxed)
    }
}

#[test]
fn readers_and_crashes_see_only_what_was_written_last() {
    let mut server = Server::start_with(&ARGS);
    let topic = topic_name("recycled");
    server.create_topic(&topic, 1, &CONFIGS);
    let mut end = Offset(0);
    for round in 0..6 {
        let mut wire = Wire::to(&server, &topic, 0);
        let readers = Readers::begin(&server, &topic);
        wait_until("files are used again", || {
            end = write(&mut wire, end, 3);
            server.metric(RECYCLED) >= 3 + round
        });
        assert!(readers.end() > 0);
        // Killed with requests on their way, of which nothing was heard.
        (0..GROUP).for_each(|more| wire.send_produce(PartitionIndex(0), batch(&[&value(end.0 + more)])));
        if round == 3 {
            server.stop();
        } else {
            server.kill();
            let data = server.data_directory();
            let inspected = Command::new(env!("CARGO_BIN_EXE_ringmain")).arg("inspect").arg(&data).output();
            let inspected = inspected.expect("it runs");
            assert!(inspected.status.success(), "{}", String::from_utf8_lossy(&inspected.stdout));
        }
        server.start_again(&ARGS);
        let (start, found) = read_whole(&server, &topic);
        assert!(start < end && end <= found && found <= end.plus(GROUP), "{start} to {found}, not {end}");
        end = found;
        for extension in ["spare", "damaged", "orphan", "deleted"] {
            assert_eq!(count(&server, &topic, extension), 0, "{extension}, round {round}");
        }
        assert!(!server.log().contains("ERROR"), "a crash is no damage: {}", server.log());
    }
}

#[test]
fn a_spare_is_let_go_when_it_does_not_suit_any_more() {
    let args = [&ARGS[..], &["--set", "log.cleaner.enable=false"]].concat();
    let server = Server::start_with(&args);
    let topic = topic_name("unsuited");
    server.create_topic(&topic, 1, &CONFIGS);
    let mut wire = Wire::to(&server, &topic, 0);
    let mut end = Offset(0);
    let changes = [
        ("segment.bytes", "2097152", "1048576"),
        ("cleanup.policy", "compact", "delete"),
        ("segment.bytes", "100000000", "1048576"),
    ];
    for (config, other, usual) in changes {
        wait_until("there is a spare", || {
            end = write(&mut wire, end, 1);
            server.metric(SPARES) == 1
        });
        assert_eq!(server.metric("ringmain_spare_segment_bytes") >> 20, 0);
        wait_until("it has its name", || count(&server, &topic, "spare") == 1);
        let change = |to: &str| {
            let changes = [(config.to_owned(), Some(to.to_owned()))];
            server.admin().alter_topic_configs(&topic, &changes).expect("changed");
        };
        change(other);
        wait_until("the spare goes", || server.metric(SPARES) == 0 && count(&server, &topic, "spare") == 0);
        change(usual);
    }
    wait_until("there is one again", || {
        end = write(&mut wire, end, 1);
        server.metric(SPARES) == 1
    });
    // All is deleted: nothing more is expected to come.
    assert_eq!(wire.delete_records(-1), Ok(end));
    wait_until("the spare goes", || {
        server.metric(SPARES) == 0 && files(&folder(&server, &topic)).keys().next().is_none()
    });
    server.admin().delete_topic(&topic).expect("it is there");
}

#[test]
fn no_file_is_used_again_if_that_is_switched_off() {
    let args = [&ARGS[..], &["--set", "ringmain.segment.recycle=false"]].concat();
    let server = Server::start_with(&args);
    let topic = topic_name("not-recycled");
    server.create_topic(&topic, 1, &CONFIGS);
    let mut wire = Wire::to(&server, &topic, 0);
    let mut end = Offset(0);
    wait_until("old segments go", || {
        end = write(&mut wire, end, 3);
        server.metric("ringmain_segments_deleted_total") >= 10
    });
    assert_eq!((server.metric(RECYCLED), server.metric(SPARES)), (0, 0));
    assert_eq!(count(&server, &topic, "spare"), 0);
}
