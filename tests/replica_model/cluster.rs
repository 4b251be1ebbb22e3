//! Three replicas, a controller and what is on its way between them; every step that may come next.

use std::hash::{Hash, Hasher};

use ringmain::base::{Offset, StreamNumber};
use ringmain::replication::{Ask, Ends, Gap, IsrAnswer, IsrAsk, Part, Sender};

use crate::controller::{Image, REPLICAS, Set};
use crate::replica::{Record, Role, Server};

/// How much may happen besides replication itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Budget {
    pub values: u8,
    pub elections: u8,
    /// Servers fenced, and servers unfenced.
    pub fences: u8,
    pub crashes: u8,
    pub wipes: u8,
    pub losses: u8,
    /// Asks for another ISR, copies included.
    pub asks: u8,
}

/// Something on its way, which may arrive in any order, or be lost with its lane.
///
/// A run that a leader sends arrives at once: whatever could happen to either end meanwhile is the same as if it came first, or
/// was never sent. So does the answer to an open stream.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Message {
    pub from: usize,
    pub to: usize,
    /// The incarnation of the follower.
    pub broker_epoch: u8,
    pub body: Body,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Body {
    Open { stream: StreamNumber, ask: Ask },
    Ack { sender: Sender, ends: Ends },
    IsrAsk(IsrAsk),
    IsrAnswer(IsrAnswer),
}

impl Message {
    /// Some order, so that a set of messages is the same state however it came about.
    fn rank(&self) -> (u8, usize, usize, i64, i64) {
        let (kind, first, second) = match &self.body {
            Body::Open { stream, ask } => (0, i64::from(stream.0), i64::from(ask.epoch.0)),
            Body::Ack { sender, ends } => (1, ends.flushed.0, i64::from(sender.leader_epoch.0)),
            Body::IsrAsk(ask) => (2, i64::try_from(ask.number).unwrap(), i64::from(ask.leader_epoch.0)),
            Body::IsrAnswer(answer) => (3, i64::try_from(answer.number).unwrap(), 0),
        };
        (kind, self.from, self.to, first, second)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Step {
    /// A producer sends the next value to whoever takes itself for the leader.
    Produce(usize),
    Flush(usize),
    /// A follower asks for a stream.
    Open(usize),
    /// The leader sends the next record, or its high watermark, and it arrives.
    Send(usize, usize),
    /// The message at this place arrives, or is lost with its lane.
    Deliver(usize),
    Lose(usize),
    /// The next image arrives, or the newest and none between.
    Image(usize),
    Newest(usize),
    /// A cut that was begun is done.
    Cut(usize),
    Crash(usize),
    /// A crash that takes the disk along.
    Wipe(usize),
    /// Comes back and registers.
    Restart(usize),
    Fence(usize),
    Unfence(usize),
    /// The leader finds that all others lag, or that somebody may join, or asks once more.
    Shrink(usize),
    Grow(usize),
    Again(usize),
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Cluster {
    pub image: Image,
    pub servers: [Server; REPLICAS],
    pub messages: Vec<Message>,
    pub budget: Budget,
    /// The newest ask that the controller has taken of this leader: it takes none that is older, unless `takes_any_ask`.
    pub ask_taken: u64,
    pub takes_any_ask: bool,
    /// All that any leader's high watermark has covered.
    pub committed: Vec<Record>,
    /// Values told to producers as written.
    pub acknowledged: Set,
    pub next_value: u8,
    /// What a step has done that no step may do.
    pub fault: Option<&'static str>,
}

impl Cluster {
    pub fn new(budget: Budget) -> Cluster {
        Cluster {
            image: Image::first(),
            servers: [Server::new(0), Server::new(1), Server::new(2)],
            messages: Vec::new(),
            budget,
            ask_taken: 0,
            takes_any_ask: false,
            committed: Vec::new(),
            acknowledged: Set::default(),
            next_value: 1,
            fault: None,
        }
    }

    pub fn fingerprint(&self) -> u64 {
        let mut hasher = std::collections::hash_map::DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }

    /// Every step that may come next.
    pub fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::with_capacity(16);
        for me in 0..REPLICAS {
            self.steps_of_server(me, &mut steps);
            self.steps_of_fate(me, &mut steps);
        }
        for at in 0..self.messages.len() {
            steps.push(Step::Deliver(at));
            if self.budget.losses > 0 {
                steps.push(Step::Lose(at));
            }
        }
        steps
    }

    fn steps_of_server(&self, me: usize, steps: &mut Vec<Step>) {
        let server = &self.servers[me];
        if !server.is_up {
            return;
        }
        if server.flushed < server.log.end() {
            steps.push(Step::Flush(me));
        }
        if !server.coming.is_empty() {
            steps.push(Step::Image(me));
        }
        if server.coming.len() > 1 {
            steps.push(Step::Newest(me));
        }
        match &server.role {
            Role::Idle => {}
            Role::Leading(leading) => {
                if self.budget.values > 0 {
                    steps.push(Step::Produce(me));
                }
                let can_send = |to: &usize| self.can_send(me, *to);
                steps.extend((0..REPLICAS).filter(can_send).map(|to| Step::Send(me, to)));
                if self.budget.asks > 0 {
                    match leading.asked() {
                        Some(_) => steps.push(Step::Again(me)),
                        None => steps.extend([Step::Shrink(me), Step::Grow(me)]),
                    }
                }
            }
            Role::Following(following) => {
                if following.is_cutting() {
                    steps.push(Step::Cut(me));
                }
                if self.can_open(me) {
                    steps.push(Step::Open(me));
                }
            }
        }
    }

    fn steps_of_fate(&self, me: usize, steps: &mut Vec<Step>) {
        let Budget { fences, crashes, wipes, elections, .. } = self.budget;
        let is_up = self.servers[me].is_up;
        let is_unfenced = self.image.unfenced.has(me);
        if is_up && crashes > 0 {
            steps.push(Step::Crash(me));
        }
        if is_up && wipes > 0 {
            steps.push(Step::Wipe(me));
        }
        let would_elect = self.image.leads(me) && elections == 0;
        if !is_up && !would_elect {
            steps.push(Step::Restart(me));
        }
        if fences > 0 && is_unfenced && !would_elect {
            steps.push(Step::Fence(me));
        }
        let would_elect = self.image.leader.is_none() && elections == 0;
        if fences > 0 && is_up && !is_unfenced && !would_elect {
            steps.push(Step::Unfence(me));
        }
    }

    /// Whether the leader has something for a follower.
    fn can_send(&self, from: usize, to: usize) -> bool {
        let server = &self.servers[from];
        let Some(stream) = server.streams[to] else { return false };
        usize::from(stream.next) < server.log.end() || i64::from(stream.told) < server.high_watermark().0
    }

    /// Whether a follower asks for a stream, and its leader would say something else than "ask again".
    fn can_open(&self, me: usize) -> bool {
        let server = &self.servers[me];
        let Role::Following(following) = &server.role else { return false };
        let leader = &self.servers[usize::try_from(following.leader_server().0).unwrap()];
        let is_of_use = leader.is_up && leader.image.leader_epoch == server.image.leader_epoch;
        let is_waiting = !matches!(
            following.phase(),
            ringmain::replication::Phase::Truncating(_) | ringmain::replication::Phase::Diverged
        );
        is_of_use && is_waiting && following.stream().is_none()
    }

    /// Puts a message on its way, where it is the same whatever else is.
    pub fn send(&mut self, message: Message) {
        let at = self.messages.partition_point(|it| it.rank() < message.rank());
        self.messages.insert(at, message);
    }

    /// Tells everybody. What changes no leader is nothing to a server that does not lead, so it learns that at once.
    pub fn publish(&mut self) {
        let image = self.image;
        for server in self.servers.iter_mut().filter(|server| server.is_up) {
            let newest = server.coming.last().unwrap_or(&server.image);
            let is_nothing = newest.leader_epoch == image.leader_epoch && !newest.leads(server.me);
            match server.coming.last_mut() {
                Some(last) if is_nothing => *last = image,
                None if is_nothing => server.image = image,
                _ => server.coming.push(image),
            }
        }
    }
}

pub fn part(base: usize, record: Option<Record>, high_watermark: Offset) -> Part {
    let base = crate::replica::offset(base);
    let count = u32::from(record.is_some());
    Part {
        base,
        end: base.plus(i64::from(count)),
        bytes: count,
        gap: Gap::None,
        high_watermark,
        log_start: Offset(0),
    }
}
