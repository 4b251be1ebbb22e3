//! Index files: each entry must lead to a batch of the segment beside it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::base::io::SegmentId;
use crate::base::{PartitionIndex, TopicId, TopicPartition};
use crate::log::marks;

use super::report::{Report, Watcher};
use super::segment::{Batches, Next, base_of};

const OFFSET_ENTRY_BYTES: usize = 8;
const TIME_ENTRY_BYTES: usize = 12;

/// Inspects an offset index: entries of (relative offset, position), both ascending.
pub(super) fn inspect_offsets(path: &Path, watcher: &mut dyn Watcher) -> Report {
    read(path, "offset index", OFFSET_ENTRY_BYTES, watcher, |bytes, at, batches| {
        let (relative, position) = (number(bytes, 0, 4)?, number(bytes, 4, 4)?);
        let last_offset = batches.at.get(&u64::try_from(position).ok()?)?;
        let base = at.base;
        let leads = *last_offset == base + relative;
        Some((leads, (position, relative), format!("offset {} at {position}", base + relative)))
    })
}

/// Inspects a time index: entries of (timestamp, relative offset), the largest timestamp so far and where it is.
pub(super) fn inspect_times(path: &Path, watcher: &mut dyn Watcher) -> Report {
    read(path, "time index", TIME_ENTRY_BYTES, watcher, |bytes, at, batches| {
        let (timestamp, relative) = (number(bytes, 0, 8)?, number(bytes, 8, 4)?);
        let offset = at.base + relative;
        let leads = batches.timestamps.get(&offset) == Some(&timestamp);
        Some((leads, (timestamp, relative), format!("timestamp {timestamp} at offset {offset}")))
    })
}

/// Inspects the marks of a segment that was still being appended to. After a crash any of them may be missing.
pub(super) fn inspect_marks(path: &Path, watcher: &mut dyn Watcher) -> Report {
    let mut report = Report::new(path, "marks");
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => return Report::unreadable(path, report.kind, &error),
    };
    let Some(segment) = segment_of(path) else {
        return Report::unreadable(path, report.kind, &"its name and folders are those of no segment");
    };
    let Some(known) = known(&path.with_extension("log"), watcher) else {
        report.problem("index", None, "there is no segment beside it".to_owned());
        return report;
    };
    let (mut whole, mut all) = (0, 0);
    for mark in marks::decode(segment, &bytes) {
        let at = all * marks::MARK_BYTES;
        all += 1;
        let Some(mark) = mark else { continue };
        whole += 1;
        let ((position, offset), (timestamp, of)) =
            (mark.batch(segment.base), mark.max_timestamp(segment.base));
        let line = format!("offset {offset} at {position}, timestamp {timestamp} at offset {of}");
        if watcher.wants_details() {
            watcher.detail(path, &line);
        }
        let leads =
            known.at.get(&position) == Some(&offset.0) && known.timestamps.get(&of.0) == Some(&timestamp.0);
        if !leads {
            report.problem(
                "index",
                Some(at as u64),
                format!("mark {} ({line}) leads to another batch", all - 1),
            );
            break;
        }
    }
    report.summary = match all - whole {
        0 => format!("{whole} marks"),
        lost => format!("{whole} marks, {lost} lost to a crash"),
    };
    report
}

/// The segment that a file in a data directory is about: by the names of its folders, and its own.
fn segment_of(path: &Path) -> Option<SegmentId> {
    let folder = path.parent()?;
    let name = |path: &Path| path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    let topic = TopicId::parse(&name(folder.parent()?)?)?;
    let partition = PartitionIndex(name(folder)?.parse().ok()?);
    Some(SegmentId { partition: TopicPartition { topic, partition }, base: base_of(path)? })
}

struct At {
    base: i64,
}

/// The batches of a segment.
#[derive(Default)]
struct Known {
    /// Position → last offset.
    at: BTreeMap<u64, i64>,
    /// Last offset → largest timestamp.
    timestamps: BTreeMap<i64, i64>,
}

/// An index entry: whether it leads to a batch, the numbers by which entries ascend, and the entry as text.
type Entry = (bool, (i64, i64), String);

fn read(
    path: &Path,
    kind: &'static str,
    entry_bytes: usize,
    watcher: &mut dyn Watcher,
    parse: impl Fn(&[u8], &At, &Known) -> Option<Entry>,
) -> Report {
    let mut report = Report::new(path, kind);
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => return Report::unreadable(path, kind, &error),
    };
    let Some(base) = base_of(path) else {
        return Report::unreadable(path, kind, &"its name is no offset");
    };
    let Some(known) = known(&path.with_extension("log"), watcher) else {
        report.problem("index", None, "there is no segment beside it".to_owned());
        return report;
    };
    if bytes.len() % entry_bytes != 0 {
        report.problem("cut-short", None, format!("{} bytes are no whole entries", bytes.len()));
    }
    let mut before: Option<(i64, i64)> = None;
    for (index, bytes) in bytes.chunks_exact(entry_bytes).enumerate() {
        let position = Some((index * entry_bytes) as u64);
        let Some((leads, order, line)) = parse(bytes, &At { base: base.0 }, &known) else {
            report.problem("index", position, format!("entry {index} leads to no batch"));
            break;
        };
        if watcher.wants_details() {
            watcher.detail(path, &line);
        }
        if !leads {
            report.problem("index", position, format!("entry {index} ({line}) leads to another batch"));
            break;
        }
        if before.is_some_and(|before| order.0 <= before.0 || order.1 < before.1) {
            report.problem(
                "out-of-order",
                position,
                format!("entry {index} ({line}) is not above the one before"),
            );
            break;
        }
        before = Some(order);
    }
    report.summary = format!("{} entries", bytes.len() / entry_bytes);
    report
}

fn known(segment: &Path, watcher: &mut dyn Watcher) -> Option<Known> {
    let mut batches = Batches::open(segment).ok()?;
    let mut known = Known::default();
    loop {
        let position = batches.position;
        match batches.next(watcher).ok()? {
            Next::Batch(header, _) => {
                known.at.insert(position, header.last_offset().0);
                known.timestamps.insert(header.last_offset().0, header.max_timestamp.0);
            }
            // A segment's own problems are reported when the segment is inspected.
            Next::Zeros | Next::Nothing { .. } | Next::End => return Some(known),
        }
    }
}

/// Reads `length` big-endian bytes as a number.
fn number(bytes: &[u8], at: usize, length: usize) -> Option<i64> {
    let bytes = bytes.get(at..at + length)?;
    Some(bytes.iter().fold(0, |number, byte| number << 8 | i64::from(*byte)))
}
