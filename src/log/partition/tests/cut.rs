//! Cuts: what is left, in which order it comes about, and what a crash at any step leads to.

use proptest::prelude::*;

use super::*;
use crate::log::epochs::EpochCache;
use crate::log::producers::{ProducerStates, Sequenced};
use crate::log::{Cut, CutAsked};

/// Segments of four of these batches.
const SEGMENT_BYTES: u64 = 4_600;

/// Batches of two records, from offset 0 on; those from 12 on are of epoch 4.
fn batch(at: i64) -> Vec<u8> {
    stored(at * 2, 2, if at < 6 { 1 } else { 4 }, 500)
}

/// The log of the first of these batches.
fn rig_of(count: i64) -> Rig {
    let mut rig = Rig::new(SEGMENT_BYTES);
    (0..count).for_each(|at| rig.take_run(&batch(at)));
    rig
}

fn log_of(batches: std::ops::Range<i64>) -> Vec<u8> {
    batches.flat_map(batch).collect()
}

fn begin(rig: &mut Rig, cut: Cut) -> CutAsked {
    rig.with(|log, _, out| log.begin_cut(cut, out))
}

fn states_of(log: &[u8]) -> ProducerStates {
    let mut states = ProducerStates::default();
    for (_, header, _) in batches(log) {
        if let Some(sequenced) = Sequenced::of(&header) {
            states.note(&sequenced, header.base_offset, header.max_timestamp);
        }
    }
    states
}

fn epochs_of(log: &[u8]) -> EpochCache {
    let starts = batches(log).map(|(_, header, _)| (header.leader_epoch, header.base_offset));
    EpochCache::from_starts(starts.collect())
}

fn cuts(rig: &Rig) -> Vec<CutEntry> {
    let of = |entry: &Entry| if let Entry::Cut(cut) = entry { Some(*cut) } else { None };
    rig.entries.iter().filter_map(of).collect()
}

#[test]
fn after_a_cut_the_log_is_the_shorter_one_and_goes_on() {
    for count in [1, 3, 4, 5, 8, 10] {
        for to in 0..=2 * count {
            let mut rig = rig_of(count);
            let kept = to / 2;
            let (end, kept_log) = (Offset(kept * 2), log_of(0..kept));
            let asked = begin(&mut rig, Cut::at(Offset(to)));
            assert_eq!(asked, if to == 2 * count { CutAsked::Needless } else { CutAsked::Begun });
            assert!(!rig.log.is_cutting(), "{count} batches cut at {to}");
            let log = &rig.log;
            assert_eq!((log.log_start(), log.flushed_offset(), log.log_end()), (Offset(0), end, end));
            assert_eq!((log.epochs(), log.high_watermark()), (&epochs_of(&kept_log), Offset(0)));
            assert_eq!((log.producers(), log.producers_lost()), (&states_of(&kept_log), None));
            assert_eq!(log.size_bytes(), kept_log.len() as u64);
            if asked == CutAsked::Begun {
                let last = rig.entries.len() - 1;
                let done = Cut { begin_at: end, ..Cut::at(Offset(to)) };
                assert_eq!(cuts(&rig), [CutEntry::Begin(Cut::at(Offset(to))), CutEntry::End(done)]);
                assert_eq!((log.fence(), log.snapshot().fence), (last as u64 + 1, last as u64 + 1));
                assert_eq!((log.needs_commit_file(), log.active_base()), (None, end));
            }
            let more: Vec<Vec<u8>> = (0..6).map(|at| stored(end.0 + at, 1, 9, 700)).collect();
            more.iter().for_each(|batch| rig.take_run(batch));
            assert_eq!(rig.log.last_epoch(), LeaderEpoch(9));
            assert_eq!(rig.contents(), [kept_log, more.concat()].concat(), "{count} batches cut at {to}");
        }
    }
}

#[test]
fn each_step_waits_for_the_one_before() {
    let mut rig = rig_of(3);
    rig.is_slow = true;
    // On their way: an append that the commit log has not got, and one that goes straight to the file.
    rig.take_run(&batch(3));
    let large: Vec<u8> = (0..20).flat_map(|at| stored(8 + at, 1, 4, 1000)).collect();
    rig.take_run(&large);
    assert_eq!(begin(&mut rig, Cut::at(Offset(4))), CutAsked::Begun);
    let mut steps = Vec::new();
    loop {
        assert_eq!(begin(&mut rig, Cut::at(Offset(2))), CutAsked::Busy);
        let refused = rig.replicate(&batch(2), header_of(&batch(2), Gap::None));
        assert_eq!(refused, Err(ReplicateError::Cutting));
        let is_cut = |op: &LogOp| matches!(op.op, IoOp::TruncateLog { .. });
        let step = match (rig.waiting.front(), rig.ops.front()) {
            (Some(Waiting::Cut(CutEntry::Begin(_))), None) => "begin",
            (None, Some(op)) if is_cut(op) => "files",
            (Some(Waiting::Cut(CutEntry::End(_))), None) => "end",
            _ => "quiet",
        };
        if steps.last() != Some(&step) {
            steps.push(step);
        }
        if step != "quiet" {
            assert!(rig.log.cut_is_quiet() && rig.ops.len() + rig.waiting.len() == 1);
            assert!(!rig.log.is_finished(), "a stop waits for it");
            if step != "begin" {
                assert!(rig.log.needs_commit_file().is_some(), "what says that it begins is needed");
                rig.with(|log, _, out| log.release(&LIMITS, &mut Chunk::heap, out));
                assert!(rig.log.needs_commit_file().is_some(), "whatever is released");
            }
        }
        if !rig.step() {
            panic!("the cut does not end: {steps:?}");
        }
        if !rig.log.is_cutting() {
            break;
        }
    }
    assert_eq!(steps, ["quiet", "begin", "files", "end"]);
    assert_eq!(rig.contents(), log_of(0..2));
}

#[test]
fn below_the_high_watermark_producers_are_found_anew() {
    for (high_watermark, to, lost) in [(8, 8, false), (8, 7, true), (20, 19, true), (0, 0, false)] {
        let mut rig = rig_of(10);
        rig.log.advance_high_watermark(Offset(high_watermark));
        begin(&mut rig, Cut::at(Offset(to)));
        let end = Offset(to / 2 * 2);
        assert_eq!(rig.log.producers_lost(), lost.then_some(end), "{high_watermark}, cut at {to}");
        assert_eq!(rig.log.high_watermark(), end.min(Offset(high_watermark)));
        let more = stored(end.0, 2, 9, 500);
        rig.take_run(&more);
        rig.log.producers_found(states_of(&log_of(0..to / 2)));
        assert_eq!(rig.log.producers_lost(), None);
        let whole = [log_of(0..to / 2), more].concat();
        let recent = |states: &ProducerStates| -> Vec<_> {
            states.iter().map(|(id, it)| (id, it.recent().copied().collect::<Vec<_>>())).collect()
        };
        assert_eq!(recent(rig.log.producers()), recent(&states_of(&whole)));
    }
}

#[test]
fn a_log_of_which_nothing_stays_begins_anew_wherever_it_is_told() {
    for (begin_at, epoch, starts) in
        [(500, 7, &[(7, 499)][..]), (3, 0, &[(0, 2)]), (0, -1, &[]), (20, 4, &[(4, 19)])]
    {
        let mut rig = rig_of(10);
        rig.log.advance_high_watermark(Offset(8));
        rig.log.quarantine(Offset(2)..Offset(6));
        let anew = Cut::to_begin_at(Offset(begin_at), LeaderEpoch(epoch));
        assert_eq!(begin(&mut rig, anew), CutAsked::Begun);
        let (log, at) = (&rig.log, Offset(begin_at));
        assert_eq!(
            (log.log_start(), log.high_watermark(), log.flushed_offset(), log.log_end()),
            (at, at, at, at)
        );
        let starts: Vec<_> = starts.iter().map(|(epoch, at)| (LeaderEpoch(*epoch), Offset(*at))).collect();
        assert_eq!(log.epochs().starts(), starts);
        assert_eq!(log.last_epoch(), LeaderEpoch(epoch), "a log behind a snapshot has its epoch");
        assert_eq!((log.producers().len(), log.damaged().iter().count(), log.size_bytes()), (0, 0, 0));
        assert!(rig.files.is_empty());
        let more: Vec<u8> = (0..4).flat_map(|at| stored(begin_at + at, 1, 9, 700)).collect();
        rig.take_run(&more);
        assert_eq!(rig.contents(), more);
    }
}

#[test]
fn a_cut_below_the_log_s_start_keeps_nothing() {
    let mut rig = rig_of(10);
    rig.log.advance_high_watermark(Offset(20));
    assert_eq!(rig.log.advance_start(Offset(14)), Offset(14));
    begin(&mut rig, Cut::at(Offset(13)));
    assert_eq!(cuts(&rig).first(), Some(&CutEntry::Begin(Cut::to_begin_at(Offset(13), LeaderEpoch(4)))));
    assert_eq!((rig.log.log_start(), rig.log.log_end(), rig.files.len()), (Offset(13), Offset(13), 0));
    // At the start there is nothing of the log either, but its start stays, and what is settled.
    let mut rig = rig_of(10);
    rig.log.advance_high_watermark(Offset(14));
    rig.log.advance_start(Offset(14));
    begin(&mut rig, Cut::at(Offset(14)));
    assert_eq!((rig.log.log_start(), rig.log.log_end()), (Offset(14), Offset(14)));
    assert_eq!(rig.log.producers(), &{
        let mut states = states_of(&log_of(0..7));
        states.settle(Offset(14));
        states
    });
    let more = stored(14, 3, 9, 700);
    rig.take_run(&more);
    assert_eq!(rig.contents(), more);
}

#[test]
fn only_a_cut_that_keeps_nothing_waits_for_old_files() {
    for (cut, waits) in [(Cut::at(Offset(15)), false), (Cut::to_begin_at(Offset(2), LeaderEpoch(1)), true)] {
        let mut rig = rig_of(10);
        rig.log.advance_high_watermark(Offset(20));
        rig.log.advance_start(Offset(15));
        let past = rig.log.take_below(Offset(15));
        assert_eq!(past.len(), 1);
        let second =
            crate::log::PastSegment { segment: SegmentId { partition: ID, base: Offset(1) }, bytes: 9 };
        rig.log.past_files += 1;
        rig.log.keep_spare(second);
        begin(&mut rig, cut);
        assert_eq!((rig.log.is_cutting(), rig.log.spare().is_none()), (waits, waits));
        rig.with(|log, _, out| log.done(crate::log::Purpose::Delete, out));
        assert!(!rig.log.is_cutting(), "the other file was the spare");
        assert_eq!(rig.log.take_below(Offset(15)).is_empty(), waits, "asked for before the cut");
    }
}

#[test]
fn a_stop_gives_up_a_cut_of_which_nothing_is_written_down() {
    let mut rig = rig_of(3);
    rig.is_slow = true;
    begin(&mut rig, Cut::at(Offset(2)));
    rig.with(|log, _, out| log.finish(out));
    rig.settle();
    assert_eq!((rig.log.is_finished(), cuts(&rig).len()), (true, 0));
    assert_eq!(begin(&mut rig, Cut::at(Offset(2))), CutAsked::Stopping);
    assert_eq!(rig.contents(), log_of(0..3));
}

/// What a start makes of files and entries, as `commit::plan` says.
fn recovered(files: &BTreeMap<Offset, Vec<u8>>, entries: &[Entry]) -> Vec<u8> {
    let mut files = files.clone();
    let last = entries.iter().rposition(|entry| matches!(entry, Entry::Cut(_)));
    for entry in entries.iter().skip(last.unwrap_or(0)) {
        if let Entry::Append { segment, position, bytes, .. } = entry {
            write(files.entry(segment.base).or_default(), *position, bytes);
        }
    }
    if let Some(Entry::Cut(CutEntry::Begin(cut))) = last.and_then(|at| entries.get(at)) {
        let bases: Vec<Offset> = files.keys().copied().filter(|base| *base >= cut.below).collect();
        let across = files.keys().rev().find(|base| **base < cut.below).map(|base| (*base, 0));
        cut_files(&mut files, cut.below, &CutFiles::Remove { bases, cut: across });
    }
    found(&files)
}

#[test]
fn a_crash_at_any_step_leaves_the_log_before_or_after_the_cut() {
    for to in 0..=5 {
        let mut rig = rig_of(6);
        rig.is_slow = true;
        let (old, kept) = (log_of(0..6), log_of(0..to));
        let end = to * 2;
        // Where the old log goes on by offset, should it come back behind the new one.
        let new: Vec<Vec<u8>> = (0..2).map(|at| stored(end + at * 2, 2, 3, 500)).collect();
        begin(&mut rig, Cut::at(Offset(end)));
        let (mut is_written_down, mut at_cut) = (false, 0);
        while rig.log.is_cutting() {
            let expected = if is_written_down { &kept } else { &old };
            assert_eq!(&recovered(&rig.files, &rig.entries), expected, "cut at {end}");
            if matches!(rig.ops.front(), Some(LogOp { op: IoOp::TruncateLog { .. }, .. })) {
                // Some files are removed, the last ones first, or all of it is done and nobody was told.
                let mut files = rig.files.clone();
                while let Some((base, _)) = files.pop_last().filter(|(base, _)| *base >= Offset(end)) {
                    at_cut += 1;
                    assert_eq!(recovered(&files, &rig.entries), kept, "without {base}, cut at {end}");
                }
            }
            is_written_down |= matches!(rig.waiting.front(), Some(Waiting::Cut(CutEntry::Begin(_))));
            assert!(rig.step());
        }
        assert!(at_cut > 0 || to == 5);
        for (at, batch) in new.iter().enumerate() {
            rig.take_run(batch);
            assert_eq!(recovered(&rig.files, &rig.entries), [&kept[..], &new[..at].concat()].concat());
            rig.settle();
            assert_eq!(recovered(&rig.files, &rig.entries), [&kept[..], &new[..=at].concat()].concat());
        }
        // It would: the entries are still there, and follow by offset.
        let naive: Vec<Entry> =
            rig.entries.iter().filter(|it| matches!(it, Entry::Append { .. })).cloned().collect();
        if (1..4).contains(&to) {
            assert_ne!(recovered(&rig.files, &naive), [&kept[..], &new.concat()].concat(), "cut at {end}");
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Take { batches: i64, records: i64, bytes: usize },
    Settle(i64),
    Advance(i64),
    Cut(i64),
    Begin(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => (1..6i64, 1..4i64, 1..3_000usize)
            .prop_map(|(batches, records, bytes)| Step::Take { batches, records, bytes }),
        2 => (0..40i64).prop_map(Step::Settle),
        1 => (0..30i64).prop_map(Step::Advance),
        2 => (0..20i64).prop_map(Step::Cut),
        1 => (0..200i64).prop_map(Step::Begin),
    ];
    proptest::collection::vec(step, 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn whatever_comes_the_log_is_what_a_list_of_batches_says(steps in steps()) {
        let mut rig = Rig::new(9_000);
        let mut model: Vec<Vec<u8>> = Vec::new();
        for (epoch, step) in (1..).zip(steps) {
            let (start, end) = (rig.log.log_start(), rig.log.log_end());
            match step {
                Step::Take { batches, records, bytes } => {
                    let run: Vec<Vec<u8>> =
                        (0..batches).map(|at| stored(end.0 + at * records, records, epoch, bytes)).collect();
                    rig.take_run(&run.concat());
                    model.extend(run);
                }
                Step::Settle(behind) => rig.log.advance_high_watermark(end.plus(-behind)),
                Step::Advance(by) => _ = rig.log.advance_start(start.plus(by)),
                Step::Cut(back) => {
                    let to = end.plus(-back).max(rig.log.high_watermark());
                    begin(&mut rig, Cut::at(to));
                    model.retain(|batch| header_of(batch, Gap::None).end <= to);
                    let states = states_of(&model.concat());
                    let newest = |states: &ProducerStates| -> Vec<_> {
                        states.iter().map(|(id, it)| (id, it.recent().copied().collect::<Vec<_>>())).collect()
                    };
                    // Some are remembered whose batches have been let go.
                    let known = newest(rig.log.producers());
                    prop_assert!(newest(&states).iter().all(|it| known.contains(it)));
                }
                Step::Begin(at) => {
                    begin(&mut rig, Cut::to_begin_at(Offset(at), LeaderEpoch(epoch)));
                    model.clear();
                }
            }
            prop_assert!(!rig.log.is_cutting());
            let ends = model.last().map(|batch| header_of(batch, Gap::None).end);
            prop_assert!(ends.is_none_or(|end| end == rig.log.log_end() || rig.log.log_start() >= end));
        }
        let start = rig.log.log_start();
        model.retain(|batch| header_of(batch, Gap::None).end > start);
        prop_assert_eq!(rig.contents(), model.concat());
    }
}
