//! Runs from a leader: what is taken, what is refused, and that nothing changes then.

use proptest::prelude::*;

use super::*;
use crate::log::producers::ProducerStates;
use crate::record::BatchError;

/// Ten batches of two records each, from offset 0 on; the last five are of epoch 4.
fn log_of_two_epochs() -> Rig {
    let mut rig = Rig::new(1 << 20);
    for at in 0..10 {
        rig.take_run(&stored(at * 2, 2, if at < 5 { 1 } else { 4 }, 300));
    }
    rig
}

fn run_of(batches: &[Vec<u8>]) -> Vec<u8> {
    batches.concat()
}

/// What a change would show in.
fn shown(rig: &Rig) -> (Vec<u8>, u64, Offset, usize, usize) {
    let log = &rig.log;
    let damaged = log.damaged().iter().count();
    (log.snapshot().encode(), log.size_bytes(), log.log_end(), rig.entries.len(), damaged)
}

#[test]
fn a_wrong_run_is_refused_and_changes_nothing() {
    type Wrong = (&'static str, fn(&mut Vec<u8>, &mut RunHeader), fn(&ReplicateError) -> bool);
    let wrong: [Wrong; 18] = [
        ("nothing", |run, _| run.clear(), |e| matches!(e, ReplicateError::Empty)),
        (
            "half a batch",
            |run, _| run.truncate(run.len() - 1),
            |e| matches!(e, ReplicateError::CutShort { .. }),
        ),
        (
            "half a header",
            |run, _| run.truncate(run.len() - 700 - 30),
            |e| matches!(e, ReplicateError::CutShort { .. } | ReplicateError::Batch { .. }),
        ),
        (
            "no batch",
            |run, _| run[16] = 1,
            |e| matches!(e, ReplicateError::Batch { at: 0, problem: BatchError::Magic { .. } }),
        ),
        (
            "a negative length",
            |run, _| run[8] = 0xFF,
            |e| matches!(e, ReplicateError::Batch { at: 0, problem: BatchError::Length { .. } }),
        ),
        (
            "bytes behind",
            |run, _| run.extend([0; 9]),
            |e| matches!(e, ReplicateError::Batch { problem: BatchError::Short { .. }, .. }),
        ),
        (
            "a flipped bit in the last batch",
            |run, _| *run.last_mut().expect("bytes") ^= 1,
            |e| matches!(e, ReplicateError::Batch { at, problem: BatchError::Crc { .. } } if *at > 0),
        ),
        (
            "a flipped bit in the first batch",
            |run, _| run[100] ^= 1,
            |e| matches!(e, ReplicateError::Batch { at: 0, problem: BatchError::Crc { .. } }),
        ),
        (
            "not said to begin there",
            |_, said| said.base = Offset(21),
            |e| matches!(e, ReplicateError::Base { said: Offset(21), found: Offset(20) }),
        ),
        (
            "not said to end there",
            |_, said| said.end = Offset(27),
            |e| matches!(e, ReplicateError::End { said: Offset(27), found: Offset(26) }),
        ),
        (
            "of another epoch than said",
            |_, said| said.epoch = LeaderEpoch(6),
            |e| matches!(e, ReplicateError::Epoch { said: LeaderEpoch(6), found: LeaderEpoch(5), .. }),
        ),
        (
            "the second of another epoch",
            |run, _| *run = run_of(&[stored(20, 2, 5, 9), stored(22, 2, 6, 9)]),
            |e| matches!(e, ReplicateError::Epoch { batch: Offset(22), .. }),
        ),
        (
            "of an older epoch",
            |run, said| (*run, said.epoch) = (stored(20, 6, 3, 9), LeaderEpoch(3)),
            |e| matches!(e, ReplicateError::EpochGoesBack { last: LeaderEpoch(4), .. }),
        ),
        (
            "of no epoch",
            |run, said| (*run, said.epoch) = (stored(20, 6, -1, 9), LeaderEpoch(-1)),
            |e| matches!(e, ReplicateError::EpochGoesBack { .. }),
        ),
        (
            "from before the end",
            |run, said| (*run, said.base) = (stored(18, 8, 5, 9), Offset(18)),
            |e| matches!(e, ReplicateError::Offset { expected: Offset(20), found: Offset(18) }),
        ),
        (
            "behind a gap",
            |run, said| (*run, said.base) = (stored(21, 5, 5, 9), Offset(21)),
            |e| matches!(e, ReplicateError::Offset { expected: Offset(20), found: Offset(21) }),
        ),
        (
            "with a gap within",
            |run, _| *run = run_of(&[stored(20, 2, 5, 9), stored(23, 3, 5, 9)]),
            |e| matches!(e, ReplicateError::Offset { expected: Offset(22), found: Offset(23) }),
        ),
        (
            "too far",
            |run, said| {
                *run = stored(i64::MAX - 1, 1, 5, 9);
                *said = RunHeader { gap: Gap::Compacted, ..header_of(run, Gap::None) };
            },
            |e| matches!(e, ReplicateError::TooFar { .. }),
        ),
    ];
    let mut rig = log_of_two_epochs();
    let good = run_of(&[stored(20, 3, 5, 300), stored(23, 3, 5, 300)]);
    let before = shown(&rig);
    for (what, change, is_expected) in wrong {
        // With one run in a segment, several, or straight to the segment's file.
        for segment_bytes in [1 << 20, 600] {
            rig.settings.segment_bytes = segment_bytes;
            let (mut run, mut said) = (good.clone(), header_of(&good, Gap::None));
            change(&mut run, &mut said);
            let refused = rig.replicate(&run, said).expect_err(what);
            assert!(is_expected(&refused), "{what}: {refused}");
            rig.settings.segment_bytes = 1 << 20;
            let mut after = shown(&rig);
            if rig.log.active_base() == Offset(20) {
                // The segment has rolled, which is all.
                after.0.clone_from(&before.0);
            }
            assert_eq!(after, before, "{what}");
        }
    }
    rig.take_run(&good);
    let whole = (0..10).flat_map(|at| stored(at * 2, 2, if at < 5 { 1 } else { 4 }, 300));
    assert_eq!(rig.contents(), whole.chain(good).collect::<Vec<_>>());
}

#[test]
fn an_offset_that_no_batch_may_have_is_refused() {
    let mut rig = Rig::new(1 << 20);
    let run = stored(i64::MAX - 1, 2, 0, 9);
    let said =
        RunHeader { base: Offset(i64::MAX - 1), end: Offset(0), epoch: LeaderEpoch(0), gap: Gap::Damaged };
    assert!(matches!(rig.replicate(&run, said), Err(ReplicateError::End { .. })));
}

#[test]
fn one_entry_of_the_commit_log_for_a_run_and_none_of_what_goes_straight_to_the_file() {
    let mut rig = Rig::new(1 << 20);
    let small: Vec<Vec<u8>> = (0..5).map(|at| stored(at, 1, 0, 1000)).collect();
    let accepted = rig.replicate(&small.concat(), header_of(&small.concat(), Gap::None)).expect("good");
    assert_eq!((accepted.base_offset, accepted.end), (Offset(0), Offset(5)));
    assert_eq!((rig.entries.len(), rig.log.flushed_offset()), (1, Offset(5)));
    let large: Vec<Vec<u8>> = (5..25).map(|at| stored(at, 1, 0, 1000)).collect();
    rig.is_slow = true;
    rig.take_run(&large.concat());
    let commit: usize = rig
        .waiting
        .iter()
        .map(|it| match it {
            Waiting::Append(it) => it.data.iter().flatten().map(|piece| piece.len()).sum(),
            Waiting::Cut(_) => 0,
        })
        .sum();
    assert!(commit < 4096, "only what is behind the last whole block");
    assert_eq!((rig.waiting.len(), rig.log.unflushed_bytes()), (1, large.concat().len()));
    rig.settle();
    assert_eq!((rig.log.flushed_offset(), rig.log.unflushed_bytes()), (Offset(25), 0));
    assert_eq!(rig.contents(), [small.concat(), large.concat()].concat());
}

#[test]
fn a_run_longer_than_a_segment_is_parted() {
    let mut rig = Rig::new(3_500);
    let run: Vec<u8> = (0..10).flat_map(|at| stored(at, 1, 2, 1000)).collect();
    rig.take_run(&run);
    let bases: Vec<i64> = rig.files.keys().map(|base| base.0).chain([rig.log.active_base().0]).collect();
    assert_eq!(bases, [0, 3, 6, 9]);
    assert_eq!(rig.contents(), run);
}

#[test]
fn offsets_that_compaction_took_are_filled() {
    let mut rig = log_of_two_epochs();
    let run = run_of(&[stored(30, 2, 6, 50), stored(32, 1, 6, 50), stored(90, 1, 6, 50)]);
    let said = header_of(&run, Gap::Compacted);
    let accepted = rig.replicate(&run, said).expect("gaps are said");
    assert_eq!((accepted.base_offset, accepted.end), (Offset(20), Offset(91)));
    assert_eq!(rig.log.epochs().starts().last(), Some(&(LeaderEpoch(6), Offset(30))), "not before");
    assert_eq!((rig.log.flushed_offset(), rig.log.damaged().iter().count()), (Offset(91), 0));
    // An empty log, from the leader's start on.
    let mut empty = Rig::new(1 << 20);
    empty.replicate(&run, said).expect("gaps are said");
    for rig in [rig, empty] {
        let all = rig.contents();
        let mut expected = batches(&all).next().expect("batches").1.base_offset;
        let (mut kept, mut fillers) = (Vec::new(), Vec::new());
        for (_, header, batch) in batches(&all) {
            assert_eq!((header.base_offset, header.crc), (expected, batch_crc(batch)), "dense");
            expected = header.last_offset().plus(1);
            if header.records_count > 0 {
                kept.extend_from_slice(batch);
            } else {
                fillers.push((header.base_offset.0, expected.0));
            }
        }
        assert!(kept.ends_with(&run));
        assert_eq!(fillers.last(), Some(&(33, 90)));
        assert_eq!(fillers.len(), 2);
    }
}

#[test]
fn behind_a_damaged_part_a_segment_begins_and_the_part_is_refused() {
    for bytes in [300, 30_000] {
        let mut rig = log_of_two_epochs();
        rig.is_slow = true;
        let next = stored(20, 1, 4, 50);
        rig.take_run(&next);
        let run = run_of(&[stored(40, 1, 5, bytes), stored(43, 1, 5, 50)]);
        let said = header_of(&run, Gap::Damaged);
        let before = shown(&rig);
        assert_eq!(rig.replicate(&run, said), Err(ReplicateError::NotDurable));
        assert_eq!(shown(&rig), before);
        rig.settle();
        let mut torn = run.clone();
        torn[bytes / 2 + 70] ^= 1;
        assert!(matches!(rig.replicate(&torn, said), Err(ReplicateError::Batch { at: 0, .. })));
        assert_eq!((rig.log.log_end(), rig.log.damaged().iter().count()), (Offset(21), 0));
        rig.is_slow = false;
        rig.replicate(&run, said).expect("the damage is said");
        assert_eq!((rig.log.log_end(), rig.log.flushed_offset()), (Offset(44), Offset(44)));
        assert_eq!(rig.log.damaged().iter().collect::<Vec<_>>(), [&(Offset(21)..Offset(40))]);
        assert_eq!(rig.log.active_base(), Offset(40));
        let told = rig.entries.iter().any(|entry| {
            matches!(entry, Entry::Append { segment, flushed, .. } if segment.base == Offset(40) && *flushed >= Offset(40))
        });
        assert!(told, "a start must not take the segment for one without a beginning");
        let all = rig.contents();
        assert!(
            batches(&all).all(|(_, header, _)| header.records_count > 0 || header.base_offset == Offset(41))
        );
    }
}

#[test]
fn a_log_that_is_cut_takes_nothing() {
    let mut rig = log_of_two_epochs();
    rig.is_slow = true;
    rig.with(|log, _, out| log.begin_cut(crate::log::Cut::at(Offset(10)), out));
    let run = stored(20, 2, 5, 9);
    assert_eq!(rig.replicate(&run, header_of(&run, Gap::None)), Err(ReplicateError::Cutting));
    assert_eq!(rig.append(stored(0, 1, 0, 9)), Err(AppendError::Cutting));
}

/// What producers have written, without when what is settled.
fn producers(states: &ProducerStates) -> Vec<(ProducerId, Vec<Offset>)> {
    states.iter().map(|(id, state)| (id, state.recent().map(|batch| batch.base_offset).collect())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    /// Whatever a leader takes from producers, and however it is sent, its follower has the same.
    #[test]
    fn a_follower_has_what_its_leader_has(
        sizes in proptest::collection::vec((1..40usize, 1..600usize), 1..40),
        runs in proptest::collection::vec(1..9usize, 1..40),
        segments in (4_000..80_000u64, 4_000..80_000u64),
    ) {
        let (mut leader, mut follower) = (Rig::new(segments.0), Rig::new(segments.1));
        let (mut sent, mut next) = (Vec::new(), 0);
        for (at, (records, bytes)) in (0..).zip(&sizes) {
            leader.log.lead(LeaderEpoch(at / 7));
            let mut batch = BatchBuilder::new(TimestampMs(900 + i64::from(at)))
                .producer(ProducerId(i64::from(at % 2)), ProducerEpoch(i16::try_from(at / 2).expect("few")), 0);
            (0..*records).for_each(|_| batch.append(None, Some(&vec![1; *bytes])));
            let accepted = leader.append(batch.finish().expect("small")).expect("a good batch");
            sent.push((accepted.base_offset, accepted.end));
        }
        let whole = leader.contents();
        let all: Vec<&[u8]> = batches(&whole).map(|it| it.2).collect();
        prop_assert_eq!(all.len(), sent.len());
        for count in runs.iter().cycle() {
            let rest = all.get(next..).unwrap_or(&[]);
            let Some((first, _)) = rest.split_first() else { break };
            let epoch = header_of(first, Gap::None).epoch;
            let same = rest.iter().take(*count).take_while(|it| header_of(it, Gap::None).epoch == epoch);
            let run: Vec<&[u8]> = same.copied().collect();
            next += run.len();
            follower.take_run(&run.concat());
        }
        let mut again = Rig::new(segments.0);
        all.iter().for_each(|batch| again.take_run(batch));
        prop_assert_eq!(follower.log.log_end(), sent.last().expect("some").1);
        prop_assert_eq!(follower.log.epochs(), again.log.epochs());
        prop_assert_eq!(producers(follower.log.producers()), producers(again.log.producers()));
        prop_assert_eq!(follower.contents(), whole);
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        at in 0..400usize,
        base in any::<i64>(),
        end in any::<i64>(),
        epoch in any::<i32>(),
        gap in prop_oneof![Just(Gap::None), Just(Gap::Compacted), Just(Gap::Damaged)],
    ) {
        let mut rig = log_of_two_epochs();
        let mut run = run_of(&[stored(20, 2, 5, 90), stored(22, 2, 5, 90)]);
        let at = at.min(run.len());
        run.splice(at..(at + bytes.len()).min(run.len()), bytes);
        let plain = header_of(&stored(20, 4, 5, 9), gap);
        for said in [RunHeader { base: Offset(base), end: Offset(end), epoch: LeaderEpoch(epoch), gap }, plain] {
            let before = shown(&rig);
            if rig.replicate(&run, said).is_err() {
                prop_assert_eq!(shown(&rig), before);
            }
        }
    }
}
