//! What a topic does not want to keep goes, and nothing else; offsets go on whatever happens meanwhile.

use std::path::Path;

use ringmain::base::{Offset, PartitionIndex};
use ringmain::client::Position;
use ringmain::protocol::ErrorCode;

use super::server::{Server, topic_name, wait_until};
use super::wire::{Limits, Wire, batch, headers};

const SETTINGS: [&str; 4] = ["--shards", "2", "--set", "log.retention.check.interval.ms=50"];
const SEGMENT: (&str, &str) = ("segment.bytes", "1048576");

/// Writes so many batches of 60 kB, a record each.
fn fill(server: &Server, topic: &str, batches: usize) -> Offset {
    let mut wire = Wire::to(server, topic, 0);
    for _ in 0..batches {
        wire.send_produce(PartitionIndex(0), batch(&[&"x".repeat(60_000)]));
    }
    let mut end = Offset(0);
    for _ in 0..batches {
        let produced = wire.receive_produced();
        assert_eq!(produced.error, ErrorCode::None);
        end = produced.base_offset.plus(1);
    }
    end
}

/// Names of segment files, in order, of all topics.
fn segments(server: &Server) -> Vec<String> {
    fn collect(folder: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let is_metadata = entry.file_name().to_string_lossy().starts_with("00000000-0000-0000-");
            if path.is_dir() && !is_metadata {
                collect(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "log") {
                found.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
    }
    let mut found = Vec::new();
    collect(&server.data_directory().join("topics"), &mut found);
    found.sort();
    found
}

fn start(server: &Server, topic: &str) -> Offset {
    server.find(topic, Position::Earliest)
}

#[test]
fn a_log_keeps_to_its_size() {
    let mut server = Server::start_with(&SETTINGS);
    let topic = topic_name("by-size");
    server.create_topic(&topic, 1, &[SEGMENT, ("retention.bytes", "3000000")]);
    let end = fill(&server, &topic, 200);
    wait_until("the oldest segments are gone", || segments(&server).len() <= 4);
    let begin = start(&server, &topic);
    assert!(begin > Offset(100) && begin < end.plus(-40), "{begin} of {end}");
    let mut wire = Wire::to(&server, &topic, 0);
    assert_eq!(wire.fetch(begin.plus(-1), Limits::NOW).error, ErrorCode::OffsetOutOfRange);
    let kept = wire.fetch(begin, Limits::NOW);
    assert_eq!(headers(&kept.bytes)[0].base_offset, begin);
    for _ in 0..2 {
        server.kill();
        server.start_again(&SETTINGS);
        assert_eq!((start(&server, &topic), server.log_end(&topic)), (begin, end));
    }
}

#[test]
fn a_log_whose_records_are_all_old_is_empty_and_its_offsets_go_on() {
    let mut server = Server::start_with(&SETTINGS);
    let topic = topic_name("by-time");
    server.create_topic(&topic, 1, &[SEGMENT, ("retention.ms", "1")]);
    let mut end = Offset(0);
    for round in 0..6 {
        let written = fill(&server, &topic, 30);
        assert_eq!(written, end.plus(30), "no offset is given twice");
        end = written;
        wait_until("everything has gone", || start(&server, &topic) == end && segments(&server).is_empty());
        assert_eq!(server.log_end(&topic), end);
        match round % 3 {
            0 => server.kill(),
            1 => server.stop(),
            _ => continue,
        }
        server.start_again(&SETTINGS);
        assert_eq!((start(&server, &topic), server.log_end(&topic)), (end, end));
    }
}

#[test]
fn retention_can_be_killed_anywhere() {
    let mut server = Server::start_with(&SETTINGS);
    let topic = topic_name("killed");
    server.create_topic(&topic, 1, &[SEGMENT, ("retention.bytes", "1000000")]);
    let mut end = Offset(0);
    for round in 0..8 {
        let written = fill(&server, &topic, 40 + round * 3);
        assert!(written > end);
        end = written;
        std::thread::sleep(std::time::Duration::from_millis(7 * round as u64));
        server.kill();
        server.start_again(&SETTINGS);
        assert_eq!(server.log_end(&topic), end);
        // Retention goes on and may take what has just been said to be there.
        let mut wire = Wire::to(&server, &topic, 0);
        let mut begin = start(&server, &topic);
        let mut kept = wire.fetch(begin, Limits::NOW);
        while kept.error == ErrorCode::OffsetOutOfRange {
            let moved = start(&server, &topic);
            assert!(moved > begin && moved < end, "{begin} is out of range, and the log begins at {moved}");
            begin = moved;
            kept = wire.fetch(begin, Limits::NOW);
        }
        assert_eq!((kept.error, headers(&kept.bytes)[0].base_offset), (ErrorCode::None, begin));
    }
    wait_until("files left behind go as well", || segments(&server).len() <= 2);
}

#[test]
fn deleted_records_give_their_space_back() {
    let server = Server::start_with(&SETTINGS);
    let topic = topic_name("space");
    server.create_topic(&topic, 1, &[SEGMENT]);
    let end = fill(&server, &topic, 100);
    let before = segments(&server).len();
    assert!(before > 4);
    let mut wire = Wire::to(&server, &topic, 0);
    assert_eq!(wire.delete_records(end.0 / 2), Ok(Offset(end.0 / 2)));
    wait_until("half of the files are gone", || segments(&server).len() <= before / 2 + 1);
    assert_eq!(wire.delete_records(-1), Ok(end));
    wait_until("all files are gone", || segments(&server).is_empty());
    assert_eq!(wire.append(batch(&["next"])), end);
}

#[test]
fn what_is_to_be_kept_is_kept() {
    let server = Server::start_with(&SETTINGS);
    let (kept, compacted) = (topic_name("kept"), topic_name("compacted"));
    server.create_topic(&kept, 1, &[SEGMENT]);
    let limits = [SEGMENT, ("cleanup.policy", "compact"), ("retention.ms", "1"), ("retention.bytes", "1")];
    server.create_topic(&compacted, 1, &limits);
    fill(&server, &kept, 40);
    std::thread::sleep(std::time::Duration::from_millis(400));
    assert_eq!(start(&server, &kept), Offset(0));
    assert_eq!(start(&server, &compacted), Offset(0));
}
