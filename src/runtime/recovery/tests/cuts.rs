//! A crash at each step of a cut: what the next start makes of the files, the commit log and the checkpoint that it finds.

use std::fs;
use std::ops::Range;

use super::cluster::{OTHERS, with_topic};
use super::directory::*;
use crate::base::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, TimestampMs, TopicPartition};
use crate::commit::{CommitStart, CutHeader, Says};
use crate::log::{Admission, Cut, EpochCache, PartitionSnapshot, ProducerStates, Sequenced};
use crate::record::{BatchBuilder, BatchHeader};
use crate::runtime::cut;
use crate::runtime::recovery::Recovered;

/// Records of a batch.
const RECORDS: i64 = 10;
const OLD: ProducerId = ProducerId(7);
const NEW: ProducerId = ProducerId(9);
/// The log before the cut: segments at 0 and 60, records to 90, epoch 2 from 40 on, committed to 40.
const OLD_END: i64 = 90;
const COMMITTED: i64 = 40;

fn batch(base: i64, epoch: i32, producer: ProducerId, sequence: i64) -> Vec<u8> {
    let sequence = i32::try_from(sequence).expect("small");
    let batch = BatchBuilder::new(TimestampMs(1000 + base)).placed(Offset(base), LeaderEpoch(epoch));
    let mut batch = batch.producer(producer, ProducerEpoch(0), sequence);
    for record in 0..RECORDS {
        batch.append(None, Some(format!("{epoch} {} {}", base + record, "x".repeat(700)).as_bytes()));
    }
    batch.finish().expect("small")
}

fn old(offsets: Range<i64>) -> Vec<u8> {
    let bases = offsets.step_by(10);
    bases.flat_map(|base| batch(base, if base < 40 { 1 } else { 2 }, OLD, base)).collect()
}

/// What a leader of epoch 3 has behind a cut.
fn new(from: i64, batches: i64) -> Vec<u8> {
    (0..batches).flat_map(|at| batch(from + at * RECORDS, 3, NEW, at * RECORDS)).collect()
}

/// Where the crash came.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Crash {
    BeforeIntent,
    /// The intent is durable.
    Intent,
    /// Later segments are removed, or some of what is beside them.
    Removed,
    /// The files are cut.
    Cut,
    /// Names of removed files have come back.
    CameBack,
    /// That is written down.
    Done,
    /// Records behind the cut are in the commit log.
    Appended,
    /// Some of them are in the new segment too, which went on directly.
    Written,
}

const CRASHES: [Crash; 8] = [
    Crash::BeforeIntent,
    Crash::Intent,
    Crash::Removed,
    Crash::Cut,
    Crash::CameBack,
    Crash::Done,
    Crash::Appended,
    Crash::Written,
];

/// The checkpoint that is found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Checkpointed {
    /// It does not know the partition.
    Without,
    /// It is from before the cut.
    Before,
    /// It is from behind it; older groups are replayed all the same.
    After,
    /// As before, and older groups are stale: their file is to be used again.
    AfterAndFreed,
}

const CHECKPOINTS: [Checkpointed; 4] =
    [Checkpointed::Without, Checkpointed::Before, Checkpointed::After, Checkpointed::AfterAndFreed];

struct Scene {
    directory: Directory,
    id: TopicPartition,
    start: CommitStart,
    cut: Cut,
    crash: Crash,
    checkpoint: Checkpointed,
}

impl Scene {
    fn new(cut: Cut, crash: Crash, checkpoint: Checkpointed) -> Scene {
        let (directory, topic) = with_topic(&OTHERS);
        let start = directory.run().shards.remove(0).commit;
        let scene = Scene { directory, id: partition(topic, 0), start, cut, crash, checkpoint };
        scene.leave();
        scene
    }

    fn header(&self) -> CutHeader {
        let Cut { below, begin_at, epoch } = self.cut;
        CutHeader { partition: self.id, below, begin_at, epoch }
    }

    /// Where the log ends that is found.
    fn end(&self) -> i64 {
        let appended = if self.crash >= Crash::Appended { 2 * RECORDS } else { 0 };
        if self.crash == Crash::BeforeIntent { OLD_END } else { self.cut.begin_at.0 + appended }
    }

    /// Leaves what the crash leaves.
    fn leave(&self) {
        let (first, middle, last) = (old(0..30), old(30..60), old(60..OLD_END));
        let position = first.len() as u64;
        let begins = self.cut.begin_at.0;
        let appended = new(begins, 2);
        let (one, two) = appended.split_at(new(begins, 1).len());
        let append = |at, known, bytes| Logged::bytes(self.id, at, known, bytes);
        let mut groups = vec![
            vec![append((0, 0), (0, 0), &first)],
            vec![append((0, position), (30, 20), &middle), append((60, 0), (30, COMMITTED), &last)],
        ];
        self.directory.put(self.id, 0, &old(0..60));
        self.directory.put(self.id, 60, &old(60..OLD_END));
        if self.crash >= Crash::Intent {
            groups.push(vec![Logged::cut(Says::Cut(self.header()))]);
        }
        self.cut_files();
        if self.crash >= Crash::Done {
            groups.push(vec![Logged::cut(Says::CutDone(self.header()))]);
        }
        if self.crash >= Crash::Appended {
            groups.push(vec![append((begins, 0), (begins, begins), one)]);
            groups.push(vec![append((begins, one.len() as u64), (begins + RECORDS, begins), two)]);
        }
        if self.crash == Crash::Written {
            self.directory.put(self.id, begins, &one[..one.len() / 2]);
        }
        let sequence = self.directory.commit(0, &self.start, &groups);
        assert_eq!(sequence, self.start.next_sequence);
        self.write_checkpoint();
    }

    fn cut_files(&self) {
        let folder = self.directory.segment(self.id, 0).parent().expect("in a folder").to_owned();
        let bases = [0, 60].map(Offset);
        let files = self.cut.files_of(&bases);
        match self.crash {
            Crash::BeforeIntent | Crash::Intent => {}
            Crash::Removed if self.cut.below <= Offset(60) => {
                fs::remove_file(self.directory.segment(self.id, 60)).expect("there");
            }
            Crash::Removed => {}
            _ => drop(cut::cut(&folder, self.cut.below, &files).expect("writable")),
        }
        if self.crash == Crash::CameBack && self.cut.below <= Offset(60) {
            self.directory.put(self.id, 60, &old(60..OLD_END));
        }
    }

    fn write_checkpoint(&self) {
        let known = match self.checkpoint {
            Checkpointed::Without => return,
            Checkpointed::Before => self.snapshot(),
            Checkpointed::After | Checkpointed::AfterAndFreed => {
                let mut snapshot = self.snapshot();
                snapshot.cut(&self.cut);
                // Behind the four groups up to the end of the cut.
                snapshot.fence = self.start.next_sequence + 4;
                snapshot
            }
        };
        let replay_from = match self.checkpoint {
            Checkpointed::AfterAndFreed => known.fence,
            _ => self.start.next_sequence,
        };
        let of_metadata = PartitionSnapshot {
            log_end: Offset(3),
            offset: Offset(3),
            position: fs::metadata(self.directory.segment(TopicPartition::METADATA, 0)).expect("there").len(),
            ..PartitionSnapshot::of_nothing(TopicPartition::METADATA)
        };
        self.directory.checkpoint(0, replay_from, &[known, of_metadata]);
    }

    /// The checkpoint of the log before the cut.
    fn snapshot(&self) -> PartitionSnapshot {
        let mut producers = ProducerStates::default();
        note(&mut producers, &old(0..OLD_END));
        PartitionSnapshot {
            log_end: Offset(OLD_END),
            segment_base: Offset(60),
            position: old(60..80).len() as u64,
            offset: Offset(80),
            epochs: EpochCache::from_starts(vec![(LeaderEpoch(1), Offset(0)), (LeaderEpoch(2), Offset(40))]),
            producers,
            high_watermark: Offset(30),
            ..PartitionSnapshot::of_nothing(self.id)
        }
    }

    /// What must be there.
    fn check(&self) -> Recovered {
        let recovered = self.directory.run();
        let log = recovered.recovered(self.id);
        let context = format!("{:?} {:?} {:?}", self.cut, self.crash, self.checkpoint);
        let keeps = if self.crash == Crash::BeforeIntent { OLD_END } else { self.cut.below.0 };
        let begins = self.cut.begin_at.0;
        let has_new = self.crash >= Crash::Appended;
        assert_eq!(log.log_end.0, self.end(), "{context}");
        let start = if keeps == 0 { begins } else { 0 };
        assert_eq!(log.log_start.0, start, "{context}");
        assert!(log.damaged.iter().next().is_none() && !log.has_lost, "{context}");
        // Bytes.
        let found = log.segments.iter().flat_map(|segment| {
            let bytes = fs::read(self.directory.segment(self.id, segment.base.0)).expect("there");
            assert_eq!(bytes.len() as u64, segment.size, "{context}");
            bytes
        });
        let expected = [old(0..keeps), if has_new { new(begins, 2) } else { Vec::new() }].concat();
        assert!(found.collect::<Vec<u8>>() == expected, "{context}");
        // Epochs.
        let mut epochs: Vec<(i32, i64)> = [(1, 0), (2, 40)].into_iter().filter(|it| it.1 < keeps).collect();
        epochs.extend((keeps == 0).then_some((self.cut.epoch.0, begins - 1)));
        epochs.extend(has_new.then_some((3, begins)));
        let known: Vec<(i32, i64)> = log.epochs.starts().iter().map(|(epoch, at)| (epoch.0, at.0)).collect();
        assert_eq!(known, epochs, "{context}");
        // Producers.
        let admit = |producer, first_sequence: i64| {
            let first_sequence = i32::try_from(first_sequence).expect("small");
            let records = i32::try_from(RECORDS).expect("small");
            let batch = Sequenced { producer, epoch: ProducerEpoch(0), first_sequence, records };
            match log.producers.admit(&batch) {
                Admission::Duplicate(known) => Some(known.base_offset.0),
                Admission::Append => None,
                other => panic!("{other:?} {context}"),
            }
        };
        assert_eq!(log.producers_lost, None, "{context}");
        assert_eq!(admit(OLD, keeps), None, "{context}");
        if keeps > 0 {
            assert_eq!(admit(OLD, keeps - RECORDS), Some(keeps - RECORDS), "{context}");
        }
        if has_new {
            assert_eq!(admit(NEW, RECORDS), Some(begins + RECORDS), "{context}");
        }
        assert_eq!(admit(NEW, if has_new { 2 * RECORDS } else { 0 }), None, "{context}");
        // The high watermark.
        let watermark = match self.crash {
            _ if keeps == 0 || has_new => begins,
            _ if self.checkpoint == Checkpointed::AfterAndFreed => 30,
            Crash::Done if self.checkpoint == Checkpointed::After => 30,
            _ => COMMITTED,
        };
        assert_eq!(log.high_watermark.0, watermark, "{context}");
        recovered
    }
}

fn note(producers: &mut ProducerStates, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let header = BatchHeader::parse(bytes).expect("a batch");
        let sequenced = Sequenced::of(&header).expect("of a producer");
        producers.note(&sequenced, header.base_offset, header.max_timestamp);
        bytes = &bytes[header.total_bytes()..];
    }
}

/// The same evidence again, but for what a start has done to the segments: it crashed before it wrote checkpoints.
fn crash_in_recovery(scene: &Scene) {
    let commit = scene.directory.path().join("commit/0");
    let kept = tempfile::tempdir().expect("a scratch directory");
    let copy = |from: &std::path::Path, to: &std::path::Path| {
        for entry in fs::read_dir(from).expect("there") {
            let path = entry.expect("there").path();
            fs::copy(&path, to.join(path.file_name().expect("a file"))).expect("writable");
        }
    };
    copy(&commit, kept.path());
    scene.check();
    copy(kept.path(), &commit);
    let first = scene.check();
    scene.check_again(&first);
}

impl Scene {
    /// After a whole start, the next one finds the same by its checkpoint alone.
    fn check_again(&self, first: &Recovered) {
        let second = self.directory.run();
        let (first, second) = (first.recovered(self.id), second.recovered(self.id));
        assert_eq!((first.log_start, first.log_end), (second.log_start, second.log_end));
        assert_eq!((first.high_watermark, &first.epochs), (second.high_watermark, &second.epochs));
        assert_eq!(first.log_end.0, self.end());
    }
}

#[test]
fn wherever_a_crash_ends_a_cut_the_log_is_the_one_before_or_the_one_after_it() {
    let cuts = [40, 60, 80].map(|at| Cut::at(Offset(at)));
    let anew = [(500, 2), (20, 1)].map(|(at, epoch)| Cut::to_begin_at(Offset(at), LeaderEpoch(epoch)));
    for cut in cuts.into_iter().chain(anew) {
        for crash in CRASHES {
            for checkpoint in CHECKPOINTS {
                let is_after = matches!(checkpoint, Checkpointed::After | Checkpointed::AfterAndFreed);
                if !is_after || crash >= Crash::Done {
                    crash_in_recovery(&Scene::new(cut, crash, checkpoint));
                }
            }
        }
    }
}
