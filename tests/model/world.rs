//! A small quorum: real elections, and logs that are vectors. One value is one state of the walk.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::rc::Rc;

use crate::mixer::Mixer;
use ringmain::base::{LeaderEpoch, LogEnd, MonoNanos, Offset, ServerId, Voter, VoterId};
use ringmain::quorum::{Ballot, Change, Majority, Message, Quorum, Timers, Voters, VotersLog};

/// Servers by number: bit 0 is server 0.
pub type Servers = u8;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum What {
    /// The first record of an epoch.
    Leader,
    Voters(Servers),
    /// The value is how many were decided before, as far as the leader knew.
    Decision(u8),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Entry {
    pub epoch: i32,
    pub what: What,
}

/// Time, which two equal states may differ in.
#[derive(Clone, Copy, Debug)]
pub struct Passed(pub MonoNanos);

impl Hash for Passed {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// What a leader knows.
#[derive(Clone, Hash, Debug)]
pub struct Leading {
    pub epoch: i32,
    pub majority: Majority,
    /// What each server has flushed in this epoch, as far as it said.
    pub ends: BTreeMap<usize, usize>,
}

#[derive(Clone, Copy, Hash, Debug)]
pub struct Following {
    pub epoch: i32,
    pub leader: usize,
    /// The log holds nothing that the leader's does not.
    pub agreed: bool,
}

#[derive(Clone, Hash, Debug)]
pub struct Node {
    pub quorum: Quorum,
    /// The content of meta/quorum.
    pub file: Ballot,
    /// The write of it under way.
    pub writing: Option<Ballot>,
    pub log: Vec<Entry>,
    pub flushed: usize,
    /// How much this server has shown as committed.
    pub shown: usize,
    pub leading: Option<Leading>,
    pub following: Option<Following>,
    pub now: Passed,
}

/// A message under way, to a server.
pub type Packet = (usize, Message);

/// A record that some leader had as committed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Committed {
    pub entry: Entry,
    /// The epoch of that leader.
    pub by: i32,
}

/// What may still happen.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Budget {
    /// How often a server may begin to ask for votes.
    pub elections: u8,
    pub decisions: u8,
    pub crashes: u8,
    /// Crashes that take a server's log and voter id along.
    pub losses: u8,
    /// Servers restored from a copy: ballot and voter id as they were, the log empty.
    pub restores: u8,
    pub changes: u8,
}

#[derive(Clone, Debug)]
pub struct World {
    /// Each with its fingerprint, if that is known.
    nodes: Vec<(Rc<Node>, Cell<Option<u64>>)>,
    pub packets: BTreeSet<Packet>,
    /// Who led which epoch, ever.
    pub led: BTreeMap<i32, usize>,
    pub committed: Rc<Vec<Committed>>,
    pub budget: Budget,
    /// More has failed than a quorum survives: only what each server owes by itself is checked.
    pub beyond: bool,
    /// What was wrong in the step that led here.
    pub wrong: Option<String>,
}

pub fn voter(server: usize) -> Voter {
    Voter { server: ServerId(i32::try_from(server).unwrap()), id: VoterId([1; 16]) }
}

pub fn voters(servers: Servers) -> Voters {
    Voters::new((0..8).filter(|server| servers >> server & 1 == 1).map(voter)).unwrap()
}

pub fn place(voter: Voter) -> usize {
    usize::try_from(voter.server.0).unwrap()
}

impl Node {
    pub fn new(server: usize, file: Ballot, first_voters: Servers, log: Vec<Entry>, now: Passed) -> Node {
        let mut sets = VotersLog::new(voters(first_voters));
        for (at, entry) in log.iter().enumerate() {
            if let What::Voters(servers) = entry.what {
                sets.appended(offset(at), voters(servers));
            }
        }
        let id = voter(server).server;
        let quorum = Quorum::new(id, file, sets, Timers::default(), 7, now.0);
        let flushed = log.len();
        let (writing, shown, leading, following) = (None, 0, None, None);
        Node { quorum, file, writing, log, flushed, shown, leading, following, now }
    }

    /// The end of what is flushed.
    pub fn end(&self) -> LogEnd {
        let last = self.flushed.checked_sub(1).map_or(-1, |last| self.log[last].epoch);
        LogEnd { last_epoch: LeaderEpoch(last), end: offset(self.flushed) }
    }

    pub fn now(&self) -> MonoNanos {
        self.now.0
    }

    fn fingerprint(&self) -> u64 {
        let mut hasher = Mixer::default();
        self.hash(&mut hasher);
        hasher.finish()
    }

    /// The part that the election gave it.
    pub fn takes_part(&mut self, change: Change) {
        (self.leading, self.following) = (None, None);
        if let Change::Follow { epoch, leader } = change {
            self.following = Some(Following { epoch: epoch.0, leader: place(leader), agreed: false });
        }
    }
}

pub fn offset(place: usize) -> Offset {
    Offset(i64::try_from(place).unwrap())
}

impl World {
    pub fn new(nodes: Vec<Node>, budget: Budget) -> World {
        World {
            nodes: nodes.into_iter().map(|node| (Rc::new(node), Cell::new(None))).collect(),
            packets: BTreeSet::new(),
            led: BTreeMap::new(),
            committed: Rc::new(Vec::new()),
            budget,
            beyond: false,
            wrong: None,
        }
    }

    pub fn servers(&self) -> std::ops::Range<usize> {
        0..self.nodes.len()
    }

    pub fn node(&self, server: usize) -> &Node {
        &self.nodes[server].0
    }

    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().map(|(node, _)| &**node)
    }

    /// Changes one server.
    pub fn change<T>(&mut self, server: usize, change: impl FnOnce(&mut Node) -> T) -> T {
        let (node, fingerprint) = &mut self.nodes[server];
        fingerprint.set(None);
        change(Rc::make_mut(node))
    }

    /// Equal for equal states, and with all likelihood for no others.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = Mixer::default();
        for (node, fingerprint) in &self.nodes {
            let known = fingerprint.get().unwrap_or_else(|| node.fingerprint());
            fingerprint.set(Some(known));
            known.hash(&mut hasher);
        }
        self.packets.hash(&mut hasher);
        self.led.hash(&mut hasher);
        self.committed.hash(&mut hasher);
        self.budget.hash(&mut hasher);
        hasher.finish()
    }

    pub fn goes_wrong(&mut self, what: String) {
        self.wrong.get_or_insert(what);
    }
}
