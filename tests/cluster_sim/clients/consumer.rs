//! Consumers by assignment: each reads its partitions from wherever it is to their ends, and now and then again.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringmain::base::rng::Rng;
use ringmain::base::{LeaderEpoch, Offset, TopicPartition, joined};
use ringmain::shard::{
    FetchPartition, FetchRequest, Fetched, FetchedBy, Known as KnownBounds, PartitionError, ShardReply,
    ShardRequest,
};

use super::batch::read_batches;
use super::known::Known;
use super::waiting::Waiting;
use super::{Answer, Hand, Request, Rests, Work};
use crate::checks::{Invariant, require};
use crate::queue::{Instant, Span};

const BYTES_MAX: u32 = 30_000;
const PARTITIONS_MAX: usize = 5;

pub struct Consumer {
    pause: Span,
    /// The next offset of each partition, and the leader epoch of the batch before it.
    positions: BTreeMap<TopicPartition, (i64, LeaderEpoch)>,
    known: Known,
    waiting: Waiting<(TopicPartition, i64)>,
    next: Instant,
    rests: Rests,
}

impl Consumer {
    pub fn new(rng: &mut Rng) -> Consumer {
        Consumer {
            pause: Span::ms(60 + rng.below(200)),
            positions: BTreeMap::new(),
            known: Known::default(),
            waiting: Waiting::default(),
            next: Instant(0),
            rests: Rests::No,
        }
    }

    fn poll(&mut self, hand: &mut Hand<'_>) {
        self.positions.retain(|partition, _| hand.oracle.is_live(*partition));
        if self.positions.len() < PARTITIONS_MAX && hand.chance(10) || self.positions.is_empty() {
            let Some(partition) = hand.oracle.any_partition(hand.rng) else { return };
            let start = hand.oracle.log(partition).map_or(0, |log| log.seen_start());
            self.positions.entry(partition).or_insert((start, LeaderEpoch(-1)));
        }
        let at = usize::try_from(hand.rng.below(self.positions.len() as u64)).unwrap();
        let (partition, position) = self.positions.iter_mut().nth(at).expect("one of them");
        if hand.chance(2) {
            // Once more, from somewhere.
            let start = hand.oracle.log(*partition).map_or(0, |log| log.seen_start());
            let span = u64::try_from((position.0 - start).max(0)).unwrap() + 1;
            *position = (start + i64::try_from(hand.rng.below(span)).unwrap(), LeaderEpoch(-1));
        }
        let (partition, (offset, epoch)) = (*partition, *position);
        let Some((server, leader_epoch)) = self.known.leader(partition) else {
            return self.known.refresh(hand);
        };
        let wait_ms = if hand.chance(40) { 500 } else { 0 };
        let request = fetch(partition, offset, leader_epoch, epoch, wait_ms);
        let number = hand.ask(server, Request::Of(partition, request));
        self.waiting.wait(hand.now, number, (partition, offset));
    }

    fn fetched(&mut self, partition: TopicPartition, asked: i64, fetched: &Fetched, hand: &mut Hand<'_>) {
        require(Invariant::ConsistentRead, fetched.diverging.is_none(), || {
            format!("{partition} diverges below {asked}, which was read before: {:?}", fetched.diverging)
        });
        let (found, end, epoch) = read_batches(&joined(&fetched.records));
        hand.oracle.exposed(partition, fetched.log_start.0, fetched.high_watermark.0);
        require(Invariant::Watermarks, end <= fetched.high_watermark.0, || {
            format!("{partition} is read to {end}, and its high watermark is {}", fetched.high_watermark)
        });
        let is_compacted = hand.oracle.log(partition).is_none_or(|log| log.is_compacted());
        let mut next = asked;
        for record in found.iter().filter(|record| record.offset >= asked) {
            require(Invariant::ConsistentRead, is_compacted || record.offset == next, || {
                format!("{partition}: asked for {asked}, and {next} is followed by {}", record.offset)
            });
            hand.oracle.served(partition, record.offset, record.number);
            next = record.offset + 1;
        }
        if let Some(position) = self.positions.get_mut(&partition).filter(|position| position.0 == asked) {
            *position = (end.max(asked), epoch.unwrap_or(position.1));
        }
    }

    fn refused(&mut self, partition: TopicPartition, error: &PartitionError, hand: &mut Hand<'_>) {
        match error {
            PartitionError::OffsetOutOfRange { requested, log_start, .. } if requested < log_start => {
                self.positions.insert(partition, (log_start.0, LeaderEpoch(-1)));
                hand.oracle.exposed(partition, log_start.0, log_start.0);
            }
            PartitionError::Corrupt { offset } => {
                require(Invariant::NoFalseDamage, false, || format!("{partition} is corrupt at {offset}"));
            }
            _ => {
                self.known.forget(partition);
                self.known.refresh(hand);
            }
        }
    }
}

pub fn fetch(
    partition: TopicPartition,
    offset: i64,
    leader_epoch: LeaderEpoch,
    last_epoch: LeaderEpoch,
    wait_ms_max: u32,
) -> ShardRequest {
    let asked = FetchPartition {
        partition,
        offset: Offset(offset),
        current_leader_epoch: leader_epoch,
        last_fetched_epoch: last_epoch,
        bytes_max: BYTES_MAX,
        known: KnownBounds::NOTHING,
    };
    ShardRequest::Fetch(FetchRequest {
        partitions: Arc::new(vec![asked]),
        first: 0,
        wait_ms_max,
        bytes_min: u32::from(wait_ms_max > 0),
        bytes_max: BYTES_MAX,
        read_committed: false,
        by: FetchedBy::Client,
    })
}

impl Work for Consumer {
    fn step(&mut self, hand: &mut Hand<'_>) -> Instant {
        while let Some((partition, _)) = self.waiting.given_up(hand.now) {
            self.known.forget(partition);
            self.known.refresh(hand);
        }
        if self.rests == Rests::Yes {
            return self.waiting.until().unwrap_or(Instant(u64::MAX));
        }
        if self.next <= hand.now {
            if self.waiting.is_empty() {
                self.poll(hand);
            }
            self.next = hand.about(self.pause);
        }
        self.waiting.until().map_or(self.next, |until| until.min(self.next))
    }

    fn answered(&mut self, number: u64, answer: Answer, hand: &mut Hand<'_>) {
        if self.known.is_asked(number) {
            return match answer {
                Answer::Metadata { led, controller } => self.known.told(led, controller),
                _ => self.known.unanswered(),
            };
        }
        let Some((partition, offset)) = self.waiting.take(number) else { return };
        if let Answer::Reply(ShardReply::Fetch(results)) = answer {
            return match &results[0].outcome {
                Ok(fetched) => self.fetched(partition, offset, fetched, hand),
                Err(error) => self.refused(partition, error, hand),
            };
        }
        self.known.forget(partition);
        self.known.refresh(hand);
    }

    fn waits_for(&self) -> Option<String> {
        self.waiting.in_words()
    }

    fn rest(&mut self, rests: Rests) {
        self.rests = rests;
    }
}
