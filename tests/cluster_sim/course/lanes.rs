//! Lanes between servers: dials, frames and their ends, as servers and the network have them.

use ringmain::base::{LaneId, ShardId};
use ringmain::shard::DialError;

use super::Course;
use crate::event::{Event, Place};
use crate::net::{At, Dialled, Due, Host};
use crate::server::State;
use crate::wires::{Came, LaneEnd};

impl Course {
    pub(super) fn dial(&mut self, server: At, shard: ShardId, lane: LaneId, to: At) {
        let (at, outcome) = self.net.dial(self.queue.now(), server, to, &mut self.rng);
        let place = Place { server, life: self.servers[server].life(), shard };
        self.queue.at(at, Event::Dialled { place, lane, to, outcome });
    }

    pub(super) fn dialled(&mut self, place: Place, lane: LaneId, to: At, outcome: Dialled) {
        let Place { server, life, shard } = place;
        let it = &mut self.servers[server];
        match it.state() {
            _ if it.life() != life => return,
            State::Down => return,
            State::Paused => return it.hold(Event::Dialled { place, lane, to, outcome }),
            State::Up => {}
        }
        // Whoever listened when the dial began may be gone.
        let outcome = match outcome {
            Dialled::Open if !self.net.is(to, Host::Listening) => Dialled::Refused,
            outcome => outcome,
        };
        self.note(&[11, server as u64, to as u64, outcome as u64]);
        let told = match outcome {
            Dialled::Open => {
                let connection = self.net.open(server, to);
                self.wires.opened(connection, LaneEnd { server, shard, lane }, to);
                Ok(())
            }
            Dialled::Refused => Err(DialError::Refused),
            Dialled::NoAnswer => Err(DialError::NoAnswer),
        };
        self.on(server, |it, stage| {
            it.lane(shard, stage, |it, now, effects| it.dialled(now, lane, told, effects));
        });
    }

    pub(super) fn send(&mut self, lane: LaneEnd, bytes: Vec<u8>) {
        let Some((connection, side)) = self.wires.connection_of(lane) else { return };
        self.net.send(self.queue.now(), connection, side, bytes, &mut self.rng);
        self.queue_arrivals();
    }

    pub(super) fn hang(&mut self, lane: LaneEnd) {
        let Some((connection, side)) = self.wires.connection_of(lane) else { return };
        self.wires.over(connection, side);
        self.net.close(self.queue.now(), connection, side, &mut self.rng);
        self.queue_arrivals();
    }

    /// Bytes reach an end of a connection.
    pub(super) fn arrives(&mut self, due: Due) {
        let Due { connection, side, .. } = due;
        let Some(server) = self.wires.server_of(connection, side) else { return };
        if self.servers[server].state() == State::Paused {
            return self.servers[server].hold(Event::Arrives(due));
        }
        let arrival = self.net.arrive(self.queue.now(), connection, side, &mut self.rng);
        self.queue_arrivals();
        self.note(&[12, server as u64, arrival.bytes.len() as u64, u64::from(arrival.is_over)]);
        let shards = u16::try_from(self.servers[server].shard_ids().count()).unwrap();
        let came = self.wires.feed(connection, side, arrival.bytes, shards);
        for came in came {
            self.came(server, came);
        }
        if arrival.is_over
            && let Some(LaneEnd { shard, lane, .. }) = self.wires.over(connection, side)
        {
            self.on(server, |it, stage| {
                it.lane(shard, stage, |it, now, effects| it.lane_closed(now, lane, effects));
            });
        }
    }

    fn came(&mut self, server: At, came: Came) {
        match came {
            Came::Hello(LaneEnd { shard, lane, .. }, hello) => {
                self.say(|| format!("server {server} shard {shard} is greeted by {hello:?}"));
                self.on(server, |it, stage| {
                    it.lane(shard, stage, |it, now, effects| it.accepted(now, lane, &hello, effects));
                });
            }
            Came::Frame(LaneEnd { shard, lane, .. }, frame) => {
                self.say(|| format!("server {server} shard {shard} {lane}: {:?}", frame.message));
                self.on(server, |it, stage| {
                    it.lane(shard, stage, |it, now, effects| it.frame(now, lane, *frame, effects));
                });
            }
            // As the listener does with whoever speaks another language.
            Came::Strange => {}
        }
    }

    /// Queues what the network has found to arrive.
    pub(super) fn queue_arrivals(&mut self) {
        for due in self.net.take_due() {
            self.queue.at(due.at, Event::Arrives(due));
        }
    }
}
