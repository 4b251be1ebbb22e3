//! Segment files: batches one after another. If the server was not stopped in order, something may follow them: zeros,
//! where space was allocated ahead, or the rest of an older segment of the same log, where its file was recycled.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::base::{BLOCK_BYTES, Offset, TopicId};
use crate::controller;
use crate::log::may_begin;
use crate::record::{BATCH_HEADER_BYTES, BatchHeader, batch_crc, records};

use super::report::{Report, Watcher};

const READ_BYTES: usize = 1 << 20;

#[derive(Default)]
struct Totals {
    batches: u64,
    records: u64,
    first: Option<Offset>,
    epoch: i32,
    /// The file consists of whole blocks and ends with a batch that is not whole: its server was not stopped in order.
    is_open: bool,
    /// Behind the last batch follows the rest of an older segment, whose file was recycled.
    is_used_again: bool,
}

/// Whether a length is a number of whole blocks. A finished segment is cut to its exact length.
fn is_blocks(bytes: u64) -> bool {
    bytes.is_multiple_of(BLOCK_BYTES as u64)
}

/// Reads a segment from its first byte to its last. `follows` is where the segment before it in the folder ended. Also
/// returns where this segment ends, if that is known.
pub(super) fn inspect(
    path: &Path,
    follows: Option<Offset>,
    watcher: &mut dyn Watcher,
) -> (Report, Option<Offset>) {
    let mut report = Report::new(path, "segment");
    let Some(base) = base_of(path) else {
        return (Report::unreadable(path, "segment", &"its name is no offset"), None);
    };
    let outcome = Batches::open(path).and_then(|batches| walk(batches, base, &mut report, watcher));
    match outcome {
        Ok((totals, end)) => {
            if let Some(before) = follows.filter(|before| *before != base) {
                // Compaction keeps the last batch of a segment, so that neighbouring segments adjoin even then.
                let name = if before < base { "gap" } else { "out-of-order" };
                let what = format!("the segment before ends at {before}, this one begins at {base}");
                report.problem(name, None, what);
            }
            report.summary = match totals.first {
                None => "empty".to_owned(),
                Some(first) => format!(
                    "{} records in {} batches, offsets {first} to {}",
                    totals.records,
                    totals.batches,
                    Offset(end.0 - 1)
                ),
            };
            if totals.is_open {
                report.summary.push_str(", and part of another: the rest is in the commit log");
            }
            if totals.is_used_again {
                report.summary.push_str(", before what an older segment left in the file");
            }
            (report, Some(end))
        }
        Err(error) => (Report::unreadable(path, "segment", &error), None),
    }
}

fn walk(
    mut batches: Batches,
    base: Offset,
    report: &mut Report,
    watcher: &mut dyn Watcher,
) -> io::Result<(Totals, Offset)> {
    let (mut totals, mut end) = (Totals { epoch: -1, ..Totals::default() }, base);
    // The last batch may be cut short in a file that was not finished: the commit log has the rest of it.
    let mut suspect = None;
    let is_metadata = report.path.ancestors().nth(2).and_then(Path::file_name).and_then(|it| it.to_str())
        == Some(&TopicId::METADATA.to_string());
    let mut may_be_used_again = is_blocks(report.bytes);
    loop {
        let position = batches.position;
        let next = batches.next(watcher)?;
        let is_odd = match &next {
            Next::Batch(header, bytes) => header.base_offset < end || batch_crc(bytes) != header.crc,
            Next::Nothing { .. } => true,
            Next::Zeros | Next::End => false,
        };
        // A finished segment has its exact length, and nothing follows its batches.
        if is_odd && (may_be_used_again || totals.batches == 0) {
            match behind(&File::open(&report.path)?, position, &(base..end), watcher)? {
                Behind::Older => {
                    totals.is_used_again = true;
                    break;
                }
                Behind::Later => {}
                Behind::Neither => may_be_used_again = false,
            }
        }
        match next {
            Next::Batch(header, bytes) => {
                if let Some((position, what)) = suspect.take() {
                    report.problem("checksum", Some(position), what);
                }
                if batch_crc(&bytes) != header.crc {
                    let what = format!(
                        "batch {} to {} was not written like this",
                        header.base_offset,
                        header.last_offset()
                    );
                    suspect = Some((position, what));
                } else if header.base_offset < end {
                    let what = format!("batch {} where {end} was expected", header.base_offset);
                    report.problem("out-of-order", Some(position), what);
                } else if header.leader_epoch.0 < totals.epoch {
                    let what = format!("leader epoch {} after {}", header.leader_epoch, totals.epoch);
                    report.problem("out-of-order", Some(position), what);
                } else if let Err(error) = records(&bytes, |_, _| true) {
                    report.problem(
                        "checksum",
                        Some(position),
                        format!("batch {}: {error}", header.base_offset),
                    );
                } else {
                    end = header.last_offset().plus(1);
                }
                totals.batches += 1;
                totals.records += u64::try_from(header.records_count).unwrap_or(0);
                totals.first.get_or_insert(header.base_offset);
                totals.epoch = totals.epoch.max(header.leader_epoch.0);
                if watcher.wants_details() {
                    watcher.detail(&report.path, &detail(&header, position));
                    if is_metadata {
                        metadata_details(&report.path, &bytes, watcher);
                    }
                }
            }
            Next::Zeros => {
                totals.is_open |= suspect.take().is_some();
                break;
            }
            Next::Nothing { name: "cut-short", .. } if is_blocks(report.bytes) && suspect.is_none() => {
                totals.is_open = true;
                break;
            }
            Next::Nothing { what, name } => {
                report.problem(name, Some(position), what);
                break;
            }
            Next::End => break,
        }
    }
    if let Some((position, what)) = suspect {
        report.problem("checksum", Some(position), what);
    }
    Ok((totals, end))
}

/// What a file holds behind a segment's batches.
enum Behind {
    /// Whole batches of an older segment of the log, and none that could follow the segment's own.
    Older,
    /// A whole batch that could follow the segment's own.
    Later,
    Neither,
}

/// Looks behind the batches of a segment, which have these offsets.
fn behind(file: &File, position: u64, own: &Range<Offset>, watcher: &mut dyn Watcher) -> io::Result<Behind> {
    let length = file.metadata()?.len();
    let (mut from, mut found) = (position, Behind::Neither);
    // Offsets are believed only as far as a segment reaches: most bytes that are no batch claim larger ones.
    let any = Offset(0)..own.end.plus(i64::from(i32::MAX));
    while from < length {
        let window = read(file, from, length, READ_BYTES + BATCH_HEADER_BYTES)?;
        let mut next = from + READ_BYTES as u64;
        for at in 0..window.len().saturating_sub(BATCH_HEADER_BYTES - 1).min(READ_BYTES) {
            let Some(header) = may_begin(window.get(at..).unwrap_or(&[]), &any) else { continue };
            let batch = read(file, from + at as u64, length, header.total_bytes())?;
            if batch.len() < header.total_bytes() || batch_crc(&batch) != header.crc {
                continue;
            }
            if header.base_offset >= own.end {
                return Ok(Behind::Later);
            }
            if header.last_offset() < own.start {
                // The records of such a batch are not read.
                (next, found) = (from + (at + batch.len()) as u64, Behind::Older);
                break;
            }
        }
        watcher.progress(next.min(length) - from);
        from = next;
    }
    Ok(found)
}

/// Reads so many bytes of a file, or fewer at its end.
fn read(file: &File, from: u64, end: u64, bytes: usize) -> io::Result<Vec<u8>> {
    let bytes = usize::try_from(end.saturating_sub(from)).unwrap_or(usize::MAX).min(bytes);
    let mut read = vec![0; bytes];
    file.read_exact_at(&mut read, from)?;
    Ok(read)
}

fn detail(header: &BatchHeader, position: u64) -> String {
    let mut line = format!(
        "{position:>12}  offsets {} to {}, {} records, {} bytes, epoch {}, {}, timestamps {} to {}",
        header.base_offset,
        header.last_offset(),
        header.records_count,
        header.total_bytes(),
        header.leader_epoch,
        header.codec().map_or("unknown codec", |codec| codec.name()),
        header.base_timestamp.0,
        header.max_timestamp.0,
    );
    if header.producer_id.0 >= 0 {
        let (id, epoch, sequence) = (header.producer_id, header.producer_epoch, header.base_sequence);
        line.push_str(&format!(", producer {id} epoch {epoch} sequence {sequence}"));
    }
    for (is_so, what) in [(header.is_control(), "control"), (header.is_transactional(), "transactional")] {
        if is_so {
            line.push_str(", ");
            line.push_str(what);
        }
    }
    line
}

fn metadata_details(path: &Path, batch: &[u8], watcher: &mut dyn Watcher) {
    // Records that cannot be read were reported already.
    let _ = records(batch, |header, record| {
        let said = controller::describe_record(record.value.unwrap_or(&[]));
        let said = said.unwrap_or_else(|error| error.to_string());
        watcher.detail(path, &format!("{:>14}{}: {said}", "", record.offset(header)));
        true
    });
}

/// What comes next in a segment.
pub(super) enum Next {
    Batch(BatchHeader, Vec<u8>),
    /// Zeros to the end: space that was allocated ahead.
    Zeros,
    Nothing {
        name: &'static str,
        what: String,
    },
    End,
}

/// The batches of a segment, one in memory at a time.
pub(super) struct Batches {
    reader: BufReader<File>,
    pub position: u64,
    length: u64,
}

impl Batches {
    pub fn open(path: &Path) -> io::Result<Batches> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        Ok(Batches { reader: BufReader::with_capacity(READ_BYTES, file), position: 0, length })
    }

    pub fn next(&mut self, watcher: &mut dyn Watcher) -> io::Result<Next> {
        let left = self.length.saturating_sub(self.position);
        if left == 0 {
            return Ok(Next::End);
        }
        let front = usize::try_from(left).unwrap_or(usize::MAX).min(BATCH_HEADER_BYTES);
        let mut bytes = vec![0; front];
        self.reader.read_exact(&mut bytes)?;
        if bytes.iter().all(|byte| *byte == 0) {
            return self.zeros(left - front as u64);
        }
        if front < BATCH_HEADER_BYTES {
            let what = format!("{front} bytes are no batch");
            return Ok(Next::Nothing { name: "cut-short", what });
        }
        let header = match BatchHeader::parse(&bytes) {
            Ok(header) => header,
            Err(error) => return Ok(Next::Nothing { name: "not-a-batch", what: error.to_string() }),
        };
        let total = header.total_bytes();
        if total as u64 > left {
            let what = format!("batch {} has {total} bytes, the file only {left} more", header.base_offset);
            return Ok(Next::Nothing { name: "cut-short", what });
        }
        bytes.resize(total, 0);
        self.reader.read_exact(bytes.get_mut(BATCH_HEADER_BYTES..).unwrap_or_default())?;
        self.position += total as u64;
        watcher.progress(total as u64);
        Ok(Next::Batch(header, bytes))
    }

    /// Whether there are only zeros left.
    fn zeros(&mut self, mut left: u64) -> io::Result<Next> {
        let mut piece = vec![0; READ_BYTES];
        while left > 0 {
            let step = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
            let read = piece.get_mut(..step).unwrap_or_default();
            self.reader.read_exact(read)?;
            if read.iter().any(|byte| *byte != 0) {
                let what = "zeros where a batch should begin, and more behind them".to_owned();
                return Ok(Next::Nothing { name: "not-a-batch", what });
            }
            left -= step as u64;
        }
        Ok(Next::Zeros)
    }
}

/// The base offset that a segment's file is named after.
pub(super) fn base_of(path: &Path) -> Option<Offset> {
    path.file_stem()?.to_str()?.parse().ok().map(Offset)
}
