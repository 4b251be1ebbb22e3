//! A partition's own old segment file, kept to be used again: its blocks are allocated and written, so that durable writes
//! into it change nothing but them, and nothing is given back to the file system only to be asked for again.
//!
//! Why that is safe. A log's end is found by its content: the next batch is one that carries the offset expected next and
//! matches its checksum. A file used again holds batches that match theirs. But only segments below a log start that is
//! durable, and below the segment in which recovery would begin, leave a log ([`PartitionLog::take_below`]), and no
//! offset below that is ever given out again: everything an older segment of the same log has left in a file lies below the
//! base of the segment it is used for. So none of it is ever expected, served, or taken for what stands behind damage;
//! that it is no batch of this segment is not damage either, only where the log ends. Another log's file would not do: its
//! batches may carry the very offsets expected. (Bytes within a record can be made to look like the batch expected next, by
//! a producer who knows where the log will end in a crash; it gains a record it could have sent.)
//!
//! A log that was cut below its start may give such an offset out again: that cut drops the spare, and waits for the old files
//! there are ([`super::cut`]).
//!
//! A crash finds the file under its old name, whole, until a directory sync has made the new one durable, and nothing is
//! written to it before that: what `spare` of [`IoOp::CreateSegment`](crate::base::io::IoOp::CreateSegment) is for. In
//! between it is called `.spare`, which no start takes for a segment.
//!
//! Limits: one file of each partition that has filled its last segments fast; it takes as much of the disk as a segment.
//! No compacted topic has a spare, and none is shorter than most of a segment.

use crate::base::{MonoNanos, Rule, holds};
use crate::config::topic::TopicSettings;

use super::partition::PartitionLog;
use super::past::PastSegment;

impl PartitionLog {
    /// Whether the last segment was full within `ms`, and not longer ago than that: the next one will soon be as well.
    #[must_use]
    pub fn fills_within(&self, ms: u64, now: MonoNanos) -> bool {
        self.filling.is_within(now, ms)
    }

    /// Keeps a file for the next segment: it is under its spare name, and nobody reads it. There must be none yet.
    pub fn keep_spare(&mut self, spare: PastSegment) {
        assert!(self.spare.is_none(), "a partition has one spare at most");
        assert!(
            spare.segment.base < self.active.id.base || !holds(Rule::D16),
            "a spare is of an older segment"
        );
        let left = self.past_files.checked_sub(1);
        self.past_files = left.expect("a file that is kept has left the log");
        self.spare = Some(spare);
    }

    #[must_use]
    pub fn spare(&self) -> Option<PastSegment> {
        self.spare
    }

    /// Gives the spare away: the partition has none then.
    pub fn take_spare(&mut self) -> Option<PastSegment> {
        self.past_files += usize::from(self.spare.is_some());
        self.spare.take()
    }
}

/// Whether a file of `bytes` is worth keeping for a topic's segments: it saves no work if it is much shorter, and keeps
/// space from others if it is longer.
#[must_use]
pub fn suits(bytes: u64, settings: &TopicSettings) -> bool {
    !settings.compact && bytes <= settings.segment_bytes && bytes >= settings.segment_bytes / 4 * 3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::io::{IoOp, SegmentId};
    use crate::base::{Chunk, Now, Offset, TimestampMs, TopicPartition};
    use crate::log::{AppendRules, LogEffects, LogLimits, Purpose};
    use crate::record::{BatchBuilder, Inside};

    const SEGMENT_BYTES: u64 = 100_000;
    const MINUTE_MS: u64 = 60_000;
    const LIMITS: LogLimits = LogLimits {
        direct_run_bytes: 32 << 10,
        chunk_bytes_max: 16 << 10,
        create_allocate_bytes: 64 << 10,
        marks_step_bytes: 16 << 10,
    };

    fn settings() -> TopicSettings {
        TopicSettings { segment_bytes: SEGMENT_BYTES, ..TopicSettings::default() }
    }

    fn append(log: &mut PartitionLog, at_ms: u64, bytes: usize) -> LogEffects {
        let mut batch = BatchBuilder::new(TimestampMs(1));
        batch.append(None, Some(&vec![7; bytes]));
        let batch = batch.finish().expect("small").into();
        let now = Now { mono: MonoNanos(0).plus_ms(at_ms), wall: TimestampMs(1) };
        let (settings, mut out) = (settings(), LogEffects::default());
        let rules = AppendRules {
            now,
            settings: &settings,
            limits: &LIMITS,
            zstd_allowed: true,
            inside: &Inside::Unread,
        };
        log.append(&batch, &rules, &mut Chunk::heap, &mut out).expect("a good batch");
        out
    }

    /// A log whose second segment has just begun, and the first one as it was.
    fn rolled() -> (PartitionLog, PastSegment) {
        let mut log = PartitionLog::empty(TopicPartition::METADATA);
        append(&mut log, 0, 90_000);
        append(&mut log, 0, 90_000);
        let segment = SegmentId { partition: log.id, base: Offset(0) };
        (log, PastSegment { segment, bytes: 90_068 })
    }

    #[test]
    fn a_spare_becomes_the_next_segment_s_file_before_anything_is_written_to_it() {
        for bytes in [90_000, 20_000] {
            let (mut log, past) = rolled();
            log.past_files = 1;
            log.keep_spare(past);
            assert!(append(&mut log, 0, 100).ops.is_empty(), "the file there is takes more");
            let mut out = append(&mut log, 0, bytes);
            out.ops.extend(append(&mut log, 0, 1000).ops);
            let base = log.active_base();
            let mut of_new = out.ops.iter().filter_map(|op| match (&op.purpose, &op.op) {
                (Purpose::Create { base: at, names }, IoOp::CreateSegment { allocate_bytes, spare, .. }) => {
                    (*at == base).then_some((*names, *allocate_bytes, *spare))
                }
                (Purpose::Write { base: at, .. } | Purpose::Direct { base: at, .. }, _) if *at == base => {
                    panic!("written before it has its name for good: {op:?}")
                }
                _ => None,
            });
            assert_eq!(of_new.next(), Some((true, 90_112, Some(past.segment))), "{bytes} bytes");
            assert_eq!((of_new.next(), log.spare()), (None, None));
            out.ops.clear();
            log.done(Purpose::Create { base, names: true }, &mut out);
            let written =
                |op: &IoOp| matches!(op, IoOp::WriteSegment { segment, .. } if segment.base == base);
            assert!(out.ops.iter().any(|op| written(&op.op)), "{:?}", out.ops);
            // A later segment has no spare again.
            append(&mut log, 0, 90_000);
            let out = append(&mut log, 0, 90_000);
            let fresh = |op: &IoOp| matches!(op, IoOp::CreateSegment { spare: None, .. });
            assert!(out.ops.iter().any(|op| fresh(&op.op)));
        }
    }

    #[test]
    fn only_who_fills_segments_fast_and_has_done_so_lately_wants_another() {
        let (mut log, _) = rolled();
        let at = |ms| MonoNanos(0).plus_ms(ms);
        assert!(!log.fills_within(MINUTE_MS, at(0)), "one roll tells nothing");
        append(&mut log, MINUTE_MS, 90_000);
        assert!(log.fills_within(MINUTE_MS, at(MINUTE_MS)));
        assert!(
            log.fills_within(MINUTE_MS, at(2 * MINUTE_MS))
                && !log.fills_within(MINUTE_MS, at(2 * MINUTE_MS + 1))
        );
        append(&mut log, 3 * MINUTE_MS, 90_000);
        assert!(!log.fills_within(MINUTE_MS, at(3 * MINUTE_MS)), "too slow");
    }

    #[test]
    fn a_spare_is_about_as_long_as_a_segment() {
        let compacted = TopicSettings { compact: true, ..settings() };
        for (bytes, suited) in [(74_999, false), (75_000, true), (100_000, true), (100_001, false)] {
            assert_eq!(suits(bytes, &settings()), suited, "{bytes}");
            assert!(!suits(bytes, &compacted));
        }
    }
}
