use super::*;

fn at(segment_base: i64, position: u64) -> PartitionSnapshot {
    PartitionSnapshot {
        id: TopicPartition { topic: TopicId([8; 16]), partition: PartitionIndex(3) },
        log_start: Offset(10),
        log_end: Offset(90),
        segment_base: Offset(segment_base),
        position,
        offset: Offset(70),
        mark: None,
        epochs: EpochCache::from_starts(vec![(LeaderEpoch(0), Offset(0)), (LeaderEpoch(3), Offset(75))]),
        producers: ProducerStates::default(),
        high_watermark: Offset(65),
        fence: 0,
    }
}

/// One producer, with a batch of five records every tenth offset.
fn producers() -> ProducerStates {
    let mut producers = ProducerStates::default();
    producers.settle(Offset(65));
    for base in 0..9 {
        let (producer, epoch) = (ProducerId(42), ProducerEpoch(i16::try_from(base / 6).expect("few")));
        let sequenced = Sequenced { producer, epoch, first_sequence: base * 5, records: 5 };
        producers.note(&sequenced, Offset(i64::from(base) * 10), TimestampMs(77));
    }
    producers
}

#[test]
fn a_checkpoint_covers_what_lies_before_its_place() {
    for (segment, end, is_covered) in [(60, 4000, true), (60, 4001, false), (50, 9000, true), (70, 1, false)]
    {
        assert_eq!(at(60, 4000).covers(Offset(segment), end), is_covered, "{segment} to {end}");
    }
    assert!(at(60, 4001).is_further_than(&at(60, 4000)) && at(61, 0).is_further_than(&at(60, 4000)));
    assert!(!at(60, 4000).is_further_than(&at(60, 4000)));
    let after_a_cut = PartitionSnapshot { fence: 7, ..at(30, 0) };
    assert!(after_a_cut.is_further_than(&at(60, 4000)) && !at(60, 4000).is_further_than(&after_a_cut));
}

#[test]
fn a_snapshot_survives_and_no_prefix_is_taken_for_one() {
    let mark = IndexMark::decode(&[7; INDEX_MARK_BYTES]);
    for (mark, fence) in [(mark, 0), (None, u64::MAX)] {
        let snapshot = PartitionSnapshot { mark, fence, producers: producers(), ..at(60, 4000) };
        let bytes = snapshot.encode();
        let again = PartitionSnapshot::decode(&bytes).expect("whole");
        assert_eq!((again.encode(), again.mark, again.fence), (bytes.clone(), mark, fence));
        assert_eq!(PartitionSnapshot { producers: producers(), ..again.clone() }, snapshot);
        for end in [65, 72, 75, 85, 90] {
            let cut = |mut snapshot: PartitionSnapshot| {
                let prefix = snapshot.producers.truncate(Offset(end));
                let recent = |state: &ProducerState| state.recent().copied().collect::<Vec<_>>();
                let states = snapshot.producers.iter().map(|(id, state)| (id, recent(state)));
                (prefix, states.collect::<Vec<_>>())
            };
            assert_eq!(cut(again.clone()), cut(snapshot.clone()), "both parts are there, cut at {end}");
        }
        // What is told behind the states as of the high watermark: of older versions none.
        let told = 1 + mark.map_or(0, |_| INDEX_MARK_BYTES) + 3 * 8 + 4 + 2 * 34;
        let older = [told, told - INDEX_MARK_BYTES].map(|less| bytes.len() - less);
        for cut in (0..bytes.len()).filter(|cut| !older.contains(cut)) {
            assert_eq!(PartitionSnapshot::decode(&bytes[..cut]), None, "cut at {cut}");
        }
    }
}

#[test]
fn older_checkpoints_tell_less() {
    let snapshot = PartitionSnapshot { high_watermark: Offset(90), ..at(60, 4000) };
    let bytes = snapshot.encode();
    let (older, _) = bytes.split_at(bytes.len() - 1 - 3 * 8 - 4);
    let one = PartitionSnapshot::decode(older).expect("version 1");
    assert_eq!((one.high_watermark, one.fence, one.mark), (Offset(0), 0, None));
    let two = PartitionSnapshot::decode(&[older, &[7; INDEX_MARK_BYTES]].concat()).expect("version 2");
    assert_eq!((two.high_watermark, two.mark), (Offset(0), IndexMark::decode(&[7; INDEX_MARK_BYTES])));
    for mut older in [one, two] {
        assert_eq!(older.producers.truncate(Offset(89)), Prefix::Lost, "no more than five were told");
    }
}

#[test]
fn what_is_at_or_above_a_cut_is_taken_back() {
    let known = |log_start, log_end, place: (i64, u64, i64), high_watermark| {
        let mut known = at(place.0, place.1);
        (known.log_start, known.log_end) = (Offset(log_start), Offset(log_end));
        (known.offset, known.high_watermark) = (Offset(place.2), Offset(high_watermark));
        known
    };
    let anew = |begin_at| Cut::to_begin_at(Offset(begin_at), LeaderEpoch(2));
    let cut = |to, end| Cut { begin_at: Offset(end), ..Cut::at(Offset(to)) };
    for (cut, expected, epochs) in [
        // Behind the place where a scan begins, at it, and before it in the same segment.
        (cut(80, 80), known(10, 80, (60, 4000, 70), 65), &[(0, 0), (3, 75)][..]),
        (cut(75, 75), known(10, 75, (60, 4000, 70), 65), &[(0, 0)]),
        (cut(70, 70), known(10, 70, (60, 4000, 70), 65), &[(0, 0)]),
        (cut(68, 68), known(10, 68, (68, 0, 68), 65), &[(0, 0)]),
        // At the segment's base, and in one before it.
        (cut(60, 60), known(10, 60, (60, 0, 60), 60), &[(0, 0)]),
        (cut(45, 45), known(10, 45, (45, 0, 45), 45), &[(0, 0)]),
        // A batch lay across it.
        (cut(71, 66), known(10, 66, (66, 0, 66), 65), &[(0, 0)]),
        // Beyond all that is known: nothing changes.
        (cut(95, 95), known(10, 90, (60, 4000, 70), 65), &[(0, 0), (3, 75)]),
        // Nothing stays, wherever the log begins.
        (anew(500), known(500, 500, (500, 0, 500), 500), &[(2, 499)]),
        (anew(5), known(5, 5, (5, 0, 5), 5), &[(2, 4)]),
        (anew(0), known(0, 0, (0, 0, 0), 0), &[]),
    ] {
        let mut snapshot = at(60, 4000);
        snapshot.cut(&cut);
        let starts = epochs.iter().map(|(epoch, start)| (LeaderEpoch(*epoch), Offset(*start)));
        let epochs = EpochCache::from_starts(starts.collect());
        let producers = snapshot.producers.clone();
        assert_eq!(snapshot, PartitionSnapshot { epochs, producers, ..expected }, "{cut:?}");
        let once = snapshot.clone();
        snapshot.cut(&cut);
        assert_eq!(snapshot, once, "once more changes nothing: {cut:?}");
    }
}
