//! Snapshots of the metadata log: record batches, back to back, whose last record counts and sums up all others.

use std::io;
use std::path::Path;

use crate::base::{LeaderEpoch, Offset};
use crate::controller::{SnapshotCheck, describe_record};
use crate::record::{BatchHeader, batch_crc, records};

use super::report::{Problem, Report, Watcher};
use super::segment::{Batches, Next};

pub(super) fn inspect(path: &Path, watcher: &mut dyn Watcher) -> Report {
    let mut report = Report::new(path, "snapshot");
    let Some((end, epoch)) = named(path) else {
        return Report::unreadable(path, report.kind, &"its name is no offset and epoch");
    };
    let mut check = SnapshotCheck::default();
    match Batches::open(path).and_then(|batches| walk(batches, &mut check, path, watcher)) {
        Ok(problem) => report.problems.extend(problem),
        Err(error) => return Report::unreadable(path, report.kind, &error),
    }
    let records = check.records();
    report.summary =
        format!("{records} records, for all of the log before offset {end}, which ends in epoch {epoch}");
    report
}

/// The end of the log that a snapshot's file is named for.
fn named(path: &Path) -> Option<(Offset, LeaderEpoch)> {
    let (end, epoch) = path.file_stem()?.to_str()?.split_once('-')?;
    let (end, epoch) = (Offset(end.parse().ok()?), LeaderEpoch(epoch.parse().ok()?));
    (end.0 >= 0 && epoch.0 >= 0).then_some((end, epoch))
}

/// Reads up to the first problem: behind it, nothing can be told of a whole.
fn walk(
    mut batches: Batches,
    check: &mut SnapshotCheck,
    path: &Path,
    watcher: &mut dyn Watcher,
) -> io::Result<Option<Problem>> {
    loop {
        let position = batches.position;
        let (name, what) = match batches.next(watcher)? {
            Next::Batch(header, bytes) => match read(&header, &bytes, check, path, watcher) {
                Ok(()) => continue,
                Err(problem) => problem,
            },
            Next::Zeros => ("not-a-batch", "zeros where a batch should begin".to_owned()),
            Next::Nothing { name, what } => (name, what),
            Next::End if check.is_whole() => return Ok(None),
            Next::End => ("cut-short", "the last record is missing, which sums up all others".to_owned()),
        };
        return Ok(Some(Problem { name, position: Some(position), what }));
    }
}

/// Reads a batch; if it is not as it was written, the problem's name, and what it is.
fn read(
    header: &BatchHeader,
    batch: &[u8],
    check: &mut SnapshotCheck,
    path: &Path,
    watcher: &mut dyn Watcher,
) -> Result<(), (&'static str, String)> {
    if batch_crc(batch) != header.crc {
        return Err(("checksum", "a batch was not written like this".to_owned()));
    }
    let mut outcome = Ok(());
    let walked = records(batch, |_, record| {
        let value = record.value.unwrap_or(&[]);
        let number = check.records();
        outcome = check.push(value);
        if watcher.wants_details()
            && let Ok(said) = describe_record(value)
        {
            watcher.detail(path, &format!("{number:>12}  {said}"));
        }
        outcome.is_ok()
    });
    walked.map_err(|error| ("checksum", error.to_string()))?;
    outcome.map_err(|error| {
        let name = if error.is_newer() { "unreadable" } else { "checksum" };
        (name, error.to_string())
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::base::TimestampMs;
    use crate::config::Config;
    use crate::controller::{Controller, ControllerConfig, newer_record};
    use crate::inspect::testing::{Lines, names};
    use crate::record::BatchBuilder;

    const NAME: &str = "00000000000000001000-0000000003.snapshot";

    /// What a snapshot of an empty cluster says, a batch for each record.
    fn batches() -> Vec<Vec<u8>> {
        let controller = Controller::new(ControllerConfig::new("cluster".into(), &Config::default()));
        let mut writer = controller.snapshot();
        let mut written = Vec::new();
        while let Some(piece) = writer.next_piece(1) {
            written.extend(piece.iter().map(|record| batch(record)));
        }
        written
    }

    fn batch(record: &[u8]) -> Vec<u8> {
        let mut batch = BatchBuilder::new(TimestampMs(0));
        batch.append(None, Some(record));
        batch.finish().expect("small")
    }

    fn inspected(name: &str, bytes: &[u8]) -> (Report, Lines) {
        let folder = tempfile::tempdir().expect("a scratch directory");
        let path = folder.path().join(name);
        fs::write(&path, bytes).expect("writable");
        let mut lines = Lines::default();
        let report = inspect(&path, &mut lines);
        (report, lines)
    }

    #[test]
    fn a_whole_snapshot_is_told_record_by_record() {
        let batches = batches();
        let (report, lines) = inspected(NAME, &batches.concat());
        assert_eq!((report.kind, names(&report), lines.bytes), ("snapshot", vec![], report.bytes));
        let records = batches.len() - 1;
        assert_eq!(
            report.summary,
            format!("{records} records, for all of the log before offset 1000, which ends in epoch 3")
        );
        assert_eq!(lines.lines.len(), batches.len());
        assert!(lines.lines.last().is_some_and(|it| it.contains("SnapshotEnd")), "{:?}", lines.lines);
    }

    #[test]
    fn what_is_no_whole_snapshot_is_named_where_it_begins() {
        let batches = batches();
        let (first, good) = (batches[0].len(), batches.concat());
        assert!(batches.len() > 2, "a record could not be left out");
        let last = good.len() - batches[batches.len() - 1].len();
        let changed = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] ^= byte;
            bytes
        };
        let rows: [(&str, Vec<u8>, &str, usize); 8] = [
            ("a bit has fallen over", changed(first + 70, 1), "checksum", first),
            ("the last record is missing", good[..last].to_vec(), "cut-short", last),
            ("nothing was written", Vec::new(), "cut-short", 0),
            ("cut in a batch", good[..good.len() - 1].to_vec(), "cut-short", last),
            ("a record is missing", good[first..].to_vec(), "checksum", last - first),
            ("a record behind the last", [&good[..], &good[..first]].concat(), "checksum", good.len()),
            ("zeros", [&good[..], &[0; 4096]].concat(), "not-a-batch", good.len()),
            ("a record that is none", batch(b"no record"), "checksum", 0),
        ];
        for (what, bytes, name, position) in rows {
            let (report, _) = inspected(NAME, &bytes);
            assert_eq!(names(&report), [name], "{what}");
            assert_eq!(report.problems[0].position, Some(position as u64), "{what}");
        }
        for name in ["00000000000000001000.snapshot", "-1-1.snapshot", "1--1.snapshot", "a-1.snapshot"] {
            assert_eq!(names(&inspected(name, &good).0), ["unreadable"], "{name}");
        }
    }

    #[test]
    fn a_record_of_a_newer_version_is_no_damage() {
        let (report, _) = inspected(NAME, &batch(&newer_record()));
        assert_eq!(names(&report), ["unreadable"], "{report:?}");
    }
}
