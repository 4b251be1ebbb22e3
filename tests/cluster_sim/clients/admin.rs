//! The administrator: creates, grows and deletes topics, changes their configs, deletes records.

use ringmain::base::{Offset, TopicId, TopicPartition};
use ringmain::controller::{
    ConfigChange, ConfigOp, ConfigResource, ControllerReply, ControllerRequest, NewPartitions,
    ResourceConfigs, TopicName,
};
use ringmain::shard::{DeleteRecordsPartition, ShardReply, ShardRequest};

use super::known::Known;
use super::waiting::Waiting;
use super::{Answer, Hand, Request, Rests, Work};
use crate::net::At;
use crate::oracle::{Kind, Topic};
use crate::queue::{Instant, Span};
use crate::seam;

/// Partitions of all topics, at most.
const PARTITIONS_MAX: usize = 16;
const PAUSE: Span = Span::ms(4_000);
const HASTE: Span = Span::ms(150);

pub struct Admin {
    known: Known,
    waiting: Waiting<Question>,
    next: Instant,
    rests: Rests,
}

enum Question {
    Create(Topic),
    Delete(TopicId),
    Grow(TopicId, i32),
    Change,
    DeleteRecords(TopicPartition),
}

impl Admin {
    pub fn new() -> Admin {
        Admin { known: Known::default(), waiting: Waiting::default(), next: Instant(0), rests: Rests::No }
    }

    fn act(&mut self, hand: &mut Hand<'_>) {
        let topics = hand.oracle.live_topics();
        let has_room = hand.oracle.live().len() < PARTITIONS_MAX;
        if topics.len() < 3 {
            return self.create(hand);
        }
        let at = usize::try_from(hand.rng.below(topics.len() as u64)).unwrap();
        let topic = topics[at];
        match hand.rng.below(20) {
            0..4 if has_room => self.create(hand),
            4..6 if has_room => self.grow(topic, hand),
            6 => self.delete(topic, hand),
            7..11 => self.change(topic, hand),
            11..16 => self.delete_records(hand),
            _ => {}
        }
    }

    fn control(&mut self, server: At, request: ControllerRequest, question: Question, hand: &mut Hand<'_>) {
        let request = Request::Controller(ShardRequest::Controller(request));
        let number = hand.ask(server, request);
        self.waiting.wait(hand.now, number, question);
    }

    fn create(&mut self, hand: &mut Hand<'_>) {
        let has_offsets = hand.oracle.live().iter().any(|it| is_internal(hand, it.topic));
        let kind = if has_offsets || hand.chance(60) { Kind::any(hand.rng) } else { Kind::Offsets };
        let partitions = 1 + i32::try_from(hand.rng.below(3)).unwrap();
        let replicas = seam::replicas_wanted(hand);
        let number = hand.oracle.fresh_name();
        let new = kind.request(number, partitions, replicas, hand.rng);
        let server = hand.any_server();
        let topic = Topic { name: new.name.clone(), kind, partitions, server };
        let request = ControllerRequest::CreateTopics { topics: vec![new], validate_only: false };
        self.control(server, request, Question::Create(topic), hand);
    }

    fn delete(&mut self, id: TopicId, hand: &mut Hand<'_>) {
        if is_internal(hand, id) {
            return;
        }
        hand.oracle.doomed(id);
        let server = hand.any_server();
        let server = hand.oracle.server_for(id, server);
        let request = ControllerRequest::DeleteTopics { topics: vec![TopicName::Id(id)] };
        self.control(server, request, Question::Delete(id), hand);
    }

    fn grow(&mut self, id: TopicId, hand: &mut Hand<'_>) {
        let Some(topic) = hand.oracle.topic(id).filter(|topic| !topic.kind.is_internal()).cloned() else {
            return;
        };
        let count = topic.partitions + 1;
        let server = hand.any_server();
        let server = hand.oracle.server_for(id, server);
        let topics = vec![NewPartitions { name: topic.name, count, assignments: None }];
        let request = ControllerRequest::CreatePartitions { topics, validate_only: false };
        self.control(server, request, Question::Grow(id, count), hand);
    }

    fn change(&mut self, id: TopicId, hand: &mut Hand<'_>) {
        let Some(topic) = hand.oracle.topic(id).cloned() else { return };
        let value = (1_000 + hand.rng.below(60_000)).to_string();
        let edit = vec![("segment.ms".to_owned(), ConfigOp::Set, Some(value))];
        let resource = ConfigResource::Topic(topic.name);
        let resources = vec![ResourceConfigs { resource, change: ConfigChange::Edit(edit) }];
        let server = hand.any_server();
        let server = hand.oracle.server_for(id, server);
        let request = ControllerRequest::AlterConfigs { resources, validate_only: false };
        self.control(server, request, Question::Change, hand);
    }

    fn delete_records(&mut self, hand: &mut Hand<'_>) {
        let Some(partition) = hand.oracle.any_partition(hand.rng) else { return };
        let Some((server, _)) = self.known.leader(partition) else {
            return self.known.refresh(hand);
        };
        let log = hand.oracle.log(partition).expect("a live partition");
        let (start, end) = (log.seen_start(), log.exposed());
        let span = u64::try_from((end - start).max(0)).unwrap() / 2 + 1;
        let before = start + i64::try_from(hand.rng.below(span)).unwrap();
        let asked = DeleteRecordsPartition { partition, before: Some(Offset(before)) };
        let number = hand.ask(server, Request::Of(partition, ShardRequest::DeleteRecords(vec![asked])));
        self.waiting.wait(hand.now, number, Question::DeleteRecords(partition));
    }

    fn replied(&mut self, question: Question, reply: &ShardReply, hand: &mut Hand<'_>) {
        match (question, reply) {
            (Question::Create(topic), ShardReply::Controller(ControllerReply::CreateTopics(created))) => {
                if let Ok(created) = &created[0] {
                    hand.oracle.born(created.id, topic);
                }
            }
            (Question::Delete(id), ShardReply::Controller(ControllerReply::DeleteTopics(deleted))) => {
                if deleted[0].is_ok() {
                    hand.oracle.gone(id);
                }
            }
            (Question::Grow(id, count), ShardReply::Controller(ControllerReply::CreatePartitions(grown))) => {
                if grown[0].is_ok() {
                    hand.oracle.grown(id, count);
                }
            }
            (Question::DeleteRecords(partition), ShardReply::DeleteRecords(starts)) => match &starts[0] {
                Ok(start) => {
                    if let Some(log) = hand.oracle.log(partition) {
                        log.deleted_before(start.0);
                    }
                }
                Err(_) => self.known.forget(partition),
            },
            _ => {}
        }
    }
}

fn is_internal(hand: &Hand<'_>, topic: TopicId) -> bool {
    hand.oracle.topic(topic).is_some_and(|topic| topic.kind.is_internal())
}

impl Work for Admin {
    fn step(&mut self, hand: &mut Hand<'_>) -> Instant {
        while let Some(question) = self.waiting.given_up(hand.now) {
            if let Question::DeleteRecords(partition) = question {
                self.known.forget(partition);
            }
        }
        if self.rests == Rests::Yes {
            return self.waiting.until().unwrap_or(Instant(u64::MAX));
        }
        if self.next <= hand.now && self.waiting.is_empty() {
            self.act(hand);
            let is_new = hand.oracle.live().len() < 4;
            self.next = hand.about(if is_new { HASTE } else { PAUSE });
        }
        self.waiting.until().unwrap_or(self.next)
    }

    fn answered(&mut self, number: u64, answer: Answer, hand: &mut Hand<'_>) {
        if self.known.is_asked(number) {
            return match answer {
                Answer::Metadata(led) => self.known.told(led),
                _ => self.known.unanswered(),
            };
        }
        match (self.waiting.take(number), answer) {
            (Some(question), Answer::Reply(reply)) => self.replied(question, &reply, hand),
            (Some(Question::DeleteRecords(partition)), _) => self.known.forget(partition),
            _ => {}
        }
    }

    fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    fn rest(&mut self, rests: Rests) {
        self.rests = rests;
    }
}
