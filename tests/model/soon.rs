//! How soon there is a leader, and how long it stays: elections in virtual time, with delays and links that are cut.
//!
//! Logs are equal throughout. Leaders are heard twice a second and hear an ack for it, as on streams.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use ringmain::base::rng::Rng;
use ringmain::base::{LeaderEpoch, LogEnd, MonoNanos, Offset};
use ringmain::quorum::{Ballot, Change, Message, Outcome, Quorum, Timers, VotersLog};

use crate::world::{place, voter, voters};

const LOG: LogEnd = LogEnd { last_epoch: LeaderEpoch(0), end: Offset(5) };
const BEAT_MS: u64 = 500;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Tick(usize),
    Written(usize),
    /// From and to.
    Deliver(usize, usize, Message),
    Beat(usize),
    Heard {
        leader: usize,
        by: usize,
        epoch: LeaderEpoch,
    },
    Acked {
        leader: usize,
        by: usize,
    },
    Gone {
        leader: usize,
        by: usize,
    },
}

pub struct Cluster {
    servers: Vec<Quorum>,
    parts: Vec<Option<Change>>,
    dead: BTreeSet<usize>,
    /// Directions in which nothing passes.
    cut: BTreeSet<(usize, usize)>,
    queue: BinaryHeap<Reverse<(MonoNanos, u64, Event)>>,
    events: u64,
    pub now: MonoNanos,
    rng: Rng,
}

impl Cluster {
    pub fn new(count: usize, seed: u64) -> Cluster {
        let all = u8::try_from((1 << count) - 1).unwrap();
        let start = |server: usize| {
            let seed = seed * 100 + u64::try_from(server).unwrap();
            let log = VotersLog::new(voters(all));
            let ballot = Ballot::new(voter(server).id);
            Quorum::new(voter(server).server, ballot, log, Timers::default(), seed, MonoNanos(0))
        };
        let mut cluster = Cluster {
            servers: (0..count).map(start).collect(),
            parts: vec![None; count],
            dead: BTreeSet::new(),
            cut: BTreeSet::new(),
            queue: BinaryHeap::new(),
            events: 0,
            now: MonoNanos(0),
            rng: Rng::seeded(seed),
        };
        for server in 0..count {
            cluster.at(cluster.servers[server].deadline(), Event::Tick(server));
        }
        cluster
    }

    pub fn others(&self, server: usize) -> impl Iterator<Item = usize> + use<> {
        (0..self.servers.len()).filter(move |other| *other != server)
    }

    pub fn epoch(&self, server: usize) -> LeaderEpoch {
        self.servers[server].epoch()
    }

    /// The server that all who are alive and not in `but` follow.
    pub fn leader(&self, but: &[usize]) -> Option<usize> {
        let meant = (0..self.servers.len()).filter(|it| !self.dead.contains(it) && !but.contains(it));
        let leaders: BTreeSet<_> = meant.map(|it| (self.epoch(it), self.servers[it].leader())).collect();
        let (_, leader) = leaders.first()?;
        let leader = place((*leader)?);
        let leads = matches!(self.parts[leader], Some(Change::Lead { .. }));
        (leaders.len() == 1 && leads && !self.dead.contains(&leader)).then_some(leader)
    }

    pub fn cut(&mut self, from: usize, to: usize) {
        self.cut.insert((from, to));
    }

    pub fn heal(&mut self) {
        self.cut.clear();
    }

    /// The process dies, and its kernel closes its connections.
    pub fn kill(&mut self, server: usize) {
        self.dead.insert(server);
        for by in self.others(server) {
            // What it had sent comes first.
            let at = self.now.plus_ms(6 + self.rng.below(3));
            self.at(at, Event::Gone { leader: server, by });
        }
    }

    /// The process dies with its machine: nobody is told.
    pub fn vanishes(&mut self, server: usize) {
        self.dead.insert(server);
    }

    pub fn named(&mut self, server: usize, epoch: LeaderEpoch, leader: usize) {
        let outcome = self.servers[server].leader_named(self.now, epoch, voter(leader));
        self.perform(server, outcome);
    }

    /// Lets time pass until it is so; the milliseconds that took, or `None` if they are over.
    pub fn until(&mut self, ms: u64, is_so: impl Fn(&Cluster) -> bool) -> Option<u64> {
        let (began, end) = (self.now, self.now.plus_ms(ms));
        while !is_so(self) {
            let Reverse((at, _, event)) = self.queue.pop()?;
            if at > end {
                self.at(at, event);
                self.now = end;
                return None;
            }
            self.now = self.now.max(at);
            self.happens(event);
        }
        Some(self.now.since(began) / 1_000_000)
    }

    /// The milliseconds until all but this one follow another leader.
    fn until_replaced(&mut self, leader: usize) -> Option<u64> {
        self.until(20_000, |it| it.leader(&[leader]).is_some_and(|another| another != leader))
    }

    pub fn pass(&mut self, ms: u64) {
        assert_eq!(self.until(ms, |_| false), None, "time passes");
    }

    fn happens(&mut self, event: Event) {
        let now = self.now;
        let (server, from) = match event {
            Event::Tick(server) | Event::Written(server) | Event::Beat(server) => (server, server),
            Event::Deliver(from, to, _) => (to, from),
            Event::Heard { leader, by, .. } => (by, leader),
            Event::Acked { leader, by } => (leader, by),
            Event::Gone { by, .. } => (by, by),
        };
        if self.dead.contains(&server) || self.cut.contains(&(from, server)) {
            return;
        }
        let quorum = &mut self.servers[server];
        let outcome = match event {
            Event::Tick(_) => quorum.tick(now, LOG),
            Event::Written(_) => quorum.persisted(now),
            Event::Deliver(_, _, Message::Ask(ask)) => quorum.vote_asked(now, &ask, LOG),
            Event::Deliver(_, _, Message::Answer(answer)) => {
                quorum.vote_answered(now, &answer, Offset(-1), LOG)
            }
            Event::Deliver(_, _, Message::Lead(lead)) => quorum.leader_named(now, lead.epoch, lead.leader),
            Event::Beat(_) => return self.beat(server),
            Event::Heard { leader, epoch, .. } => {
                let follows = Some(Change::Follow { epoch, leader: voter(leader) });
                if self.parts[server] != follows {
                    return;
                }
                self.soon(5_000, Event::Acked { leader, by: server });
                self.servers[server].leader_heard(now, epoch)
            }
            Event::Acked { by, .. } => quorum.acked(now, voter(by)),
            Event::Gone { leader, .. } if quorum.leader() == Some(voter(leader)) => {
                quorum.leader_gone(now, quorum.epoch())
            }
            Event::Gone { .. } => return,
        };
        self.perform(server, outcome);
    }

    fn beat(&mut self, server: usize) {
        let Some(Change::Lead { epoch }) = self.parts[server] else { return };
        for by in self.others(server) {
            self.soon(5_000, Event::Heard { leader: server, by, epoch });
        }
        self.at(self.now.plus_ms(BEAT_MS), Event::Beat(server));
    }

    fn perform(&mut self, server: usize, outcome: Outcome) {
        if outcome.persist.is_some() {
            self.soon(5_000, Event::Written(server));
        }
        for (to, message) in outcome.send {
            self.soon(5_000, Event::Deliver(server, place(to), message));
        }
        if let Some(change) = outcome.change {
            self.parts[server] = Some(change);
            self.beat(server);
        }
        self.at(self.servers[server].deadline(), Event::Tick(server));
    }

    /// Within so many microseconds.
    fn soon(&mut self, within_us: u64, event: Event) {
        let at = MonoNanos(self.now.0 + 100_000 + self.rng.below(within_us) * 1_000);
        self.at(at, event);
    }

    fn at(&mut self, at: MonoNanos, event: Event) {
        if at < MonoNanos::NEVER {
            self.events += 1;
            self.queue.push(Reverse((at, self.events, event)));
        }
    }
}

/// A cluster with a leader, and the leader.
pub fn led(count: usize, seed: u64) -> (Cluster, usize) {
    let mut cluster = Cluster::new(count, seed);
    let took = cluster.until(6_000, |it| it.leader(&[]).is_some());
    assert!(took.is_some(), "seed {seed}: {count} servers that start together find a leader");
    cluster.pass(1_000);
    let leader = cluster.leader(&[]).expect("a leader stays");
    (cluster, leader)
}

/// A follower that is cut off for a while and comes back: whether the leader stays.
pub fn leader_survives_a_return(seed: u64) -> bool {
    let (mut cluster, leader) = led(3, seed);
    let epoch = cluster.epoch(leader);
    let away = cluster.others(leader).next().expect("a follower");
    for _ in 0..3 {
        // It hears nobody, and so asks for votes; the others hear it.
        for other in cluster.others(away) {
            cluster.cut(other, away);
        }
        cluster.pass(7_000);
        cluster.heal();
        cluster.pass(3_000);
    }
    cluster.leader(&[]) == Some(leader) && cluster.epoch(leader) == epoch
}

/// A leader that sends and hears nothing: how long until the others have another one.
pub fn deaf_leader_is_replaced(seed: u64) -> Option<u64> {
    let (mut cluster, leader) = led(3, seed);
    for other in cluster.others(leader) {
        cluster.cut(other, leader);
    }
    cluster.until_replaced(leader)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RULES;

    const SEEDS: u64 = 60;

    /// Runs each seed; no run takes longer than `most`, and half of them no longer than `median`.
    fn check(what: &str, median: u64, most: u64, mut run: impl FnMut(u64) -> Option<u64>) {
        let _all = RULES.read().unwrap();
        let mut took: Vec<u64> = (0..SEEDS)
            .map(|seed| run(seed).unwrap_or_else(|| panic!("{what}: seed {seed} takes too long")))
            .collect();
        took.sort_unstable();
        let (half, all) = (took[took.len() / 2], took[took.len() - 1]);
        println!("{what}: half within {half} ms, all within {all} ms");
        assert!(half <= median && all <= most, "{what}: half within {half} ms, all within {all} ms");
    }

    #[test]
    fn servers_that_start_together_find_a_leader() {
        let start =
            |count: usize| move |seed| Cluster::new(count, seed).until(6_000, |it| it.leader(&[]).is_some());
        check("three start", 1_500, 2_500, start(3));
        check("five start", 1_500, 2_500, start(5));
    }

    #[test]
    fn a_killed_leader_is_replaced_at_once() {
        let kill = |count: usize| {
            move |seed| {
                let (mut cluster, leader) = led(count, seed);
                cluster.kill(leader);
                cluster.until(10_000, |it| it.leader(&[]).is_some())
            }
        };
        check("killed, of three", 150, 600, kill(3));
        check("killed, of five", 150, 600, kill(5));
    }

    #[test]
    fn a_vanished_leader_is_replaced_when_it_is_silent() {
        check("vanished", 2_300, 3_000, |seed| {
            let (mut cluster, leader) = led(3, seed);
            cluster.vanishes(leader);
            cluster.until(10_000, |it| it.leader(&[]).is_some())
        });
    }

    #[test]
    fn a_leader_that_was_cut_off_follows_the_next_one() {
        check("cut off", 2_300, 3_000, |seed| {
            let (mut cluster, leader) = led(3, seed);
            for other in cluster.others(leader) {
                cluster.cut(other, leader);
                cluster.cut(leader, other);
            }
            let took = cluster.until_replaced(leader)?;
            cluster.pass(10_000);
            assert_eq!(cluster.servers[leader].leader(), None, "seed {seed}: it has resigned");
            cluster.heal();
            cluster.until(4_000, |it| it.leader(&[]).is_some())?;
            let next = cluster.leader(&[])?;
            let epoch = cluster.epoch(next);
            cluster.pass(30_000);
            assert_eq!((cluster.leader(&[]), cluster.epoch(next)), (Some(next), epoch), "seed {seed}: stays");
            Some(took)
        });
    }

    #[test]
    fn a_leader_that_hears_nobody_is_replaced() {
        check("deaf", 5_100, 6_000, deaf_leader_is_replaced);
    }

    #[test]
    fn a_follower_that_comes_back_does_not_depose_the_leader() {
        let _all = RULES.read().unwrap();
        for seed in 0..SEEDS {
            assert!(leader_survives_a_return(seed), "seed {seed}");
        }
    }

    /// KAFKA-17641.
    #[test]
    fn servers_that_name_a_dead_leader_to_each_other_elect_another() {
        check("named and dead", 2_400, 3_200, |seed| {
            let mut cluster = Cluster::new(3, seed);
            cluster.vanishes(0);
            for server in [1, 2] {
                cluster.named(server, LeaderEpoch(3), 0);
            }
            cluster.until(10_000, |it| it.leader(&[]).is_some())
        });
    }
}
