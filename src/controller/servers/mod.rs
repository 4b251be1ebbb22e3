//! What this controller hears of servers, as long as it leads: sessions, lanes, heartbeats. Nothing of it is in the log.
//!
//! A server is taken for gone when its session ends, when nobody listens at its address any more, or when nobody answers there
//! within `ringmain.fence.closed.ms` after its lane was closed. The last one does not count while more than half of all servers
//! are out of reach, for then the trouble is this controller's own.
//!
//! A new controller has heard nobody yet: it *gathers* until it has a lane of each server, a refusal, or no answer, and settles
//! what it finds as one set. So whoever was lost together is taken out of an ISR together. Knows no partitions and decides no
//! records.

mod judge;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use crate::base::{MonoNanos, Offset, ServerId, mark};

use super::replicas::Reach;

pub(super) use judge::incarnation;
pub use words::{
    AlterIsr, ControllerOutput, DAMAGED_MAX, Damage, Dialled, Heartbeat, HeartbeatAnswer, HeartbeatError,
    IsrAsked, IsrOutcome, Join, RegisterError, Registered, Registration, Replace, Wants,
};
pub(super) use words::{SERVER_ID_MAX, SHARDS_MAX};

/// Registrations that may wait for the end of gathering.
const WAITING_MAX: usize = 1000;
/// A controller that comes this much later than it wanted has slept, and heard nobody meanwhile.
const LATE_MS: u64 = 500;

/// How long the controller waits for servers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Patience {
    /// `broker.session.timeout.ms`
    pub session_ms: u64,
    /// `ringmain.fence.closed.ms`
    pub closed_ms: u64,
}

/// Servers as this controller hears them.
#[derive(Clone, Debug)]
pub(super) struct Servers {
    patience: Patience,
    /// The server that the controller is part of: it is heard as long as anything is decided.
    own: ServerId,
    contacts: BTreeMap<ServerId, Contact>,
    /// Gathering lasts until then at most; `None` when it is over.
    gathering: Option<MonoNanos>,
    /// Registrations that came while gathering, one of each server.
    waiting: BTreeMap<ServerId, Registration>,
    ticked: MonoNanos,
}

/// One server that is registered and not fenced, or wants to be unfenced.
#[derive(Clone, Copy, Debug)]
struct Contact {
    session_until: MonoNanos,
    lane: Lane,
    /// Another life of this server has a lane: the registered one is gone as soon as its own is closed.
    succeeded: bool,
    /// What it said last.
    heard: Heard,
    since: MonoNanos,
}

/// The lane of the registered life of a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Lane {
    Open,
    /// Dialled; without an answer until then it is silent.
    Closed(MonoNanos),
    /// Somebody answered: the lane will be there again.
    Answered,
    /// Nobody listens any more.
    Refused,
    Silent,
}

/// What a server has said of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Heard {
    pub applied: Offset,
    pub flushed: Offset,
    pub sequence: u64,
    pub slow_sync: bool,
    pub wants: Wants,
}

impl Heard {
    const NOTHING: Heard =
        Heard { applied: Offset(0), flushed: Offset(0), sequence: 0, slow_sync: false, wants: Wants::Serve };
}

impl Servers {
    pub fn new(own: ServerId, patience: Patience) -> Servers {
        let (contacts, waiting) = (BTreeMap::new(), BTreeMap::new());
        Servers { patience, own, contacts, gathering: None, waiting, ticked: MonoNanos(0) }
    }

    /// An account without any server, for a new term.
    pub fn emptied(&self) -> Servers {
        Servers::new(self.own, self.patience)
    }

    /// Begins anew with these servers: each has a fresh session, and those without a lane are to be dialled.
    pub fn gather(&mut self, unfenced: impl Iterator<Item = ServerId>, now: MonoNanos) -> Vec<ServerId> {
        let mut dial = Vec::new();
        for server in unfenced {
            let before = self.contacts.get(&server).copied();
            let is_open = server == self.own || before.is_some_and(|it| it.lane == Lane::Open);
            if !is_open {
                dial.push(server);
            }
            let lane = if is_open { Lane::Open } else { self.closed(now) };
            let heard = before.map_or(Heard::NOTHING, |it| it.heard);
            let succeeded = before.is_some_and(|it| it.succeeded);
            self.contacts.insert(server, Contact { heard, succeeded, ..self.contact(lane, now) });
        }
        self.gathering = Some(now.plus_ms(self.patience.closed_ms));
        self.ticked = now;
        dial
    }

    pub fn is_gathering(&self) -> bool {
        self.gathering.is_some()
    }

    /// Ends gathering when each server has a lane or is known to have none; says whether it has just ended.
    pub fn gathered(&mut self, now: MonoNanos) -> bool {
        let Some(until) = self.gathering else { return false };
        let is_open_question = |it: &Contact| matches!(it.lane, Lane::Closed(_) | Lane::Answered);
        if now < until && self.contacts.values().any(is_open_question) {
            return false;
        }
        self.gathering = None;
        true
    }

    /// A registration waits for the end of gathering.
    ///
    /// # Errors
    /// When too many do.
    pub fn wait(&mut self, registration: &Registration) -> Result<(), RegisterError> {
        let is_known = self.waiting.contains_key(&registration.server);
        if !is_known && self.waiting.len() >= WAITING_MAX {
            return Err(RegisterError::TooMany);
        }
        self.waiting.insert(registration.server, registration.clone());
        Ok(())
    }

    pub fn take_waiting(&mut self) -> Vec<Registration> {
        std::mem::take(&mut self.waiting).into_values().collect()
    }

    /// A server has registered: this life of it has a lane, and has said nothing yet.
    pub fn registered(&mut self, server: ServerId, now: MonoNanos) {
        self.contacts.insert(server, self.contact(Lane::Open, now));
    }

    /// A server may be unfenced, or has just become it.
    pub fn unfenced(&mut self, server: ServerId, now: MonoNanos) {
        if let Some(contact) = self.contacts.get_mut(&server) {
            contact.since = now;
        }
    }

    pub fn heard(&mut self, beat: &Heartbeat, now: MonoNanos) {
        let fresh = self.contact(Lane::Open, now);
        let session_until = now.plus_ms(self.patience.session_ms);
        let contact = self.contacts.entry(beat.server).or_insert(fresh);
        contact.session_until = session_until;
        // Whoever is heard has a lane, whatever became of an earlier one.
        (contact.lane, contact.succeeded) = (Lane::Open, false);
        contact.heard = Heard {
            applied: beat.applied,
            flushed: beat.flushed,
            sequence: beat.sequence.max(contact.heard.sequence),
            slow_sync: beat.slow_sync,
            wants: beat.wants,
        };
    }

    /// What a server has said since this controller leads.
    pub fn said(&self, server: ServerId) -> Heard {
        self.contacts.get(&server).map_or(Heard::NOTHING, |contact| contact.heard)
    }

    /// Since when a server is known to be unfenced.
    pub fn since(&self, server: ServerId) -> Option<MonoNanos> {
        self.contacts.get(&server).map(|contact| contact.since)
    }

    pub fn lane_opened(&mut self, server: ServerId, is_registered: bool, now: MonoNanos) {
        let fresh = self.contact(Lane::Open, now);
        match self.contacts.get_mut(&server) {
            Some(contact) if is_registered => (contact.lane, contact.succeeded) = (Lane::Open, false),
            None if is_registered => drop(self.contacts.insert(server, fresh)),
            Some(contact) if contact.lane == Lane::Open => contact.succeeded = true,
            Some(contact) => contact.lane = Lane::Refused,
            None => {}
        }
    }

    /// Says whether the server is to be dialled.
    pub fn lane_closed(&mut self, server: ServerId, now: MonoNanos) -> bool {
        let closed = self.closed(now);
        match self.contacts.get_mut(&server) {
            Some(contact) if contact.lane == Lane::Open && server != self.own => {
                contact.lane = if contact.succeeded { Lane::Refused } else { closed };
                !contact.succeeded
            }
            _ => false,
        }
    }

    pub fn dialled(&mut self, server: ServerId, lane: Answered) {
        if let Some(contact) = self.contacts.get_mut(&server).filter(|it| it.lane != Lane::Open) {
            contact.lane = match lane {
                Answered::Registered => Lane::Answered,
                Answered::Silent => Lane::Silent,
                Answered::Nobody => Lane::Refused,
            };
        }
    }

    /// A server is removed.
    pub fn forget(&mut self, server: ServerId) {
        self.contacts.remove(&server);
        self.waiting.remove(&server);
    }

    pub fn reach(&self, server: ServerId) -> Reach {
        let contact = self.contacts.get(&server);
        let is_open = contact.is_some_and(|it| it.lane == Lane::Open && !it.succeeded);
        let is_followed = self.waiting.contains_key(&server);
        if server == self.own || is_open && !is_followed { Reach::Open } else { Reach::Silent }
    }

    /// Which of the servers that are not fenced have to be.
    pub fn gone(&mut self, unfenced: &BTreeSet<ServerId>, now: MonoNanos) -> BTreeSet<ServerId> {
        self.forgive_sleep(now);
        for contact in self.contacts.values_mut() {
            if matches!(contact.lane, Lane::Closed(until) if now >= until) {
                contact.lane = Lane::Silent;
            }
        }
        let lane = |server: &ServerId| self.contacts.get(server).map_or(Lane::Silent, |it| it.lane);
        // Whoever registers is there, though its last life is not.
        let is_out = |server: &&ServerId| {
            let has_none = matches!(lane(server), Lane::Closed(_) | Lane::Silent | Lane::Refused);
            **server != self.own && has_none && !self.waiting.contains_key(server)
        };
        let most_are_out = unfenced.iter().filter(is_out).count() * 2 > unfenced.len();
        let is_over = |server: &ServerId| self.contacts.get(server).is_none_or(|it| now >= it.session_until);
        let is_gone = |server: &&ServerId| {
            let silent = lane(server) == Lane::Silent;
            if silent && most_are_out {
                mark("most servers are out of reach: silence alone fences nobody");
            }
            let gone = is_over(server) || lane(server) == Lane::Refused || silent && !most_are_out;
            **server != self.own && gone
        };
        let gone = unfenced.iter().filter(is_gone).copied().collect();
        for (server, contact) in &mut self.contacts {
            // Nothing ends with the session of a server that is fenced.
            if now >= contact.session_until && !unfenced.contains(server) {
                contact.session_until = MonoNanos::NEVER;
            }
        }
        gone
    }

    /// A server is fenced: its session is over, and what it said before does not bring it back.
    pub fn fenced(&mut self, server: ServerId) {
        if let Some(contact) = self.contacts.get_mut(&server) {
            contact.session_until = MonoNanos::NEVER;
            (contact.heard.applied, contact.heard.flushed) = (Offset(0), Offset(0));
        }
    }

    /// What was sent while the controller slept may not have been read yet: sessions go on by as much.
    fn forgive_sleep(&mut self, now: MonoNanos) {
        let due = self.deadline().max(self.ticked);
        let late = now.since(due) / 1_000_000;
        if due != MonoNanos::NEVER && late > LATE_MS {
            mark("the controller slept, and sessions go on by as much");
            for contact in self.contacts.values_mut() {
                contact.session_until = contact.session_until.plus_ms(late + LATE_MS);
            }
        }
        self.ticked = now;
    }

    /// When [`Servers::gone`] or [`Servers::gathered`] may next say something else.
    pub fn deadline(&self) -> MonoNanos {
        let of = |(server, contact): (&ServerId, &Contact)| {
            let lane = match contact.lane {
                Lane::Closed(until) => until,
                Lane::Open | Lane::Answered | Lane::Refused | Lane::Silent => MonoNanos::NEVER,
            };
            let session = if *server == self.own { MonoNanos::NEVER } else { contact.session_until };
            lane.min(session)
        };
        let contacts = self.contacts.iter().map(of).min().unwrap_or(MonoNanos::NEVER);
        contacts.min(self.gathering.unwrap_or(MonoNanos::NEVER))
    }

    pub fn lease_ms(&self) -> u64 {
        self.patience.session_ms
    }

    fn closed(&self, now: MonoNanos) -> Lane {
        Lane::Closed(now.plus_ms(self.patience.closed_ms))
    }

    fn contact(&self, lane: Lane, now: MonoNanos) -> Contact {
        let session_until = now.plus_ms(self.patience.session_ms);
        Contact { session_until, lane, succeeded: false, heard: Heard::NOTHING, since: now }
    }
}

/// Who answers at a server's address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answered {
    /// The life that is registered.
    Registered,
    /// Another life, or nobody: the registered one is gone.
    Nobody,
    Silent,
}
