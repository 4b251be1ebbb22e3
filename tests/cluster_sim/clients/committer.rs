//! Commits offsets of a group without members, ever larger ones, and asks for them.

use std::collections::BTreeSet;
use std::sync::Arc;

use ringmain::base::{PartitionIndex, TopicId, TopicPartition};
use ringmain::group::{
    CommitPartition, CommitRequest, FetchOffsetsRequest, GroupReply, GroupRequest, MemberRef, partition_of,
};
use ringmain::shard::{GroupCall, ShardReply, ShardRequest};

use super::known::Known;
use super::waiting::Waiting;
use super::{Answer, Hand, Request, Rests, Work};
use crate::checks::{Invariant, require};
use crate::queue::{Instant, Span};

const PAUSE: Span = Span::ms(700);

pub struct Committer {
    group: Arc<str>,
    /// The topic whose partitions coordinate, and the topic that offsets are committed of.
    topics: Option<(TopicId, TopicId, Arc<str>)>,
    next_offset: i64,
    /// The last one that was acknowledged; -1 before the first.
    committed: i64,
    /// Whether these were committed, or still will be, nobody knows.
    unknown: BTreeSet<i64>,
    known: Known,
    waiting: Waiting<Question>,
    next: Instant,
    rests: Rests,
}

#[derive(Clone, Copy)]
enum Question {
    Commit(i64),
    Fetch,
}

impl Committer {
    pub fn new(number: u64) -> Committer {
        Committer {
            group: format!("g{number}").into(),
            topics: None,
            next_offset: 1,
            committed: -1,
            unknown: BTreeSet::new(),
            known: Known::default(),
            waiting: Waiting::default(),
            next: Instant(0),
            rests: Rests::No,
        }
    }

    /// The coordinator's partition.
    fn partition(&mut self, hand: &mut Hand<'_>) -> Option<TopicPartition> {
        if self.topics.as_ref().is_some_and(|(_, topic, _)| !hand.oracle.live_topics().contains(topic)) {
            // A topic that is deleted takes its offsets along.
            (self.topics, self.committed) = (None, -1);
            self.unknown.clear();
        }
        if self.topics.is_none() {
            let topics = hand.oracle.live_topics();
            let is_internal = |id: &TopicId| hand.oracle.topic(*id).is_some_and(|it| it.kind.is_internal());
            let offsets = topics.iter().copied().find(is_internal)?;
            let server = hand.oracle.topic(offsets)?.server;
            let is_near = |id: &TopicId| hand.oracle.server_for(*id, server) == server;
            let of = topics.iter().copied().find(|id| !is_internal(id) && is_near(id))?;
            self.topics = Some((offsets, of, hand.oracle.topic(of)?.name.as_str().into()));
        }
        let (offsets, ..) = self.topics.as_ref()?;
        let partitions = usize::try_from(hand.oracle.topic(*offsets)?.partitions).unwrap();
        let partition = PartitionIndex(partition_of(&self.group, partitions));
        Some(TopicPartition { topic: *offsets, partition })
    }

    fn act(&mut self, hand: &mut Hand<'_>) {
        let Some(partition) = self.partition(hand) else { return };
        let Some((server, _)) = self.known.leader(partition) else {
            return self.known.refresh(hand);
        };
        let (question, request) = if hand.chance(60) { self.commit() } else { self.fetch() };
        let request = ShardRequest::Groups(vec![GroupCall { partition, request }]);
        let number = hand.ask(server, Request::Of(partition, request));
        self.waiting.wait(hand.now, number, question);
    }

    fn commit(&mut self) -> (Question, GroupRequest) {
        let (_, topic_id, topic) = self.topics.clone().expect("just found");
        let offset = self.next_offset;
        self.next_offset += 1;
        let partition = CommitPartition {
            topic,
            topic_id,
            partition: 0,
            offset,
            leader_epoch: -1,
            metadata: Arc::from(""),
        };
        let request = CommitRequest {
            group: Arc::clone(&self.group),
            member: MemberRef { generation: -1, member_id: Arc::from(""), instance_id: None },
            retention_ms: None,
            knows_group_id_not_found: false,
            partitions: vec![partition],
        };
        (Question::Commit(offset), GroupRequest::CommitOffsets(request))
    }

    fn fetch(&self) -> (Question, GroupRequest) {
        let (.., topic) = self.topics.as_ref().expect("just found");
        let request = FetchOffsetsRequest {
            group: Arc::clone(&self.group),
            member: None,
            partitions: Some(vec![(Arc::clone(topic), 0)]),
        };
        (Question::Fetch, GroupRequest::FetchOffsets(request))
    }

    fn fetched(&mut self, offset: i64) {
        let is_known = offset == self.committed || self.unknown.contains(&offset);
        require(Invariant::GroupOffsets, is_known, || {
            let Committer { group, committed, unknown, .. } = self;
            format!("{group} has committed {committed}, perhaps {unknown:?}, and {offset} is told")
        });
    }

    fn unanswered(&mut self, question: Question, hand: &mut Hand<'_>) {
        if let Question::Commit(offset) = question {
            self.unknown.insert(offset);
        }
        if let Some((offsets, ..)) = &self.topics {
            let partitions = hand.oracle.topic(*offsets).map_or(0, |topic| topic.partitions);
            for index in 0..partitions {
                self.known.forget(TopicPartition { topic: *offsets, partition: PartitionIndex(index) });
            }
        }
    }

    fn replied(&mut self, question: Question, reply: &GroupReply, hand: &mut Hand<'_>) {
        match (question, reply) {
            (Question::Commit(offset), GroupReply::CommitOffsets(Ok(results))) if results[0].is_ok() => {
                self.committed = offset;
            }
            (Question::Fetch, GroupReply::FetchOffsets(Ok(fetched))) => self.fetched(fetched[0].offset),
            // A refusal may have come after the records were appended, and before they were everywhere.
            _ => self.unanswered(question, hand),
        }
    }
}

impl Work for Committer {
    fn step(&mut self, hand: &mut Hand<'_>) -> Instant {
        while let Some(question) = self.waiting.given_up(hand.now) {
            self.unanswered(question, hand);
        }
        if self.rests == Rests::Yes {
            return self.waiting.until().unwrap_or(Instant(u64::MAX));
        }
        if self.next <= hand.now && self.waiting.is_empty() {
            self.act(hand);
            self.next = hand.about(PAUSE);
        }
        self.waiting.until().unwrap_or(self.next)
    }

    fn answered(&mut self, number: u64, answer: Answer, hand: &mut Hand<'_>) {
        if self.known.is_asked(number) {
            return match answer {
                Answer::Metadata { led, controller } => self.known.told(led, controller),
                _ => self.known.unanswered(),
            };
        }
        let Some(question) = self.waiting.take(number) else { return };
        match answer {
            Answer::Reply(ShardReply::Groups(replies)) => self.replied(question, &replies[0], hand),
            _ => self.unanswered(question, hand),
        }
    }

    fn waits_for(&self) -> Option<String> {
        self.waiting.in_words()
    }

    fn rest(&mut self, rests: Rests) {
        self.rests = rests;
    }
}
