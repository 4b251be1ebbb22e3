//! Metadata logs that begin with a snapshot, and how much of a metadata log is committed.

use std::fs;

use super::cluster::OTHERS;
use super::directory::*;
use crate::base::{LeaderEpoch, LogEnd, Offset, TopicPartition, VoterId};
use crate::controller::Controller;
use crate::log::PartitionSnapshot;
use crate::quorum::Ballot;
use crate::runtime::layout::{partition_folder, snapshot_file};
use crate::runtime::recovery::RecoveryError;
use crate::shard::DamagedPartitions;

const METADATA: TopicPartition = TopicPartition::METADATA;
const ALONE: [(i32, VoterId); 1] = [(1, VOTER)];

/// A metadata log: who votes, then topics of a partition each, two records a topic. Batches of one record, all of epoch 4.
struct Log {
    directory: Directory,
    records: Vec<Vec<u8>>,
}

impl Log {
    fn new(named: &[(i32, VoterId)], count: usize) -> Log {
        let directory = Directory::new();
        directory.run();
        let names: Vec<String> = (0..count).map(|at| format!("topic-{at}")).collect();
        let names: Vec<(&str, i32)> = names.iter().map(|name| (name.as_str(), 1)).collect();
        let mut records = topics(&directory.config(), &names).0;
        records.insert(0, voters(named));
        Log { directory, records }
    }

    fn bytes(&self, from: usize, to: usize) -> Vec<u8> {
        let record = |at: usize| batch(i64::try_from(at).expect("small"), 4, &self.records[at..=at]);
        (from..to).flat_map(record).collect()
    }

    /// What the records before `end` come to, as a file.
    fn snapshot(&self, end: usize) -> Vec<u8> {
        let mut controller = Controller::new(self.directory.config());
        for (offset, record) in (0..).zip(&self.records[..end]) {
            controller.replay(record, offset).expect("it fits");
        }
        let mut writer = controller.snapshot();
        let (mut bytes, mut written) = (Vec::new(), 0);
        while let Some(piece) = writer.next_piece(100) {
            bytes.extend(batch(written, 0, &piece));
            written += i64::try_from(piece.len()).expect("small");
        }
        bytes
    }

    fn put_snapshot(&self, end: i64, epoch: i32, bytes: &[u8]) {
        let folder = partition_folder(self.directory.path(), METADATA);
        fs::create_dir_all(&folder).expect("writable");
        let end = LogEnd { last_epoch: LeaderEpoch(epoch), end: Offset(end) };
        fs::write(snapshot_file(&folder, end), bytes).expect("writable");
    }

    /// The checkpoint says that the log begins here, where a segment does, and was committed so far.
    fn begins(&self, start: i64, high_watermark: i64) {
        let known = PartitionSnapshot {
            log_start: Offset(start),
            log_end: Offset(start),
            segment_base: Offset(start),
            offset: Offset(start),
            high_watermark: Offset(high_watermark),
            ..PartitionSnapshot::of_nothing(METADATA)
        };
        self.directory.checkpoint(0, 2, &[known]);
    }
}

/// Where the image is, where the log is, its last epoch, and where the snapshot ended.
fn found(log: &Log) -> (i64, (i64, i64), i32, Option<i64>) {
    let recovered = log.directory.run();
    let (_, start, end) = recovered.log(METADATA).expect("there");
    let directory = recovered.directory();
    assert_eq!(directory.metadata_end.end.0, end);
    let snapshot = directory.snapshot.map(|snapshot| snapshot.end.0);
    (recovered.image.version, (start, end), directory.metadata_end.last_epoch.0, snapshot)
}

#[test]
fn the_log_goes_on_where_its_snapshot_ends() {
    for named in [&ALONE[..], &OTHERS] {
        let log = Log::new(named, 5);
        log.put_snapshot(5, 4, &log.snapshot(5));
        log.directory.put(METADATA, 5, &log.bytes(5, 11));
        log.begins(5, 11);
        for _ in 0..2 {
            assert_eq!(found(&log), (11, (5, 11), 4, Some(5)));
        }
        let image = log.directory.run().image;
        assert_eq!(image.topics.len(), 5);
        // The log may have what the snapshot has.
        let log = Log::new(named, 5);
        log.put_snapshot(5, 4, &log.snapshot(5));
        log.directory.put(METADATA, 0, &log.bytes(0, 11));
        log.begins(0, 11);
        assert_eq!(found(&log), (11, (0, 11), 4, Some(5)));
        assert_eq!(format!("{:?}", log.directory.run().image), format!("{image:?}"));
    }
}

#[test]
fn an_older_snapshot_and_the_log_behind_it_do_for_one_that_is_damaged() {
    let log = Log::new(&OTHERS, 5);
    log.put_snapshot(5, 4, &log.snapshot(5));
    log.directory.put(METADATA, 5, &log.bytes(5, 11));
    log.begins(5, 11);
    let whole = log.snapshot(9);
    let mut rotten = whole.clone();
    let at = rotten.len() - 10;
    rotten[at] ^= 1;
    for bytes in [&whole[..whole.len() - 30], &rotten, b"", b"nonsense"] {
        log.put_snapshot(9, 4, bytes);
        assert_eq!(found(&log), (11, (5, 11), 4, Some(5)));
    }
    log.put_snapshot(9, 4, &whole);
    assert_eq!(found(&log), (11, (5, 11), 4, Some(9)));
}

#[test]
fn a_snapshot_beyond_the_log_is_where_it_begins() {
    let log = Log::new(&OTHERS, 5);
    log.directory.put(METADATA, 0, &log.bytes(0, 3));
    log.put_snapshot(9, 6, &log.snapshot(9));
    for _ in 0..2 {
        // The epoch is the snapshot's: a log of nothing would lose every vote that it should win.
        assert_eq!(found(&log), (9, (9, 9), 6, Some(9)));
        assert!(!log.directory.segment(METADATA, 0).exists());
    }
    // It goes on there, with records of a later epoch.
    let log = Log::new(&OTHERS, 5);
    log.put_snapshot(9, 6, &log.snapshot(9));
    assert_eq!(found(&log), (9, (9, 9), 6, Some(9)));
    let more: Vec<u8> = batch(9, 7, &log.records[9..11]);
    log.directory.put(METADATA, 9, &more);
    log.begins(9, 11);
    assert_eq!(found(&log), (11, (9, 11), 7, Some(9)));
}

#[test]
fn a_log_without_its_beginning_and_without_a_snapshot_is_lost() {
    let lost = |named| {
        let log = Log::new(named, 5);
        log.directory.put(METADATA, 5, &log.bytes(5, 11));
        log.begins(5, 11);
        log.put_snapshot(5, 4, b"rotten");
        log
    };
    let log = lost(&ALONE);
    assert!(matches!(
        log.directory.try_run(),
        Err(RecoveryError::MetadataLost { from: Offset(0), to: Offset(4) })
    ));
    // The snapshot that is damaged would have told who votes: this one has voted for somebody else.
    let mut log = lost(&OTHERS);
    let voted_for = Some(crate::base::Voter { server: crate::base::ServerId(2), id: OTHERS[1].1 });
    let voted = Ballot { voter: VOTER, epoch: LeaderEpoch(4), voted_for };
    fs::write(crate::runtime::layout::quorum_file(log.directory.path()), voted.encode()).expect("writable");
    log.directory.voter = VoterId([8; 16]);
    let recovered = log.directory.run();
    assert_eq!(recovered.directory().ballot, Some(Ballot::new(VoterId([8; 16]))));
    assert_eq!(recovered.directory().damaged, DamagedPartitions::All);
}

#[test]
fn where_others_vote_only_what_is_below_the_high_watermark_is_served() {
    for (named, high_watermark, version) in
        [(&OTHERS[..], 0, 0), (&OTHERS, 5, 5), (&OTHERS, 99, 11), (&ALONE, 0, 11), (&ALONE, 5, 11)]
    {
        let log = Log::new(named, 5);
        log.directory.put(METADATA, 0, &log.bytes(0, 11));
        log.begins(0, high_watermark);
        let recovered = log.directory.run();
        assert_eq!(recovered.image.version, version);
        assert_eq!(recovered.shards[0].controller.as_ref().expect("shard 0 has it").version(), version);
        // The rest says where partitions have their home.
        let known = recovered.shards[0].partitions.len();
        assert_eq!((known, recovered.directory().unknown.len()), (6, 0));
        let watermark = recovered.recovered(METADATA).high_watermark;
        assert_eq!(watermark, Offset(high_watermark.min(11)));
    }
}

#[test]
fn the_high_watermark_is_the_largest_that_anybody_names() {
    let (directory, topic) = super::cluster::with_topic(&OTHERS);
    let start = directory.run().shards.remove(0).commit;
    let id = partition(topic, 0);
    let bytes: Vec<u8> = (0..6).flat_map(|at| batch(at, 0, &[b"one".to_vec()])).collect();
    let one = bytes.len() as u64 / 6;
    let piece = |at: u64| {
        &bytes[usize::try_from(at * one).expect("small")..usize::try_from((at + 1) * one).expect("small")]
    };
    let entry = |at: u64, known| vec![Logged::bytes(id, (0, at * one), known, piece(at))];
    // A checkpoint, entries that say more, the last of them what a topic that acknowledges from memory had shown.
    let known = PartitionSnapshot {
        log_end: Offset(2),
        high_watermark: Offset(1),
        ..PartitionSnapshot::of_nothing(id)
    };
    directory.put(id, 0, &bytes[..usize::try_from(one).expect("small")]);
    for (entries, end, high_watermark) in [(1, 1, 1), (4, 4, 3), (6, 6, 6)] {
        let groups: Vec<_> = (0..entries)
            .map(|at| entry(at, (0, if at == 5 { 90 } else { i64::try_from(at).expect("small") })))
            .collect();
        directory.commit(0, &start, &groups);
        directory.checkpoint(0, start.next_sequence, std::slice::from_ref(&known));
        let recovered = directory.run();
        let log = recovered.recovered(id);
        assert_eq!((log.log_end, log.high_watermark), (Offset(end), Offset(high_watermark)));
    }
}
