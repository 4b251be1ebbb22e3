//! Producers: each writes to some partitions, with the acknowledgements it likes, and sends again what it knows nothing of.
//!
//! An idempotent producer keeps the sequence of each batch, has up to five of a partition under way, and sends them again in
//! their order, as Kafka's clients do. Others may thereby send twice.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use ringmain::base::rng::Rng;
use ringmain::base::{ProducerEpoch, ProducerId, TimestampMs, TopicPartition};
use ringmain::controller::{ControllerReply, ControllerRequest};
use ringmain::shard::{PartitionError, ShardReply, ShardRequest};

use super::batch::batch;
use super::known::Known;
use super::waiting::Waiting;
use super::{Answer, Hand, Request, Rests, Work};
use crate::checks::{Invariant, require};
use crate::net::At;
use crate::oracle::RecordNumber;
use crate::queue::{Instant, Span};
use crate::seam;

/// Whom a producer wants to have a record before it is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Acks {
    Nobody,
    Leader,
    All,
}

/// Batches of a partition that wait to be acknowledged, at most.
const BATCHES_MAX: usize = 12;
const IN_FLIGHT_MAX: usize = 5;
const RETRY_PAUSE: Span = Span::ms(100);
/// Partitions of one producer, at most.
const LINES_MAX: usize = 6;

pub struct Producer {
    acks: Acks,
    is_idempotent: bool,
    in_flight_max: usize,
    /// Between two batches, about.
    pause: Span,
    id: Option<(ProducerId, ProducerEpoch)>,
    lines: BTreeMap<TopicPartition, Line>,
    known: Known,
    waiting: Waiting<Question>,
    next: Instant,
    /// Not before this a producer id is asked for again.
    next_id: Instant,
    rests: Rests,
}

enum Question {
    Id,
    Batch { partition: TopicPartition, key: u64 },
}

/// What one producer sends to one partition.
#[derive(Default)]
struct Line {
    next_sequence: i32,
    batches: VecDeque<Batch>,
    keys: u64,
    /// An acknowledged batch was before all these.
    has_ended_one: bool,
}

struct Batch {
    key: u64,
    numbers: Vec<RecordNumber>,
    bytes: Bytes,
    state: BatchState,
    /// Whom it was sent to last: that server may have it already.
    sent_to: Option<At>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum BatchState {
    /// To be sent, not before this time.
    Waits(Instant),
    Sent,
    /// Acknowledged, while one before is not.
    Done,
}

impl Producer {
    pub fn any(number: u16, rng: &mut Rng) -> Producer {
        let acks = match rng.below(10) {
            _ if number == 0 => Acks::All,
            0 => Acks::Nobody,
            1..3 => Acks::Leader,
            _ => Acks::All,
        };
        let is_idempotent = acks == Acks::All && (number == 0 || rng.below(3) > 0);
        Producer::new(acks, is_idempotent, Span::ms(60 + rng.below(200)), rng)
    }

    pub fn new(acks: Acks, is_idempotent: bool, pause: Span, rng: &mut Rng) -> Producer {
        Producer {
            acks,
            is_idempotent,
            in_flight_max: 1 + usize::try_from(rng.below(IN_FLIGHT_MAX as u64)).unwrap(),
            pause,
            id: None,
            lines: BTreeMap::new(),
            known: Known::default(),
            waiting: Waiting::default(),
            next: Instant(0),
            next_id: Instant(0),
            rests: Rests::No,
        }
    }

    /// Makes a batch for one of the partitions.
    fn produce(&mut self, hand: &mut Hand<'_>) {
        let Some(partition) = self.choose(hand) else { return };
        let line = self.lines.entry(partition).or_default();
        if line.batches.len() >= BATCHES_MAX {
            return;
        }
        let count = 1 + hand.rng.below(4);
        let numbers = hand.oracle.send(partition, count, self.acks, self.is_idempotent);
        let producer =
            self.id.filter(|_| self.is_idempotent).map(|(id, epoch)| (id, epoch, line.next_sequence));
        line.next_sequence += i32::try_from(count).unwrap();
        let wall = TimestampMs(1_700_000_000_000 + i64::try_from(hand.now.0 / 1_000_000).unwrap());
        let bytes = batch(wall, producer, &numbers, hand.rng);
        line.keys += 1;
        line.batches.push_back(Batch {
            key: line.keys,
            numbers,
            bytes,
            state: BatchState::Waits(hand.now),
            sent_to: None,
        });
    }

    fn choose(&mut self, hand: &mut Hand<'_>) -> Option<TopicPartition> {
        self.lines.retain(|partition, _| hand.oracle.is_live(*partition));
        if self.lines.len() < LINES_MAX && hand.chance(20) || self.lines.is_empty() {
            return hand.oracle.any_partition(hand.rng);
        }
        let at = usize::try_from(hand.rng.below(self.lines.len() as u64)).unwrap();
        self.lines.keys().nth(at).copied()
    }

    /// Sends what may be sent.
    fn pump(&mut self, hand: &mut Hand<'_>) {
        let partitions: Vec<TopicPartition> = self.lines.keys().copied().collect();
        for partition in partitions {
            while let Some(at) = self.lines[&partition].may_send(hand.now, self.in_flight_max) {
                let Some((server, _)) = self.known.leader(partition) else {
                    self.known.refresh(hand);
                    break;
                };
                let line = self.lines.get_mut(&partition).expect("just found");
                // A new leader that has nothing of the producer takes any sequence for its first: what is under way to the old
                // one ends before.
                let is_elsewhere =
                    |batch: &Batch| batch.state == BatchState::Sent && batch.sent_to != Some(server);
                if line.batches.iter().take(at).any(is_elsewhere) {
                    break;
                }
                // Nor does anything follow a producer's first batch before that is acknowledged: unlike a connection, a way that is
                // blocked here loses single messages.
                if self.is_idempotent && at > 0 && !line.has_ended_one {
                    break;
                }
                let batch = &mut line.batches[at];
                (batch.state, batch.sent_to) = (BatchState::Sent, Some(server));
                let request = seam::produce(partition, batch.bytes.clone(), self.acks);
                let number = hand.ask(server, Request::Of(partition, ShardRequest::Produce(request)));
                self.waiting.wait(hand.now, number, Question::Batch { partition, key: batch.key });
            }
        }
    }

    /// What became of a batch is not known, or nothing did: it is sent again.
    fn send_again(&mut self, partition: TopicPartition, key: u64, hand: &mut Hand<'_>) {
        if self.acks == Acks::Nobody {
            return self.end(partition, key);
        }
        self.known.forget(partition);
        let Some(batch) = self.lines.get_mut(&partition).and_then(|line| line.batch(key)) else { return };
        batch.state = BatchState::Waits(hand.now.plus(RETRY_PAUSE));
        self.known.refresh(hand);
    }

    fn seek_controller(&mut self, hand: &mut Hand<'_>) {
        self.known.forget_controller();
        self.known.refresh(hand);
    }

    fn end(&mut self, partition: TopicPartition, key: u64) {
        let Some(line) = self.lines.get_mut(&partition) else { return };
        if let Some(batch) = line.batch(key) {
            batch.state = BatchState::Done;
        }
        while line.batches.front().is_some_and(|batch| batch.state == BatchState::Done) {
            line.batches.pop_front();
            line.has_ended_one = true;
        }
    }

    fn produced(
        &mut self,
        partition: TopicPartition,
        key: u64,
        outcome: Result<i64, PartitionError>,
        hand: &mut Hand<'_>,
    ) {
        match outcome {
            Ok(base) => {
                let batch = self.lines.get_mut(&partition).and_then(|line| line.batch(key));
                if let Some(batch) = batch.filter(|_| self.acks != Acks::Nobody) {
                    hand.oracle.acknowledged(partition, base, &batch.numbers);
                }
                self.end(partition, key);
            }
            Err(PartitionError::OutOfOrderSequence { producer, expected, received }) => {
                self.out_of_order(partition, key, || {
                    format!("{partition}: {producer} sends {received}, expected is {expected}")
                });
                self.send_again(partition, key, hand);
            }
            Err(error) if seam::is_retriable(&error) => self.send_again(partition, key, hand),
            Err(error) => panic!("a batch for {partition} was refused: {error}"),
        }
    }

    /// A gap before the oldest batch can only be what was acknowledged.
    fn out_of_order(&self, partition: TopicPartition, key: u64, what: impl FnOnce() -> String) {
        let line = self.lines.get(&partition).filter(|line| line.has_ended_one);
        let is_oldest = line.and_then(|line| line.batches.front()).is_some_and(|batch| batch.key == key);
        require(Invariant::Sequences, !is_oldest, what);
    }

    fn wait_until(&self, now: Instant) -> Instant {
        let next = match self.rests {
            Rests::No => self.next,
            Rests::Yes => Instant(u64::MAX),
        };
        let waits = self.lines.values().filter_map(Line::sends_at).filter(|at| *at > now);
        // A batch whose leader is not known waits for an answer about that, or for a little while.
        let has_waiting = self.lines.values().any(|line| line.sends_at().is_some());
        let poll = has_waiting.then(|| now.plus(RETRY_PAUSE));
        waits.chain(self.waiting.until()).chain(poll).fold(next, Instant::min)
    }
}

impl Line {
    fn batch(&mut self, key: u64) -> Option<&mut Batch> {
        self.batches.iter_mut().find(|batch| batch.key == key)
    }

    /// The batch to be sent now, if one may. All is sent in order, and nothing that is so far from the oldest batch that a
    /// server, which remembers five, would not know that one any more. Only the oldest is sent again, as Kafka's clients do.
    fn may_send(&self, now: Instant, in_flight_max: usize) -> Option<usize> {
        let at = self.batches.iter().position(|batch| matches!(batch.state, BatchState::Waits(_)))?;
        let may = matches!(self.batches[at].state, BatchState::Waits(until) if until <= now);
        let is_in_turn = at == 0 || self.batches[at].sent_to.is_none();
        (may && at < in_flight_max && is_in_turn).then_some(at)
    }

    /// When the first batch that waits may be sent.
    fn sends_at(&self) -> Option<Instant> {
        self.batches.iter().find_map(|batch| match batch.state {
            BatchState::Waits(until) => Some(until),
            _ => None,
        })
    }
}

impl Work for Producer {
    fn step(&mut self, hand: &mut Hand<'_>) -> Instant {
        while let Some(question) = self.waiting.given_up(hand.now) {
            match question {
                Question::Id => self.seek_controller(hand),
                Question::Batch { partition, key } => self.send_again(partition, key, hand),
            }
        }
        if self.is_idempotent && self.id.is_none() {
            if self.waiting.is_empty() && self.next_id <= hand.now {
                let request = ControllerRequest::InitProducerId { current: None };
                let server = self.known.controller(hand);
                let number = hand.ask(server, Request::Controller(ShardRequest::Controller(request)));
                self.waiting.wait(hand.now, number, Question::Id);
                self.next_id = hand.now.plus(RETRY_PAUSE);
            }
            return self.waiting.until().unwrap_or(self.next_id);
        }
        if self.next <= hand.now && self.rests == Rests::No {
            self.produce(hand);
            self.next = hand.about(self.pause);
        }
        self.pump(hand);
        self.wait_until(hand.now)
    }

    fn answered(&mut self, number: u64, answer: Answer, hand: &mut Hand<'_>) {
        if self.known.is_asked(number) {
            return match answer {
                Answer::Metadata { led, controller } => self.known.told(led, controller),
                _ => self.known.unanswered(),
            };
        }
        match (self.waiting.take(number), answer) {
            (None, _) => {}
            (
                Some(Question::Id),
                Answer::Reply(ShardReply::Controller(ControllerReply::InitProducerId(id))),
            ) => {
                self.id = id.ok().map(|id| seam::producer_id(id, hand));
                if self.id.is_none() {
                    self.seek_controller(hand);
                }
            }
            (Some(Question::Id), _) => self.seek_controller(hand),
            (Some(Question::Batch { partition, key }), Answer::Reply(ShardReply::Produce(results))) => {
                let outcome = results[0].outcome.clone().map(|appended| appended.base_offset.0);
                self.produced(partition, key, outcome, hand);
            }
            (Some(Question::Batch { partition, key }), _) => self.send_again(partition, key, hand),
        }
    }

    fn waits_for(&self) -> Option<String> {
        let waits = |(id, line): (&TopicPartition, &Line)| {
            (!line.batches.is_empty()).then(|| format!("{} batches of {id}", line.batches.len()))
        };
        let words: Vec<String> = self.lines.iter().filter_map(waits).collect();
        (!words.is_empty()).then(|| format!("{:?} for {}, id {:?}", self.acks, words.join(", "), self.id))
    }

    fn rest(&mut self, rests: Rests) {
        self.rests = rests;
    }
}
