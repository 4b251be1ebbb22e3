//! Cutting a log's files, whole or as far as a crash lets it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ringmain::base::io::{CutFiles, CutSegment, IoDone, SegmentId};
use ringmain::base::rng::Rng;
use ringmain::base::{Offset, TopicPartition};
use ringmain::log::{IndexedBatch, SparseIndex, find_batch};
use ringmain::record::{BatchHeader, batch_crc};
use ringmain::runtime::layout::partition_folder;

use super::{Disk, log_file};

const INDEX_INTERVAL_BYTES: u64 = 4096;
/// What a segment is made of.
const OF_A_SEGMENT: [&str; 4] = ["log", "index", "timeindex", "marks"];
/// What else may lie about of a log.
const OF_A_LOG: [&str; 8] = ["log", "index", "timeindex", "marks", "cleaned", "new", "deleted", "spare"];

impl Disk {
    pub(super) fn cut(&mut self, partition: TopicPartition, below: Offset, files: &CutFiles) -> IoDone {
        let mut left = CutSegment::default();
        match files {
            CutFiles::RemoveAll => {
                let all: Vec<PathBuf> =
                    self.files.keys().filter(|path| is_of_a_log(path, partition)).cloned().collect();
                all.iter().rev().for_each(|path| self.unlink(path));
            }
            CutFiles::Remove { bases, cut } => {
                for base in bases.iter().rev() {
                    self.unlink_each(SegmentId { partition, base: *base }, &OF_A_SEGMENT);
                }
                if let Some((base, length)) = cut {
                    left = self.cut_segment(SegmentId { partition, base: *base }, *length, below);
                }
            }
        }
        self.sync_names(partition);
        IoDone::Truncated(left)
    }

    fn cut_segment(&mut self, segment: SegmentId, length: u64, below: Offset) -> CutSegment {
        let Some(file) = self.files.get_mut(&log_file(segment)) else { return CutSegment::default() };
        let bytes = &file.visible[..file.visible.len().min(usize::try_from(length).unwrap())];
        let left = stays(segment, bytes, below);
        if left.last.is_none() {
            self.unlink_each(segment, &OF_A_SEGMENT);
            return left;
        }
        file.visible.truncate(usize::try_from(left.length).unwrap());
        file.sync();
        self.unlink_each(segment, &["marks"]);
        self.write_index(segment, left.index.clone(), left.time_index.clone());
        left
    }
}

/// What stays of a segment's bytes: up to the last whole batch below the cut.
fn stays(segment: SegmentId, bytes: &[u8], below: Offset) -> CutSegment {
    let (mut at, mut next, mut index) = (0, segment.base, SparseIndex::default());
    let mut left = CutSegment::default();
    loop {
        let whole = BatchHeader::parse(&bytes[at..]).ok().filter(|header| {
            let batch = bytes.get(at..at + header.total_bytes());
            header.base_offset >= next && batch.is_some_and(|batch| batch_crc(batch) == header.crc)
        });
        let Some(header) = whole else {
            let Some((behind, header)) = find_batch(bytes, at, &(next..Offset(i64::MAX))) else { break };
            (at, next) = (behind, header.base_offset);
            continue;
        };
        if header.last_offset() >= below {
            break;
        }
        index.note(segment.base, IndexedBatch::of(&header, at as u64), INDEX_INTERVAL_BYTES);
        (at, next) = (at + header.total_bytes(), header.last_offset().plus(1));
        (left.length, left.last) = (at as u64, Some((next, header.leader_epoch)));
    }
    (left.index, left.time_index) = index.encode();
    left
}

fn is_of_a_log(path: &Path, partition: TopicPartition) -> bool {
    path.starts_with(partition_folder(Path::new(""), partition))
        && path.extension().is_some_and(|found| OF_A_LOG.iter().any(|extension| found == *extension))
}

/// A cut that had not ended has done any of its steps: names that are gone may have come back.
pub(super) fn half_cut(
    left: &mut BTreeMap<PathBuf, Vec<u8>>,
    partition: TopicPartition,
    below: Offset,
    files: &CutFiles,
    rng: &mut Rng,
) {
    let mut coin = || rng.below(2) == 0;
    match files {
        CutFiles::RemoveAll => left.retain(|path, _| !is_of_a_log(path, partition) || coin()),
        CutFiles::Remove { bases, cut } => {
            for base in bases {
                let path = log_file(SegmentId { partition, base: *base });
                for extension in OF_A_SEGMENT.into_iter().filter(|_| coin()) {
                    left.remove(&path.with_extension(extension));
                }
            }
            let Some((base, length)) = cut.filter(|_| coin()) else { return };
            let segment = SegmentId { partition, base };
            let path = log_file(segment);
            if let Some(bytes) = left.get_mut(&path) {
                let bytes_of_log = &bytes[..bytes.len().min(usize::try_from(length).unwrap())];
                let length = stays(segment, bytes_of_log, below).length;
                bytes.truncate(usize::try_from(length).unwrap());
                if length == 0 && coin() {
                    left.remove(&path);
                }
            }
        }
    }
}
