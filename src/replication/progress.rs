//! What a leader knows of one follower in its epoch.

use crate::base::{BrokerEpoch, MonoNanos, Offset, ServerId};

use super::assignment::{Counts, Ends, Member};

/// A follower as its leader sees it. Begins anew with each leader epoch and each incarnation of the follower.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Progress {
    pub server: ServerId,
    pub broker_epoch: BrokerEpoch,
    /// Whether the image lets it join the ISR.
    pub may_join: bool,
    /// Whether it is in the ISR of the image.
    pub in_isr: bool,
    /// Whether the controller was asked to have it in the ISR, and this is not settled.
    pub asked: bool,
    /// What it has said in this leader epoch, from this incarnation.
    pub ends: Option<Ends>,
    /// When it last had everything that the leader had then.
    caught_up_at: Option<MonoNanos>,
    mark: Mark,
}

/// The leader's log end at some time: a follower that has flushed up to there was caught up then.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Mark {
    end: Offset,
    at: MonoNanos,
}

impl Progress {
    /// Knows nothing yet. A member of the ISR gets the time of its lag to be heard.
    pub fn new(member: Member, in_isr: bool, log_end: Offset, now: MonoNanos) -> Progress {
        Progress {
            server: member.server,
            broker_epoch: member.broker_epoch,
            may_join: member.may_join,
            in_isr,
            asked: false,
            ends: None,
            caught_up_at: in_isr.then_some(now),
            mark: Mark { end: log_end, at: now },
        }
    }

    /// This follower as a newer image has it. Who is new in the ISR gets the time of its lag.
    pub fn reassigned(&self, member: Member, in_isr: bool, now: MonoNanos) -> Progress {
        let caught_up_at =
            if in_isr && !self.in_isr { self.caught_up_at.max(Some(now)) } else { self.caught_up_at };
        Progress { may_join: member.may_join, in_isr, caught_up_at, ..self.clone() }
    }

    /// Whether the high watermark waits for it.
    pub fn is_waited_for(&self) -> bool {
        self.in_isr || self.asked
    }

    /// Takes what it says. An ack that was overtaken by a later one takes nothing back.
    pub fn acked(&mut self, said: Ends, counts: Counts, log_end: Offset, now: MonoNanos) {
        let known = self.ends.unwrap_or(said);
        let ends = Ends {
            log_start: known.log_start.max(said.log_start),
            flushed: known.flushed.max(said.flushed),
            log_end: known.log_end.max(said.log_end),
        };
        self.ends = Some(ends);
        let counted = ends.counted(counts);
        if counted >= self.mark.end {
            let at = if counted >= log_end { now } else { self.mark.at };
            self.caught_up_at = self.caught_up_at.max(Some(at));
            self.mark = Mark { end: log_end, at: now };
        }
    }

    /// Takes a sign of life of its lane: whoever has everything stays caught up without acks.
    pub fn heard(&mut self, counts: Counts, log_end: Offset, now: MonoNanos) {
        if self.ends.is_some_and(|ends| ends.counted(counts) >= log_end) {
            self.caught_up_at = self.caught_up_at.max(Some(now));
            self.mark = Mark { end: log_end, at: now };
        }
    }

    /// Takes a time in which the leader did not run as no time.
    pub fn paused(&mut self, gap_ns: u64) {
        let later = |at: MonoNanos| MonoNanos(at.0.saturating_add(gap_ns));
        self.caught_up_at = self.caught_up_at.map(later);
        self.mark.at = later(self.mark.at);
    }

    /// Whether it has not been caught up for longer than `lag_ms`.
    pub fn lags(&self, now: MonoNanos, lag_ms: u64) -> bool {
        self.caught_up_at.is_none_or(|at| now > at.plus_ms(lag_ms))
    }

    /// When it will be found lagging if nothing is heard of it.
    pub fn lags_from(&self, lag_ms: u64) -> MonoNanos {
        self.caught_up_at.map_or(MonoNanos::NEVER, |at| at.plus_ms(lag_ms))
    }
}
