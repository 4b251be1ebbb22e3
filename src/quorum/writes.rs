//! The ballot and its file: what depends on a ballot waits here until the file holds it (rule Q1).
//!
//! One write is under way at a time; a ballot that changes meanwhile is written next. At most [`MESSAGES_MAX`] messages wait.
//! Whoever misses the answer that was dropped asks again.

use std::collections::VecDeque;

use crate::base::{LeaderEpoch, Rule, Voter, holds, mark};

use super::ballot::Ballot;
use super::message::Message;

/// Messages that may wait for a write: an ask and an answer for each voter, twice.
const MESSAGES_MAX: usize = 64;

/// The ballot that counts, and how much of it is in the file.
#[derive(Clone, Hash, Debug)]
pub struct Writes {
    ballot: Ballot,
    /// The write under way.
    writing: Option<Ballot>,
    /// What the file holds.
    written: Ballot,
    /// Each with the ballot it depends on.
    messages: VecDeque<(Ballot, Voter, Message)>,
}

impl Writes {
    pub fn new(ballot: Ballot) -> Writes {
        Writes { ballot, writing: None, written: ballot, messages: VecDeque::new() }
    }

    pub fn ballot(&self) -> Ballot {
        self.ballot
    }

    pub fn epoch(&self) -> LeaderEpoch {
        self.ballot.epoch
    }

    /// Another epoch or vote. Messages of an earlier epoch that still wait are of no use to anybody.
    pub fn set(&mut self, epoch: LeaderEpoch, voted_for: Option<Voter>) {
        assert!(epoch >= self.ballot.epoch, "a voter's epoch never goes back");
        if epoch > self.ballot.epoch {
            self.messages.clear();
        }
        self.ballot = Ballot { epoch, voted_for, ..self.ballot };
    }

    pub fn send(&mut self, to: Voter, message: Message) {
        if self.messages.len() == MESSAGES_MAX {
            self.messages.pop_front();
        }
        self.messages.push_back((self.ballot, to, message));
    }

    /// Forgets all that waits but answers: the round or the leadership it belongs to is over.
    pub fn forget_round(&mut self) {
        self.messages.retain(|(_, _, message)| matches!(message, Message::Answer(_)));
    }

    /// The write under way has ended.
    pub fn persisted(&mut self) {
        self.written = self.writing.take().expect("a ballot's write ends only after it was asked for");
        if self.written != self.ballot {
            mark("the ballot changed while it was written");
        }
    }

    /// Whether the file holds all that the server may act on.
    pub fn may_act(&self) -> bool {
        self.written == self.ballot || !holds(Rule::Q1)
    }

    /// The write to begin, if the file is behind and none is under way.
    pub fn next(&mut self) -> Option<Ballot> {
        if self.written == self.ballot || self.writing.is_some() {
            return None;
        }
        self.writing = Some(self.ballot);
        self.writing
    }

    /// What may be sent: whatever the ballot in the file vouches for.
    pub fn sendable(&mut self) -> Vec<(Voter, Message)> {
        let written = self.written;
        let vouched = |(ballot, ..): &&(Ballot, Voter, Message)| !holds(Rule::Q1) || covers(written, *ballot);
        let count = self.messages.iter().take_while(vouched).count();
        self.messages.drain(..count).map(|(_, to, message)| (to, message)).collect()
    }
}

/// Whether a file with `written` allows all that `ballot` does. A vote given later in the same epoch takes nothing back.
fn covers(written: Ballot, ballot: Ballot) -> bool {
    let same_vote = ballot.voted_for.is_none() || ballot.voted_for == written.voted_for;
    written.epoch > ballot.epoch || written.epoch == ballot.epoch && same_vote
}
