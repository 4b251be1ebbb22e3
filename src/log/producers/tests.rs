use proptest::prelude::*;

use super::*;

const P: ProducerId = ProducerId(7);

fn batch(epoch: i16, first_sequence: i32, records: i32) -> Sequenced {
    Sequenced { producer: P, epoch: ProducerEpoch(epoch), first_sequence, records }
}

fn states() -> ProducerStates {
    let mut states = ProducerStates::default();
    for index in 0..7 {
        states.note(&batch(1, index * 10, 10), Offset(i64::from(index) * 10), TimestampMs(5));
    }
    states
}

#[test]
fn five_batches_are_remembered_and_the_next_must_follow() {
    let states = states();
    assert_eq!(states.admit(&batch(1, 70, 3)), Admission::Append);
    assert_eq!(states.admit(&batch(1, 71, 3)), Admission::OutOfOrder { expected: 70 });
    assert!(
        matches!(states.admit(&batch(1, 20, 10)), Admission::Duplicate(known) if known.base_offset == Offset(20))
    );
    assert_eq!(states.admit(&batch(1, 10, 10)), Admission::OutOfOrder { expected: 70 });
    assert_eq!(states.admit(&batch(0, 70, 1)), Admission::Fenced { current: ProducerEpoch(1) });
    assert_eq!(states.admit(&batch(2, 0, 1)), Admission::Append);
    assert_eq!(states.admit(&batch(2, 5, 1)), Admission::OutOfOrder { expected: 0 });
}

#[test]
fn sequences_wrap_and_truncation_forgets() {
    let mut states = ProducerStates::default();
    states.note(&batch(0, i32::MAX - 1, 4), Offset(0), TimestampMs(1));
    assert_eq!(states.admit(&batch(0, 2, 1)), Admission::Append);
    let last = states.iter().next().and_then(|(_, state)| state.recent().next()).copied();
    assert_eq!(last.map(|last| (last.last_sequence, last.last_offset())), Some((1, Offset(3))));
    let mut states = self::states();
    states.truncate(Offset(45));
    assert_eq!(states.admit(&batch(1, 40, 10)), Admission::Append);
    states.truncate(Offset(0));
    assert!(states.is_empty());
}

#[test]
fn a_new_epoch_begins_anew_and_a_cut_brings_the_old_one_back() {
    let mut states = states();
    states.note(&batch(2, 0, 5), Offset(70), TimestampMs(9));
    assert_eq!(states.admit(&batch(1, 70, 1)), Admission::Fenced { current: ProducerEpoch(1 + 1) });
    assert_eq!(states.admit(&batch(2, 5, 1)), Admission::Append);
    // What is of an older epoch is no duplicate.
    assert_eq!(states.admit(&batch(2, 60, 10)), Admission::OutOfOrder { expected: 5 });
    assert_eq!(states.truncate(Offset(70)), Prefix::Known);
    assert_eq!(states, self::states());
    assert!(matches!(states.admit(&batch(1, 60, 10)), Admission::Duplicate(_)));
}

#[test]
fn below_the_high_watermark_no_more_than_five_stay_and_a_cut_finds_too_little() {
    let mut states = states();
    let kept = |states: &ProducerStates| states.iter().map(|(_, state)| state.batches.len()).sum::<usize>();
    assert_eq!(kept(&states), 7, "all may be cut off again");
    states.settle(Offset(50));
    states.note(&batch(1, 70, 10), Offset(70), TimestampMs(5));
    assert_eq!((kept(&states), states.above), (8, 3), "five are below 50");
    states.settle(Offset(80));
    states.note(&batch(1, 80, 10), Offset(80), TimestampMs(5));
    assert_eq!((kept(&states), states.above), (6, 1));
    assert_eq!(states.clone().truncate(Offset(80)), Prefix::Known);
    assert_eq!(states.clone().truncate(Offset(79)), Prefix::Lost);
}

#[test]
fn what_is_remembered_above_the_high_watermark_is_bounded() {
    let mut states = ProducerStates::default();
    let mut end = 0;
    while states.known_from() == Offset(0) {
        for producer in 1..=3 {
            let first_sequence = i32::try_from(end / 3).expect("few");
            let sequenced = Sequenced { producer: ProducerId(producer), first_sequence, ..batch(0, 0, 1) };
            states.note(&sequenced, Offset(end), TimestampMs(1));
            end += 1;
        }
        assert!(states.above <= ABOVE_MAX);
    }
    assert!(end > i64::try_from(ABOVE_MAX).expect("few"));
    let known_from = states.known_from();
    assert_eq!(states.clone().truncate(known_from), Prefix::Known);
    assert_eq!(states.clone().truncate(known_from.plus(-1)), Prefix::Lost);
    states.expire((TimestampMs(2), ProducerId(0)));
    assert_eq!((states.len(), states.above), (0, 0));
}

/// What admission goes by, and expiry.
type Seen = Vec<(ProducerId, ProducerEpoch, TimestampMs, Vec<(i32, i32, Offset)>)>;

fn seen(states: &ProducerStates) -> Seen {
    let recent = |state: &ProducerState| {
        state.recent().map(|it| (it.first_sequence, it.last_sequence, it.base_offset)).collect()
    };
    states.iter().map(|(id, state)| (id, state.epoch, state.timestamp, recent(state))).collect()
}

/// A log of batches: producer, whether its epoch is a new one, records, how far the high watermark trails.
fn logs() -> impl Strategy<Value = Vec<(i64, bool, i32, i64)>> {
    proptest::collection::vec((0..4i64, proptest::bool::weighted(0.1), 1..4i32, 0..30i64), 1..80)
}

/// The batches with their offsets, as their producers number them.
fn batches(log: &[(i64, bool, i32, i64)]) -> Vec<(Sequenced, Offset, TimestampMs)> {
    let (mut next, mut end, mut out) = (BTreeMap::<i64, (i16, i32)>::new(), 0, Vec::new());
    for (at, (producer, is_new, records, _)) in (0..).zip(log) {
        let (epoch, first) = next.entry(*producer).or_insert((0, i32::MAX - 3));
        (*epoch, *first) = if *is_new { (*epoch + 1, 0) } else { (*epoch, *first) };
        let (producer, epoch) = (ProducerId(*producer), ProducerEpoch(*epoch));
        let sequenced = Sequenced { producer, epoch, first_sequence: *first, records: *records };
        *first = wrapping_sequence(*first, *records);
        out.push((sequenced, Offset(end), TimestampMs(at)));
        end += i64::from(*records);
    }
    out
}

proptest! {
    #[test]
    fn after_a_cut_the_states_are_those_of_the_shorter_log(log in logs(), cut in 0..80usize) {
        let all = batches(&log);
        let mut states = ProducerStates::default();
        let mut settled = Offset(0);
        for ((sequenced, base, time), (.., behind)) in all.iter().zip(&log) {
            settled = settled.max(base.plus(-behind));
            states.settle(settled);
            states.note(sequenced, *base, *time);
            prop_assert_eq!(states.admit(sequenced), Admission::Duplicate(
                *states.producers[&sequenced.producer].batches.back().expect("just noted")));
        }
        let kept = all.iter().take(cut).filter(|(_, base, _)| *base < settled).count().max(cut.min(all.len()));
        let end = all.get(kept).map_or(Offset(i64::MAX), |(_, base, _)| *base);
        let mut shorter = ProducerStates::default();
        all.iter().take(kept).for_each(|(sequenced, base, time)| shorter.note(sequenced, *base, *time));
        let prefix = states.truncate(end);
        prop_assert_eq!(prefix, if end < settled { Prefix::Lost } else { Prefix::Known });
        if prefix == Prefix::Known {
            prop_assert_eq!(seen(&states), seen(&shorter));
        }
        // Or they are built again, while the log goes on.
        let mut lost = ProducerStates::default();
        all.iter().skip(kept).for_each(|(sequenced, base, time)| lost.note(sequenced, *base, *time));
        lost.rebuilt(shorter, end);
        let mut whole = ProducerStates::default();
        all.iter().for_each(|(sequenced, base, time)| whole.note(sequenced, *base, *time));
        prop_assert_eq!(seen(&lost), seen(&whole));
    }
}
