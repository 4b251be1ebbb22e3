//! One server: its shards, its disk, its clock, and the operations under way.
//!
//! A server performs whatever its shards want done, each thing at its time: operations on the disk take as long as the disk
//! is slow, shards hear of each other a little later, and a turn follows each batch of inputs, as the runtime gives them. What
//! concerns others leaves as [`Out`]. It knows nothing of clients but the number of each question, and nothing of the oracle.

mod disk_times;
mod lives;
mod membership;
mod perform;
mod settings;

use std::collections::BTreeMap;
use std::sync::Arc;

use ringmain::base::io::IoOp;
use ringmain::base::{LaneId, Now, ServerId, ShardId};
use ringmain::controller::{MetadataImage, Published};
use ringmain::shard::{Effect, IoId, RequestId, Shard, ShardReply, ShardRequest};

pub use disk_times::DiskTimes;
pub use lives::{Copy, End};
pub use membership::Membership;
pub use settings::Settings;

use crate::clock::Clock;
use crate::disk::{Disk, Fault};
use crate::event::{Event, Place, Stage};
use crate::net::At;
use crate::queue::{Instant, Span};
use lives::Left;
use ringmain::base::rng::Rng;

/// What a shard of a server has that the server does not do by itself.
#[derive(Debug)]
pub enum Out {
    Reply {
        number: u64,
        reply: ShardReply,
    },
    /// Shard 0 has a new image.
    Published(Arc<Published>),
    Dial {
        shard: ShardId,
        lane: LaneId,
        to: At,
    },
    Send {
        shard: ShardId,
        lane: LaneId,
        bytes: Vec<u8>,
    },
    Hang {
        shard: ShardId,
        lane: LaneId,
    },
    /// Something that an operator should read.
    Notice(String),
    /// Storage has failed: the process ends.
    Fatal {
        reason: String,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// No process.
    Down,
    Up,
    /// The process does nothing: all that comes waits.
    Paused,
}

/// A shard and its next turn.
struct Seat {
    shard: Shard,
    turn_at: Option<Instant>,
    /// When the last message from another shard arrives: the mesh keeps their order.
    mesh_at: Instant,
}

pub struct Server {
    pub at: At,
    pub id: ServerId,
    pub clock: Clock,
    pub disk_times: DiskTimes,
    pub settings: Settings,
    /// The next write fails, and with it the process.
    pub fails_next: bool,
    /// What needs space is refused, mostly.
    pub is_full: bool,
    /// What is free of the disk: a process that was paused hears it when it goes on.
    pub free_bytes: u64,
    /// How the directory stands to the cluster; `None` for a server that knows no others.
    pub membership: Option<Membership>,
    /// Servers there may be.
    servers: usize,
    state: State,
    life: u32,
    seats: Vec<Seat>,
    disk: Disk,
    under_way: BTreeMap<(ShardId, IoId), IoOp>,
    left: Left,
    /// What has come while the process was paused.
    held: Vec<Event>,
    out: Vec<Out>,
}

/// A turn comes within this after an input.
const TURN_PAUSE: Span = Span::micros(30);
/// A turn for a deadline comes this much later at least.
const DEADLINE_PAUSE: Span = Span::micros(100);
/// What shards of a server say to each other takes at most this.
const MESH_PAUSE: Span = Span::micros(60);

impl Server {
    /// A server with an empty disk that has not begun.
    pub fn new(
        (at, servers): (At, usize),
        settings: Settings,
        membership: Option<Membership>,
        rng: &mut Rng,
    ) -> Server {
        Server {
            at,
            id: settings.controller.server,
            clock: Clock::new(),
            disk_times: DiskTimes::default(),
            settings,
            fails_next: false,
            is_full: false,
            free_bytes: 1 << 30,
            membership,
            servers,
            state: State::Down,
            life: 0,
            seats: Vec::new(),
            disk: Disk::default(),
            under_way: BTreeMap::new(),
            left: Left::nothing(rng),
            held: Vec::new(),
            out: Vec::new(),
        }
    }

    pub fn state(&self) -> State {
        self.state
    }

    pub fn life(&self) -> u32 {
        self.life
    }

    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    /// The shards of a server that is up or paused; none else.
    pub fn shards(&self) -> impl Iterator<Item = &Shard> {
        self.seats.iter().map(|seat| &seat.shard)
    }

    pub fn shard_ids(&self) -> impl Iterator<Item = ShardId> + use<> {
        (0..u16::try_from(self.seats.len()).unwrap()).map(ShardId)
    }

    /// What a shard's connections go by.
    pub fn image(&self, shard: ShardId) -> Option<&Arc<MetadataImage>> {
        Some(self.seats.get(usize::from(shard.0))?.shard.current_image())
    }

    /// What the shards have said since the last call.
    pub fn take_out(&mut self) -> Vec<Out> {
        std::mem::take(&mut self.out)
    }

    // Inputs

    pub fn ask(&mut self, shard: ShardId, number: u64, request: ShardRequest, stage: &mut Stage<'_>) {
        let id = RequestId { origin: ShardId(0), number };
        self.input(shard, stage, |it, now, effects| it.request(now, id, request, effects));
    }

    /// Something has come on a lane of a shard, or become of it.
    pub fn lane(
        &mut self,
        shard: ShardId,
        stage: &mut Stage<'_>,
        give: impl FnOnce(&mut Shard, Now, &mut Vec<Effect>),
    ) {
        self.input(shard, stage, give);
    }

    /// What is free of the disk, and what producing must leave of it.
    pub fn disk_space(&mut self, free_bytes: u64, stage: &mut Stage<'_>) {
        for shard in self.shard_ids() {
            self.input(shard, stage, |it, now, effects| it.disk_space(now, free_bytes, 1 << 20, effects));
        }
    }

    /// An event of this server. One that was meant for another life does nothing; one that comes while the process is paused
    /// waits for it.
    pub fn happens(&mut self, event: Event, stage: &mut Stage<'_>) {
        let (Event::Turn { place, .. }
        | Event::IoDone { place, .. }
        | Event::Image { place, .. }
        | Event::Applied { place, .. }
        | Event::Told { place, .. }) = &event
        else {
            panic!("no event of a server: {event:?}")
        };
        let place = *place;
        if place.life != self.life || self.state == State::Down {
            return;
        }
        if self.state == State::Paused {
            return self.hold(event);
        }
        match event {
            Event::Turn { at, .. } => self.turn(place.shard, at, stage),
            Event::IoDone { id, .. } => self.io_done(place.shard, id, stage),
            Event::Image { published, .. } => self.take_image(place.shard, &published, stage),
            Event::Applied { by, version, .. } => {
                self.input(place.shard, stage, |it, now, effects| {
                    it.image_applied(now, by, version, effects)
                });
            }
            Event::Told { from, note, .. } => {
                self.input(place.shard, stage, |it, now, effects| it.told(now, from, *note, effects));
            }
            _ => unreachable!("sorted out above"),
        }
    }

    fn turn(&mut self, shard: ShardId, at: Instant, stage: &mut Stage<'_>) {
        let seat = &mut self.seats[usize::from(shard.0)];
        if seat.turn_at.is_none_or(|wanted| wanted > at.max(stage.now())) {
            return;
        }
        seat.turn_at = None;
        self.call(shard, stage, Shard::turn);
        let deadline = self.seats[usize::from(shard.0)].shard.next_deadline();
        if let Some(when) = self.clock.when(deadline) {
            self.want_turn(shard, when.max(stage.now().plus(DEADLINE_PAUSE)), stage);
        }
    }

    fn io_done(&mut self, shard: ShardId, id: IoId, stage: &mut Stage<'_>) {
        let op = self.under_way.remove(&(shard, id)).expect("an operation ends once");
        let fault = self.fault_of(&op, stage.rng);
        let done = self.disk.perform(shard, op, fault, stage.rng);
        self.input(shard, stage, |it, now, effects| it.io_done(now, id, done, effects));
    }

    fn fault_of(&mut self, op: &IoOp, rng: &mut Rng) -> Fault {
        if self.is_full && needs_space(op) && rng.below(8) > 0 {
            return Fault::Full;
        }
        let is_write = matches!(op, IoOp::WriteCommit { .. } | IoOp::WriteSegment { .. });
        if is_write && std::mem::take(&mut self.fails_next) { Fault::Error } else { Fault::None }
    }

    fn want_turn(&mut self, shard: ShardId, at: Instant, stage: &mut Stage<'_>) {
        let seat = &mut self.seats[usize::from(shard.0)];
        if seat.turn_at.is_some_and(|wanted| wanted <= at) {
            return;
        }
        seat.turn_at = Some(at);
        let place = Place { server: self.at, life: self.life, shard };
        stage.queue.at(at, Event::Turn { place, at });
    }
}

/// Whether a full disk can refuse an operation. The commit log's space was written when it was made, and reads need none.
fn needs_space(op: &IoOp) -> bool {
    !matches!(
        op,
        IoOp::WriteCommit { .. }
            | IoOp::ReadSegment { .. }
            | IoOp::ReadIndex { .. }
            | IoOp::IndexSegment { .. }
            | IoOp::MapKeys { .. }
            | IoOp::VerifySegment { .. }
            | IoOp::TruncateLog { .. }
            | IoOp::WriteQuorum { .. }
    )
}
