//! Making a follower's log agree with its leader's: what an answer to an open stream leads to, and cuts.

use crate::base::{LeaderEpoch, MonoNanos, Offset, Rule, StreamNumber, holds, mark};

use super::{AfterCut, Following, NOT_YET_MS, REFUSED_MS, Refusal};
use crate::replication::assignment::{Ends, EpochEnd};
use crate::replication::open::{Opened, Outcome};
use crate::replication::phase::{Cut, Phase};

impl Following {
    /// Takes the leader's answer. `own_end_of` is the largest epoch of the own log that is not above the given one, with its
    /// end; none if all are above. The phase that is returned says what comes next.
    pub fn opened(
        &mut self,
        stream: StreamNumber,
        answer: Opened,
        own_end_of: impl FnOnce(LeaderEpoch) -> Option<EpochEnd>,
        now: MonoNanos,
    ) -> Result<Phase, Refusal> {
        if self.stream != Some(stream) {
            return Err(Refusal::OldStream);
        }
        let next = match self.phase {
            Phase::Opening => self.phase_after(answer, own_end_of, now),
            _ => Err(Refusal::NotAsked),
        };
        match next {
            Ok(phase) => {
                self.enter(phase, answer);
                Ok(self.phase)
            }
            Err(refusal) => {
                mark("leader's answer makes no sense");
                self.close(now);
                Err(refusal)
            }
        }
    }

    fn phase_after(
        &self,
        answer: Opened,
        own_end_of: impl FnOnce(LeaderEpoch) -> Option<EpochEnd>,
        now: MonoNanos,
    ) -> Result<Phase, Refusal> {
        match answer.outcome {
            Outcome::Fenced { .. } | Outcome::Refused => {
                Ok(Phase::Waiting { until: now.plus_ms(REFUSED_MS) })
            }
            Outcome::NotYet => Ok(Phase::Waiting { until: now.plus_ms(NOT_YET_MS) }),
            Outcome::From { next } if next == self.own.log_end => Ok(Phase::Streaming { next }),
            Outcome::From { next } => Err(Refusal::WrongEnd { said: next, own: self.own.log_end }),
            Outcome::Begin { at, epoch_before } => {
                Ok(self.begin(at, epoch_before, answer)?.map_or(Phase::Diverged, Phase::Truncating))
            }
            Outcome::Snapshot { offset, epoch } => {
                Ok(self.begin(offset, epoch, answer)?.map_or(Phase::Diverged, Phase::Installing))
            }
            Outcome::Diverging { epoch, end } => {
                let own = own_end_of(epoch);
                Ok(self.cut_at(EpochEnd { epoch, end }, own)?.map_or(Phase::Diverged, Phase::Truncating))
            }
        }
    }

    fn enter(&mut self, phase: Phase, answer: Opened) {
        self.phase = phase;
        if !holds(Rule::AgreeFirst) {
            self.leader_high_watermark = answer.high_watermark;
            self.raise_high_watermark_regardless();
        }
        match phase {
            Phase::Streaming { .. } => {
                self.agreed = self.leader.epoch;
                self.leader_high_watermark = answer.high_watermark;
                self.leader_log_start = answer.log_start;
                self.acked = None;
                self.raise_high_watermark();
            }
            // The snapshot's parts belong to this stream.
            Phase::Installing(_) => {}
            _ => {
                self.forget_stream();
            }
        }
    }

    /// The cut before a log that begins anew where the leader says; none if that would take away what is committed. What is
    /// below the leader's log start was deleted, also where the leader still has it.
    fn begin(&self, begin: Offset, epoch: LeaderEpoch, answer: Opened) -> Result<Option<Cut>, Refusal> {
        if begin < Offset(0) {
            return Err(Refusal::NoOffset(begin));
        }
        let is_there = self.own.log_start == begin && self.own.log_end == begin;
        if is_there && self.asked_epoch == epoch {
            return Err(Refusal::NothingToCut { epoch, end: begin });
        }
        Ok(self.may_cut_to(begin.max(answer.log_start)).then_some(Cut::All { begin, epoch }))
    }

    /// The cut where the logs part (R6): at the end of the epoch in the leader's log or in the own one, whichever is lower.
    /// None if that would take away what is committed.
    fn cut_at(&self, leaders: EpochEnd, own: Option<EpochEnd>) -> Result<Option<Cut>, Refusal> {
        let EpochEnd { epoch, end } = leaders;
        if end < Offset(0) {
            return Err(Refusal::NoOffset(end));
        }
        // Without any epoch that old, nothing of the own log is shared.
        let own_end = own.map_or(self.own.log_start, |own| own.end);
        let to = end.min(own_end);
        if to >= self.own.log_end {
            if epoch >= self.asked_epoch {
                return Err(Refusal::NothingToCut { epoch, end });
            }
            mark("log is cut at its end, only epochs go");
        }
        if !self.may_cut_to(to) {
            return Ok(None);
        }
        let cut = if to <= self.own.log_start { Cut::All { begin: to, epoch } } else { Cut::To(to) };
        Ok(Some(cut))
    }

    /// Whether nothing committed is above: or a leader since was elected without having everything, which has lost it already.
    fn may_cut_to(&self, to: Offset) -> bool {
        let is_allowed = to >= self.high_watermark || self.leader.unclean_epoch > self.agreed;
        match (is_allowed, to >= self.high_watermark) {
            (false, _) => mark("follower diverges below its high watermark"),
            (true, false) => mark("log is cut below its high watermark after an unclean election"),
            (true, true) => {}
        }
        is_allowed || !holds(Rule::R6)
    }

    /// The snapshot is durable: its place in the log may be made.
    pub fn snapshot_installed(&mut self) {
        if let Phase::Installing(cut) = self.phase {
            self.phase = Phase::Truncating(cut);
            self.forget_stream();
        }
    }

    /// The cut is done and durable; the log is as given. Its end may lie a little lower than where the cut was to be, if a
    /// batch lay across, but never below what is committed.
    ///
    /// # Panics
    ///
    /// If nothing was to be cut, or too little or too much is gone.
    pub fn cut_done(&mut self, own: Ends) -> AfterCut {
        let Phase::Truncating(cut) = self.phase else {
            panic!("a cut is done that was not asked for, in {:?}", self.phase)
        };
        let least = self.high_watermark.min(cut.end());
        let is_cut = own.is_ordered() && own.log_end <= cut.end() && own.log_end >= least;
        assert!(is_cut, "a cut {cut:?} with high watermark {} leaves {own:?}", self.high_watermark);
        self.own = own;
        self.high_watermark = self.high_watermark.min(own.log_end).max(own.log_start);
        self.phase = self.phase_to_open();
        match self.elected.take() {
            Some(epoch) => AfterCut::Lead(epoch),
            None => AfterCut::Open,
        }
    }

    /// What a new leader, or a cut that is done, begins with.
    pub(super) fn open_anew(&mut self) {
        self.forget_stream();
        self.phase = self.phase_to_open();
        if !holds(Rule::R6) && self.own.log_end > self.high_watermark && self.phase == Phase::Opening {
            self.phase = Phase::Truncating(Cut::To(self.high_watermark));
        }
    }

    fn phase_to_open(&self) -> Phase {
        if self.room.takes(self.kind) { Phase::Opening } else { Phase::Paused }
    }
}
