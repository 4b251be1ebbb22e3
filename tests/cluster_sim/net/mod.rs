//! Connections between servers: two queues of bytes each, with delays and all that can go wrong on the way.
//!
//! Bytes of one direction arrive in their order, whole or not at all, cut into pieces anywhere. A direction between two
//! servers may be blocked: what is sent waits, as what the kernel sends again waits for a path; when it is unblocked, the
//! bytes arrive, or the connection is reset in the middle of them. The end of a process closes its connections; the end of
//! its host says nothing, and whoever sends to it learns of it when the host is back. It knows no frames and no lanes.
//!
//! Every call may make something arrive later: [`Net::take_due`] says when, and [`Net::arrive`] is to be called then.

mod link;
mod pipe;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use ringmain::base::rng::Rng;

use link::Link;
pub use link::LinkSpeed;
use pipe::Pipe;

use crate::queue::{Instant, Span};

/// Which server, counted from 0.
pub type At = usize;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnectionId(pub u32);

/// An end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Side {
    Dialler,
    Acceptor,
}

impl Side {
    pub fn other(self) -> Side {
        match self {
            Side::Dialler => Side::Acceptor,
            Side::Acceptor => Side::Dialler,
        }
    }

    fn index(self) -> usize {
        match self {
            Side::Dialler => 0,
            Side::Acceptor => 1,
        }
    }
}

/// Something arrives at an end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Due {
    pub at: Instant,
    pub connection: ConnectionId,
    pub side: Side,
}

/// What has arrived.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Arrival {
    pub bytes: Vec<u8>,
    /// Nothing comes after: the other end has closed, or the connection was reset.
    pub is_over: bool,
}

/// Whether anybody is there to take a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Host {
    Listening,
    /// The host is up, and no process listens.
    Idle,
    Off,
}

/// How a dial ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialled {
    Open,
    Refused,
    NoAnswer,
}

/// What becomes of connections through a link that is unblocked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unblocked {
    /// What was held up arrives.
    Resumed,
    /// Each of them is reset, after some of it or nothing.
    Reset,
}

/// Who waits longer for an answer to a dial gives up.
const DIAL_PATIENCE: Span = Span::ms(1000);
/// The kernel sends again what was sent to a host that was off: at the latest so long after the host is back.
const SENT_AGAIN: Span = Span::ms(1500);

#[derive(Debug)]
struct Connection {
    /// The server of each end.
    at: [At; 2],
    /// What travels to each end.
    to: [Pipe; 2],
    /// Ends whose host went off without a word.
    vanished: [bool; 2],
    /// Ends that have closed, or know that the other one has.
    over: [bool; 2],
}

impl Connection {
    /// Whether nobody is left to tell anything.
    fn is_forgotten(&self) -> bool {
        (0..2).all(|end| self.over[end] || self.vanished[end])
    }
}

#[derive(Debug)]
pub struct Net {
    servers: usize,
    /// From each server to each.
    links: Vec<Link>,
    hosts: Vec<Host>,
    connections: BTreeMap<ConnectionId, Connection>,
    opened: u32,
    due: Vec<Due>,
}

impl Net {
    pub fn new(servers: usize) -> Net {
        Net {
            servers,
            links: vec![Link::default(); servers * servers],
            hosts: vec![Host::Off; servers],
            connections: BTreeMap::new(),
            opened: 0,
            due: Vec::new(),
        }
    }

    /// What is to arrive, as found since the last call.
    pub fn take_due(&mut self) -> Vec<Due> {
        std::mem::take(&mut self.due)
    }

    // Connections

    /// How a dial will end, and when.
    pub fn dial(&self, now: Instant, from: At, to: At, rng: &mut Rng) -> (Instant, Dialled) {
        let there = &self.links[self.link(from, to)];
        let back = &self.links[self.link(to, from)];
        if there.is_blocked || back.is_blocked || self.hosts[to] == Host::Off {
            return (now.plus(DIAL_PATIENCE), Dialled::NoAnswer);
        }
        let at = now.plus(there.delay(rng)).plus(back.delay(rng));
        (at, if self.hosts[to] == Host::Listening { Dialled::Open } else { Dialled::Refused })
    }

    /// A connection whose dial has ended well.
    pub fn open(&mut self, dialler: At, acceptor: At) -> ConnectionId {
        let id = ConnectionId(self.opened);
        self.opened += 1;
        let at = [dialler, acceptor];
        let connection = Connection { at, to: Default::default(), vanished: [false; 2], over: [false; 2] };
        self.connections.insert(id, connection);
        id
    }

    /// Sends bytes from an end. Nobody hears of them if the connection is over.
    pub fn send(&mut self, now: Instant, id: ConnectionId, from: Side, bytes: Vec<u8>, rng: &mut Rng) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let (source, target) = (connection.at[from.index()], connection.at[from.other().index()]);
        if connection.over[from.index()] || connection.over[from.other().index()] {
            return;
        }
        if connection.vanished[from.other().index()] {
            if self.hosts[target] != Host::Off {
                self.refuse(now, id, from, rng);
            }
            return;
        }
        let link = &mut self.links[source * self.servers + target];
        let at = link.arrival(now, bytes.len(), rng);
        let due = connection.to[from.other().index()].push(at, bytes);
        self.note(id, from.other(), due);
    }

    /// An end closes: what it has sent arrives, and then its end. What was on the way to it is lost.
    pub fn close(&mut self, now: Instant, id: ConnectionId, from: Side, rng: &mut Rng) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let (source, target) = (connection.at[from.index()], connection.at[from.other().index()]);
        let at = self.links[source * self.servers + target].arrival(now, 0, rng);
        connection.to[from.index()] = Pipe::default();
        connection.over[from.index()] = true;
        if connection.is_forgotten() {
            self.connections.remove(&id);
            return;
        }
        let due = connection.to[from.other().index()].end(at);
        self.note(id, from.other(), due);
    }

    /// Resets a connection: each end gets some part of what was on its way, cut anywhere.
    pub fn reset(&mut self, now: Instant, id: ConnectionId, rng: &mut Rng) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let mut dues = Vec::new();
        for side in [Side::Dialler, Side::Acceptor] {
            let (source, target) = (connection.at[side.other().index()], connection.at[side.index()]);
            let at = self.links[source * self.servers + target].arrival(now, 0, rng);
            let pipe = &mut connection.to[side.index()];
            pipe.lose_some(rng);
            dues.push((side, pipe.end(at)));
        }
        for (side, due) in dues {
            self.note(id, side, due);
        }
    }

    /// All that has arrived by now, or a part of it: the rest comes at once.
    pub fn arrive(&mut self, now: Instant, id: ConnectionId, side: Side, rng: &mut Rng) -> Arrival {
        let Some(connection) = self.connections.get_mut(&id) else { return Arrival::default() };
        let (arrival, due) = connection.to[side.index()].arrive(now, rng);
        connection.over[side.index()] |= arrival.is_over;
        if connection.is_forgotten() {
            self.connections.remove(&id);
        }
        self.note(id, side, due);
        arrival
    }

    /// Connections between two servers, whoever dialled.
    pub fn between(&self, one: At, other: At) -> Vec<ConnectionId> {
        let joins = |it: &Connection| it.at == [one, other] || it.at == [other, one];
        self.connections.iter().filter(|(_, it)| joins(it)).map(|(id, _)| *id).collect()
    }

    // Hosts

    pub fn set_host(&mut self, at: At, host: Host) {
        self.hosts[at] = host;
    }

    /// The process at a server has ended, and the kernel closes its connections.
    pub fn close_all(&mut self, now: Instant, at: At, rng: &mut Rng) {
        for (id, side) in self.ends_at(at) {
            self.close(now, id, side, rng);
        }
    }

    /// The host has gone off: nobody is told anything.
    pub fn vanish(&mut self, at: At) {
        self.hosts[at] = Host::Off;
        for (id, side) in self.ends_at(at) {
            let connection = self.connections.get_mut(&id).expect("it was just found");
            connection.vanished[side.index()] = true;
            connection.to[side.index()].lose_all();
            if connection.is_forgotten() {
                self.connections.remove(&id);
            }
        }
    }

    /// The host is there again: whoever has sent to it meanwhile learns that it knows no connection.
    pub fn appear(&mut self, now: Instant, at: At, rng: &mut Rng) {
        self.hosts[at] = Host::Idle;
        for (id, side) in self.ends_at(at) {
            let again = now.plus(Span(rng.below(SENT_AGAIN.0)));
            self.refuse(again, id, side.other(), rng);
        }
    }

    pub fn is(&self, at: At, host: Host) -> bool {
        self.hosts[at] == host
    }

    // Links

    pub fn block(&mut self, from: At, to: At) {
        let link = self.link(from, to);
        self.links[link].is_blocked = true;
    }

    pub fn is_blocked(&self, from: At, to: At) -> bool {
        self.links[self.link(from, to)].is_blocked
    }

    pub fn unblock(&mut self, now: Instant, from: At, to: At, fate: Unblocked, rng: &mut Rng) {
        let link = self.link(from, to);
        if !std::mem::replace(&mut self.links[link].is_blocked, false) {
            return;
        }
        for id in self.between(from, to) {
            if fate == Unblocked::Reset {
                self.reset(now, id, rng);
            }
            let connection = self.connections.get_mut(&id).expect("it was just found");
            let side = if connection.at[0] == to { Side::Dialler } else { Side::Acceptor };
            let at = self.links[link].arrival(now, 0, rng);
            let due = connection.to[side.index()].release(at);
            self.note(id, side, due);
        }
    }

    pub fn set_speed(&mut self, from: At, to: At, speed: LinkSpeed) {
        let link = self.link(from, to);
        self.links[link].speed = speed;
    }

    /// Whether a message could travel now, for those who do not send bytes.
    pub fn passes(&self, from: At, to: At) -> bool {
        !self.is_blocked(from, to) && self.hosts[to] != Host::Off
    }

    fn link(&self, from: At, to: At) -> usize {
        from * self.servers + to
    }

    fn ends_at(&self, at: At) -> Vec<(ConnectionId, Side)> {
        let mut found = Vec::new();
        for (id, connection) in &self.connections {
            for side in [Side::Dialler, Side::Acceptor] {
                if connection.at[side.index()] == at {
                    found.push((*id, side));
                }
            }
        }
        found
    }

    /// Tells an end that the other one does not know the connection.
    fn refuse(&mut self, now: Instant, id: ConnectionId, end: Side, rng: &mut Rng) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let (source, target) = (connection.at[end.other().index()], connection.at[end.index()]);
        let at = self.links[source * self.servers + target].arrival(now, 0, rng);
        let due = connection.to[end.index()].end(at);
        self.note(id, end, due);
    }

    fn note(&mut self, connection: ConnectionId, side: Side, due: Option<Instant>) {
        self.due.extend(due.map(|at| Due { at, connection, side }));
    }
}
