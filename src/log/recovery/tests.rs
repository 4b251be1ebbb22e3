//! The verdicts one by one: the evidence of each story, and what is next to it.

use super::*;
use crate::base::{LeaderEpoch, Offset, PartitionIndex, TimestampMs, TopicId, TopicPartition};
use crate::log::{EpochCache, PartitionSnapshot, ProducerStates};
use crate::record::{BATCH_HEADER_BYTES, BatchBuilder};

const ID: TopicPartition = TopicPartition { topic: TopicId([7; 16]), partition: PartitionIndex(0) };
const EVERYWHERE: Offset = Offset(i64::MAX);

/// A checkpoint whose log begins at `log_start`, and whose scan begins with the batch of `offset` at `position` of the segment
/// `segment`.
fn checkpoint(log_start: i64, segment: i64, position: u64, offset: i64) -> PartitionSnapshot {
    PartitionSnapshot {
        id: ID,
        log_start: Offset(log_start),
        log_end: Offset(offset),
        segment_base: Offset(segment),
        position,
        offset: Offset(offset),
        mark: None,
        epochs: EpochCache::from_starts(vec![
            (LeaderEpoch(0), Offset(0)),
            (LeaderEpoch(3), Offset(offset - 1)),
        ]),
        producers: ProducerStates::default(),
        high_watermark: Offset(0),
        fence: 0,
    }
}

fn of_folder(bases: &[i64], snapshot: Option<&PartitionSnapshot>, claim: i64) -> Verdict {
    let bases: Vec<Offset> = bases.iter().map(|base| Offset(*base)).collect();
    Folder { bases: &bases, snapshot, claim: Offset(claim) }.verdict()
}

/// A segment at `segment` after a log from 10 to 50, of which all below `durable` was durable.
fn of_place(segment: i64, durable: i64, holds_batches: bool) -> Verdict {
    let (segment, durable) = (Offset(segment), Offset(durable));
    Place { segment, log_end: Offset(50), log_start: Offset(10), durable, holds_batches }.verdict()
}

/// The batch of offset 50 is not where it should be, in the segment at 0; all below `durable` was durable, the next segment
/// begins at `limit`.
fn interrupted(durable: i64, limit: Offset) -> Interruption {
    let durable = Offset(durable);
    Interruption { segment: Offset(0), expected: Offset(50), durable, limit, log_start: Offset(10) }
}

/// The batches of the segment at 40 end at 50.
fn of_end(durable_end: i64, stands: Stands) -> Verdict {
    let durable_end = Offset(durable_end);
    SegmentEnd { segment: Offset(40), ends: Offset(50), durable_end, stands }.verdict()
}

/// A log from 10 to 50 whose last segment begins at 40, whole.
fn whole_end() -> LogEnd {
    LogEnd {
        log_start: Offset(10),
        log_end: Offset(50),
        written: Offset(50),
        durable: Offset(50),
        last: Some((Offset(40), 1000)),
        was_trimmed: false,
        holds_batches: true,
    }
}

fn missing(from: i64, to: i64) -> Verdict {
    Verdict::Missing { offsets: Offset(from)..Offset(to) }
}

fn batch(base: i64) -> Vec<u8> {
    let mut batch = BatchBuilder::new(TimestampMs(1)).placed(Offset(base), LeaderEpoch(0));
    batch.append(None, Some(b"a record"));
    batch.append(None, Some(b"another"));
    batch.finish().expect("small")
}

#[test]
fn a_topic_that_is_listed_is_recovered() {
    assert_eq!(TopicFolder { topic: ID.topic, is_listed: true }.verdict(), Verdict::TopicListed);
    let metadata = TopicFolder { topic: TopicId::METADATA, is_listed: false };
    assert_eq!(metadata.verdict(), Verdict::TopicListed, "the list itself is not in the list");
}

#[test]
fn a_topic_that_nobody_knows_is_an_orphan() {
    assert_eq!(TopicFolder { topic: ID.topic, is_listed: false }.verdict(), Verdict::TopicOrphaned);
}

#[test]
fn a_partition_nobody_wrote_to_is_untouched() {
    assert_eq!(of_folder(&[], None, 0), Verdict::Untouched);
    let empty = PartitionSnapshot { epochs: EpochCache::default(), ..checkpoint(0, 0, 0, 0) };
    assert_eq!(of_folder(&[], Some(&empty), 0), Verdict::Untouched);
    assert!(Beginning::after(&Verdict::Untouched, Some(empty)).without_segments().is_untouched());
}

#[test]
fn without_files_a_log_that_retention_took_is_past() {
    let at = checkpoint(90, 90, 0, 90);
    let past = Verdict::AllPast { at: Offset(90) };
    assert_eq!(of_folder(&[], Some(&at), 0), past);
    assert_eq!(of_folder(&[], Some(&at), 90), past);
    let log = Beginning::after(&past, Some(at)).without_segments();
    assert_eq!((log.log_start, log.log_end), (Offset(90), Offset(90)));
    assert_eq!(log.epochs.latest(), Some(LeaderEpoch(3)), "what the log was is known");
}

#[test]
fn without_files_a_log_that_held_records_is_missing() {
    let missing = |log_end| Verdict::AllMissing { log_end: Offset(log_end) };
    assert_eq!(of_folder(&[], Some(&checkpoint(60, 60, 4096, 90)), 95), missing(95));
    assert_eq!(of_folder(&[], Some(&checkpoint(60, 60, 4096, 90)), 0), missing(90));
    assert_eq!(of_folder(&[], None, 20), missing(20));
    // Something was written behind what retention took.
    assert_eq!(of_folder(&[], Some(&checkpoint(90, 90, 0, 90)), 91), missing(91));
    // Retention had not taken everything.
    assert_eq!(of_folder(&[], Some(&checkpoint(80, 90, 0, 90)), 0), missing(90));
    let log = Beginning::after(&missing(95), Some(checkpoint(60, 60, 4096, 90))).without_segments();
    assert_eq!((log.log_start, log.log_end), (Offset(95), Offset(95)));
    assert_eq!(log.epochs, EpochCache::default());
}

#[test]
fn without_a_checkpoint_everything_is_scanned() {
    let verdict = of_folder(&[20, 40], None, 50);
    assert_eq!(verdict, Verdict::NoCheckpoint { first: Offset(20) });
    let beginning = Beginning::after(&verdict, None);
    assert_eq!(
        (beginning.log_start, beginning.segment_base, beginning.position),
        (Offset(20), Offset(20), 0)
    );
}

#[test]
fn a_checkpoint_whose_segment_is_gone_tells_nothing_but_what_was_durable() {
    let at = checkpoint(0, 60, 4096, 90);
    let verdict = of_folder(&[20, 40], Some(&at), 50);
    assert_eq!(verdict, Verdict::CheckpointAstray { first: Offset(20) });
    let folder = Folder { bases: &[Offset(20)], snapshot: Some(&at), claim: Offset(50) };
    assert_eq!(folder.durable(), Offset(90));
    let beginning = Beginning::after(&verdict, Some(at));
    assert_eq!((beginning.log_start, beginning.epochs), (Offset(20), EpochCache::default()));
}

#[test]
fn a_checkpoint_whose_segment_is_there_is_begun_with() {
    let at = checkpoint(20, 40, 4096, 45);
    let verdict = of_folder(&[20, 40], Some(&at), 50);
    assert_eq!(verdict, Verdict::Checkpointed { log_start: Offset(20) });
    let beginning = Beginning::after(&verdict, Some(at));
    assert_eq!((beginning.segment_base, beginning.position), (Offset(40), 4096));
    // Its segment was to begin there.
    let empty = checkpoint(20, 40, 0, 40);
    assert_eq!(of_folder(&[20], Some(&empty), 40), Verdict::Checkpointed { log_start: Offset(20) });
    // Retention had moved the start, and the files below are not deleted yet.
    let later = checkpoint(30, 40, 0, 40);
    assert_eq!(of_folder(&[20, 40], Some(&later), 40), Verdict::Checkpointed { log_start: Offset(30) });
}

#[test]
fn a_log_whose_first_files_are_gone_begins_later() {
    let at = checkpoint(20, 40, 4096, 45);
    let verdict = of_folder(&[40], Some(&at), 50);
    assert_eq!(verdict, Verdict::BeginningMissing { log_start: Offset(20), first: Offset(40) });
    assert_eq!(Beginning::after(&verdict, Some(at)).position, 4096, "the checkpoint still holds");
}

#[test]
fn a_segment_where_the_log_ends_is_the_next() {
    for durable in [0, 50, 90] {
        assert_eq!(of_place(50, durable, true), Verdict::Next);
    }
    assert!(Verdict::Next.is_of_the_log());
}

#[test]
fn a_segment_below_the_log_s_end_is_extra() {
    assert_eq!(of_place(49, 50, true), Verdict::Extra { segment: Offset(49) });
    assert!(!of_place(49, 50, true).is_of_the_log());
}

#[test]
fn durable_records_between_two_segments_are_missing() {
    assert_eq!(of_place(60, 60, true), missing(50, 60));
    assert_eq!(of_place(60, 90, false), missing(50, 60));
    assert!(missing(50, 60).is_of_the_log(), "the log goes on behind");
    assert_eq!(missing(50, 60).resumes_at(), Some(Offset(60)));
    // Only those of the log are.
    let later = Place {
        segment: Offset(60),
        log_end: Offset(50),
        log_start: Offset(55),
        durable: Offset(60),
        holds_batches: true,
    };
    assert_eq!(later.verdict(), missing(55, 60));
}

#[test]
fn what_lacks_below_the_log_s_start_is_not_missed() {
    let place = Place {
        segment: Offset(60),
        log_end: Offset(50),
        log_start: Offset(60),
        durable: Offset(90),
        holds_batches: true,
    };
    assert_eq!(place.verdict(), Verdict::MissingBelowStart { to: Offset(60) });
    assert_eq!(place.verdict().resumes_at(), Some(Offset(60)));
}

#[test]
fn a_segment_ahead_of_what_was_durable_without_a_batch_is_not_begun() {
    assert_eq!(of_place(61, 60, false), Verdict::NotBegun { segment: Offset(61) });
    assert_eq!(of_place(51, 50, false), Verdict::NotBegun { segment: Offset(51) });
    assert!(!of_place(61, 60, false).is_of_the_log());
}

#[test]
fn a_segment_ahead_of_what_was_durable_with_batches_is_unfounded() {
    assert_eq!(of_place(61, 60, true), Verdict::Unfounded { segment: Offset(61) });
    assert!(!of_place(61, 60, true).is_of_the_log());
}

fn reach(position: u64, ends: i64) -> Reach {
    Reach { position, ends: Offset(ends) }
}

#[test]
fn an_index_that_leads_to_the_expected_end_is_believed() {
    let index = IndexEvidence::Followed { found: reach(4000, 40), expected: reach(4000, 40) };
    assert_eq!(index.verdict(), Verdict::IndexLeads);
}

#[test]
fn an_index_without_timestamps_is_gone() {
    assert_eq!(IndexEvidence::Bare.verdict(), Verdict::IndexGone);
}

#[test]
fn an_index_that_leads_elsewhere_is_astray() {
    assert_eq!(IndexEvidence::Misled.verdict(), Verdict::IndexAstray);
    for found in [reach(3999, 40), reach(4000, 39)] {
        let index = IndexEvidence::Followed { found, expected: reach(4000, 40) };
        assert_eq!(index.verdict(), Verdict::IndexAstray);
    }
}

#[test]
fn a_part_that_is_as_checkpointed_stands() {
    let part = CheckpointedPart { found: reach(4000, 40), expected: reach(4000, 40) };
    assert_eq!(part.verdict(), Verdict::PartStands);
}

#[test]
fn a_part_that_ends_elsewhere_fell() {
    for found in [reach(3999, 40), reach(4000, 39), reach(0, 0)] {
        assert_eq!(CheckpointedPart { found, expected: reach(4000, 40) }.verdict(), Verdict::PartFell);
    }
}

#[test]
fn nobody_looks_behind_what_was_not_durable() {
    assert_eq!(interrupted(50, EVERYWHERE).sought(), None);
    assert_eq!(interrupted(90, Offset(50)).sought(), None, "the rest is the next segment's");
    assert_eq!(interrupted(90, Offset(80)).sought(), Some(Offset(50)..Offset(80)));
    let far = interrupted(51, EVERYWHERE).sought().expect("a record is lacking");
    assert_eq!(far, Offset(50)..Offset(51 + (1 << 32)), "no segment holds more");
}

#[test]
fn the_expected_batch_behind_other_bytes_is_displaced() {
    assert_eq!(interrupted(90, EVERYWHERE).verdict(Offset(50)), Some(Verdict::Displaced));
}

#[test]
fn offsets_before_a_whole_batch_are_damaged() {
    let damaged = Verdict::Damaged { segment: Offset(0), offsets: Offset(50)..Offset(70) };
    assert_eq!(interrupted(90, EVERYWHERE).verdict(Offset(70)), Some(damaged.clone()));
    // What ended there was durable, what stands behind was not known to be.
    assert_eq!(interrupted(70, EVERYWHERE).verdict(Offset(70)), Some(damaged));
    assert_eq!(interrupted(69, EVERYWHERE).verdict(Offset(70)), None, "nothing tells that it is the log's");
}

#[test]
fn damage_below_the_log_s_start_is_not_the_log_s() {
    let at = Interruption { log_start: Offset(70), ..interrupted(90, EVERYWHERE) };
    assert_eq!(at.verdict(Offset(70)), Some(Verdict::DamagedBelowStart));
    let damaged = Verdict::Damaged { segment: Offset(0), offsets: Offset(50)..Offset(71) };
    assert_eq!(at.verdict(Offset(71)), Some(damaged));
}

#[test]
fn batches_up_to_the_end_or_to_zeros_are_whole() {
    assert_eq!(of_end(50, Stands::Nothing), Verdict::Whole);
    assert_eq!(of_end(0, Stands::Zeros), Verdict::Whole);
}

#[test]
fn batches_up_to_an_older_segment_s_are_whole_in_a_file_used_again() {
    assert_eq!(of_end(50, Stands::OlderBatch), Verdict::UsedAgain);
}

#[test]
fn bytes_behind_what_was_durable_are_torn() {
    assert_eq!(of_end(50, Stands::Bytes), Verdict::Torn);
}

#[test]
fn a_file_that_ends_before_what_was_durable_was_cut_short() {
    assert_eq!(of_end(51, Stands::Nothing), Verdict::CutShort);
    assert_eq!(of_end(90, Stands::Zeros), Verdict::CutShort);
}

#[test]
fn bytes_instead_of_what_was_durable_are_a_damaged_end() {
    for stands in [Stands::Bytes, Stands::OlderBatch] {
        assert_eq!(of_end(51, stands), Verdict::DamagedEnd { segment: Offset(40) });
    }
}

#[test]
fn what_stands_behind_the_last_batch_is_told_by_a_header() {
    let header = |base| batch(base)[..BATCH_HEADER_BYTES].to_vec();
    let segment = Offset(40);
    assert_eq!(Stands::of(&[], segment), Stands::Nothing);
    assert_eq!(Stands::of(&[0; 7], segment), Stands::Zeros);
    assert_eq!(Stands::of(&header(38), segment), Stands::OlderBatch);
    assert_eq!(Stands::of(&header(39), segment), Stands::Bytes, "its last offset is the segment's");
    assert_eq!(Stands::of(&header(38)[..20], segment), Stands::Bytes);
    assert_eq!(Stands::of(&[7; BATCH_HEADER_BYTES], segment), Stands::Bytes);
}

#[test]
fn a_whole_log_is_settled() {
    assert_eq!(whole_end().verdict(), Verdict::Settled);
    // An empty last segment in which the log goes on, behind offsets that are refused.
    let behind = LogEnd { written: Offset(30), last: Some((Offset(50), 0)), ..whole_end() };
    assert_eq!(behind.verdict(), Verdict::Settled);
}

#[test]
fn durable_records_behind_the_last_segment_are_missing() {
    assert_eq!(LogEnd { durable: Offset(70), ..whole_end() }.verdict(), missing(50, 70));
    let past = LogEnd { durable: Offset(70), log_start: Offset(70), ..whole_end() };
    assert_eq!(past.verdict(), Verdict::MissingBelowStart { to: Offset(70) });
}

#[test]
fn an_empty_last_segment_is_removed_once() {
    let empty = LogEnd { last: Some((Offset(50), 0)), ..whole_end() };
    assert_eq!(empty.verdict(), Verdict::LastEmpty { segment: Offset(50) });
    assert_eq!(LogEnd { was_trimmed: true, ..empty }.verdict(), Verdict::Settled);
    // Offsets are refused, and the log does not go on where it begins.
    let elsewhere = LogEnd { written: Offset(30), last: Some((Offset(40), 0)), ..whole_end() };
    assert_eq!(elsewhere.verdict(), Verdict::LastEmpty { segment: Offset(40) });
}

#[test]
fn a_log_whose_last_offsets_are_refused_begins_anew() {
    let anew = Verdict::BeginsAnew { at: Offset(50) };
    assert_eq!(LogEnd { written: Offset(45), ..whole_end() }.verdict(), anew);
    let trimmed =
        LogEnd { written: Offset(30), last: Some((Offset(40), 0)), was_trimmed: true, ..whole_end() };
    assert_eq!(trimmed.verdict(), anew);
    let without_batches = LogEnd { holds_batches: false, ..trimmed };
    assert_eq!(without_batches.verdict(), Verdict::Settled, "no batch is left for the log to go on behind");
}

#[test]
fn a_log_without_segments_has_nothing_left() {
    let nothing = LogEnd { last: None, holds_batches: false, written: Offset(10), ..whole_end() };
    assert_eq!(nothing.verdict(), Verdict::NothingLeft);
    assert_eq!(LogEnd { durable: Offset(70), ..nothing }.verdict(), missing(50, 70));
}
