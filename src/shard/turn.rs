//! One input being worked on: its time, the effects it causes, and the news that its rooms have for each other.
//!
//! A room never calls one behind it in the shard's table of rooms. What the store or the read room has to say to the rooms
//! behind it is [`News`]: the spine hears all of it before the input ends.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::base::{Now, Offset, TopicPartition, Voter};

use super::effect::Effect;
use super::request::{FetchResult, RequestId, ShardReply};
use super::snapshot::Gathered;

/// Who asked, and gets the answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asker {
    /// A connection, here or on another shard.
    Connection(RequestId),
    /// The state machine that sits on a partition, and reads its own log.
    Seat(Reading),
    /// A stream to a follower, by the replica room's own number.
    Stream(u64),
}

/// A part of a log that a seat has asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reading {
    pub slot: u32,
    /// Told apart from what an earlier seat of the partition has asked for.
    pub number: u64,
}

/// What a room tells the ones behind it.
#[derive(Debug)]
pub enum News {
    /// What is durable, or visible to consumers, of a partition has changed.
    Moved(u32),
    /// This server leads or follows a partition from now on, or no more; or the replicas have changed.
    Role(u32),
    /// Something was appended to a partition that other servers follow.
    Appended(u32),
    /// A partition has begun a new segment.
    Rolled(u32),
    /// A partition's topic is gone: nobody waits for it any more.
    Dropped(u32),
    /// A dropped partition's files are about to be removed.
    Removed(TopicPartition),
    /// There is less space on the disk, or its settings no longer suit what is kept.
    Pressed,
    /// Records that a follower lacks were read.
    Run { stream: u64, results: Vec<FetchResult> },
    /// Nothing but the log itself works on the files of a partition that is to be cut.
    Quiet(u32),
    /// A follower of the metadata log is heard: it has flushed up to here, if that is news.
    Acked { voter: Voter, flushed: Option<Offset> },
    /// The leader has sent batches of the metadata log, which are appended.
    Replicated(Bytes),
    /// How much the disk has left has changed.
    Room,
    /// A partition's log was cut, and takes appends again.
    Cut(u32),
    /// The leader has sent a snapshot of the metadata, all of it.
    Snapshot(Gathered),
    /// A coordinator that reads its log gets the next part.
    Part { seat: Reading, results: Vec<FetchResult> },
}

/// An input and what it causes.
pub struct Turn<'a> {
    pub now: Now,
    effects: &'a mut Vec<Effect>,
    news: VecDeque<News>,
}

impl<'a> Turn<'a> {
    /// Begins an input; `news` is an empty queue, used again.
    pub fn begin(now: Now, effects: &'a mut Vec<Effect>, news: VecDeque<News>) -> Turn<'a> {
        assert!(news.is_empty(), "every input hears its own news");
        Turn { now, effects, news }
    }

    /// Ends the input and gives the queue back.
    pub fn end(self) -> VecDeque<News> {
        assert!(self.news.is_empty(), "news that nobody hears would leave somebody waiting");
        self.news
    }

    pub fn effect(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    pub fn reply(&mut self, to: RequestId, reply: ShardReply) {
        self.effects.push(Effect::Reply { to, reply });
    }

    /// Something an operator should read.
    pub fn notice(&mut self, line: String) {
        self.effects.push(Effect::Notice(line));
    }

    pub fn tell(&mut self, news: News) {
        self.news.push_back(news);
    }

    /// Nobody is to hear what was told so far.
    pub fn forget_news(mut self) {
        self.news.clear();
        self.end();
    }

    pub fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    pub fn next_news(&mut self) -> Option<News> {
        self.news.pop_front()
    }
}
