//! Lanes on connections: frames go as bytes through the real encoder and decoder, cut anywhere.
//!
//! A connection has two ends, each of which is a lane of some shard. The accepting end belongs to a server only, until its
//! first frame, the Hello, has named the shard: that is what the server's listener does. The wires know no fault: the net
//! does.

use std::collections::BTreeMap;

use bytes::Bytes;
use ringmain::base::{LaneId, ShardId};
use ringmain::peer::limits::FrameLimits;
use ringmain::peer::{self, Frame, Message, Step};

use crate::net::{At, ConnectionId, Side};

/// The largest batch that a lane takes.
const BATCH_BYTES_MAX: u32 = 1 << 20;

/// A shard's lane, in one life of its server.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct LaneEnd {
    pub server: At,
    pub shard: ShardId,
    pub lane: LaneId,
}

/// What has come in at an end.
#[derive(Debug)]
pub enum Came {
    /// A peer has dialled: the first frame at an accepting end.
    Hello(LaneEnd, Box<peer::Hello>),
    Frame(LaneEnd, Box<Frame>),
    /// What came is no Hello, or for a shard that the server does not have.
    Strange,
}

#[derive(Debug)]
struct End {
    server: At,
    /// Whose lane it is, once that is known.
    lane: Option<LaneEnd>,
    /// Bytes of a frame that has not come whole.
    begun: Vec<u8>,
    /// A frame has come.
    is_greeted: bool,
}

#[derive(Debug, Default)]
pub struct Wires {
    ends: BTreeMap<(ConnectionId, Side), End>,
    of: BTreeMap<LaneEnd, (ConnectionId, Side)>,
    accepted: u64,
    pub frames: u64,
}

impl Wires {
    /// A dial of a lane has ended well.
    pub fn opened(&mut self, connection: ConnectionId, dialler: LaneEnd, acceptor: At) {
        let end = |server, lane| End { server, lane, begun: Vec::new(), is_greeted: false };
        self.ends.insert((connection, Side::Dialler), end(dialler.server, Some(dialler)));
        self.ends.insert((connection, Side::Acceptor), end(acceptor, None));
        self.of.insert(dialler, (connection, Side::Dialler));
    }

    /// The connection of a lane and its end; `None` if it is over.
    pub fn connection_of(&self, lane: LaneEnd) -> Option<(ConnectionId, Side)> {
        self.of.get(&lane).copied()
    }

    /// The server of an end; `None` for one that is over.
    pub fn server_of(&self, connection: ConnectionId, side: Side) -> Option<At> {
        Some(self.ends.get(&(connection, side))?.server)
    }

    /// Bytes have come in at an end.
    pub fn feed(&mut self, connection: ConnectionId, side: Side, bytes: Vec<u8>, shards: u16) -> Vec<Came> {
        let Some(end) = self.ends.get_mut(&(connection, side)) else { return Vec::new() };
        let mut came = Vec::new();
        for frame in end.take(bytes) {
            self.frames += 1;
            match (end.lane, frame.message) {
                (Some(lane), message) => came.push(Came::Frame(lane, Box::new(Frame { message, ..frame }))),
                (None, Message::Hello(hello)) if hello.to_shard.0 < shards => {
                    self.accepted += 1;
                    let lane = LaneId::Accepted(self.accepted);
                    let lane = LaneEnd { server: end.server, shard: hello.to_shard, lane };
                    end.lane = Some(lane);
                    self.of.insert(lane, (connection, side));
                    came.push(Came::Hello(lane, Box::new(hello)));
                }
                (None, _) => {
                    came.push(Came::Strange);
                    return came;
                }
            }
        }
        came
    }

    /// An end is over: whose lane it was.
    pub fn over(&mut self, connection: ConnectionId, side: Side) -> Option<LaneEnd> {
        let lane = self.ends.remove(&(connection, side))?.lane?;
        self.of.remove(&lane);
        Some(lane)
    }

    /// A process has ended, with all its lanes.
    pub fn forget(&mut self, server: At) {
        self.ends.retain(|_, end| end.server != server);
        self.of.retain(|lane, _| lane.server != server);
    }
}

impl End {
    /// The frames that are whole now.
    fn take(&mut self, bytes: Vec<u8>) -> Vec<Frame> {
        let mut rest: Bytes = if self.begun.is_empty() {
            bytes.into()
        } else {
            self.begun.extend_from_slice(&bytes);
            std::mem::take(&mut self.begun).into()
        };
        let mut frames = Vec::new();
        loop {
            let accepted = FrameLimits::Accepted { batch_bytes_max: BATCH_BYTES_MAX };
            let limits = if self.is_greeted { accepted } else { FrameLimits::Greeting };
            match peer::decode(&rest, &limits) {
                Ok(Step::Frame { frame, taken }) => {
                    self.is_greeted = true;
                    rest = rest.slice(taken..);
                    frames.push(frame);
                }
                Ok(Step::Need(_)) => break,
                Err(error) => panic!("a server says what no peer understands: {error}"),
            }
        }
        self.begun = rest.to_vec();
        frames
    }
}

#[cfg(test)]
mod tests {
    use ringmain::base::{BrokerEpoch, DirectoryId, IncarnationId, ServerId, VoterId};
    use ringmain::peer::{Ack, Hello, LaneKind};

    use super::*;

    fn hello(to_shard: u16) -> Bytes {
        let hello = Hello {
            protocol_min: 1,
            protocol_max: 1,
            cluster: "c".into(),
            server: ServerId(1),
            directory: DirectoryId([1; 16]),
            incarnation: IncarnationId([2; 16]),
            voter: VoterId([3; 16]),
            broker_epoch: BrokerEpoch(-1),
            shard: ShardId(0),
            shards: 1,
            to_server: ServerId(2),
            to_shard: ShardId(to_shard),
            kind: LaneKind::Data,
            window: 1,
            quorum_epoch: 0,
            quorum_leader: None,
            proof: Bytes::new(),
        };
        peer::encode(&Message::Hello(hello), 0)
    }

    #[test]
    fn an_accepted_end_belongs_to_the_shard_that_the_hello_names() {
        let mut wires = Wires::default();
        let dialler = LaneEnd { server: 0, shard: ShardId(0), lane: LaneId::Dialled(1) };
        let connection = ConnectionId(7);
        wires.opened(connection, dialler, 1);
        let ack = peer::encode(&Message::Ack(Ack { acked: Vec::new(), credit: 5 }), 0);
        let all = [hello(1), ack.clone(), ack].concat();
        // Cut anywhere.
        let mut came = Vec::new();
        for piece in all.chunks(23) {
            came.extend(wires.feed(connection, Side::Acceptor, piece.to_vec(), 2));
        }
        let lane = LaneEnd { server: 1, shard: ShardId(1), lane: LaneId::Accepted(1) };
        assert!(matches!(&came[..], [Came::Hello(a, _), Came::Frame(b, _), Came::Frame(c, _)]
            if [a, b, c].into_iter().all(|it| *it == lane)));
        assert_eq!(wires.connection_of(lane), Some((connection, Side::Acceptor)));
        assert_eq!(wires.over(connection, Side::Dialler), Some(dialler));
        wires.forget(1);
        assert_eq!((wires.connection_of(lane), wires.connection_of(dialler)), (None, None));
    }

    #[test]
    fn a_shard_that_is_not_there_takes_no_lane() {
        let mut wires = Wires::default();
        let dialler = LaneEnd { server: 0, shard: ShardId(0), lane: LaneId::Dialled(1) };
        wires.opened(ConnectionId(7), dialler, 1);
        let came = wires.feed(ConnectionId(7), Side::Acceptor, hello(2).to_vec(), 2);
        assert!(matches!(came[..], [Came::Strange]));
    }
}
