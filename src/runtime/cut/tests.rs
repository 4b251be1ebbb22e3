//! Files as a crash may leave them, cut.

use std::ops::Range;

use tempfile::TempDir;

use super::*;
use crate::base::TimestampMs;
use crate::record::BatchBuilder;

/// Records of a batch.
const RECORDS: i64 = 10;

/// The epoch of a batch grows every 50 offsets.
fn batch(base: i64) -> Vec<u8> {
    let epoch = LeaderEpoch(i32::try_from(base / 50).expect("small"));
    let mut batch = BatchBuilder::new(TimestampMs(1000 + base)).placed(Offset(base), epoch);
    (0..RECORDS).for_each(|_| batch.append(None, Some(&[7; 900])));
    batch.finish().expect("small")
}

fn batches(offsets: Range<i64>) -> Vec<u8> {
    (offsets.start / RECORDS..offsets.end / RECORDS).flat_map(|at| batch(at * RECORDS)).collect()
}

fn index_of(base: i64, offsets: Range<i64>) -> SparseIndex {
    let (mut index, mut at) = (SparseIndex::default(), 0);
    for first in offsets.step_by(10) {
        let batch = batch(first);
        let header = BatchHeader::parse(&batch).expect("a batch");
        index.note(Offset(base), IndexedBatch::of(&header, at), INDEX_INTERVAL_BYTES);
        at += batch.len() as u64;
    }
    index
}

/// Segments at 0, 100 and 200, each of ten batches, with their indexes and whatever else a log may have.
fn log() -> TempDir {
    let folder = tempfile::tempdir().expect("a scratch directory");
    for base in [0, 100, 200] {
        let file = |extension| segment_file(folder.path(), Offset(base), extension);
        fs::write(file("log"), batches(base..base + 100)).expect("writable");
        let (index, times) = index_of(base, base..base + 100).encode();
        fs::write(file("index"), index).expect("writable");
        fs::write(file("timeindex"), times).expect("writable");
        fs::write(file("marks"), b"").expect("writable");
    }
    folder
}

fn names(folder: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path()).expect("there");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("there").file_name().into_string().expect("ascii")).collect();
    names.sort_unstable();
    names
}

fn bytes(folder: &TempDir, base: i64) -> Option<Vec<u8>> {
    fs::read(segment_file(folder.path(), Offset(base), "log")).ok()
}

fn at(below: i64) -> CutFiles {
    let bases = [0, 100, 200].map(Offset);
    let gone = bases.iter().copied().filter(|base| base.0 >= below).collect();
    let across = bases.iter().copied().rfind(|base| base.0 < below);
    CutFiles::Remove { bases: gone, cut: across.map(|base| (base, batches(0..100).len() as u64)) }
}

/// Cuts, and does so again, which must change nothing and answer the same.
fn cut_twice(folder: &TempDir, below: i64, files: &CutFiles) -> CutSegment {
    let first = cut(folder.path(), Offset(below), files).expect("writable");
    let (names_then, bytes_then) = (names(folder), [0, 100, 200].map(|base| bytes(folder, base)));
    let again = cut(folder.path(), Offset(below), files).expect("writable");
    assert_eq!(again, first, "cut again at {below}");
    assert_eq!((names(folder), [0, 100, 200].map(|base| bytes(folder, base))), (names_then, bytes_then));
    first
}

/// The segment at 100 stays up to `end`.
fn check(folder: &TempDir, below: i64, end: i64) {
    let left = cut_twice(folder, below, &at(below));
    let epoch = LeaderEpoch(i32::try_from((end - RECORDS) / 50).expect("small"));
    assert_eq!(left.last, Some((Offset(end), epoch)));
    assert_eq!(left.length, batches(100..end).len() as u64);
    assert_eq!(bytes(folder, 100), Some(batches(100..end)));
    assert_eq!((bytes(folder, 0), bytes(folder, 200)), (Some(batches(0..100)), None));
    let read = |extension| fs::read(segment_file(folder.path(), Offset(100), extension)).expect("written");
    assert_eq!((read("index"), read("timeindex")), (left.index.clone(), left.time_index.clone()));
    let index = SparseIndex::decode(&left.index, &left.time_index, left.length);
    let last = index.max_timestamp(Offset(100)).expect("there are batches");
    assert_eq!(last, (TimestampMs(1000 + end - RECORDS), Offset(end - 1)));
    assert!(!names(folder).iter().any(|name| name.starts_with(&format!("{:020}", 200))));
    assert!(!names(folder).contains(&format!("{:020}.marks", 100)));
}

#[test]
fn nothing_at_or_above_a_cut_stays() {
    for below in [110, 130, 150, 190, 200] {
        check(&log(), below, below);
    }
    // A batch across the cut goes as a whole.
    check(&log(), 135, 130);
    // Nothing is left of the segment.
    let folder = log();
    for below in [105, 101] {
        assert_eq!(cut_twice(&folder, below, &at(below)), CutSegment::default());
        assert_eq!(names(&folder).len(), 4, "the first segment's");
    }
    let left = cut_twice(&log(), 100, &at(100));
    assert_eq!((left.length, left.last), (batches(0..100).len() as u64, Some((Offset(100), LeaderEpoch(1)))));
}

#[test]
fn an_index_that_leads_astray_or_is_gone_is_made_anew() {
    let indexes: [fn(&mut Vec<u8>); 4] = [Vec::clear, |it| it.truncate(13), |it| it[7] ^= 1, |it| it[3] ^= 1];
    for change in indexes {
        for extension in ["index", "timeindex"] {
            let folder = log();
            let path = segment_file(folder.path(), Offset(100), extension);
            let mut bytes = fs::read(&path).expect("there");
            change(&mut bytes);
            fs::write(&path, bytes).expect("writable");
            let left = cut_twice(&folder, 180, &at(180));
            assert_eq!(
                (left.length, left.last.map(|last| last.0)),
                (batches(100..180).len() as u64, Some(Offset(180)))
            );
        }
    }
}

#[test]
fn damage_below_a_cut_stays_as_it_is_and_damage_above_goes() {
    let size = batches(100..110).len();
    for (damaged, below, end) in
        [(1, 180, 180), (7, 180, 170), (8, 180, 180), (9, 180, 180), (0, 130, 130), (0, 110, 100)]
    {
        for with_index in [true, false] {
            let folder = log();
            let path = segment_file(folder.path(), Offset(100), "log");
            let mut bytes = fs::read(&path).expect("there");
            bytes[damaged * size + 300] ^= 1;
            fs::write(&path, &bytes).expect("writable");
            if !with_index {
                fs::remove_file(path.with_extension("index")).expect("there");
            }
            let left = cut_twice(&folder, below, &at(below));
            let length = batches(100..end).len();
            assert_eq!(
                (left.length, left.last.map(|last| last.0)),
                (length as u64, (end > 100).then_some(Offset(end))),
                "{damaged}"
            );
            assert_eq!(self::bytes(&folder, 100), (end > 100).then(|| bytes[..length].to_vec()));
        }
    }
}

#[test]
fn any_part_of_a_cut_that_a_crash_has_left_is_finished() {
    let whole = {
        let folder = log();
        cut_twice(&folder, 150, &at(150));
        names(&folder)
    };
    for step in 0..5 {
        let folder = log();
        let file = |base, extension| segment_file(folder.path(), Offset(base), extension);
        let gone = ["log", "index", "timeindex", "marks"];
        gone.iter().take(step).for_each(|extension| fs::remove_file(file(200, extension)).expect("there"));
        if step == 4 {
            fs::write(file(100, "log"), batches(100..150)).expect("writable");
        }
        check(&folder, 150, 150);
        assert_eq!(names(&folder), whole);
    }
    // Names that came back.
    let folder = log();
    cut_twice(&folder, 150, &at(150));
    fs::write(segment_file(folder.path(), Offset(200), "log"), batches(200..300)).expect("writable");
    check(&folder, 150, 150);
}

#[test]
fn everything_goes_but_what_is_not_the_log_s() {
    let folder = log();
    let others = ["00000000000000000300-0000000001.snapshot", "00000000000000000000.log.orphan"];
    for name in others.iter().chain(&["00000000000000000000.spare", "00000000000000000000.deleted"]) {
        fs::write(folder.path().join(name), b"").expect("writable");
    }
    assert_eq!(cut_twice(&folder, 0, &CutFiles::RemoveAll), CutSegment::default());
    let mut left = others.map(str::to_owned);
    left.sort_unstable();
    assert_eq!(names(&folder), left);
    let nowhere = folder.path().join("nowhere");
    assert_eq!(cut(&nowhere, Offset(0), &CutFiles::RemoveAll).expect("nothing to do"), CutSegment::default());
}
