//! What segments hold: reading, indexes, verifying and compaction, by the same pure functions as the runtime's.

use std::path::{Path, PathBuf};

use ringmain::base::io::{Cleaned, IoDone, Sealing, SegmentId};
use ringmain::base::keys::KeyOffsets;
use ringmain::base::{BLOCK_BYTES, Chunk, ChunkWriter, Offset, TopicPartition};
use ringmain::log::{CleanRules, IndexedBatch, SparseIndex, clean_batch, note_keys};
use ringmain::record::{BatchHeader, batch_crc};
use ringmain::runtime::layout::partition_folder;

use super::file::File;
use super::{Disk, beside, log_file};

const INDEX_INTERVAL_BYTES: u64 = 4096;

impl Disk {
    pub(super) fn seal(&mut self, segment: SegmentId, length: u64, sync: Sealing) {
        let file = self.segment_file(segment);
        file.visible.resize(usize::try_from(length).unwrap(), 0);
        if sync != Sealing::Later {
            file.sync();
        }
        if sync == Sealing::DataAndNames {
            self.sync_names(segment.partition);
        }
        self.unlink(&beside(segment, "marks"));
    }

    pub(super) fn write_marks(&mut self, segment: SegmentId, position: u64, marks: Vec<u8>) {
        let path = beside(segment, "marks");
        if position == 0 {
            self.unlink(&path);
        }
        self.write(path, position, marks, false);
    }

    /// Neither synced nor in any order: an index may be anything after a power cut.
    pub(super) fn write_index(&mut self, segment: SegmentId, index: Vec<u8>, time_index: Vec<u8>) {
        for (extension, bytes) in [("index", index), ("timeindex", time_index)] {
            let file = self.files.entry(beside(segment, extension)).or_default();
            file.visible.clone_from(&bytes);
            file.durable.truncate(bytes.len());
            file.unsynced = vec![(0, bytes)];
        }
    }

    pub(super) fn read(&self, segment: SegmentId, position: u64, length: usize) -> IoDone {
        let Some(file) = self.files.get(&log_file(segment)) else {
            return absent();
        };
        let at = usize::try_from(position).unwrap().min(file.visible.len());
        let bytes = &file.visible[at..(at + length).min(file.visible.len())];
        let mut chunk = ChunkWriter::new(Chunk::heap(bytes.len().max(1).next_multiple_of(BLOCK_BYTES)));
        chunk.append(bytes);
        IoDone::Read(chunk.freeze().slice(0..bytes.len()))
    }

    pub(super) fn read_index(&self, segment: SegmentId) -> IoDone {
        let read = |extension| self.files.get(&beside(segment, extension)).map(|file| file.visible.clone());
        let [index, time_index] = ["index", "timeindex"].map(|it| read(it).unwrap_or_default());
        IoDone::Index { index, time_index }
    }

    pub(super) fn make_index(&mut self, segment: SegmentId, length: u64) -> IoDone {
        let (mut made, mut position) = (SparseIndex::default(), 0);
        for batch in self.batches(segment, length) {
            made.note(segment.base, indexed(&batch, position), INDEX_INTERVAL_BYTES);
            position += batch.len();
        }
        let (index, time_index) = made.encode();
        self.write_index(segment, index.clone(), time_index.clone());
        IoDone::Index { index, time_index }
    }

    /// Neither retention nor compaction waits for this: the file may be gone or shorter.
    pub(super) fn verify(&self, segment: SegmentId, length: u64, next: Offset) -> IoDone {
        let file = self.files.get(&log_file(segment));
        if file.is_none_or(|file| (file.visible.len() as u64) < length) {
            return absent();
        }
        for batch in self.batches(segment, length) {
            assert_eq!(BatchHeader::parse(&batch).unwrap().crc, batch_crc(&batch), "{segment:?}");
        }
        IoDone::Verified { to: length, next, damage: Vec::new() }
    }

    pub(super) fn map_keys(&self, segments: &[(SegmentId, u64)], mut keys: KeyOffsets) -> IoDone {
        for (segment, length) in segments {
            for batch in self.batches(*segment, *length) {
                if !note_keys(&mut keys, &batch).unwrap() {
                    return IoDone::Keys(keys);
                }
            }
        }
        IoDone::Keys(keys)
    }

    pub(super) fn clean(
        &mut self,
        segment: SegmentId,
        batches: &[Vec<u8>],
        rules: &CleanRules<'_>,
    ) -> Option<Cleaned> {
        let (mut stays, mut index, mut changed) = (Vec::new(), SparseIndex::default(), false);
        for (at, batch) in batches.iter().enumerate() {
            let kept = clean_batch(rules, batch, at + 1 == batches.len()).unwrap();
            changed |= kept.as_deref() != Some(batch);
            let Some(kept) = kept else { continue };
            index.note(segment.base, indexed(&kept, stays.len()), INDEX_INTERVAL_BYTES);
            stays.extend_from_slice(&kept);
        }
        if !changed {
            return None;
        }
        let length = stays.len() as u64;
        self.files.insert(beside(segment, "cleaned"), File::written(stays));
        let (index, time_index) = index.encode();
        Some(Cleaned { length, index, time_index })
    }

    /// All batches of a partition's log, back to back, as readers see them. Every segment is finished.
    #[allow(dead_code, reason = "the simulator of clusters compares replicas by it")]
    pub fn log(&self, partition: TopicPartition) -> Vec<u8> {
        let folder = partition_folder(Path::new(""), partition);
        let is_of_log = |path: &PathBuf| {
            path.parent() == Some(&*folder) && path.extension().is_some_and(|it| it == "log")
        };
        let segments = self.files.iter().filter(|(path, _)| is_of_log(path));
        segments.flat_map(|(_, file)| file.visible.iter().copied()).collect()
    }

    pub(super) fn batches(&self, segment: SegmentId, length: u64) -> Vec<Vec<u8>> {
        let file = &self.files[&log_file(segment)];
        let mut rest = &file.visible[..usize::try_from(length).unwrap()];
        let mut batches = Vec::new();
        while !rest.is_empty() {
            let header = BatchHeader::parse(rest).unwrap_or_else(|error| {
                let at = length - rest.len() as u64;
                panic!("{segment:?} of {length} bytes is no log at {at}: {error}")
            });
            let (batch, after) = rest.split_at(header.total_bytes());
            batches.push(batch.to_vec());
            rest = after;
        }
        batches
    }
}

fn indexed(batch: &[u8], position: usize) -> IndexedBatch {
    IndexedBatch::of(&BatchHeader::parse(batch).unwrap(), position as u64)
}

fn absent() -> IoDone {
    IoDone::Failed("no such file".to_owned())
}
