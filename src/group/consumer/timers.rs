//! The deadlines of a consumer group's members.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::MonoNanos;
use crate::group::Name;

/// What a member must do in time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Timer {
    /// Send a heartbeat, or any other request.
    Session,
    /// Say that it has given up the partitions it was told to give up.
    Revoke,
    /// Join again, as a classic member that was told to.
    Join,
    /// Sync, as a classic member that has joined.
    Sync,
}

#[derive(Clone, Debug, Default)]
pub struct Timers {
    by_member: BTreeMap<(Name, Timer), MonoNanos>,
    by_time: BTreeSet<(MonoNanos, Name, Timer)>,
}

impl Timers {
    pub fn set(&mut self, member: &Name, timer: Timer, at: MonoNanos) {
        self.cancel(member, timer);
        self.by_member.insert((Name::clone(member), timer), at);
        self.by_time.insert((at, Name::clone(member), timer));
        assert_eq!(self.by_member.len(), self.by_time.len(), "both indexes hold the same deadlines");
    }

    /// Sets a deadline unless the member has one of this kind already.
    pub fn set_if_none(&mut self, member: &Name, timer: Timer, at: MonoNanos) {
        if !self.by_member.contains_key(&(Name::clone(member), timer)) {
            self.set(member, timer, at);
        }
    }

    pub fn cancel(&mut self, member: &Name, timer: Timer) {
        if let Some(at) = self.by_member.remove(&(Name::clone(member), timer)) {
            let was_there = self.by_time.remove(&(at, Name::clone(member), timer));
            assert!(was_there, "a member's deadline is in the index by time");
        }
    }

    /// Cancels what only classic members must do: the member speaks the new protocol now.
    pub fn leave_classic(&mut self, member: &Name) {
        self.cancel(member, Timer::Join);
        self.cancel(member, Timer::Sync);
    }

    pub fn forget(&mut self, member: &Name) {
        for timer in [Timer::Session, Timer::Revoke, Timer::Join, Timer::Sync] {
            self.cancel(member, timer);
        }
    }

    /// Number of deadlines.
    #[must_use]
    pub fn count(&self) -> usize {
        self.by_time.len()
    }

    #[must_use]
    pub fn next(&self) -> MonoNanos {
        self.by_time.first().map_or(MonoNanos::NEVER, |(at, ..)| *at)
    }

    /// Takes out the earliest deadline that has passed.
    pub fn pop(&mut self, now: MonoNanos) -> Option<(Name, Timer)> {
        let (at, ..) = self.by_time.first()?;
        if *at > now {
            return None;
        }
        let (_, member, timer) = self.by_time.pop_first()?;
        let at = self.by_member.remove(&(Name::clone(&member), timer));
        assert!(at.is_some(), "a deadline that has passed is in the index by member");
        Some((member, timer))
    }
}
