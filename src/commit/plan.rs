//! What a start makes of the entries of each partition: which of them it writes into segments, and whether the log is to be
//! cut, or was.
//!
//! A log is cut in steps: first nothing of it is in memory or on its way any more, everything is in synced segments; then the
//! entry of kind 3 is durable; then the files are cut, durably; then the entry of kind 4 is durable, and only after that the
//! log takes appends again, into a new segment. Later checkpoints have a *fence* for the partition. Entries of what was cut off
//! still stand in the commit log, and some of what is behind the cut may fit it by offset and epoch. So:
//!
//! | entries of the partition, from the first one that the fence lets pass | the crash came | what a start does |
//! |---|---|---|
//! | appends | before the cut was written down, or there was none | writes them all; the log is as it was, and will be cut again |
//! | appends, then a cut | before the files were cut, while they were, or after that | writes none: all are in segments; forgets what claims to be durable at or above the cut; cuts the files, which may be cut already |
//! | appends, a cut, its end, more appends | after the cut | writes those behind its end only; forgets what claims to be durable at or above the cut and is from before it; does not cut |
//! | any of these several times | | the last cut decides what is written; each of them takes claims back |
//! | the fence is unknown: the checkpoint is gone, and the log has replicas | | writes none, because some may be of a part that was cut off |
//!
//! A partition that is dropped is written down as a cut that keeps nothing, before its files are removed: whatever the log still
//! has of it is written nowhere.
//!
//! Pure; knows no file.

use std::collections::BTreeMap;

use crate::base::{Offset, Rule, TopicPartition, holds, mark};

use super::entry::{CutHeader, EntryHeader, Says};

/// From which group on entries of a partition count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fence {
    /// From the one with this sequence; 0 if the partition was never cut.
    At(u64),
    /// Nobody knows: none of the entries is written into a segment.
    Unknown,
}

/// What is to be made of the entries of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// Entries are written into segments from this one on, by [`Plan`]'s count.
    pub from: usize,
    /// Records below were on stable storage, say the entries that still count.
    pub claim: Offset,
    /// The largest high watermark that the entries name, no larger than the log was after a cut. The log may end before it.
    pub high_watermark: Offset,
    /// Cuts that were made, oldest first, each with the end of the log after it. What a checkpoint says is from before them.
    pub cuts: Vec<CutHeader>,
    /// A cut that was begun after those. The files are to be cut, though they may be cut already.
    pub unfinished: Option<CutHeader>,
}

impl Replay {
    fn new(fence: Fence) -> Replay {
        let from = match fence {
            Fence::At(_) => 0,
            Fence::Unknown => usize::MAX,
        };
        let (claim, high_watermark) = (Offset(0), Offset(0));
        Replay { from, claim, high_watermark, cuts: Vec::new(), unfinished: None }
    }

    /// Whether the entry with this number is written into its segment.
    #[must_use]
    pub fn writes(&self, number: usize) -> bool {
        self.from <= number
    }

    fn note(&mut self, number: usize, says: &Says) {
        match says {
            Says::Append(EntryHeader { flushed, high_watermark, .. }) => {
                self.claim = self.claim.max(*flushed);
                self.high_watermark = self.high_watermark.max(*high_watermark);
            }
            Says::Cut(cut) => {
                mark("a start finds a cut");
                self.take_back(cut.begin_at);
                self.forget_before(number);
                self.unfinished = Some(*cut);
            }
            Says::CutDone(cut) => {
                mark("a start finds the end of a cut");
                self.take_back(cut.begin_at);
                if holds(Rule::Fence) {
                    self.forget_before(number);
                }
                self.cuts.push(*cut);
                self.unfinished = None;
            }
        }
    }

    /// The log ends here.
    fn take_back(&mut self, end: Offset) {
        self.claim = self.claim.min(end);
        self.high_watermark = self.high_watermark.min(end);
    }

    fn forget_before(&mut self, number: usize) {
        self.from = self.from.max(number);
    }
}

/// The plan for the entries of one commit log.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    partitions: BTreeMap<TopicPartition, Replay>,
    entries: usize,
}

impl Plan {
    /// Takes note of the next entry, in the order of the log, from the group with this sequence; `fence` is that of its
    /// partition. Returns the entry's number.
    pub fn note(&mut self, sequence: u64, says: &Says, fence: Fence) -> usize {
        let number = self.entries;
        self.entries += 1;
        let replay = self.partitions.entry(says.partition()).or_insert_with(|| Replay::new(fence));
        match fence {
            Fence::At(fence) if sequence < fence && holds(Rule::Fence) => {
                mark("a start leaves out what a fence keeps out");
                replay.forget_before(number + 1);
            }
            Fence::At(_) | Fence::Unknown => replay.note(number, says),
        }
        number
    }

    /// What is to be made of a partition's entries; `None` if there are none.
    #[must_use]
    pub fn of(&self, partition: TopicPartition) -> Option<&Replay> {
        self.partitions.get(&partition)
    }

    /// Every partition that has entries.
    pub fn iter(&self) -> impl Iterator<Item = (TopicPartition, &Replay)> {
        self.partitions.iter().map(|(id, replay)| (*id, replay))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{LeaderEpoch, PartitionIndex, TopicId};

    const ID: TopicPartition = TopicPartition { topic: TopicId([7; 16]), partition: PartitionIndex(3) };
    const OTHER: TopicPartition = TopicPartition::METADATA;

    fn append(partition: TopicPartition, flushed: i64, high_watermark: i64) -> Says {
        let (flushed, high_watermark) = (Offset(flushed), Offset(high_watermark));
        Says::Append(EntryHeader { partition, segment_base: Offset(0), position: 0, flushed, high_watermark })
    }

    fn header(below: i64, begin_at: i64) -> CutHeader {
        let (below, begin_at) = (Offset(below), Offset(begin_at));
        CutHeader { partition: ID, below, begin_at, epoch: LeaderEpoch(-1) }
    }

    fn cut(to: i64) -> Says {
        Says::Cut(header(to, to))
    }

    fn done(below: i64, end: i64) -> Says {
        Says::CutDone(header(below, end))
    }

    /// The entries are one group each, from sequence 10 on. Every second one stands behind one of another partition.
    fn plan(entries: &[Says], fence: Fence) -> (Vec<usize>, Replay) {
        let mut plan = Plan::default();
        let mut numbers = Vec::new();
        for (sequence, says) in (10..).zip(entries) {
            if sequence % 2 == 0 {
                plan.note(sequence, &append(OTHER, 9, 9), Fence::At(0));
            }
            numbers.push(plan.note(sequence, says, fence));
        }
        let other = Replay { claim: Offset(9), high_watermark: Offset(9), ..Replay::new(Fence::At(0)) };
        assert_eq!(plan.of(OTHER), Some(&other));
        let replay = plan.of(ID).expect("there are entries").clone();
        let is_append = |at: &usize| matches!(entries.get(*at), Some(Says::Append(_)));
        let written = (0..entries.len()).filter(is_append).filter(|at| replay.writes(numbers[*at]));
        (written.collect(), replay)
    }

    /// What is made of the entries: which of the appends are written; what is claimed to be durable and the high watermark;
    /// the cuts that were made, each with its end, and the one that is not.
    struct Made<'a> {
        written: &'a [usize],
        offsets: (i64, i64),
        cuts: &'a [(i64, i64)],
        unfinished: Option<(i64, i64)>,
    }

    fn check(entries: &[Says], fence: Fence, made: &Made<'_>) {
        let (written, replay) = plan(entries, fence);
        assert_eq!(written, made.written, "{entries:?}");
        let (claim, high_watermark) = made.offsets;
        assert_eq!(
            (replay.claim, replay.high_watermark),
            (Offset(claim), Offset(high_watermark)),
            "{entries:?}"
        );
        let header = |(below, begin_at): (i64, i64)| header(below, begin_at);
        assert_eq!(replay.cuts, made.cuts.iter().copied().map(header).collect::<Vec<_>>(), "{entries:?}");
        assert_eq!(replay.unfinished, made.unfinished.map(header), "{entries:?}");
    }

    const OPEN: Fence = Fence::At(0);

    #[test]
    fn before_the_cut_is_written_down_the_log_is_as_it_was() {
        let log = [append(ID, 50, 40), append(ID, 90, 60)];
        check(&log, OPEN, &Made { written: &[0, 1], offsets: (90, 60), cuts: &[], unfinished: None });
    }

    #[test]
    fn a_cut_that_was_begun_is_made_again_and_nothing_from_before_it_comes_back() {
        let begun = |log: &[Says], offsets, to| {
            check(log, OPEN, &Made { written: &[], offsets, cuts: &[], unfinished: Some(to) });
        };
        begun(&[append(ID, 50, 40), append(ID, 90, 60), cut(70)], (70, 60), (70, 70));
        // An unclean election may take it below the high watermark.
        begun(&[append(ID, 90, 60), cut(30)], (30, 30), (30, 30));
        // Everything goes, and the log begins anew further on, or before.
        begun(&[append(ID, 90, 60), Says::Cut(header(0, 500))], (90, 60), (0, 500));
        begun(&[append(ID, 90, 60), Says::Cut(header(0, 20))], (20, 20), (0, 20));
    }

    #[test]
    fn behind_a_cut_that_was_made_only_what_came_later_counts() {
        let made = |log: &[Says], written: &[usize], offsets, to| {
            check(log, OPEN, &Made { written, offsets, cuts: &[to], unfinished: None });
        };
        let log = [append(ID, 90, 60), cut(70), done(70, 70), append(ID, 70, 70), append(ID, 95, 80)];
        made(&log, &[3, 4], (95, 80), (70, 70));
        // The cut came to less than was asked for, because a batch lay across it.
        made(&[append(ID, 90, 60), cut(70), done(70, 65)], &[], (65, 60), (70, 65));
        // The group with the beginning is damaged.
        made(&[append(ID, 90, 60), done(70, 70), append(ID, 75, 70)], &[2], (75, 70), (70, 70));
    }

    #[test]
    fn the_last_of_several_cuts_decides_and_each_takes_claims_back() {
        let log = [append(ID, 90, 60), cut(70), done(70, 70), append(ID, 100, 70), cut(85)];
        let made = Made { written: &[], offsets: (85, 70), cuts: &[(70, 70)], unfinished: Some((85, 85)) };
        check(&log, OPEN, &made);
        let log =
            [append(ID, 90, 60), cut(70), cut(70), done(70, 70), append(ID, 71, 60), cut(60), done(60, 60)];
        let cuts = &[(70, 70), (60, 60)];
        check(&log, OPEN, &Made { written: &[], offsets: (60, 60), cuts, unfinished: None });
    }

    #[test]
    fn what_a_fence_keeps_out_neither_is_written_nor_claims_anything() {
        let log = [append(ID, 90, 60), cut(70), done(70, 70), append(ID, 71, 60), append(ID, 72, 61)];
        for (fence, written, offsets, cuts) in [
            (10, &[3, 4][..], (72, 61), &[(70, 70)][..]),
            (13, &[3, 4], (72, 61), &[]),
            (14, &[4], (72, 61), &[]),
            (15, &[], (0, 0), &[]),
        ] {
            check(&log, Fence::At(fence), &Made { written, offsets, cuts, unfinished: None });
        }
    }

    #[test]
    fn below_an_unknown_fence_nothing_is_written() {
        let log = [append(ID, 50, 40), append(ID, 90, 60)];
        let made = Made { written: &[], offsets: (90, 60), cuts: &[], unfinished: None };
        check(&log, Fence::Unknown, &made);
    }
}
