//! Starts of whole directories: who votes, what is unknown, what is lost.

use std::fs;

use super::directory::*;
use crate::base::{LeaderEpoch, LogEnd, Offset, ServerId, ShardId, TopicId, TopicPartition, Voter, VoterId};
use crate::log::PartitionSnapshot;
use crate::quorum::Ballot;
use crate::runtime::layout::{commit_folder, quorum_file};
use crate::runtime::recovery::{Origin, RecoveryError};
use crate::shard::{DamagedPartitions, LastStop};

const METADATA: TopicPartition = TopicPartition::METADATA;
pub(super) const OTHERS: [(i32, VoterId); 3] = [(1, VOTER), (2, VoterId([6; 16])), (3, VoterId([7; 16]))];

fn ballot(directory: &Directory) -> Option<Ballot> {
    let bytes = fs::read(quorum_file(directory.path())).ok()?;
    Some(Ballot::decode(&bytes).expect("whole"))
}

/// A directory whose metadata log names these voters and holds a topic with two partitions, in a segment.
pub(super) fn with_topic(named: &[(i32, VoterId)]) -> (Directory, TopicId) {
    let directory = Directory::new();
    directory.run();
    let (mut records, ids) = topics(&directory.config(), &[("known", 2)]);
    if !named.is_empty() {
        records.insert(0, voters(named));
    }
    directory.put(METADATA, 0, &batch(0, 4, &records));
    (directory, ids[0])
}

/// Some records of no topic in particular.
fn data(base: i64) -> Vec<u8> {
    batch(base, 0, &[b"one".to_vec(), b"two".to_vec()])
}

#[test]
fn a_directory_is_made_with_a_vote_and_keeps_it() {
    let mut directory = Directory::new();
    let made = directory.run();
    assert_eq!(made.directory().ballot, Some(Ballot::new(VOTER)));
    assert_eq!(made.directory().metadata_end, LogEnd::EMPTY);
    assert_eq!((&made.directory().damaged, made.directory().newest_sequence), (&DamagedPartitions::None, 0));
    assert_eq!(made.directory().last_stop, LastStop::Orderly);
    directory.voter = VoterId([6; 16]);
    let again = directory.run();
    assert_eq!(again.directory().ballot, Some(Ballot::new(VOTER)));
    assert_eq!(again.directory().last_stop, LastStop::Crash);
}

#[test]
fn a_server_that_votes_alone_may_have_its_vote_made_anew() {
    for (named, voter) in [(&[][..], VOTER), (&[(1, VoterId([9; 16]))][..], VoterId([9; 16]))] {
        let (directory, _) = with_topic(named);
        for bytes in [None, Some(b"nonsense")] {
            let path = quorum_file(directory.path());
            bytes.map_or_else(|| fs::remove_file(&path), |bytes| fs::write(&path, bytes)).expect("writable");
            let made = directory.run().directory().ballot.expect("made");
            assert_eq!((made.voter, made.voted_for), (voter, None));
            assert_eq!(ballot(&directory), Some(made));
        }
    }
}

#[test]
fn a_vote_among_others_that_is_gone_is_not_made_anew() {
    let (directory, _) = with_topic(&OTHERS);
    assert_eq!(directory.run().directory().ballot, Some(Ballot::new(VOTER)));
    fs::remove_file(quorum_file(directory.path())).expect("there");
    assert_eq!(directory.run().directory().ballot, None);
    assert_eq!(ballot(&directory), None);
}

#[test]
fn a_server_that_decides_alone_sets_strays_aside_at_once() {
    let (directory, known) = with_topic(&[]);
    let stray = TopicId([9; 16]);
    directory.put(partition(known, 1), 0, &data(0));
    directory.put(partition(stray, 0), 0, &data(0));
    let recovered = directory.run();
    assert_eq!(recovered.log(partition(known, 1)), Some((0, 0, 2)));
    assert_eq!(recovered.log(partition(stray, 0)), None);
    assert!(recovered.directory().unknown.is_empty());
    assert!(directory.path().join("orphans").join(stray.to_string()).exists());
}

#[test]
fn where_others_vote_what_the_log_does_not_know_is_kept_and_not_served() {
    let (mut directory, known) = with_topic(&OTHERS);
    let stray = TopicId([9; 16]);
    directory.shards = 2;
    directory.put(partition(known, 1), 0, &data(0));
    // Beyond what the log gives to this server, as after a growth that it has not heard of.
    directory.put(partition(known, 5), 0, &data(0));
    directory.put(partition(stray, 0), 0, &data(0));
    for _ in 0..2 {
        let recovered = directory.run();
        let unknown = [partition(known, 5), partition(stray, 0)];
        let mut expected = unknown.to_vec();
        expected.sort_unstable();
        assert_eq!(recovered.directory().unknown, expected);
        assert!(unknown.iter().all(|id| recovered.log(*id) == Some((0, 0, 2))));
        let given = recovered.log(partition(known, 0)).map(|log| (log.1, log.2));
        assert_eq!(given, Some((0, 0)), "given, and nothing was written");
        assert_eq!(recovered.log(partition(known, 1)).map(|log| log.2), Some(2));
        assert!(!directory.path().join("orphans").exists());
    }
}

/// Metadata may be published before it is durable here; records of the partition it created are then in the commit log alone.
#[test]
fn where_others_vote_what_only_the_commit_log_has_is_on_the_disk() {
    let (directory, _) = with_topic(&OTHERS);
    let start = directory.run().shards.remove(0).commit;
    let created = partition(TopicId([9; 16]), 3);
    let bytes = data(0);
    let entry = Logged::bytes(created, (0, 0), (0, 0), &bytes);
    let sequence = directory.commit(0, &start, &[vec![entry]]);
    for _ in 0..2 {
        let recovered = directory.run();
        assert_eq!(recovered.log(created), Some((0, 0, 2)));
        assert_eq!(recovered.directory().unknown, [created]);
        assert!(recovered.directory().newest_sequence >= sequence);
        assert_eq!(fs::read(directory.segment(created, 0)).expect("written"), bytes);
    }
}

#[test]
fn a_metadata_log_that_lacks_records_is_fatal_for_a_server_that_decides_alone() {
    for named in [&[][..], &[(1, VOTER)]] {
        let (directory, _) = with_topic(named);
        let start = directory.run().shards.remove(0).commit;
        // Known to have been durable, and gone.
        let bytes = batch(20, 4, &[voters(named)]);
        let entry = Logged::bytes(METADATA, (0, 9000), (20, 0), &bytes);
        directory.commit(0, &start, &[vec![entry]]);
        assert!(matches!(directory.try_run(), Err(RecoveryError::MetadataLost { .. })));
        assert_eq!(ballot(&directory), Some(Ballot::new(VOTER)));
    }
}

#[test]
fn where_others_vote_a_metadata_log_that_lacks_records_is_dropped_by_another_voter() {
    let (mut directory, known) = with_topic(&OTHERS);
    directory.put(partition(known, 1), 0, &data(0));
    let start = directory.run().shards.remove(0).commit;
    let bytes = batch(20, 4, &[voters(&OTHERS)]);
    let entry = Logged::bytes(METADATA, (0, 9000), (20, 0), &bytes);
    directory.commit(0, &start, &[vec![entry]]);
    directory.voter = VoterId([8; 16]);
    let recovered = directory.run();
    assert_eq!(recovered.directory().ballot, Some(Ballot::new(VoterId([8; 16]))));
    assert_eq!(ballot(&directory), recovered.directory().ballot);
    assert_eq!(recovered.directory().damaged, DamagedPartitions::All);
    assert_eq!(recovered.directory().metadata_end, LogEnd::EMPTY);
    assert_eq!((recovered.log(METADATA), recovered.image.version), (Some((0, 0, 0)), 0));
    assert_eq!(recovered.directory().unknown, [partition(known, 1)]);
    assert!(directory.path().join("orphans").join(TopicId::METADATA.to_string()).exists());
    // The log says nothing; it is still not that of a cluster of one.
    directory.voter = VoterId([9; 16]);
    let again = directory.run();
    assert_eq!(again.directory().ballot, Some(Ballot::new(VoterId([8; 16]))));
    assert_eq!(again.log(partition(known, 1)).map(|log| log.2), Some(2));
    assert_eq!(again.directory().unknown, [partition(known, 1)]);
    // The log was fetched.
    let (records, _) = topics(&directory.config(), &[("known", 2)]);
    directory.put(METADATA, 0, &batch(0, 5, &[&[voters(&OTHERS)], &records[..]].concat()));
    assert!(directory.run().directory().unknown.is_empty());
    let marker = directory.path().join("meta/metadata-to-be-fetched");
    assert!(!marker.exists(), "the log says by itself who votes");
}

#[test]
fn a_directory_that_joined_is_not_a_cluster_of_one_though_its_log_is_empty() {
    let mut directory = Directory::new();
    directory.origin = Origin::Joined;
    directory.run();
    let stray = partition(TopicId([9; 16]), 0);
    directory.put(stray, 0, &data(0));
    assert_eq!(directory.run().directory().unknown, [stray]);
    // Nor is one that has voted for somebody else.
    let directory = Directory::new();
    directory.run();
    let voted_for = Some(Voter { server: ServerId(2), id: VOTER });
    let voted = Ballot { voter: VOTER, epoch: LeaderEpoch(3), voted_for };
    fs::write(quorum_file(directory.path()), voted.encode()).expect("writable");
    directory.put(stray, 0, &data(0));
    assert_eq!(directory.run().directory().unknown, [stray]);
}

#[test]
fn a_commit_group_that_is_gone_damages_all_partitions_of_its_log() {
    for named in [&[][..], &OTHERS] {
        let (directory, known) = with_topic(named);
        let start = directory.run().shards.remove(0).commit;
        let id = partition(known, 0);
        let bytes = data(0);
        let entry = || Logged::bytes(id, (0, 0), (0, 0), &bytes);
        directory.commit(0, &start, &[vec![entry()], vec![entry()], vec![entry()]]);
        let file = commit_folder(directory.path(), ShardId(0)).join("00000000.commit");
        let mut rotten = fs::read(&file).expect("there");
        rotten[4096 + 70] ^= 1;
        fs::write(&file, &rotten).expect("writable");
        let recovered = directory.run();
        assert_eq!(recovered.directory().damaged, DamagedPartitions::All);
        if named.is_empty() {
            assert_eq!(recovered.log(id), Some((0, 0, 2)), "what is there is replayed");
        }
    }
}

/// Nobody knows which entries are from before a cut.
#[test]
fn where_others_vote_a_log_without_its_checkpoint_is_not_replayed() {
    for (named, bytes) in
        [(&[][..], None), (&[][..], Some(b"x")), (&OTHERS[..], None), (&OTHERS[..], Some(b"x"))]
    {
        let (directory, known) = with_topic(named);
        let id = partition(known, 0);
        let mut recovered = directory.run();
        let entry_bytes = data(0);
        let entry = Logged::bytes(id, (0, 0), (2, 0), &entry_bytes);
        let start = recovered.shards.remove(0).commit;
        directory.commit(0, &start, &[vec![entry]]);
        let checkpoint = commit_folder(directory.path(), ShardId(0)).join("checkpoint");
        bytes
            .map_or_else(|| fs::remove_file(&checkpoint), |bytes| fs::write(&checkpoint, bytes))
            .expect("writable");
        let recovered = directory.run();
        assert_eq!(recovered.directory().damaged, DamagedPartitions::All);
        if named.is_empty() {
            assert_eq!(recovered.log(id), Some((0, 0, 2)));
        } else {
            // The metadata log is of the same shard.
            assert_eq!((recovered.log(id), recovered.log(METADATA)), (None, Some((0, 0, 0))));
            assert!(!directory.segment(id, 0).exists());
        }
    }
}

#[test]
fn partitions_that_lack_records_are_named() {
    let (directory, known) = with_topic(&[]);
    let id = partition(known, 1);
    directory.put(id, 0, &data(0));
    assert_eq!(directory.run().directory().damaged, DamagedPartitions::None);
    fs::remove_file(directory.segment(id, 0)).expect("there");
    let recovered = directory.run();
    assert_eq!(recovered.directory().damaged, DamagedPartitions::These(vec![id]));
    assert_eq!(recovered.log(id), Some((0, 2, 2)));
}

/// A partition whose only replica is here is never cut: what the commit log has of it is all there is.
#[test]
fn without_its_checkpoint_a_log_is_replayed_for_partitions_without_other_replicas() {
    let (mut directory, known) = with_topic(&OTHERS);
    directory.shards = 2;
    let mut recovered = directory.run();
    let id = [0, 1].map(|index| partition(known, index));
    let id =
        id.into_iter().find(|id| recovered.log(*id).is_some_and(|log| log.0 == 1)).expect("one is there");
    let stray = partition(TopicId([9; 16]), 0);
    let bytes = data(0);
    let entries = [id, stray].map(|id| Logged::bytes(id, (0, 0), (2, 2), &bytes));
    let start = recovered.shards.remove(1).commit;
    directory.commit(1, &start, &[entries.to_vec()]);
    fs::remove_file(commit_folder(directory.path(), ShardId(1)).join("checkpoint")).expect("there");
    let recovered = directory.run();
    assert_eq!(recovered.directory().damaged, DamagedPartitions::All);
    assert_eq!((recovered.log(id), recovered.log(stray)), (Some((1, 0, 2)), None));
}

/// A log that retention has taken all of: only its checkpoint knows where offsets go on.
fn past(id: TopicPartition, at: i64, fence: u64) -> PartitionSnapshot {
    PartitionSnapshot {
        log_start: Offset(at),
        log_end: Offset(at),
        segment_base: Offset(at),
        offset: Offset(at),
        high_watermark: Offset(at),
        fence,
        ..PartitionSnapshot::of_nothing(id)
    }
}

#[test]
fn a_partition_that_moves_between_shards_is_in_a_checkpoint_all_the_time() {
    for (named, failing) in [(&[][..], 1), (&[], 2), (&OTHERS, 1), (&OTHERS, 2)] {
        let (mut directory, known) = with_topic(named);
        let id = [0, 1].map(|index| partition(known, index));
        directory.run();
        directory.checkpoint(0, 9, &[past(id[0], 50, 0), past(id[1], 70, 3)]);
        directory.shards = 3;
        // A start that ends between two checkpoints.
        let obstacle = commit_folder(directory.path(), ShardId(failing)).join("checkpoint.new");
        fs::create_dir_all(&obstacle).expect("writable");
        assert!(matches!(directory.try_run(), Err(RecoveryError::Io { .. })));
        fs::remove_dir(&obstacle).expect("there");
        let logs = |directory: &Directory| {
            let recovered = directory.run();
            id.map(|id| recovered.log(id).map(|log| (log.1, log.2)))
        };
        for _ in 0..2 {
            assert_eq!(logs(&directory), [Some((50, 50)), Some((70, 70))]);
        }
        // A folder that should have been removed names a partition that has been cut since.
        directory.shards = 1;
        assert_eq!(logs(&directory), [Some((50, 50)), Some((70, 70))]);
        fs::create_dir_all(commit_folder(directory.path(), ShardId(2))).expect("writable");
        directory.checkpoint(2, 9, &[past(id[0], 90, 5), past(id[1], 90, 5)]);
        assert_eq!(logs(&directory), [Some((50, 50)), Some((70, 70))]);
        assert!(!commit_folder(directory.path(), ShardId(2)).exists());
    }
}
