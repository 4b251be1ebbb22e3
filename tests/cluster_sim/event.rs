//! Everything that happens at its time.

use std::sync::Arc;

use ringmain::base::rng::Rng;
use ringmain::base::{LaneId, ShardId};
use ringmain::controller::Published;
use ringmain::shard::{IoId, Note};

use crate::clients::{Answered, Asked, ClientId};
use crate::net::{At, Dialled, Due};
use crate::queue::{Instant, Queue};

/// One shard in one life of its server. What is meant for a life that is over happens to nobody.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    pub server: At,
    pub life: u32,
    pub shard: ShardId,
}

#[derive(Debug)]
pub enum Event {
    /// A shard's turn, if it still wants it at this time.
    Turn {
        place: Place,
        at: Instant,
    },
    IoDone {
        place: Place,
        id: IoId,
    },
    /// A new image reaches a shard.
    Image {
        place: Place,
        published: Arc<Published>,
    },
    /// Shard 0 hears that a shard serves an image.
    Applied {
        place: Place,
        by: ShardId,
        version: i64,
    },
    /// A shard is told something by another one of its server.
    Told {
        place: Place,
        from: ShardId,
        note: Box<Note>,
    },
    /// A dial ends.
    Dialled {
        place: Place,
        lane: LaneId,
        to: At,
        outcome: Dialled,
    },
    /// A server begins its next life, unless it has begun one meanwhile.
    Boot {
        server: At,
        life: u32,
    },
    /// A server that was paused goes on.
    Resume {
        server: At,
        life: u32,
    },
    /// Bytes reach an end of a connection between servers.
    Arrives(Due),
    /// A client's question reaches a server.
    Asked(Box<Asked>),
    /// An answer, or the lack of one, reaches a client.
    Answered(Box<Answered>),
    /// A client's time has come, if it still waits for this.
    Client {
        client: ClientId,
        at: Instant,
    },
    /// The nemesis does its next deed, or undoes one.
    Nemesis(crate::nemesis::Deed),
    /// The checks look at everything.
    Look,
}

/// What every actor works with.
pub struct Stage<'a> {
    pub queue: &'a mut Queue<Event>,
    pub rng: &'a mut Rng,
}

impl Stage<'_> {
    pub fn now(&self) -> Instant {
        self.queue.now()
    }
}
