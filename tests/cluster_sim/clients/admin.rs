//! The administrator: creates, grows and deletes topics, changes their configs, deletes records, moves replicas and leaders.

use ringmain::base::{NodeId, Offset, PartitionIndex, ServerId, TopicId, TopicPartition};
use ringmain::controller::{
    ConfigChange, ConfigOp, ConfigResource, ControllerError, ControllerReply, ControllerRequest, Election,
    FactorChange, NewPartitions, Reassignment, ResourceConfigs, TopicName,
};
use ringmain::shard::{DeleteRecordsPartition, ShardReply, ShardRequest};

use super::known::Known;
use super::waiting::Waiting;
use super::{Answer, Hand, Request, Rests, Work};
use crate::net::At;
use crate::oracle::{Kind, Layout, Topic};
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
        let is_cluster = hand.oracle.layout == Layout::Together;
        match hand.rng.below(30) {
            0..4 if has_room => self.create(hand),
            4..6 if has_room => self.grow(topic, hand),
            6 => self.delete(topic, hand),
            7..11 => self.change(topic, hand),
            11..16 => self.delete_records(hand),
            16..22 if is_cluster => self.reassign(topic, hand),
            22..24 if is_cluster => self.elect(hand),
            24..26 if is_cluster => self.change_minimum(topic, hand),
            _ => {}
        }
    }

    fn control(
        &mut self,
        topic: Option<TopicId>,
        request: ControllerRequest,
        question: Question,
        hand: &mut Hand<'_>,
    ) {
        let server = self.server_for(topic, hand);
        let request = Request::Controller(ShardRequest::Controller(request));
        let number = hand.ask(server, request);
        self.waiting.wait(hand.now, number, question);
    }

    fn server_for(&self, topic: Option<TopicId>, hand: &mut Hand<'_>) -> At {
        let any = hand.any_server();
        match (hand.oracle.layout, topic) {
            (Layout::Together, _) => self.known.controller(hand),
            (Layout::Apart, Some(topic)) => hand.oracle.server_for(topic, any),
            (Layout::Apart, None) => any,
        }
    }

    fn create(&mut self, hand: &mut Hand<'_>) {
        let has_offsets = hand.oracle.live().iter().any(|it| is_internal(hand, it.topic));
        let kind = if has_offsets || hand.chance(60) { Kind::any(hand.rng) } else { Kind::Offsets };
        let partitions = 1 + i32::try_from(hand.rng.below(3)).unwrap();
        let replicas = seam::replicas_wanted(hand);
        let number = hand.oracle.fresh_name();
        let new = kind.request(number, partitions, replicas, hand.rng);
        let server = self.server_for(None, hand);
        let topic = Topic { name: new.name.clone(), kind, partitions, server };
        let request = ControllerRequest::CreateTopics { topics: vec![new], validate_only: false };
        let number = hand.ask(server, Request::Controller(ShardRequest::Controller(request)));
        self.waiting.wait(hand.now, number, Question::Create(topic));
    }

    fn delete(&mut self, id: TopicId, hand: &mut Hand<'_>) {
        if is_internal(hand, id) {
            return;
        }
        hand.oracle.doomed(id);
        let request = ControllerRequest::DeleteTopics { topics: vec![TopicName::Id(id)] };
        self.control(Some(id), request, Question::Delete(id), hand);
    }

    fn grow(&mut self, id: TopicId, hand: &mut Hand<'_>) {
        let Some(topic) = hand.oracle.topic(id).filter(|topic| !topic.kind.is_internal()).cloned() else {
            return;
        };
        let count = topic.partitions + 1;
        let topics = vec![NewPartitions { name: topic.name, count, assignments: None }];
        let request = ControllerRequest::CreatePartitions { topics, validate_only: false };
        self.control(Some(id), request, Question::Grow(id, count), hand);
    }

    fn change(&mut self, id: TopicId, hand: &mut Hand<'_>) {
        let value = (1_000 + hand.rng.below(60_000)).to_string();
        self.alter(id, "segment.ms", value, hand);
    }

    fn change_minimum(&mut self, id: TopicId, hand: &mut Hand<'_>) {
        let value = (1 + hand.rng.below(3)).to_string();
        self.alter(id, "min.insync.replicas", value, hand);
    }

    fn alter(&mut self, id: TopicId, name: &str, value: String, hand: &mut Hand<'_>) {
        let Some(topic) = hand.oracle.topic(id).cloned() else { return };
        let edit = vec![(name.to_owned(), ConfigOp::Set, Some(value))];
        let resource = ConfigResource::Topic(topic.name);
        let resources = vec![ResourceConfigs { resource, change: ConfigChange::Edit(edit) }];
        let request = ControllerRequest::AlterConfigs { resources, validate_only: false };
        self.control(Some(id), request, Question::Change, hand);
    }

    /// Other servers keep a partition, more of them or fewer; or what is under way is cancelled.
    fn reassign(&mut self, id: TopicId, hand: &mut Hand<'_>) {
        let Some(topic) = hand.oracle.topic(id).cloned() else { return };
        let partition = i32::try_from(hand.rng.below(u64::from(topic.partitions.unsigned_abs()))).unwrap();
        let mut nodes: Vec<i32> = (0..hand.servers)
            .map(|at| NodeId::of_server(ServerId(i32::try_from(at).unwrap() + 1)).0)
            .collect();
        // A disk may be lost while this is under way: another replica is left then.
        let kept = 2 + usize::try_from(hand.rng.below(2)).unwrap();
        while nodes.len() > kept {
            let at = usize::try_from(hand.rng.below(nodes.len() as u64)).unwrap();
            nodes.remove(at);
        }
        let turned = usize::try_from(hand.rng.below(nodes.len() as u64)).unwrap();
        nodes.rotate_left(turned);
        let replicas = (!hand.chance(25)).then_some(nodes);
        let partition = Reassignment { topic: topic.name, partition: PartitionIndex(partition), replicas };
        let request =
            ControllerRequest::Reassign { partitions: vec![partition], factor: FactorChange::Allowed };
        self.control(Some(id), request, Question::Change, hand);
    }

    fn elect(&mut self, hand: &mut Hand<'_>) {
        let request = ControllerRequest::ElectLeaders { election: Election::Preferred, partitions: None };
        self.control(None, request, Question::Change, hand);
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
        if let ShardReply::Controller(reply) = reply
            && refused(reply) == Some(&ControllerError::NotController)
        {
            self.known.forget_controller();
            self.known.refresh(hand);
            self.next = hand.about(HASTE);
        }
        match (question, reply) {
            (Question::Create(topic), ShardReply::Controller(ControllerReply::CreateTopics(created))) => {
                if let Ok(created) = &created[0] {
                    hand.oracle.born(created.id, topic);
                }
            }
            (Question::Delete(id), ShardReply::Controller(ControllerReply::DeleteTopics(deleted)))
                if deleted[0].is_ok() =>
            {
                hand.oracle.gone(id);
            }
            (Question::Grow(id, count), ShardReply::Controller(ControllerReply::CreatePartitions(grown)))
                if grown[0].is_ok() =>
            {
                hand.oracle.grown(id, count);
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

/// Why the first thing that was asked was refused.
fn refused(reply: &ControllerReply) -> Option<&ControllerError> {
    match reply {
        ControllerReply::CreateTopics(results) => results[0].as_ref().err(),
        ControllerReply::DeleteTopics(results) => results[0].as_ref().err(),
        ControllerReply::CreatePartitions(results)
        | ControllerReply::AlterConfigs(results)
        | ControllerReply::Reassign(results) => results[0].as_ref().err(),
        ControllerReply::ElectLeaders(result) => result.as_ref().err(),
        _ => None,
    }
}

fn is_internal(hand: &Hand<'_>, topic: TopicId) -> bool {
    hand.oracle.topic(topic).is_some_and(|topic| topic.kind.is_internal())
}

impl Work for Admin {
    fn step(&mut self, hand: &mut Hand<'_>) -> Instant {
        while let Some(question) = self.waiting.given_up(hand.now) {
            self.known.forget_controller();
            self.known.refresh(hand);
            if let Question::DeleteRecords(partition) = question {
                self.known.forget(partition);
            }
        }
        if self.rests == Rests::Yes {
            return self.waiting.until().unwrap_or(Instant(u64::MAX));
        }
        if self.next <= hand.now && self.waiting.is_empty() {
            let is_new = hand.oracle.live().len() < 4;
            self.next = hand.about(if is_new { HASTE } else { PAUSE });
            self.act(hand);
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
        match (self.waiting.take(number), answer) {
            (Some(question), Answer::Reply(reply)) => self.replied(question, &reply, hand),
            (Some(question), _) => {
                if let Question::DeleteRecords(partition) = question {
                    self.known.forget(partition);
                }
                self.known.forget_controller();
                self.known.refresh(hand);
            }
            _ => {}
        }
    }

    fn waits_for(&self) -> Option<String> {
        self.waiting.in_words()
    }

    fn rest(&mut self, rests: Rests) {
        self.rests = rests;
    }
}
