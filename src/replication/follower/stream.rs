//! What a follower takes from an open stream, and what it says of it.

use crate::base::{MonoNanos, Offset, ServerId, StreamNumber, mark};

use super::{Following, Leader, Part, Refusal, Take};
use crate::base::LeaderEpoch;
use crate::replication::assignment::Ends;
use crate::replication::phase::{Gap, Phase};

impl Following {
    /// Takes a part of an Append before its run goes into the log. If the log then refuses the run, [`Following::close`] is
    /// next.
    pub fn appended(&mut self, stream: StreamNumber, part: &Part, now: MonoNanos) -> Result<Take, Refusal> {
        if self.stream != Some(stream) {
            mark("run for a stream that is closed");
            return Err(Refusal::OldStream);
        }
        if let Err(refusal) = self.fits(part) {
            mark("run that does not fit closes the stream");
            self.close(now);
            return Err(refusal);
        }
        self.phase = Phase::Streaming { next: part.end };
        self.leader_high_watermark = self.leader_high_watermark.max(part.high_watermark);
        self.leader_log_start = self.leader_log_start.max(part.log_start);
        self.raise_high_watermark();
        Ok(match part.bytes {
            0 if part.base == part.end => Take::Nothing,
            0 => Take::Gap(part.end),
            _ => Take::Run,
        })
    }

    fn fits(&self, part: &Part) -> Result<(), Refusal> {
        let Part { base, end, bytes, gap, .. } = *part;
        let Phase::Streaming { next } = self.phase else { return Err(Refusal::NotStreaming) };
        let is_news_alone = bytes == 0 && gap == Gap::None;
        let is_ordered = if is_news_alone { base == end } else { base < end };
        if !is_ordered || end.0 == i64::MAX {
            return Err(Refusal::Disordered { base, end, bytes });
        }
        if base == next { Ok(()) } else { Err(Refusal::WrongBase { base, next }) }
    }

    /// What is to be acknowledged, if it is news for the leader. `named_start` is the log start that a checkpoint holds.
    pub fn ack(&mut self, named_start: Offset) -> Option<Ends> {
        let Phase::Streaming { .. } = self.phase else { return None };
        let ends = Ends { log_start: named_start.min(self.own.log_start), ..self.own };
        (self.acked.replace(ends) != Some(ends)).then_some(ends)
    }

    /// The leader's log start, where the own log is to begin from now on. Never above the own high watermark: what is below
    /// was committed, and deleted by the leader alone.
    #[must_use]
    pub fn wanted_start(&self) -> Option<Offset> {
        let Phase::Streaming { .. } = self.phase else { return None };
        let start = self.leader_log_start.min(self.high_watermark);
        (start > self.own.log_start).then_some(start)
    }

    /// Takes the leader's high watermark over as far as the own log is durable. Only where the log agrees with the leader's.
    pub(super) fn raise_high_watermark(&mut self) -> bool {
        matches!(self.phase, Phase::Streaming { .. }) && self.raise_high_watermark_regardless()
    }

    pub(super) fn raise_high_watermark_regardless(&mut self) -> bool {
        let known = self.leader_high_watermark.min(self.own.counted(self.counts));
        let is_higher = known > self.high_watermark;
        self.high_watermark = self.high_watermark.max(known);
        is_higher
    }

    /// Forgets the stream that was asked for or is open.
    pub(super) fn forget_stream(&mut self) -> Option<StreamNumber> {
        self.leader_high_watermark = Offset(0);
        self.leader_log_start = Offset(0);
        self.acked = None;
        self.stream.take()
    }

    /// What it is doing.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether the log is being cut: neither leading nor following goes on before.
    #[must_use]
    pub fn is_cutting(&self) -> bool {
        matches!(self.phase, Phase::Truncating(_))
    }

    /// The stream that was asked for or is open.
    #[must_use]
    pub fn stream(&self) -> Option<StreamNumber> {
        self.stream
    }

    #[must_use]
    pub fn leader(&self) -> Leader {
        self.leader
    }

    #[must_use]
    pub fn epoch(&self) -> LeaderEpoch {
        self.leader.epoch
    }

    /// The server to dial.
    #[must_use]
    pub fn leader_server(&self) -> ServerId {
        self.leader.server
    }

    #[must_use]
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// The last epoch in which the log agreed with the leader's, or this server led.
    #[must_use]
    pub fn agreed(&self) -> LeaderEpoch {
        self.agreed
    }

    /// When [`Following::wants_stream`] may become true without any input.
    #[must_use]
    pub fn due(&self) -> MonoNanos {
        match self.phase {
            Phase::Waiting { until } => until,
            _ => MonoNanos::NEVER,
        }
    }
}
