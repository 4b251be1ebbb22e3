//! The verdicts of [`crate::log`]'s `recovery` carried out: a folder as a disk may leave it, and what is made of it.

mod batches;
mod cluster;
mod cuts;
mod directory;
mod indexes;
mod older;
mod reused;
mod segments;
mod snapshots;

use std::fs;
use std::io::{self, Write};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use super::evidence::Known;
use super::files::SegmentFiles;
use super::partition::recover;
use crate::base::{LeaderEpoch, Offset, PartitionIndex, TimestampMs, TopicId, TopicPartition};
use crate::log::{EpochCache, PartitionSnapshot, ProducerStates, RecoveredLog};
use crate::record::{BatchBuilder, BatchHeader};
use crate::runtime::layout::{partition_folder, segment_file};

const ID: TopicPartition = TopicPartition { topic: TopicId([7; 16]), partition: PartitionIndex(0) };
/// Records of a batch; offsets of batches are multiples of it.
const RECORDS: i64 = 10;

struct Folder {
    data: TempDir,
    path: PathBuf,
}

/// What recovery made of it.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    start: i64,
    end: i64,
    /// Base offset and bytes of each segment.
    segments: Vec<(i64, usize)>,
    damaged: Vec<(i64, i64)>,
}

fn batch(base: i64) -> Vec<u8> {
    let mut batch = BatchBuilder::new(TimestampMs(1000 + base)).placed(Offset(base), LeaderEpoch(0));
    for record in 0..RECORDS {
        batch.append(None, Some(format!("record {} {}", base + record, "x".repeat(500)).as_bytes()));
    }
    batch.finish().expect("small")
}

fn batches(offsets: Range<i64>) -> Vec<u8> {
    (offsets.start / RECORDS..offsets.end / RECORDS).flat_map(|at| batch(at * RECORDS)).collect()
}

fn checkpoint(segment_base: i64, position: usize, offset: i64) -> PartitionSnapshot {
    PartitionSnapshot {
        id: ID,
        log_start: Offset(0),
        log_end: Offset(offset),
        segment_base: Offset(segment_base),
        position: position as u64,
        offset: Offset(offset),
        mark: None,
        epochs: EpochCache::from_starts(vec![(LeaderEpoch(0), Offset(0))]),
        producers: ProducerStates::default(),
        high_watermark: Offset(0),
        fence: 0,
    }
}

impl Folder {
    fn new() -> Folder {
        let data = tempfile::tempdir().expect("a scratch directory");
        let path = partition_folder(data.path(), ID);
        fs::create_dir_all(&path).expect("fresh");
        Folder { data, path }
    }

    fn file(&self, base: i64, extension: &str) -> PathBuf {
        segment_file(&self.path, Offset(base), extension)
    }

    fn segment(self, base: i64, bytes: &[u8]) -> Folder {
        fs::write(self.file(base, "log"), bytes).expect("writable");
        self
    }

    fn has(&self, base: i64, extension: &str) -> bool {
        self.file(base, extension).exists()
    }

    fn recover_whole(&self, snapshot: Option<PartitionSnapshot>, claim: i64) -> RecoveredLog {
        let mut files = SegmentFiles::new(self.data.path()).expect("there");
        let mut known = Known::of(ID, snapshot);
        known.claim = Offset(claim);
        let log = recover(&self.path, &known, &mut files).expect("readable");
        files.sync().expect("writable");
        let active = log.segments.last().map_or(0, |active| active.size);
        assert_eq!(log.carry.len() as u64, active % 4096, "the active segment's last block");
        log
    }

    /// Recovers; and once more with the same evidence, as after a crash during recovery, which must find the same.
    fn recover(&self, snapshot: Option<&PartitionSnapshot>, claim: i64) -> Found {
        let first = Found::of(&self.recover_whole(snapshot.cloned(), claim));
        assert_eq!(Found::of(&self.recover_whole(snapshot.cloned(), claim)), first, "recovered again");
        first
    }
}

impl Found {
    fn of(log: &RecoveredLog) -> Found {
        Found {
            start: log.log_start.0,
            end: log.log_end.0,
            segments: log
                .segments
                .iter()
                .map(|it| (it.base.0, usize::try_from(it.size).expect("small")))
                .collect(),
            damaged: log.damaged.iter().map(|it| (it.start.0, it.end.0)).collect(),
        }
    }
}

fn found(end: i64, segments: &[(i64, usize)], damaged: &[(i64, i64)]) -> Found {
    Found { start: 0, end, segments: segments.to_vec(), damaged: damaged.to_vec() }
}

/// Flips a bit in the `index`th batch.
fn damage(bytes: &mut [u8], index: usize) {
    let at = (0..index).fold(0, |at, _| at + BatchHeader::parse(&bytes[at..]).expect("whole").total_bytes());
    bytes[at + 200] ^= 1;
}

/// What an operator is told meanwhile.
fn with_errors<R>(work: impl FnOnce() -> R) -> (R, String) {
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);
    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("one thread").write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let lines = Lines::default();
    let to = lines.clone();
    let level = tracing::Level::ERROR;
    let told = tracing_subscriber::fmt().with_max_level(level).with_writer(move || to.clone()).finish();
    let result = tracing::subscriber::with_default(told, work);
    let bytes = lines.0.lock().expect("one thread").clone();
    (result, String::from_utf8(bytes).expect("text"))
}

/// The checkpoint of a log that retention has taken everything below 60 from.
fn retained(segment_base: i64, position: usize, offset: i64) -> PartitionSnapshot {
    PartitionSnapshot { log_start: Offset(60), ..checkpoint(segment_base, position, offset) }
}

fn retained_found(end: i64, segments: &[(i64, usize)], damaged: &[(i64, i64)]) -> Found {
    Found { start: 60, ..found(end, segments, damaged) }
}
