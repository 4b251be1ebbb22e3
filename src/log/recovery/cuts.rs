//! What is known of cuts and of the high watermark, and what follows.

use crate::base::Offset;
use crate::base::io::{CutFiles, CutSegment};
use crate::log::Cut;

use super::verdict::Verdict;

/// What the commit log says of cuts since the checkpoint.
#[derive(Clone, Copy, Debug)]
pub struct CutsNoted<'a> {
    /// The checkpoint that tells which entries are from before a cut is there; or the log has no other replica, and is never cut.
    pub are_known: bool,
    /// Cuts that were made, oldest first, each with the end of the log after it.
    pub made: &'a [Cut],
    /// One that was begun after those.
    pub unfinished: Option<Cut>,
}

impl CutsNoted<'_> {
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match (self.unfinished, self.made.last()) {
            _ if !self.are_known => Verdict::CutsUnknown,
            (Some(Cut { below, begin_at, .. }), _) => Verdict::ToBeCut { below, begin_at },
            (None, Some(cut)) => Verdict::WasCut { end: cut.begin_at },
            (None, None) => Verdict::NotCut,
        }
    }
}

impl Cut {
    /// What a start that finds the cut unfinished does to the files of a log with these segments, ascending.
    #[must_use]
    pub fn files_of(&self, bases: &[Offset]) -> CutFiles {
        if self.keeps_nothing() {
            return CutFiles::RemoveAll;
        }
        let (below, above): (Vec<Offset>, Vec<Offset>) = bases.iter().partition(|base| **base < self.below);
        // As long as its file is: nobody has noted the length.
        let cut = below.last().map(|base| (*base, u64::MAX));
        CutFiles::Remove { bases: above, cut }
    }

    /// The cut as it was made: where the log ends is told by what is left of the segment that was cut.
    #[must_use]
    pub fn made(&self, files: &CutFiles, left: &CutSegment) -> Cut {
        let begin_at = match (files, left.last) {
            (CutFiles::Remove { cut: Some(_), .. }, Some((end, _))) => end.min(self.begin_at),
            (CutFiles::Remove { cut: Some((base, _)), .. }, None) => *base,
            (CutFiles::Remove { cut: None, .. } | CutFiles::RemoveAll, _) => self.begin_at,
        };
        Cut { begin_at, ..*self }
    }
}

/// The high watermark of checkpoint and commit log, against the log that was found.
#[derive(Clone, Copy, Debug)]
pub struct KnownWatermark {
    pub known: Offset,
    pub log_start: Offset,
    pub log_end: Offset,
}

impl KnownWatermark {
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let KnownWatermark { known, log_start, log_end } = *self;
        if known > log_end {
            Verdict::WatermarkBeyond { at: log_end }
        } else if known < log_start {
            Verdict::WatermarkBehind { at: log_start }
        } else {
            Verdict::WatermarkStands { at: known }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::LeaderEpoch;

    fn at(below: i64, begin_at: i64) -> Cut {
        Cut { below: Offset(below), begin_at: Offset(begin_at), epoch: LeaderEpoch(-1) }
    }

    #[test]
    fn the_last_cut_that_is_known_decides() {
        let noted = |made: &[Cut], unfinished| CutsNoted { are_known: true, made, unfinished }.verdict();
        assert_eq!(noted(&[], None), Verdict::NotCut);
        assert_eq!(noted(&[at(70, 70)], None), Verdict::WasCut { end: Offset(70) });
        assert_eq!(noted(&[at(70, 70), at(60, 55)], None), Verdict::WasCut { end: Offset(55) });
        let to_be = |below, begin_at| Verdict::ToBeCut { below: Offset(below), begin_at: Offset(begin_at) };
        assert_eq!(noted(&[], Some(at(70, 70))), to_be(70, 70));
        assert_eq!(noted(&[at(70, 70)], Some(at(0, 500))), to_be(0, 500));
    }

    #[test]
    fn nothing_is_believed_of_cuts_that_nobody_knows() {
        for unfinished in [None, Some(at(70, 70))] {
            let unknown = CutsNoted { are_known: false, made: &[at(70, 70)], unfinished };
            assert_eq!(unknown.verdict(), Verdict::CutsUnknown);
        }
    }

    #[test]
    fn the_segments_of_a_cut_go_and_the_one_before_is_made_shorter() {
        let bases = [0, 100, 200].map(Offset);
        let remove = |from: usize, cut: Option<i64>| CutFiles::Remove {
            bases: bases[from..].to_vec(),
            cut: cut.map(|base| (Offset(base), u64::MAX)),
        };
        for (below, files) in [
            (250, remove(3, Some(200))),
            (200, remove(2, Some(100))),
            (150, remove(2, Some(100))),
            (1, remove(1, Some(0))),
        ] {
            assert_eq!(at(below, below).files_of(&bases), files, "{below}");
        }
        assert_eq!(at(0, 50).files_of(&bases), CutFiles::RemoveAll);
        assert_eq!(at(50, 50).files_of(&[]), CutFiles::Remove { bases: Vec::new(), cut: None });
        // Where the log ends then.
        let left = |end: Option<i64>| CutSegment {
            last: end.map(|end| (Offset(end), LeaderEpoch(0))),
            ..CutSegment::default()
        };
        let made = |files: CutFiles, end| at(150, 150).made(&files, &left(end)).begin_at;
        assert_eq!(made(remove(2, Some(100)), Some(150)), Offset(150));
        assert_eq!(made(remove(2, Some(100)), Some(140)), Offset(140));
        assert_eq!(made(remove(2, Some(100)), None), Offset(100));
        assert_eq!(made(remove(2, None), None), Offset(150));
        assert_eq!(at(0, 50).made(&CutFiles::RemoveAll, &left(None)).begin_at, Offset(50));
    }

    #[test]
    fn a_high_watermark_lies_within_the_log() {
        let of = |known| {
            KnownWatermark { known: Offset(known), log_start: Offset(10), log_end: Offset(50) }.verdict()
        };
        assert_eq!(of(50), Verdict::WatermarkStands { at: Offset(50) });
        assert_eq!(of(10), Verdict::WatermarkStands { at: Offset(10) });
        assert_eq!(of(51), Verdict::WatermarkBeyond { at: Offset(50) });
        assert_eq!(of(9), Verdict::WatermarkBehind { at: Offset(10) });
    }
}
