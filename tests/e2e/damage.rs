//! What a disk may do to files while the server is down, and to one that is being read: found by name, never served, and
//! all else goes on.

use std::fs;
use std::path::{Path, PathBuf};

use ringmain::base::{Offset, TimestampMs};
use ringmain::client::Position;
use ringmain::protocol::ErrorCode;
use ringmain::record::BatchBuilder;

use super::server::{Server, topic_name, wait_until};
use super::wire::{Limits, Wire, batch, headers};

const ARGS: [&str; 4] = ["--shards", "1", "--set", "ringmain.scrub.period.ms=-1"];
/// Batches of one record each, twenty to a segment.
const BATCHES: i64 = 100;
const RECORD_BYTES: usize = 50_000;
const LIMITS: Limits = Limits { max_bytes: 60_000, ..Limits::NOW };

struct Rig {
    server: Server,
    topic: String,
    segments: Vec<PathBuf>,
}

fn value(offset: i64) -> String {
    format!("{offset:08}, ").repeat(RECORD_BYTES / 10)
}

fn time_of(offset: i64) -> TimestampMs {
    TimestampMs(1_700_000_000_000 + 1000 * offset)
}

/// A stopped server with a topic of five segments and the beginning of a sixth.
fn rig(test: &str) -> Rig {
    let mut server = Server::start_with(&ARGS);
    let topic = topic_name(test);
    server.create_topic(&topic, 1, &[("segment.bytes", "1048576")]);
    let mut wire = Wire::to(&server, &topic, 0);
    for at in 0..BATCHES {
        let mut batch = BatchBuilder::new(time_of(at));
        batch.append(None, Some(value(at).as_bytes()));
        wire.append(batch.finish().expect("a batch"));
    }
    let id = server.admin().describe_topic(&topic).expect("it was created").id;
    server.stop();
    let folder = server.data_directory().join("topics").join(id.to_string()).join("0");
    let mut segments: Vec<PathBuf> = fs::read_dir(folder)
        .expect("there")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|it| it == "log"))
        .collect();
    segments.sort();
    assert!(segments.len() >= 5, "{segments:?}");
    Rig { server, topic, segments }
}

fn base(path: &Path) -> i64 {
    path.file_stem().and_then(|stem| stem.to_str()?.parse().ok()).expect("named after its base offset")
}

impl Rig {
    fn change(&self, segment: usize, change: impl FnOnce(&mut Vec<u8>)) {
        let path = &self.segments[segment];
        let mut bytes = fs::read(path).expect("readable");
        change(&mut bytes);
        fs::write(path, bytes).expect("writable");
    }

    /// Offsets of a segment.
    fn offsets(&self, segment: usize) -> std::ops::Range<i64> {
        base(&self.segments[segment])..self.segments.get(segment + 1).map_or(BATCHES, |next| base(next))
    }

    /// Starts, and reads at every offset: those in `lost` are refused, all others served as they were written.
    fn check(&mut self, name: &str, lost: impl Fn(i64) -> bool) {
        self.server.start_again(&ARGS);
        let mut wire = Wire::to(&self.server, &self.topic, 0);
        for offset in 0..BATCHES {
            let fetched = wire.fetch(Offset(offset), LIMITS);
            if lost(offset) {
                assert_eq!(fetched.error, ErrorCode::CorruptMessage, "{name}: {offset}");
                assert!(fetched.bytes.is_empty());
                continue;
            }
            assert_eq!(fetched.error, ErrorCode::None, "{name}: {offset}");
            let first = headers(&fetched.bytes).first().map(|header| header.base_offset);
            assert_eq!(first, Some(Offset(offset)), "{name}");
            let expected = value(offset);
            assert!(
                fetched.bytes.windows(expected.len()).any(|window| window == expected.as_bytes()),
                "{name}: the record at {offset}"
            );
        }
        assert_eq!(wire.append(batch(&["more"])), Offset(BATCHES), "{name}: no offset is given out twice");
    }
}

#[test]
fn a_flipped_bit_costs_its_batch() {
    let mut rig = rig("flipped");
    rig.change(1, |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
    });
    let offsets = rig.offsets(1);
    let hit = offsets.start + (offsets.end - offsets.start) / 2;
    rig.check("a flipped bit", |offset| offset == hit);
}

#[test]
fn a_batch_under_another_offset_is_not_served() {
    let mut rig = rig("offset");
    // Not covered by the batch's checksum.
    rig.change(1, |bytes| bytes[7] ^= 0x40);
    let first = rig.offsets(1).start;
    rig.check("a changed base offset", |offset| offset == first);
}

#[test]
fn swapped_blocks_cost_their_batches() {
    let mut rig = rig("swapped");
    let offsets = rig.offsets(2);
    let count = usize::try_from(offsets.end - offsets.start).expect("a few");
    let batch_bytes = fs::read(&rig.segments[2]).expect("there").len() / count;
    let (first, second) = (3 * batch_bytes / 4096 + 2, 7 * batch_bytes / 4096 + 2);
    rig.change(2, |bytes| {
        let (low, high) = bytes.split_at_mut(second * 4096);
        low[first * 4096..][..4096].swap_with_slice(&mut high[..4096]);
    });
    rig.check("swapped blocks", |offset| [3, 7].contains(&(offset - offsets.start)));
}

#[test]
fn a_truncated_segment_is_named_and_read_around() {
    let mut rig = rig("truncated");
    let offsets = rig.offsets(1);
    rig.change(1, |bytes| bytes.truncate(bytes.len() / 2));
    let cut = offsets.start + (offsets.end - offsets.start) / 2;
    rig.check("truncated", |offset| (cut..offsets.end).contains(&offset));
    assert!(rig.server.log().contains("records are missing"), "{}", rig.server.log());
    let lost = (offsets.end - cut).unsigned_abs();
    wait_until("metrics show it", || rig.server.metric("ringmain_quarantined_offsets") == lost);
}

#[test]
fn a_missing_segment_is_named_and_read_around() {
    let mut rig = rig("missing");
    let offsets = rig.offsets(2);
    fs::remove_file(&rig.segments[2]).expect("there");
    rig.check("missing", |offset| offsets.contains(&offset));
    assert!(rig.server.log().contains("records are missing"), "{}", rig.server.log());
    // Again after a kill; and records before what is deleted are nobody's trouble.
    rig.server.kill();
    rig.server.start_again(&ARGS);
    let mut wire = Wire::to(&rig.server, &rig.topic, 0);
    assert_eq!(wire.fetch(Offset(offsets.start), LIMITS).error, ErrorCode::CorruptMessage);
    assert_eq!(wire.delete_records(offsets.end), Ok(Offset(offsets.end)));
    wait_until("nothing is refused any more", || rig.server.metric("ringmain_quarantined_offsets") == 0);
}

#[test]
fn the_last_segment_gone_gives_no_offset_away() {
    let mut rig = rig("last");
    let last = rig.segments.len() - 1;
    let offsets = rig.offsets(last);
    fs::remove_file(&rig.segments[last]).expect("there");
    rig.check("the last one missing", |offset| offsets.contains(&offset));
}

#[test]
fn an_extra_segment_is_set_aside() {
    let mut rig = rig("extra");
    let extra = rig.segments[1].with_file_name(format!("{:020}.log", base(&rig.segments[1]) + 1));
    fs::write(&extra, b"of somebody else").expect("writable");
    rig.check("extra", |_| false);
    assert!(extra.with_extension("log.orphan").exists());
}

#[test]
fn lost_indexes_are_made_anew() {
    let mut rig = rig("indexes");
    for segment in &rig.segments {
        fs::write(segment.with_extension("index"), b"rubbish").expect("writable");
        fs::remove_file(segment.with_extension("timeindex")).expect("there");
    }
    rig.check("indexes", |_| false);
}

#[test]
fn an_index_that_leads_astray_is_made_anew() {
    // The start looks where the last entry leads; these are found out by who goes by them.
    let mut rig = rig("astray");
    let finished = rig.segments.len() - 1;
    let files = |extension: &str| -> Vec<PathBuf> {
        rig.segments[..finished].iter().map(|path| path.with_extension(extension)).collect()
    };
    let [indexes, times] = ["index", "timeindex"].map(files);
    let read = |paths: &[PathBuf]| -> Vec<Vec<u8>> {
        paths.iter().map(|path| fs::read(path).expect("readable")).collect()
    };
    let flip = |path: &PathBuf, at: usize| {
        let mut bytes = fs::read(path).expect("readable");
        bytes[at] ^= 1;
        fs::write(path, bytes).expect("writable");
    };
    let whole = [read(&indexes), read(&times)];
    // The second lowest byte of a position: 256 bytes to and fro are within a batch, and no entry is out of order.
    indexes.iter().for_each(|path| flip(path, 5 * 8 + 6));
    rig.check("offset indexes", |_| false);
    let mended = |rig: &Rig| rig.server.metric("ringmain_indexes_mended_total");
    assert_eq!(mended(&rig), finished as u64);
    assert!(rig.server.log().contains("leads to no batch of it: it is made anew"), "{}", rig.server.log());
    assert!([read(&indexes), read(&times)] == whole, "the files are as they were");

    rig.server.stop();
    // Of a time: a quarter of what lies between two batches.
    times.iter().for_each(|path| flip(path, 5 * 12 + 6));
    rig.server.start_again(&ARGS);
    for offset in 0..BATCHES {
        let TimestampMs(time) = time_of(offset);
        for before in [0, 1, 200, 500, 900] {
            let found = rig.server.find(&rig.topic, Position::Timestamp(TimestampMs(time - before)));
            assert_eq!(found, Offset(offset), "{before} ms before");
        }
    }
    assert_eq!(mended(&rig), finished as u64);
    assert!([read(&indexes), read(&times)] == whole, "the files are as they were");
}
