//! What the commit logs hold, put where it belongs: segment by segment.
//!
//! In the log, entries of all partitions alternate. Written in that order, each would open a file of its own; so first only
//! their places are noted, those are sorted, and each segment is then opened once and written in runs.
//! Memory: [`RUN_BYTES_MAX`] for each thread, and some 70 bytes for each entry of the logs.

use std::collections::{BTreeMap, btree_map};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::base::TopicPartition;
use crate::base::io::SegmentId;
use crate::commit::{Entry, EntryHeader, Found, Group, Says};

use super::error::{RecoveryError, at};
use super::files::{self, SegmentFiles};
use super::parallel;
use crate::runtime::layout::commit_file;

const RUN_BYTES_MAX: usize = 1024 * 1024;

/// An entry: where its bytes are, and where they belong.
#[derive(Debug)]
struct Place {
    segment: SegmentId,
    position: u64,
    file: u32,
    from: u64,
    length: usize,
    /// The entry's number, as whoever noted it counts.
    number: usize,
}

impl Place {
    /// Where an append's bytes are, in a group that begins at `group`.
    fn of(header: &EntryHeader, entry: &Entry<'_>, number: usize, file: u32, group: u64) -> Place {
        let EntryHeader { partition, segment_base, position, .. } = *header;
        let segment = SegmentId { partition, base: segment_base };
        Place { segment, position, file, from: group + entry.at as u64, length: entry.bytes.len(), number }
    }
}

/// The entries of one shard's commit log.
#[derive(Debug, Default)]
pub(super) struct Entries {
    places: Vec<Place>,
}

impl Entries {
    /// Shows each entry of these groups, in the order of the log, with its group's sequence; notes those that get a number.
    pub(super) fn note(
        &mut self,
        folder: &Path,
        groups: &[Found],
        mut number: impl FnMut(u64, &Entry<'_>) -> Option<usize>,
    ) -> Result<(), RecoveryError> {
        for groups in groups.chunk_by(|one, next| one.file == next.file) {
            let Some(file) = groups.first().map(|group| group.file) else { continue };
            let bytes = files::read(&commit_file(folder, file))?;
            for found in groups {
                let at = usize::try_from(found.position).unwrap_or(usize::MAX);
                let Ok(group) = Group::parse(bytes.get(at..).unwrap_or(&[])) else { continue };
                for entry in group.entries().map_while(Result::ok) {
                    if let Some(number) = number(found.header.sequence, &entry)
                        && let Says::Append(header) = &entry.says
                    {
                        self.places.push(Place::of(header, &entry, number, file, found.position));
                    }
                }
            }
        }
        Ok(())
    }

    /// Writes those that are `wanted`, by partition and number; where several are for the same place, the last one stays.
    pub(super) fn write(
        &self,
        folder: &Path,
        segments: &mut SegmentFiles,
        wanted: impl Fn(TopicPartition, usize) -> bool,
    ) -> Result<(), RecoveryError> {
        let is_wanted = |place: &&Place| wanted(place.segment.partition, place.number);
        let mut places: Vec<&Place> = self.places.iter().filter(is_wanted).collect();
        // Stable: a segment's entries stay in the order of the log.
        places.sort_by_key(|place| place.segment);
        let of_segments: Vec<&[&Place]> = places.chunk_by(|one, next| one.segment == next.segment).collect();
        let write = |of_segments: &[&[&Place]], segments: &mut SegmentFiles| {
            let mut sources = Sources { folder, open: BTreeMap::new() };
            for places in of_segments {
                write_segment(places, &mut sources, segments)?;
            }
            Ok(Vec::new())
        };
        parallel::on_runs_with::<_, ()>(&of_segments, segments, write).map(drop)
    }
}

/// Writes the entries of one segment.
fn write_segment(
    places: &[&Place],
    sources: &mut Sources<'_>,
    segments: &mut SegmentFiles,
) -> Result<(), RecoveryError> {
    let Some(segment) = places.first().map(|place| place.segment) else { return Ok(()) };
    let mut run = Run { position: 0, bytes: Vec::new() };
    for place in places {
        if !run.takes(place) {
            run.write(segment, segments)?;
            run.position = place.position;
        }
        sources.read(place, run.room(place))?;
    }
    run.write(segment, segments)
}

/// The log's files, opened when first read from.
struct Sources<'a> {
    folder: &'a Path,
    open: BTreeMap<u32, File>,
}

impl Sources<'_> {
    fn read(&mut self, place: &Place, into: &mut [u8]) -> Result<(), RecoveryError> {
        let path = commit_file(self.folder, place.file);
        let file = match self.open.entry(place.file) {
            btree_map::Entry::Occupied(open) => open.into_mut(),
            btree_map::Entry::Vacant(vacant) => vacant.insert(File::open(&path).map_err(at(&path))?),
        };
        file.read_exact_at(into, place.from).map_err(at(&path))
    }
}

/// Bytes that belong next to each other.
struct Run {
    position: u64,
    bytes: Vec<u8>,
}

impl Run {
    /// Whether an entry goes on where the run ends, or lies over its end: a tail that went into the commit log again.
    fn takes(&self, place: &Place) -> bool {
        let end = self.position + self.bytes.len() as u64;
        (self.position..=end).contains(&place.position) && self.bytes.len() + place.length <= RUN_BYTES_MAX
    }

    /// The bytes of the run that an entry fills.
    fn room(&mut self, place: &Place) -> &mut [u8] {
        let begin = usize::try_from(place.position - self.position).expect("within the run");
        let end = begin + place.length;
        self.bytes.resize(self.bytes.len().max(end), 0);
        &mut self.bytes[begin..end]
    }

    fn write(&mut self, segment: SegmentId, segments: &mut SegmentFiles) -> Result<(), RecoveryError> {
        if !self.bytes.is_empty() {
            segments.write(segment, self.position, &self.bytes)?;
        }
        self.bytes.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::base::{Chunk, ChunkWriter, Offset, PartitionIndex, ShardId, TopicId, TopicPartition};
    use crate::commit::{CommitLog, CommitStart, GROUP_BYTES_MAX, Logged, Pending, Receipt, scan_file};
    use crate::runtime::layout::{commit_folder, partition_folder, segment_file};

    const FILE_BYTES: u64 = 4 << 20;

    fn segment(partition: i32, base: i64) -> SegmentId {
        let partition = TopicPartition { topic: TopicId([5; 16]), partition: PartitionIndex(partition) };
        SegmentId { partition, base: Offset(base) }
    }

    /// One commit file with these entries: segment, position, length, and what its bytes are.
    fn commit_file_of(entries: &[(SegmentId, u64, usize, u8)]) -> Vec<u8> {
        let start = CommitStart {
            identity: [3; 16],
            next_sequence: 1,
            files: vec![0, 1, 2],
            file_bytes: FILE_BYTES,
            files_max: 3,
            group_bytes_max: GROUP_BYTES_MAX,
        };
        let mut log = CommitLog::new(start);
        let mut file = Vec::new();
        for (segment, position, length, byte) in entries {
            let mut writer = ChunkWriter::new(Chunk::heap(*length));
            writer.append(&vec![*byte; *length]);
            let header = EntryHeader {
                partition: segment.partition,
                segment_base: segment.base,
                position: *position,
                flushed: Offset(0),
                high_watermark: Offset(0),
            };
            let data = [Some(writer.slice(0..*length)), None];
            let receipt = Receipt { slot: 0, logged: Logged::Append(0) };
            log.push(Pending { says: Says::Append(header), data, receipt });
            let group = log.gather(&mut Chunk::heap).expect("idle");
            assert_eq!((group.file, group.position), (0, file.len() as u64));
            file.extend_from_slice(&group.data.all());
            log.written();
        }
        file
    }

    #[test]
    fn entries_end_up_as_if_written_in_the_order_of_the_log() {
        let (one, other, later) = (segment(1, 0), segment(2, 0), segment(1, 50));
        let entries = [
            (one, 0, 300, 1),
            (other, 0, 5000, 2),
            (one, 300, 400, 3),
            // A tail that went into the commit log again, as it was, with what came after it.
            (one, 0, 900, 4),
            (later, 0, 10, 5),
            // Behind a run that went to its segment directly.
            (other, 8192, 100, 6),
            (other, 8192, 50, 7),
            (one, 900, 100, 8),
        ];
        let mut expected: BTreeMap<SegmentId, Vec<u8>> = BTreeMap::new();
        for (segment, position, length, byte) in entries {
            let (at, file) =
                (usize::try_from(position).expect("small"), expected.entry(segment).or_default());
            file.resize(file.len().max(at + length), 0);
            file[at..at + length].fill(byte);
        }
        let data = tempfile::tempdir().expect("a scratch directory");
        let folder = commit_folder(data.path(), ShardId(0));
        fs::create_dir_all(&folder).expect("fresh");
        let bytes = commit_file_of(&entries);
        fs::write(commit_file(&folder, 0), &bytes).expect("writable");
        let found = scan_file(0, &bytes, [3; 16], 1);
        assert_eq!(found.len(), entries.len());
        let mut segments = SegmentFiles::new(data.path()).expect("there");
        let mut noted = Entries::default();
        noted.note(&folder, &found, |_, _| Some(0)).expect("readable");
        noted.write(&folder, &mut segments, |_, _| true).expect("writable");
        segments.sync().expect("writable");
        for (segment, bytes) in expected {
            let path = segment_file(&partition_folder(data.path(), segment.partition), segment.base, "log");
            assert!(fs::read(&path).expect("there") == bytes, "{segment:?}");
        }
    }
}
