//! A course of events: servers, their network and their clients under a nemesis, from one seed, in one thread.

mod deeds;
mod destroy;
mod lanes;
mod members;
mod phases;
mod reading;
mod replicas;
#[path = "../scripts/mod.rs"]
pub mod scripts;

use std::collections::BTreeMap;
use std::sync::Arc;

use ringmain::base::rng::Rng;
use ringmain::base::{ServerId, ShardId, TopicPartition};
use ringmain::controller::{Change, MetadataImage, Place as Led, Published};
use ringmain::shard::{ShardReply, ShardRequest};

use crate::atlas::Atlas;
use crate::checks::{Invariant, require};
use crate::clients::{self, Answer, Answered, Asked, ClientId, Clients, Request};
use crate::event::{Event, Stage};
use crate::nemesis::Nemesis;
use crate::net::{At, Host, Net};
use crate::oracle::{Layout, Oracle};
use crate::queue::{Queue, Span};
use crate::server::{Copy, End, Membership, Out, Server, Settings, State};
use crate::trace::Trace;
use crate::wires::{LaneEnd, Wires};

/// The asker of what only the checks want to know.
const NOBODY: ClientId = ClientId(u16::MAX);
/// The asker of ids for servers.
const JOINS: ClientId = ClientId(u16::MAX - 1);

/// What a course is made of.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub seed: u64,
    pub length: Span,
    pub layout: Layout,
    /// Words are kept for whoever reads about a failure.
    pub is_told: bool,
}

/// What a course came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// Stands for everything that has happened.
    pub trace: u64,
    pub events: u64,
    pub records: u64,
    pub lives: u64,
}

pub struct Course {
    plan: Plan,
    rng: Rng,
    queue: Queue<Event>,
    pub trace: Trace,
    servers: Vec<Server>,
    net: Net,
    wires: Wires,
    clients: Clients,
    oracle: Oracle,
    nemesis: Nemesis,
    /// The nemesis acts.
    is_chaos: bool,
    /// Who waits for each question that a server has.
    asked: BTreeMap<(At, u64), ClientId>,
    /// Answers to what only checks and scripts ask, by the number of the question.
    told: BTreeMap<u64, Answer>,
    questions: u64,
    atlas: Atlas,
    /// The newest image that any server has published.
    newest: Option<Arc<MetadataImage>>,
    /// Copies of disks, with the lives at whose ends they were taken.
    copies: BTreeMap<At, (u32, Copy)>,
    /// Servers that have asked for an id, by the number of the question.
    joining: BTreeMap<u64, At>,
    lives: u64,
}

impl Course {
    pub fn new(plan: Plan) -> Course {
        let mut rng = Rng::seeded(plan.seed);
        let count = 3 + usize::from(rng.below(4) == 0) * 2;
        let nemesis = Nemesis::any(count, &mut rng);
        Course::with(plan, count, nemesis, rng)
    }

    /// A cluster of so many servers to which nothing happens by itself.
    pub fn quiet(plan: Plan, count: usize) -> Course {
        Course::with(plan, count, Nemesis::none(count), Rng::seeded(plan.seed))
    }

    fn with(plan: Plan, count: usize, nemesis: Nemesis, mut rng: Rng) -> Course {
        let servers = (0..count).map(|at| server((at, count), plan.layout, &mut rng)).collect();
        Course {
            nemesis,
            plan,
            queue: Queue::default(),
            trace: Trace::new(plan.is_told),
            servers,
            net: Net::new(count),
            wires: Wires::default(),
            clients: Clients::new(count),
            oracle: Oracle::new(plan.layout),
            is_chaos: false,
            asked: BTreeMap::new(),
            told: BTreeMap::new(),
            questions: 0,
            atlas: Atlas::default(),
            newest: None,
            copies: BTreeMap::new(),
            joining: BTreeMap::new(),
            lives: 0,
            rng,
        }
    }

    /// The next event happens.
    fn step(&mut self) {
        let event = self.queue.next().expect("something always waits");
        self.happens(event);
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Turn { place, .. }
            | Event::IoDone { place, .. }
            | Event::Image { place, .. }
            | Event::Applied { place, .. }
            | Event::Told { place, .. } => {
                let kind = match event {
                    Event::Turn { .. } => 1,
                    Event::IoDone { .. } => 2,
                    _ => 3,
                };
                let server = place.server;
                self.note(&[kind, server as u64, u64::from(place.shard.0)]);
                let mut stage = Stage { queue: &mut self.queue, rng: &mut self.rng };
                self.servers[server].happens(event, &mut stage);
                self.hear(server);
            }
            Event::Boot { server, life } => self.boot(server, life),
            Event::Resume { server, life } => {
                if self.servers[server].life() == life {
                    self.say(|| format!("server {server} goes on"));
                    let held = self.servers[server].resume();
                    held.into_iter().for_each(|event| self.happens(event));
                    let free = self.servers[server].free_bytes;
                    self.disk_space(server, free);
                }
            }
            Event::Arrives(due) => self.arrives(due),
            Event::Dialled { place, lane, to, outcome } => self.dialled(place, lane, to, outcome),
            Event::Asked(asked) => self.asked(*asked),
            Event::Answered(answered) => self.answered(*answered),
            Event::Client { client, at } => {
                let Course { clients, oracle, queue, rng, .. } = self;
                clients.wake(client, at, oracle, &mut Stage { queue, rng });
            }
            Event::Nemesis(deed) => self.deed(deed),
            Event::Look => {
                self.look();
                self.queue.after(Span::seconds(1), Event::Look);
            }
        }
    }

    fn note(&mut self, what: &[u64]) {
        self.trace.note(self.queue.now(), what);
    }

    fn say(&mut self, what: impl FnOnce() -> String) {
        self.trace.say(self.queue.now(), what);
    }

    fn on<R>(&mut self, server: At, act: impl FnOnce(&mut Server, &mut Stage<'_>) -> R) -> R {
        let mut stage = Stage { queue: &mut self.queue, rng: &mut self.rng };
        let result = act(&mut self.servers[server], &mut stage);
        self.hear(server);
        result
    }

    // Servers

    /// What a server has said.
    fn hear(&mut self, server: At) {
        let mut has_failed = false;
        for out in self.servers[server].take_out() {
            match out {
                Out::Reply { number, reply } => {
                    require(Invariant::NothingAfterFailure, !has_failed, || {
                        format!("server {server} has failed, and answers {reply:?}")
                    });
                    self.replied(server, number, Answer::Reply(reply));
                }
                Out::Published(published) => {
                    let cluster = if self.plan.layout == Layout::Apart { server } else { 0 };
                    let image = &published.image;
                    self.trace.note(self.queue.now(), &[4, server as u64, image.version.unsigned_abs()]);
                    self.trace.say(self.queue.now(), || {
                        format!("server {server} publishes {}: {:?}", image.version, published.changes)
                    });
                    self.oracle.images.published(cluster, self.servers[server].id, &image.cluster);
                    self.atlas.published(image);
                    if self.newest.as_ref().is_none_or(|newest| newest.version < image.version) {
                        self.oracle.replicas.published(image);
                        self.tell_changes(&published);
                        self.newest = Some(Arc::clone(image));
                    }
                }
                Out::Dial { shard, lane, to } => self.dial(server, shard, lane, to),
                Out::Send { shard, lane, bytes } => self.send(LaneEnd { server, shard, lane }, bytes),
                Out::Hang { shard, lane } => self.hang(LaneEnd { server, shard, lane }),
                Out::Notice(line) => self.say(|| format!("server {server}: {line}")),
                Out::Fatal { reason } => {
                    has_failed = true;
                    self.say(|| format!("server {server} has failed: {reason}"));
                }
            }
        }
        if has_failed {
            self.end(server, End::Kill, Span::ms(500));
        }
    }

    /// What has become of the partitions that a new image changes.
    fn tell_changes(&mut self, published: &Published) {
        let image = &published.image;
        let runs = published.changes.iter().flat_map(|change| match change {
            Change::SomePartitions(runs) => runs.as_slice(),
            Change::Partitions(run) => std::slice::from_ref(run),
            _ => &[],
        });
        let before = self.newest.clone();
        for run in runs {
            let Some(topic) = image.topic_by_id(run.topic) else { continue };
            for (id, state) in topic.partitions_by_id().skip(run.partitions.start).take(run.partitions.len())
            {
                let was = before.as_ref().and_then(|it| it.topic_by_id(id.topic)?.partition(id.partition));
                if was != Some(state) {
                    self.trace
                        .say(self.queue.now(), || format!("version {}: {id} is {state:?}", image.version));
                }
            }
        }
    }

    /// A server's process ends, and another begins after a while.
    fn end(&mut self, server: At, end: End, down: Span) {
        if self.servers[server].state() == State::Down {
            return;
        }
        let under_way = self.servers[server].end(end, &mut self.rng);
        self.note(&[5, server as u64, under_way as u64]);
        self.say(|| format!("{end:?} of server {server} with {under_way} operations under way"));
        let waiting: Vec<(u64, ClientId)> = self
            .asked
            .range((server, 0)..=(server, u64::MAX))
            .map(|((_, number), client)| (*number, *client))
            .collect();
        self.asked.retain(|(at, _), _| *at != server);
        self.wires.forget(server);
        match end {
            End::Kill => {
                self.net.close_all(self.queue.now(), server, &mut self.rng);
                self.net.set_host(server, Host::Idle);
                for (number, client) in waiting {
                    self.send_answer(server, Answered { client, number, answer: Answer::Unreachable });
                }
            }
            End::Power => {
                self.net.vanish(server);
                for (number, client) in waiting {
                    if client == JOINS {
                        self.join_answered(number, &Answer::Unreachable);
                    }
                }
            }
        }
        self.queue_arrivals();
        self.keep_copy(server);
        let life = self.servers[server].life();
        self.queue.after(down, Event::Boot { server, life });
    }

    fn boot(&mut self, server: At, life: u32) {
        if self.servers[server].life() != life || self.servers[server].state() != State::Down {
            return;
        }
        if self.servers[server].membership == Some(Membership::Stranger) {
            return self.join(server);
        }
        self.lives += 1;
        self.net.appear(self.queue.now(), server, &mut self.rng);
        self.queue_arrivals();
        self.on(server, |it, stage| it.boot(stage));
        self.net.set_host(server, Host::Listening);
        let damaged = self.servers[server].disk().damaged();
        require(Invariant::NoFalseDamage, damaged.is_none(), || format!("server {server}: {damaged:?}"));
        self.say(|| format!("server {server} begins life {life}"));
    }

    // Clients

    /// A question reaches a server.
    fn asked(&mut self, asked: Asked) {
        let Asked { client, number, server, .. } = asked;
        self.note(&[6, server as u64, number]);
        self.say(|| {
            format!("{client:?} {number} asks server {server}: {:.500}", format!("{:?}", asked.request))
        });
        match self.servers[server].state() {
            State::Down if self.net.passes(server, server) => {
                self.send_answer(server, Answered { client, number, answer: Answer::Unreachable });
            }
            State::Down => {}
            State::Paused => self.servers[server].hold(Event::Asked(Box::new(asked))),
            State::Up => self.serve(asked),
        }
    }

    fn serve(&mut self, asked: Asked) {
        let Asked { client, number, server, request } = asked;
        self.asked.insert((server, number), client);
        let (shard, request) = match request {
            Request::Metadata => {
                let led = self.metadata(server);
                let controller = self.servers[server].image(ShardId(0)).map(|image| image.controller());
                let answer = Answer::Metadata { led, controller };
                return self.replied(server, number, answer);
            }
            Request::Controller(request) => (ShardId(0), request),
            Request::Of(partition, request) => match self.owner(server, partition) {
                Some(shard) => (shard, request),
                None => return self.replied(server, number, Answer::NotLeader),
            },
        };
        self.on(server, |it, stage| it.ask(shard, number, request, stage));
    }

    /// Who leads what, as a server's clients are told.
    fn metadata(&self, server: At) -> Vec<clients::Led> {
        let Some(image) = self.servers[server].image(ShardId(0)) else { return Vec::new() };
        let of_topics = image.topics.values().flat_map(|topic| topic.partitions_by_id());
        of_topics
            .map(|(partition, state)| clients::Led {
                partition,
                leader: state.leader(),
                epoch: state.leader_epoch(),
            })
            .collect()
    }

    /// The shard of a server that leads a partition, as the shard of some connection knows it.
    fn owner(&mut self, server: At, partition: TopicPartition) -> Option<ShardId> {
        let shards = self.servers[server].shard_ids().count() as u64;
        let shard = ShardId(u16::try_from(self.rng.below(shards)).unwrap());
        let image = self.servers[server].image(shard)?;
        let state = image.topic_by_id(partition.topic)?.partition(partition.partition)?;
        match image.place(state) {
            Led::Here(shard) => Some(shard),
            Led::Elsewhere(_) | Led::Nobody => None,
        }
    }

    fn replied(&mut self, server: At, number: u64, answer: Answer) {
        let Some(client) = self.asked.remove(&(server, number)) else { return };
        self.note(&[7, server as u64, number]);
        self.send_answer(server, Answered { client, number, answer });
    }

    fn send_answer(&mut self, server: At, answered: Answered) {
        match answered.client {
            NOBODY => return drop(self.told.insert(answered.number, answered.answer)),
            JOINS => return self.join_answered(answered.number, &answered.answer),
            _ => {}
        }
        let mut stage = Stage { queue: &mut self.queue, rng: &mut self.rng };
        self.clients.links.answer(server, answered, &mut stage);
    }

    fn answered(&mut self, answered: Answered) {
        self.note(&[8, u64::from(answered.client.0), answered.number]);
        let Course { clients, oracle, queue, rng, trace, .. } = self;
        trace.say(queue.now(), || match &answered.answer {
            Answer::Metadata { led, .. } => {
                format!("{:?} is told of {} partitions", answered.client, led.len())
            }
            answer => format!("{:?} {} is told {answer:?}", answered.client, answered.number),
        });
        clients.answered(answered, oracle, &mut Stage { queue, rng });
    }

    /// What only the checks ask: at once, and of whoever is said.
    fn ask(&mut self, server: At, shard: ShardId, request: ShardRequest) -> Option<ShardReply> {
        let number = self.begin_to_ask(server, shard, request);
        for _ in 0..PATIENCE {
            match self.told.remove(&number) {
                Some(Answer::Reply(reply)) => return Some(reply),
                Some(_) => return None,
                None => self.step(),
            }
        }
        panic!("server {server} never answers");
    }

    /// A number for a question that no client asks: they count from the other end.
    fn fresh_number(&mut self) -> u64 {
        self.questions += 1;
        u64::MAX - self.questions
    }

    /// Asks, and does not wait for the answer.
    fn begin_to_ask(&mut self, server: At, shard: ShardId, request: ShardRequest) -> u64 {
        let number = self.fresh_number();
        self.asked.insert((server, number), NOBODY);
        self.on(server, |it, stage| it.ask(shard, number, request, stage));
        number
    }
}

/// An answer that has not come after so many events never comes.
const PATIENCE: usize = 1_000_000;

fn server((at, count): (At, usize), layout: Layout, rng: &mut Rng) -> Server {
    let id = ServerId(i32::try_from(at).unwrap() + 1);
    let shards = 1 + u16::try_from(rng.below(2)).unwrap();
    let cluster = match layout {
        Layout::Apart => format!("0123456789abcdefghij{:02}", at % 100),
        Layout::Together => "0123456789abcdefghijkl".to_owned(),
    };
    let settings = Settings::any(id, shards, &cluster, rng);
    let membership = match (layout, at) {
        (Layout::Apart, _) => None,
        (Layout::Together, 0) => Some(Membership::Founder),
        (Layout::Together, _) => Some(Membership::Stranger),
    };
    Server::new((at, count), settings, membership, rng)
}
