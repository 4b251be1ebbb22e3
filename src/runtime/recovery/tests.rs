//! The verdicts of [`crate::log`]'s `recovery` carried out: a folder as a disk may leave it, and what is made of it.

use std::fs;
use std::io::{self, Write};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::UNIX_EPOCH;

use tempfile::TempDir;

use super::files::{SegmentFiles, partition_folder, segment_file};
use super::partition::recover;
use crate::base::io::SegmentId;
use crate::base::{LeaderEpoch, Offset, PartitionIndex, TimestampMs, TopicId, TopicPartition};
use crate::log::{EpochCache, IndexMark, PartitionSnapshot, ProducerStates, RecoveredLog, marks};
use crate::record::{BatchBuilder, BatchHeader};

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
        let log = recover(&self.path, ID, snapshot, Offset(claim), &mut files).expect("readable");
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

#[test]
fn whole_logs_end_where_their_batches_end() {
    let bytes = batches(0..50);
    let folder = Folder::new().segment(0, &bytes);
    assert_eq!(folder.recover(None, 0), found(50, &[(0, bytes.len())], &[]));
    let ahead = [&bytes[..], &[0; 8192]].concat();
    let folder = Folder::new().segment(0, &ahead);
    assert_eq!(folder.recover(None, 0), found(50, &[(0, bytes.len())], &[]));
    let from = batches(0..30).len();
    let folder = Folder::new().segment(0, &ahead);
    assert_eq!(folder.recover(Some(&checkpoint(0, from, 30)), 50), found(50, &[(0, bytes.len())], &[]));
    assert!(!folder.has(0, "log.damaged"));
}

#[test]
fn a_torn_end_is_cut() {
    let whole = batches(0..40).len();
    let mut bytes = batches(0..60);
    damage(&mut bytes, 4);
    let folder = Folder::new().segment(0, &bytes);
    // The last batch is whole, and was never acknowledged: it is behind what was torn.
    assert_eq!(folder.recover(None, 40), found(40, &[(0, whole)], &[]));
    assert_eq!(fs::metadata(folder.file(0, "log")).expect("there").len(), whole as u64);
    assert!(!folder.has(0, "log.damaged"), "nothing of it was durable");
    let folder = Folder::new().segment(0, &batches(0..60)[..whole + 100]);
    assert_eq!(folder.recover(None, 0), found(40, &[(0, whole)], &[]));
}

#[test]
fn what_stands_behind_damage_is_kept() {
    let mut bytes = batches(0..60);
    damage(&mut bytes, 2);
    let folder = Folder::new().segment(0, &bytes);
    assert_eq!(folder.recover(None, 60), found(60, &[(0, bytes.len())], &[(20, 30)]));
    // A lost write leaves zeros.
    let mut bytes = batches(0..60);
    bytes[batches(0..20).len()..batches(0..40).len()].fill(0);
    let folder = Folder::new().segment(0, &bytes);
    assert_eq!(folder.recover(None, 50), found(60, &[(0, bytes.len())], &[(20, 40)]));
    // Two blocks in each other's place.
    let mut bytes = batches(0..60);
    let (first, second) = bytes.split_at_mut(16384);
    first[4096..8192].swap_with_slice(&mut second[..4096]);
    let folder = Folder::new().segment(0, &bytes);
    let Found { end, segments, damaged, .. } = folder.recover(None, 60);
    assert_eq!((end, segments), (60, vec![(0, bytes.len())]));
    assert_eq!(damaged, [(0, 20), (30, 40)]);
}

#[test]
fn a_damaged_end_is_kept_and_its_offsets_are_not_given_out_again() {
    let whole = batches(0..40).len();
    let mut bytes = batches(0..60);
    damage(&mut bytes, 4);
    damage(&mut bytes, 5);
    let folder = Folder::new().segment(0, &bytes);
    assert_eq!(folder.recover(None, 60), found(60, &[(0, whole), (60, 0)], &[(40, 60)]));
    assert_eq!(fs::read(folder.file(0, "log.damaged")).expect("kept"), bytes);
    // The next life appends to the new segment, and its checkpoint begins there.
    let more = batches(60..80);
    let folder = folder.segment(60, &more);
    let next = folder.recover(Some(&checkpoint(60, 0, 60)), 80);
    assert_eq!(next, found(80, &[(0, whole), (60, more.len())], &[(40, 60)]));
    // Nothing of the only segment is left.
    let folder = Folder::new().segment(0, &vec![0xEE; 8192]);
    assert_eq!(folder.recover(None, 60), Found { start: 60, ..found(60, &[], &[]) });
    assert!(folder.has(0, "log.damaged"));
}

#[test]
fn a_segment_that_was_cut_short_is_found_out() {
    let (first, second) = (batches(0..60), batches(60..90));
    let sizes = |cut| vec![(0, cut), (60, second.len())];
    let (on, within) = (batches(0..40).len(), batches(0..40).len() + 77);
    for (cut, left) in [(on, on), (within, on), (0, 0)] {
        let folder = Folder::new().segment(0, &first[..cut]).segment(60, &second);
        let kept = batches(0..40).len().min(left);
        let ends = if left == 0 { 0 } else { 40 };
        let at = checkpoint(60, second.len(), 90);
        assert_eq!(folder.recover(Some(&at), 0), found(90, &sizes(kept), &[(ends, 60)]), "cut at {cut}");
    }
    // The one that scanning begins in.
    let folder = Folder::new().segment(0, &first).segment(60, &second[..second.len() - 1]);
    let left = batches(60..80).len();
    let at = checkpoint(60, second.len(), 90);
    assert_eq!(
        folder.recover(Some(&at), 0),
        found(90, &[(0, first.len()), (60, left), (90, 0)], &[(80, 90)])
    );
}

#[test]
fn a_missing_segment_is_found_out() {
    let (first, last) = (batches(0..60), batches(90..120));
    let segments = [(0, first.len()), (90, last.len())];
    let folder = Folder::new().segment(0, &first).segment(90, &last);
    let at = checkpoint(90, last.len(), 120);
    assert_eq!(folder.recover(Some(&at), 0), found(120, &segments, &[(60, 90)]));
    // Known to have been durable by the commit log alone.
    assert_eq!(folder.recover(None, 120), found(120, &segments, &[(60, 90)]));
    // The one that scanning would begin in: no offset is given out again.
    let folder = Folder::new().segment(0, &first);
    assert_eq!(
        folder.recover(Some(&checkpoint(60, 4096, 90)), 0),
        found(90, &[(0, first.len()), (90, 0)], &[(60, 90)])
    );
    // The first: the log begins later.
    let folder = Folder::new().segment(90, &last);
    let Found { start, end, damaged, .. } = folder.recover(Some(&checkpoint(90, last.len(), 120)), 0);
    assert_eq!((start, end, damaged), (90, 120, vec![]));
}

#[test]
fn what_was_created_before_what_it_follows_was_written_is_set_aside() {
    let first = batches(0..60);
    let folder = Folder::new().segment(0, &first).segment(90, &batches(90..120));
    assert_eq!(folder.recover(None, 60), found(60, &[(0, first.len())], &[]));
    assert!(folder.has(90, "log.orphan") && !folder.has(90, "log"));
    // Nothing is in it yet but what was allocated: there is nothing to keep.
    let folder = Folder::new().segment(0, &first).segment(90, &[0; 8192]).segment(120, &[]);
    assert_eq!(folder.recover(None, 60), found(60, &[(0, first.len())], &[]));
    assert!(!folder.has(90, "log") && !folder.has(90, "log.orphan"));
    assert!(!folder.has(120, "log") && !folder.has(120, "log.orphan"));
}

#[test]
fn an_extra_segment_is_set_aside() {
    let (first, second) = (batches(0..60), batches(60..90));
    let folder = Folder::new().segment(0, &first).segment(60, &second).segment(30, b"not of this log");
    let at = checkpoint(60, second.len(), 90);
    assert_eq!(folder.recover(Some(&at), 0), found(90, &[(0, first.len()), (60, second.len())], &[]));
    assert!(folder.has(30, "log.orphan"));
    // Also one that looks right.
    let folder = Folder::new().segment(0, &first).segment(30, &batches(30..60)).segment(60, &second);
    assert_eq!(folder.recover(None, 90), found(90, &[(0, first.len()), (60, second.len())], &[]));
}

#[test]
fn an_index_is_made_anew_unless_it_leads_where_it_says() {
    let (first, second) = (batches(0..200), batches(200..230));
    let at = checkpoint(200, second.len(), 230);
    let folder = Folder::new().segment(0, &first).segment(200, &second);
    let built = folder.recover_whole(Some(at.clone()), 0).segments[0].index.clone();
    assert!(built.len() > 3 && built.max_timestamp(Offset(0)).is_some());
    let (index, times) = (folder.file(0, "index"), folder.file(0, "timeindex"));
    let (whole, whole_times) = (fs::read(&index).expect("built"), fs::read(&times).expect("built"));
    let mut skewed = whole.clone();
    let end = skewed.len();
    skewed[end - 1] ^= 1;
    let cut = &whole[..16];
    let zeros = vec![0; whole_times.len()];
    let mut younger = whole_times.clone();
    let last_time = younger.len() - 12;
    younger[last_time + 6] ^= 0x10;
    for (name, bytes, time_bytes) in [
        ("missing", None, None),
        ("cut off", Some(cut), Some(&whole_times[..])),
        ("empty", Some(&[][..]), Some(&[][..])),
        ("skewed", Some(&skewed[..]), Some(&whole_times[..])),
        ("torn", Some(&whole[..end - 3]), Some(&whole_times[..])),
        ("of no age", Some(&whole[..]), Some(&zeros[..])),
        ("of another age", Some(&whole[..]), Some(&younger[..])),
    ] {
        for (path, bytes) in [(&index, bytes), (&times, time_bytes)] {
            match bytes {
                Some(bytes) => fs::write(path, bytes).expect("writable"),
                None => fs::remove_file(path).expect("there"),
            }
        }
        let log = folder.recover_whole(Some(at.clone()), 0);
        assert_eq!(log.segments[0].index.encode(), built.encode(), "{name}");
        assert_eq!(fs::read(&index).expect("there"), whole, "{name}");
        assert_eq!(Found::of(&log), found(230, &[(0, first.len()), (200, second.len())], &[]), "{name}");
    }
}

#[test]
fn the_largest_timestamp_is_looked_for_where_the_index_says() {
    // The first batch has it.
    let descending = |at: i64| {
        let mut batch = BatchBuilder::new(TimestampMs(9000 - at)).placed(Offset(at), LeaderEpoch(0));
        batch.append(None, Some(&[7; 9000]));
        batch.finish().expect("small")
    };
    let (first, second): (Vec<u8>, Vec<u8>) =
        ((0..20).flat_map(descending).collect(), (20..22).flat_map(descending).collect());
    let at = checkpoint(20, second.len(), 22);
    let folder = Folder::new().segment(0, &first).segment(20, &second);
    let times = folder.file(0, "timeindex");
    let newest = || folder.recover_whole(Some(at.clone()), 0).segments[0].index.max_timestamp(Offset(0));
    assert_eq!(newest(), Some((TimestampMs(9000), Offset(0))));
    let whole = fs::read(&times).expect("built");
    let file = fs::File::options().write(true).open(&times).expect("built");
    file.set_modified(UNIX_EPOCH).expect("writable");
    assert_eq!(newest(), Some((TimestampMs(9000), Offset(0))));
    let modified = fs::metadata(&times).expect("there").modified().expect("kept");
    assert_eq!(modified, UNIX_EPOCH, "what leads to the batch it names is not made anew");
    for at in [5, 6, 7, 11] {
        let mut wrong = whole.clone();
        wrong[at] ^= 1;
        fs::write(&times, &wrong).expect("writable");
        assert_eq!(newest(), Some((TimestampMs(9000), Offset(0))), "byte {at}");
        assert_eq!(fs::read(&times).expect("there"), whole, "byte {at}");
    }
}

#[test]
fn what_had_rolled_since_the_checkpoint_gets_its_index() {
    let (first, second, third) = (batches(0..200), batches(200..400), batches(400..430));
    for at in [None, Some(checkpoint(0, batches(0..100).len(), 100))] {
        let folder = Folder::new().segment(0, &first).segment(200, &second).segment(400, &third);
        fs::write(folder.file(0, "marks"), b"of a segment that goes on").expect("writable");
        fs::write(folder.file(200, "index"), b"torn").expect("writable");
        let log = folder.recover_whole(at, 430);
        assert_eq!(Found::of(&log).segments.len(), 3);
        for segment in &log.segments[..2] {
            let read = |extension| fs::read(folder.file(segment.base.0, extension)).expect("there");
            assert!(segment.index.len() > 3);
            assert_eq!((read("index"), read("timeindex")), segment.index.encode(), "{}", segment.base);
        }
        assert!(!folder.has(400, "index") && !folder.has(0, "marks"));
    }
}

#[test]
fn a_small_segment_that_goes_on_gets_no_index() {
    for (records, indexed) in [(100, false), (1000, true)] {
        let bytes = batches(0..records);
        let folder = Folder::new().segment(0, &bytes);
        let at = checkpoint(0, bytes.len(), records);
        assert_eq!(folder.recover(Some(&at), 0), found(records, &[(0, bytes.len())], &[]));
        assert_eq!(folder.has(0, "marks"), indexed, "{} bytes", bytes.len());
        assert!(!folder.has(0, "index"), "it goes on");
    }
}

/// Deletion frees a file's space in steps, and a power cut may bring its name back.
#[test]
fn what_is_left_of_a_segment_that_retention_has_let_go_is_no_damage() {
    let (first, second) = (batches(0..60), batches(60..90));
    let at = retained(60, second.len(), 90);
    let mut holed = first.clone();
    damage(&mut holed, 2);
    for left in [&first[..], &first[..0], &first[..2000], &holed] {
        let folder = Folder::new().segment(0, left).segment(60, &second);
        let (log, errors) = with_errors(|| folder.recover_whole(Some(at.clone()), 90));
        assert_eq!((log.log_start, log.log_end), (Offset(60), Offset(90)));
        assert_eq!(errors, "", "{} bytes", left.len());
    }
    let folder = Folder::new().segment(0, &first[..2000]).segment(60, &second);
    let kept = PartitionSnapshot { log_start: Offset(0), ..at };
    assert!(with_errors(|| folder.recover_whole(Some(kept), 90)).1.contains("records are missing"));
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

#[test]
fn the_checkpoints_mark_spares_walking_over_what_has_no_index_yet() {
    let bytes = batches(0..1000);
    let unmarked = checkpoint(0, bytes.len(), 1000);
    let whole =
        Folder::new().segment(0, &bytes).recover_whole(Some(unmarked.clone()), 0).segments[0].index.clone();
    let mark = whole.mark_before(bytes.len() as u64);
    let marked = PartitionSnapshot { mark, ..unmarked.clone() };
    let folder = Folder::new().segment(0, &bytes);
    assert_eq!(folder.recover(Some(&marked), 0), found(1000, &[(0, bytes.len())], &[]));
    let index = folder.recover_whole(Some(marked.clone()), 0).segments[0].index.clone();
    assert!(index.len() <= 2 && !folder.has(0, "index"), "only the end was looked at");
    assert_eq!(index.max_timestamp(Offset(0)), whole.max_timestamp(Offset(0)));
    assert_eq!(index.mark_before(bytes.len() as u64), mark, "for the next checkpoint");
    // What the index file has comes before the mark, and counts.
    let folder = folder.segment(0, &bytes);
    let (offsets, times) = whole.encode();
    fs::write(folder.file(0, "index"), &offsets[..80]).expect("writable");
    fs::write(folder.file(0, "timeindex"), &times[..120]).expect("writable");
    let index = folder.recover_whole(Some(marked.clone()), 0).segments[0].index.clone();
    assert_eq!(index.len(), 11);
    // So do the marks of a segment that was being appended to; what a crash left unwritten of them is passed over.
    let segment = SegmentId { partition: ID, base: Offset(0) };
    let folder = Folder::new().segment(0, &bytes);
    let written = marks::encode(segment, whole.marks(0..20));
    let mut holed = written.clone();
    holed[5 * marks::MARK_BYTES..][..marks::MARK_BYTES].fill(0);
    for (file, entries) in [(&written, 21), (&holed, 20)] {
        fs::write(folder.file(0, "marks"), file).expect("writable");
        let index = folder.recover_whole(Some(marked.clone()), 0).segments[0].index.clone();
        assert_eq!((index.len(), index.max_timestamp(Offset(0))), (entries, whole.max_timestamp(Offset(0))));
        assert_eq!(
            index.lead_to(Offset(0), Offset(300)).position,
            whole.lead_to(Offset(0), Offset(300)).position
        );
    }
    assert!(folder.has(0, "marks"));
    // They go on from the files of an orderly stop, and end where the checkpoint does.
    fs::write(folder.file(0, "index"), &offsets[..80]).expect("writable");
    fs::write(folder.file(0, "timeindex"), &times[..120]).expect("writable");
    let index = folder.recover_whole(Some(marked.clone()), 0).segments[0].index.clone();
    assert_eq!(index.len(), 21);
    let half = batches(0..500);
    let early = checkpoint(0, half.len(), 500);
    let folder = Folder::new().segment(0, &half);
    let walked = folder.recover_whole(Some(early.clone()), 0).segments[0].index.clone();
    assert!(folder.has(0, "marks"), "it was worth it");
    fs::write(folder.file(0, "marks"), marks::encode(segment, whole.marks(0..whole.len())))
        .expect("writable");
    let index = folder.recover_whole(Some(early), 0).segments[0].index.clone();
    assert!(index.len() > 10 && index.encode() == walked.encode());
    // Those of a segment that is not what the checkpoint found are none of its.
    let folder = Folder::new().segment(0, &bytes[1..]);
    fs::write(folder.file(0, "marks"), &written).expect("writable");
    folder.recover_whole(Some(marked.clone()), 0);
    assert!(!folder.has(0, "marks"));
    // One that leads nowhere.
    let mut skewed = mark.expect("there are entries").encode();
    skewed[7] ^= 1;
    let mark = IndexMark::decode(&skewed);
    let index =
        Folder::new().segment(0, &bytes).recover_whole(Some(PartitionSnapshot { mark, ..unmarked }), 0);
    assert_eq!(index.segments[0].index.encode(), whole.encode());
}

#[test]
fn without_any_file_the_log_goes_on_where_it_ended() {
    let folder = Folder::new();
    assert_eq!(folder.recover(None, 0), found(0, &[], &[]));
    // Retention took everything.
    let mut past = checkpoint(90, 0, 90);
    past.log_start = Offset(90);
    assert_eq!(folder.recover(Some(&past), 0), Found { start: 90, ..found(90, &[], &[]) });
    // Somebody did.
    assert_eq!(
        folder.recover(Some(&checkpoint(60, 4096, 90)), 95),
        Found { start: 95, ..found(95, &[], &[]) }
    );
}

#[test]
fn what_compaction_took_is_not_missed() {
    // Gaps, also at the beginning of a segment; its last batch is always kept.
    let first = [batch(10), batch(50)].concat();
    let second = [batch(80)].concat();
    let last = batches(90..120);
    let folder = Folder::new().segment(0, &first).segment(60, &second).segment(90, &last);
    let segments = [(0, first.len()), (60, second.len()), (90, last.len())];
    assert_eq!(folder.recover(Some(&checkpoint(90, last.len(), 120)), 0), found(120, &segments, &[]));
    assert_eq!(folder.recover(None, 120), found(120, &segments, &[]));
    fs::write(folder.file(0, "cleaned"), b"half of it").expect("writable");
    folder.recover(None, 120);
    assert!(!folder.has(0, "cleaned"), "leftovers go");
}

/// The checkpoint of a log that retention has taken everything below 60 from.
fn retained(segment_base: i64, position: usize, offset: i64) -> PartitionSnapshot {
    PartitionSnapshot { log_start: Offset(60), ..checkpoint(segment_base, position, offset) }
}

fn retained_found(end: i64, segments: &[(i64, usize)], damaged: &[(i64, i64)]) -> Found {
    Found { start: 60, ..found(end, segments, damaged) }
}

/// A file that held `old`, and into which `new` was written from its beginning on.
fn over(old: &[u8], new: &[u8]) -> Vec<u8> {
    [new, old.get(new.len()..).unwrap_or(&[])].concat()
}

impl Folder {
    /// The segment at 60, whole, and the one at 120 in a file that held the one at 0.
    fn used_again(last: &[u8]) -> (Folder, usize) {
        let before = batches(60..120);
        (Folder::new().segment(60, &before).segment(120, last), before.len())
    }

    fn is_unharmed(&self) {
        for base in [60, 120, 150] {
            assert!(!self.has(base, "log.damaged") && !self.has(base, "log.orphan"), "{base} is no damage");
        }
    }
}

#[test]
fn a_file_used_again_in_which_nothing_was_written_is_an_empty_segment() {
    let old = batches(0..60);
    for bytes in [&old[..], &old[..1000], &old[..30], &[0; 4096], &[]] {
        let (folder, before) = Folder::used_again(bytes);
        let at = retained(60, before, 120);
        assert_eq!(folder.recover(Some(&at), 120), retained_found(120, &[(60, before)], &[]));
        assert!(!folder.has(120, "log"), "{} bytes", bytes.len());
        folder.is_unharmed();
        // Also if the checkpoint says that it was to begin.
        let (folder, before) = Folder::used_again(bytes);
        let at = retained(120, 0, 120);
        assert_eq!(folder.recover(Some(&at), 120), retained_found(120, &[(60, before)], &[]));
        folder.is_unharmed();
    }
}

#[test]
fn what_an_older_segment_left_behind_the_end_is_not_the_log_s() {
    let (old, new) = (batches(0..60), batches(120..150));
    let aligned = [&new[..], &batches(20..60)].concat();
    let padded = [&new[..], &vec![0; new.len().next_multiple_of(4096) - new.len()]].concat();
    for bytes in [over(&old, &new), aligned, over(&old, &padded), over(&new, &old[..0])] {
        for claim in [120, 140, 150] {
            let (folder, before) = Folder::used_again(&bytes);
            let at = retained(60, before, 120);
            let whole = retained_found(150, &[(60, before), (120, new.len())], &[]);
            assert_eq!(folder.recover(Some(&at), claim), whole);
            assert_eq!(fs::metadata(folder.file(120, "log")).expect("there").len(), new.len() as u64);
            folder.is_unharmed();
            let from = batches(120..140).len();
            let (folder, _) = Folder::used_again(&bytes);
            assert_eq!(folder.recover(Some(&retained(120, from, 140)), claim), whole);
            folder.is_unharmed();
        }
    }
}

#[test]
fn a_write_that_was_torn_over_an_older_segment_ends_the_log() {
    let (old, new) = (batches(0..60), batches(120..150));
    let whole = batches(120..140).len();
    let (torn, behind) = (whole.next_multiple_of(512), whole.next_multiple_of(4096));
    let mut lost_block = over(&old, &new);
    lost_block[behind - 4096..behind].copy_from_slice(&old[behind - 4096..behind]);
    let lost_at = (behind - 4096 > batches(120..130).len()).then_some((130, batches(120..130).len()));
    let cases = [
        // Its first sector, its first block, all but its last sector.
        (over(&old, &new[..torn]), (140, whole)),
        (over(&old, &new[..behind]), (140, whole)),
        (over(&old, &new[..new.len() / 512 * 512]), (140, whole)),
        // A block within what was written is the old one.
        (lost_block, lost_at.unwrap_or((120, 0))),
    ];
    for (bytes, (end, size)) in cases {
        let (folder, before) = Folder::used_again(&bytes);
        let segments = [(60, before), (120, size)];
        let at = retained(60, before, 120);
        assert_eq!(folder.recover(Some(&at), end), retained_found(end, &segments, &[]), "{end}");
        folder.is_unharmed();
    }
}

#[test]
fn damage_in_a_file_used_again_is_found_before_what_was_acknowledged() {
    let old = batches(0..60);
    // The last batch is whole, and an older segment's bytes stand behind it.
    let mut new = batches(120..150);
    damage(&mut new, 1);
    let (folder, before) = Folder::used_again(&over(&old, &new));
    let at = retained(60, before, 120);
    let segments = [(60, before), (120, new.len())];
    assert_eq!(folder.recover(Some(&at), 150), retained_found(150, &segments, &[(130, 140)]));
    // What lies behind was acknowledged, though not all of it is known to have been.
    let (folder, _) = Folder::used_again(&over(&old, &new));
    assert_eq!(folder.recover(Some(&at), 140), retained_found(150, &segments, &[(130, 140)]));
    // A lost write: the older segment's bytes are there instead.
    let mut lost = over(&old, &batches(120..150));
    let (from, to) = (batches(120..130).len(), batches(120..140).len());
    lost[from..to].copy_from_slice(&old[from..to]);
    let (folder, _) = Folder::used_again(&lost);
    assert_eq!(folder.recover(Some(&at), 150), retained_found(150, &segments, &[(130, 140)]));
    // The end itself.
    let mut new = batches(120..150);
    damage(&mut new, 2);
    let bytes = over(&old, &new);
    let (folder, _) = Folder::used_again(&bytes);
    let left = [(60, before), (120, batches(120..140).len()), (150, 0)];
    assert_eq!(folder.recover(Some(&at), 150), retained_found(150, &left, &[(140, 150)]));
    assert_eq!(fs::read(folder.file(120, "log.damaged")).expect("kept"), bytes);
    // All of it.
    let (folder, _) = Folder::used_again(&old);
    let left = [(60, before), (120, 0), (150, 0)];
    let Found { end, damaged, .. } = folder.recover(Some(&at), 150);
    assert_eq!((end, damaged), (150, vec![(120, 150)]), "{left:?}");
}

#[test]
fn a_rolled_segment_in_a_file_used_again_is_cut_and_the_next_one_follows() {
    let (old, new, next) = (batches(0..60), batches(120..150), batches(150..160));
    let padded = [&new[..], &vec![0; new.len().next_multiple_of(4096) - new.len()]].concat();
    for bytes in [over(&old, &new), over(&old, &padded)] {
        for claim in [120, 150, 160] {
            let (folder, before) = Folder::used_again(&bytes);
            let folder = folder.segment(150, &over(&old, &next));
            let segments = [(60, before), (120, new.len()), (150, next.len())];
            let at = retained(60, before, 120);
            assert_eq!(folder.recover(Some(&at), claim), retained_found(160, &segments, &[]));
            folder.is_unharmed();
        }
        // The crash came before the first one's last batch.
        let whole = batches(120..140).len();
        let (folder, before) = Folder::used_again(&over(&old, &new[..whole + 512]));
        let folder = folder.segment(150, &old);
        let at = retained(60, before, 120);
        let segments = [(60, before), (120, whole)];
        assert_eq!(folder.recover(Some(&at), 140), retained_found(140, &segments, &[]));
        assert!(!folder.has(150, "log"), "nothing is in it");
        folder.is_unharmed();
    }
}

#[test]
fn a_file_kept_to_be_used_again_is_removed() {
    let (folder, before) = Folder::used_again(&batches(120..130));
    fs::write(folder.file(0, "spare"), batches(0..60)).expect("writable");
    let segments = [(60, before), (120, batches(120..130).len())];
    assert_eq!(folder.recover(Some(&retained(60, before, 120)), 130), retained_found(130, &segments, &[]));
    assert!(!folder.has(0, "spare"));
}
