//! The connections of one shard: begins to serve them, knows those that are alive, and lets go those that should not stay.
//!
//! Owns no connection: its reader, its writer and its requests in progress do, and the last of them ends it. Which
//! connections are let go is decided in [`super::overload`].

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::RawFd;
use std::rc::{Rc, Weak};
use std::time::Duration;

use bytes::BytesMut;
use glommio::net::TcpStream;

use crate::api::ConnectionState;
use crate::base::metrics::Metric;
use crate::shard::Shard;

use super::admission::Admissions;
use super::connection::Connection;
use super::holdings::Holdings;
use super::moving::Moving;
use super::overload::{Fate, Shortage, Standing};
use super::reader::{Reader, Steering};
use super::requests::Requests;
use super::services::Services;
use super::writer;

/// How often connections are looked over for idle and stuck ones.
const SWEEP: Duration = Duration::from_secs(1);

pub(super) struct Registry {
    services: Rc<Services>,
    requests: Rc<Requests>,
    admissions: Rc<Admissions>,
    /// Connections by their descriptor. Entries of closed connections stay until the next sweep, or until the descriptor is used
    /// again.
    connections: RefCell<HashMap<RawFd, Weak<Connection>>>,
}

pub(super) static METRICS: [Metric<Registry>; 1] =
    [Metric::gauge("ringmain_connections", "Open connections.", |it| it.open() as u64)];

impl Registry {
    pub(super) fn new(services: &Rc<Services>, requests: &Rc<Requests>) -> Registry {
        Registry {
            services: Rc::clone(services),
            requests: Rc::clone(requests),
            admissions: Rc::default(),
            connections: RefCell::default(),
        }
    }

    /// Connections that are open.
    pub(super) fn open(&self) -> usize {
        self.admissions.open()
    }

    pub(super) fn open_from(&self, address: IpAddr) -> u32 {
        self.admissions.open_from(address)
    }

    /// Begins serving a socket that was accepted.
    pub(super) fn accept(&self, stream: TcpStream, peer: SocketAddr, state: ConnectionState) {
        self.serve(stream, peer, state, BytesMut::new(), Steering::Open);
    }

    /// Goes on serving a connection that another shard has sent here.
    pub(super) fn arrive(&self, moving: Moving) {
        let (stream, peer, state, unread) = moving.arrive();
        self.serve(stream, peer, state, unread, Steering::Done);
    }

    fn serve(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        state: ConnectionState,
        unread: BytesMut,
        steering: Steering,
    ) {
        let (services, requests) = (&self.services, &self.requests);
        let (holdings, admitted) = (Holdings::of(&services.pools), self.admissions.admit(peer.ip()));
        let connection = Connection::new(services.host.clock, stream, peer, state, holdings, admitted);
        self.connections.borrow_mut().insert(connection.descriptor, Rc::downgrade(&connection));
        glommio::spawn_local(writer::write_answers(Rc::clone(services), Rc::clone(&connection))).detach();
        let reader = Reader::new(services, requests, connection, unread, steering);
        glommio::spawn_local(reader.read_requests()).detach();
    }

    pub(super) fn alive(&self) -> Vec<Rc<Connection>> {
        self.connections.borrow().values().filter_map(Weak::upgrade).collect()
    }

    /// Closes connections that have been silent for too long, or that hold memory and do not move.
    pub(super) async fn sweep(self: Rc<Self>) {
        loop {
            glommio::timer::sleep(SWEEP).await;
            self.connections.borrow_mut().retain(|_, it| it.strong_count() > 0);
            // Changed settings reach shards that nobody asks anything.
            drop(self.services.config());
            let (now, shortage) = (self.services.host.clock.mono(), self.shortage());
            for connection in self.alive() {
                self.judge(&connection, &connection.standing(now), &shortage);
            }
        }
    }

    fn shortage(&self) -> Shortage {
        let Services { host, pools, settings, .. } = &*self.services;
        Shortage {
            idle_ms_max: settings.at_start().connections.idle_ms,
            pools: !pools.frames.has_room() || !pools.answers.has_room(),
            reads: host.with_shard(Shard::reads_wait_for_memory),
        }
    }

    fn judge(&self, connection: &Connection, standing: &Standing, shortage: &Shortage) {
        match shortage.judge(standing) {
            Fate::Stays => return,
            Fate::Idle => {}
            Fate::Stuck => {
                let Standing { held_bytes, .. } = standing;
                tracing::warn!(peer = %connection.peer, held_bytes, "the peer does not take its answers, or send the rest of its request; connection closed");
            }
        }
        self.services.counters.network.borrow_mut().connections_idle_closed += 1;
        connection.close();
    }
}
