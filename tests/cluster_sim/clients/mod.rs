//! Clients: what they ask of servers, and what they make of the answers.
//!
//! A client does one kind of work: it produces, consumes, commits offsets or administers. Its messages travel to servers and back
//! with delays, in order for each server; they are lost where the way is blocked, and refused where no process listens. What
//! a client knows of leaders it has from any server's metadata, as Kafka's clients do. What it learns it tells the oracle.

mod admin;
mod batch;
mod committer;
mod consumer;
mod known;
mod links;
mod producer;
mod waiting;

use ringmain::base::rng::Rng;
use ringmain::base::{LeaderEpoch, ServerId, TopicPartition};
use ringmain::shard::{ShardReply, ShardRequest};

pub use batch::{batch, key_of, read_batches};
pub use consumer::fetch;
pub use links::ClientLinks;
pub use producer::Acks;

use crate::event::{Event, Stage};
use crate::net::At;
use crate::oracle::Oracle;
use crate::queue::{Instant, Span};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ClientId(pub u16);

/// A question on its way to a server.
#[derive(Debug)]
pub struct Asked {
    pub client: ClientId,
    pub number: u64,
    pub server: At,
    pub request: Request,
}

#[derive(Debug)]
pub enum Request {
    /// Who leads what.
    Metadata,
    /// For the shard that leads a partition.
    Of(TopicPartition, ShardRequest),
    /// For shard 0.
    Controller(ShardRequest),
}

/// An answer on its way to a client.
#[derive(Debug)]
pub struct Answered {
    pub client: ClientId,
    pub number: u64,
    pub answer: Answer,
}

#[derive(Debug)]
pub enum Answer {
    Reply(ShardReply),
    Metadata {
        led: Vec<Led>,
        controller: Option<ServerId>,
    },
    /// The server does not lead the partition, or knows none of the kind.
    NotLeader,
    /// Nobody listens, or the connection was closed: whether the request was heeded nobody knows.
    Unreachable,
}

/// A partition as a server's metadata has it.
#[derive(Clone, Copy, Debug)]
pub struct Led {
    pub partition: TopicPartition,
    pub leader: Option<ServerId>,
    pub epoch: LeaderEpoch,
}

/// One client's work.
pub trait Work {
    /// Does what is to be done by now. Answers when it is to be called again at the latest.
    fn step(&mut self, hand: &mut Hand<'_>) -> Instant;

    fn answered(&mut self, number: u64, answer: Answer, hand: &mut Hand<'_>);

    /// What was begun and waits for an answer, in words; `None` if nothing is.
    fn waits_for(&self) -> Option<String>;

    /// From now on nothing new is begun, or again is.
    fn rest(&mut self, rests: Rests);
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rests {
    No,
    Yes,
}

/// What a client works with.
pub struct Hand<'a> {
    pub now: Instant,
    pub rng: &'a mut Rng,
    pub oracle: &'a mut Oracle,
    pub servers: usize,
    client: ClientId,
    numbers: &'a mut u64,
    asked: Vec<Asked>,
}

impl Hand<'_> {
    /// Asks a server, and gives the question a number.
    pub fn ask(&mut self, server: At, request: Request) -> u64 {
        *self.numbers += 1;
        let number = *self.numbers;
        self.asked.push(Asked { client: self.client, number, server, request });
        number
    }

    pub fn client_number(&self) -> i64 {
        i64::from(self.client.0)
    }

    pub fn any_server(&mut self) -> At {
        usize::try_from(self.rng.below(self.servers as u64)).unwrap()
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.rng.below(100) < percent
    }

    /// Some time, half as long or half as long again as said.
    pub fn about(&mut self, span: Span) -> Instant {
        self.now.plus(Span(span.0 / 2 + self.rng.below(span.0 + 1)))
    }
}

struct Client {
    work: Box<dyn Work>,
    wakes_at: Option<Instant>,
}

/// All clients of a course.
pub struct Clients {
    all: Vec<Client>,
    pub links: ClientLinks,
    numbers: u64,
    servers: usize,
}

impl Clients {
    pub fn new(servers: usize) -> Clients {
        Clients { all: Vec::new(), links: ClientLinks::new(servers), numbers: 0, servers }
    }

    pub fn add(&mut self, work: Box<dyn Work>, stage: &mut Stage<'_>) {
        let client = ClientId(u16::try_from(self.all.len()).unwrap());
        self.all.push(Client { work, wakes_at: None });
        self.wakes(client, stage.now(), stage);
    }

    /// The usual mix of clients: some twenty to fifty requests a second.
    pub fn add_usual(&mut self, stage: &mut Stage<'_>) {
        self.add(Box::new(admin::Admin::new()), stage);
        let producers = 3 + stage.rng.below(4);
        for number in 0..producers {
            let producer = producer::Producer::any(u16::try_from(number).unwrap(), stage.rng);
            self.add(Box::new(producer), stage);
        }
        for _ in 0..1 + stage.rng.below(2) {
            self.add(Box::new(consumer::Consumer::new(stage.rng)), stage);
        }
        for number in 0..stage.rng.below(3) {
            self.add(Box::new(committer::Committer::new(number)), stage);
        }
    }

    pub fn rest(&mut self, rests: Rests, stage: &mut Stage<'_>) {
        for (number, client) in self.all.iter_mut().enumerate() {
            client.work.rest(rests);
            client.wakes_at = Some(stage.now());
            let client = ClientId(u16::try_from(number).unwrap());
            stage.queue.after(Span(0), Event::Client { client, at: stage.queue.now() });
        }
    }

    pub fn are_idle(&self) -> bool {
        self.all.iter().all(|client| client.work.waits_for().is_none())
    }

    /// What clients wait for.
    pub fn wait_for(&self) -> Vec<String> {
        let words =
            |(at, client): (usize, &Client)| Some(format!("client {at}: {}", client.work.waits_for()?));
        self.all.iter().enumerate().filter_map(words).collect()
    }

    /// A client's time has come.
    pub fn wake(&mut self, client: ClientId, at: Instant, oracle: &mut Oracle, stage: &mut Stage<'_>) {
        if self.client(client).wakes_at != Some(at) {
            return;
        }
        self.client(client).wakes_at = None;
        self.work(client, oracle, stage, |work, hand| work.step(hand));
    }

    pub fn answered(&mut self, answered: Answered, oracle: &mut Oracle, stage: &mut Stage<'_>) {
        let Answered { client, number, answer } = answered;
        self.work(client, oracle, stage, |work, hand| {
            work.answered(number, answer, hand);
            work.step(hand)
        });
    }

    fn work(
        &mut self,
        client: ClientId,
        oracle: &mut Oracle,
        stage: &mut Stage<'_>,
        act: impl FnOnce(&mut dyn Work, &mut Hand<'_>) -> Instant,
    ) {
        let Clients { all, links, numbers, servers } = self;
        let (now, rng) = (stage.queue.now(), &mut *stage.rng);
        let mut hand = Hand { now, rng, oracle, servers: *servers, client, numbers, asked: Vec::new() };
        let next = act(&mut *all[usize::from(client.0)].work, &mut hand);
        for asked in hand.asked {
            links.send(asked, stage);
        }
        self.wakes(client, next, stage);
    }

    fn wakes(&mut self, client: ClientId, at: Instant, stage: &mut Stage<'_>) {
        let at = at.max(stage.now());
        let known = &mut self.client(client).wakes_at;
        if known.is_none_or(|known| at < known) {
            *known = Some(at);
            stage.queue.at(at, Event::Client { client, at });
        }
    }

    fn client(&mut self, client: ClientId) -> &mut Client {
        &mut self.all[usize::from(client.0)]
    }
}
