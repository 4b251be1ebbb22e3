//! Cutting the files of a log, for a shard while it runs and for a start that finds a cut which was not finished.
//!
//! From the end on: later segments go, the last one first; the one across the cut is made shorter; the directory is synced. So
//! what a crash leaves is a shorter log or names that come back, and to do all of it again makes the same of either.
//!
//! Where to cut is found by way of the segment's index, which is believed if it leads to the batch it names. Damaged parts
//! below the cut stay as they are if whole batches below the cut stand behind them.
//!
//! Limits: a thread of its own with the usual priority, because replicas wait for a cut; one cut after the other.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::background::{Background, Priority};
use super::cleaner::Batches;
use super::durable::sync_once;
use super::layout::{BESIDE, segment_file, write_index};
use super::remover::absent_is_fine;
use super::resync::next_batch;
use crate::base::io::{CutFiles, CutSegment};
use crate::base::{LeaderEpoch, Offset};
use crate::log::{IndexedBatch, SparseIndex};
use crate::record::{BatchHeader, batch_crc};

/// Bytes of a segment between two entries of an index that is made anew: the default of the topic setting.
const INDEX_INTERVAL_BYTES: u64 = 4096;

/// Extensions of the files that belong to a log: its segments, what lies beside them, and what is left of old ones.
const OF_A_LOG: [&str; 8] = ["log", "index", "timeindex", "marks", "cleaned", "new", "deleted", "spare"];

/// A log whose files are to be cut.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) folder: PathBuf,
    pub(super) below: Offset,
    pub(super) files: CutFiles,
}

pub(super) type Cutter = Background<(), Job, CutSegment>;

pub(super) fn cutter() -> Cutter {
    Background::new("cutter", Priority::Usual, (), |(), Job { folder, below, files }| {
        cut(&folder, below, &files)
    })
}

/// Cuts a log: no batch stays that has an offset of `below` or above.
pub(super) fn cut(folder: &Path, below: Offset, files: &CutFiles) -> io::Result<CutSegment> {
    // A log that nothing was ever written to has none.
    if !folder.exists() {
        return Ok(CutSegment::default());
    }
    match files {
        CutFiles::RemoveAll => {
            remove_all(folder)?;
            sync_once(&File::open(folder)?)?;
            Ok(CutSegment::default())
        }
        CutFiles::Remove { bases, cut } => {
            let mut bases = bases.clone();
            bases.sort_unstable();
            bases.into_iter().rev().try_for_each(|base| remove_segment(folder, base))?;
            let kept = match cut {
                Some((base, length)) => cut_segment(folder, *base, *length, below)?,
                None => None,
            };
            sync_once(&File::open(folder)?)?;
            Ok(kept.map_or_else(CutSegment::default, |kept| kept.indexed(folder)))
        }
    }
}

fn remove_all(folder: &Path) -> io::Result<()> {
    let is_of_a_log = |path: &PathBuf| {
        path.extension().is_some_and(|found| OF_A_LOG.iter().any(|extension| found == *extension))
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        paths.push(entry?.path());
    }
    paths.retain(is_of_a_log);
    paths.sort_unstable();
    paths.iter().rev().try_for_each(|path| absent_is_fine(fs::remove_file(path)))
}

fn remove_segment(folder: &Path, base: Offset) -> io::Result<()> {
    let path = segment_file(folder, base, "log");
    absent_is_fine(fs::remove_file(&path))?;
    BESIDE.iter().try_for_each(|beside| absent_is_fine(fs::remove_file(path.with_extension(beside))))
}

/// The part of a segment that stays.
struct Kept {
    base: Offset,
    length: u64,
    last: (Offset, LeaderEpoch),
    index: SparseIndex,
}

impl Kept {
    /// Writes the segment's index. Without it, or with the old one, the next reader makes it again.
    fn indexed(&self, folder: &Path) -> CutSegment {
        let (index, time_index) = self.index.encode();
        if let Err(error) = write_index(folder, self.base, &index, &time_index) {
            tracing::warn!(folder = %folder.display(), segment = %self.base, %error, "an index cannot be written");
        }
        CutSegment { length: self.length, last: Some(self.last), index, time_index }
    }
}

/// Cuts a segment's file. `None` if no batch of it stays, or it is gone already.
fn cut_segment(folder: &Path, base: Offset, length: u64, below: Offset) -> io::Result<Option<Kept>> {
    let path = segment_file(folder, base, "log");
    let file = match File::options().write(true).open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let length = file.metadata()?.len().min(length);
    let index = read_index(folder, base, length, below);
    let kept = match index.last_entry(base) {
        Some(lead) => follow(&path, base, length, below, Some((lead, index)))?,
        None => None,
    };
    let kept = match kept {
        Some(kept) => Some(kept),
        None => follow(&path, base, length, below, None)?,
    };
    let Some(kept) = kept else {
        remove_segment(folder, base)?;
        return Ok(None);
    };
    file.set_len(kept.length)?;
    sync_once(&file)?;
    absent_is_fine(fs::remove_file(path.with_extension("marks")))?;
    Ok(Some(kept))
}

/// What the index files say of batches below the cut.
fn read_index(folder: &Path, base: Offset, length: u64, below: Offset) -> SparseIndex {
    let read = |extension| fs::read(segment_file(folder, base, extension)).unwrap_or_default();
    let mut index = SparseIndex::decode(&read("index"), &read("timeindex"), length);
    index.truncate(base, below);
    index
}

/// Follows the batches of a segment up to the cut, from its beginning on, or from the last entry of an index: the batch with
/// that last offset stands at that position. `None` if no batch stays, or if the index leads astray.
fn follow(
    path: &Path,
    base: Offset,
    length: u64,
    below: Offset,
    lead: Option<((Offset, u64), SparseIndex)>,
) -> io::Result<Option<Kept>> {
    let (mut expected, from, mut index) = match lead {
        Some(((offset, position), index)) => (Some(offset), position, index),
        None => (None, 0, SparseIndex::default()),
    };
    let mut batches = Batches::open_at(path, from, length)?;
    let (mut at, mut next, mut kept) = (from, base, None);
    while at < length {
        let header = batches.next().ok().flatten().and_then(|batch| whole(&batch, next));
        if let Some(expected) = expected.take()
            && header.as_ref().map(BatchHeader::last_offset) != Some(expected)
        {
            return Ok(None);
        }
        let Some(header) = header else {
            // Whole batches may stand behind damage.
            let behind = next_batch(batches.file(), at..length, &(next..Offset(i64::MAX)), None)?;
            let Some((behind, offset)) = behind else { break };
            (at, next) = (behind, offset);
            batches.seek(at)?;
            continue;
        };
        if header.last_offset() >= below {
            break;
        }
        index.note(base, IndexedBatch::of(&header, at), INDEX_INTERVAL_BYTES);
        (at, next) = (batches.at, header.last_offset().plus(1));
        kept = Some((at, (next, header.leader_epoch)));
    }
    Ok(kept.map(|(length, last)| Kept { base, length, last, index }))
}

/// The header of a batch that is whole and may stand here.
fn whole(batch: &[u8], next: Offset) -> Option<BatchHeader> {
    let header = BatchHeader::parse(batch).ok()?;
    let stands = header.base_offset >= next && header.last_offset_delta >= 0;
    (stands && batch_crc(batch) == header.crc).then_some(header)
}

#[cfg(test)]
mod tests;
