//! What goes wrong: which kinds of it, and how often, each seed chooses anew.
//!
//! A deed is done to servers, links, disks or clocks, and most are undone after a while. The nemesis decides, and the course does
//! it. What destroys data is asked of the atlas first.

mod swarm;

use ringmain::base::rng::Rng;

pub use swarm::Swarm;

use crate::atlas::Loss;
use crate::net::{At, LinkSpeed};
use crate::queue::Span;

/// Whom a deed is done to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// Nothing gets in.
    In,
    /// Nothing gets out.
    Out,
    Both,
}

/// One thing that goes wrong, or is put right again.
#[derive(Clone, Debug)]
pub enum Deed {
    /// Another deed is chosen.
    Choose,
    /// The process ends, and another begins after a while.
    Kill {
        servers: Vec<At>,
        down: Span,
    },
    /// The power goes off, and comes back after a while.
    Power {
        servers: Vec<At>,
        down: Span,
    },
    /// The disk is lost with the power, if the atlas lets it be.
    Reformat {
        server: At,
        down: Span,
    },
    /// The disk is what it was some lives ago, if the atlas lets it be.
    Restore {
        server: At,
        down: Span,
    },
    /// The disk of a server that is down is lost as soon as it may be.
    Lose {
        server: At,
        life: u32,
        loss: Loss,
    },
    /// A server and whoever decides do not hear each other.
    CutController {
        server: At,
        length: Span,
    },
    /// Preferred leaders are elected again and again.
    Storm {
        left: u32,
    },
    /// An orderly stop.
    Stop {
        server: At,
    },
    Pause {
        server: At,
        length: Span,
    },
    /// A server is cut off from all others, and perhaps from its clients.
    Isolate {
        server: At,
        way: Way,
        clients: bool,
        length: Span,
    },
    /// One direction between two servers is cut.
    Cut {
        from: At,
        to: At,
        length: Span,
    },
    /// One direction between two servers is slow.
    Slow {
        from: At,
        to: At,
        speed: LinkSpeed,
        length: Span,
    },
    /// All links are clogged, one after the other, and let go in another order.
    Swizzle {
        length: Span,
    },
    /// Every connection between two servers is reset.
    Reset {
        one: At,
        other: At,
    },
    SlowDisk {
        server: At,
        slowness: u64,
        length: Span,
    },
    StallDisk {
        server: At,
        length: Span,
    },
    FullDisk {
        server: At,
        length: Span,
    },
    LowDisk {
        server: At,
        length: Span,
    },
    FailDisk {
        server: At,
    },
    Clock {
        server: At,
        rate: u64,
        ahead_ms: i64,
    },
    SlowClients {
        server: At,
        length: Span,
    },
    /// What an earlier deed has done to these is undone.
    Unblock {
        links: Vec<(At, At)>,
        clients: Option<At>,
    },
    RightDisk {
        server: At,
    },
    RightSpeed {
        from: At,
        to: At,
    },
    RightClients {
        server: At,
    },
}

#[derive(Debug)]
pub struct Nemesis {
    swarm: Swarm,
    servers: usize,
}

impl Nemesis {
    pub fn any(servers: usize, rng: &mut Rng) -> Nemesis {
        Nemesis { swarm: Swarm::any(rng), servers }
    }

    /// A nemesis that does nothing.
    pub fn none(servers: usize) -> Nemesis {
        Nemesis { swarm: Swarm::none(), servers }
    }

    /// When the next deed comes, if any does.
    pub fn pause(&self, rng: &mut Rng) -> Option<Span> {
        self.swarm.pause(rng)
    }

    /// Chooses what goes wrong next.
    pub fn choose(&self, rng: &mut Rng) -> Option<Deed> {
        let kind = self.swarm.choose(rng)?;
        Some(self.deed(kind, rng))
    }

    fn deed(&self, kind: Kind, rng: &mut Rng) -> Deed {
        let server = any(self.servers, rng);
        let (from, to) = self.pair(rng);
        let length = length(rng);
        match kind {
            Kind::KillOne => Deed::Kill { servers: vec![server], down: down(rng) },
            Kind::KillSome => Deed::Kill { servers: self.some(rng), down: down(rng) },
            Kind::PowerOne => Deed::Power { servers: vec![server], down: down(rng) },
            Kind::PowerAll => Deed::Power { servers: (0..self.servers).collect(), down: down(rng) },
            Kind::Reformat => Deed::Reformat { server, down: down(rng) },
            Kind::Restore => Deed::Restore { server, down: down(rng) },
            Kind::CutController => Deed::CutController { server, length },
            Kind::Storm => Deed::Storm { left: 3 + u32::try_from(rng.below(20)).unwrap() },
            Kind::Stop => Deed::Stop { server },
            Kind::Pause => Deed::Pause { server, length },
            Kind::Isolate => {
                let way = [Way::In, Way::Out, Way::Both][any(3, rng)];
                Deed::Isolate { server, way, clients: rng.below(2) == 0, length }
            }
            Kind::Cut => Deed::Cut { from, to, length },
            Kind::Slow => {
                let speed = if rng.below(3) == 0 { LinkSpeed::Clogged } else { LinkSpeed::Slow };
                Deed::Slow { from, to, speed, length }
            }
            Kind::Swizzle => Deed::Swizzle { length },
            Kind::Reset => Deed::Reset { one: from, other: to },
            Kind::SlowDisk => Deed::SlowDisk { server, slowness: 5 + rng.below(100), length },
            Kind::StallDisk => Deed::StallDisk { server, length },
            Kind::FullDisk => Deed::FullDisk { server, length },
            Kind::LowDisk => Deed::LowDisk { server, length },
            Kind::FailDisk => Deed::FailDisk { server },
            Kind::Clock => {
                // Less than the hour by which a record may be ahead of the broker's clock.
                let ahead_ms = i64::try_from(rng.below(6_000_000)).unwrap() - 3_000_000;
                Deed::Clock { server, rate: 500 + rng.below(1501), ahead_ms }
            }
            Kind::SlowClients => Deed::SlowClients { server, length },
        }
    }

    fn pair(&self, rng: &mut Rng) -> (At, At) {
        let from = any(self.servers, rng);
        let to = (from + 1 + any(self.servers.max(2) - 1, rng)) % self.servers;
        (from, to)
    }

    fn some(&self, rng: &mut Rng) -> Vec<At> {
        let some: Vec<At> = (0..self.servers).filter(|_| rng.below(3) > 0).collect();
        if some.is_empty() { vec![0] } else { some }
    }
}

/// What can go wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    KillOne,
    KillSome,
    PowerOne,
    PowerAll,
    Stop,
    Pause,
    Isolate,
    Cut,
    Slow,
    Swizzle,
    Reset,
    SlowDisk,
    StallDisk,
    FullDisk,
    LowDisk,
    FailDisk,
    Clock,
    SlowClients,
    Reformat,
    Restore,
    CutController,
    Storm,
}

impl Kind {
    pub const ALL: [Kind; 22] = [
        Kind::KillOne,
        Kind::KillSome,
        Kind::PowerOne,
        Kind::PowerAll,
        Kind::Stop,
        Kind::Pause,
        Kind::Isolate,
        Kind::Cut,
        Kind::Slow,
        Kind::Swizzle,
        Kind::Reset,
        Kind::SlowDisk,
        Kind::StallDisk,
        Kind::FullDisk,
        Kind::LowDisk,
        Kind::FailDisk,
        Kind::Clock,
        Kind::SlowClients,
        Kind::Reformat,
        Kind::Restore,
        Kind::CutController,
        Kind::Storm,
    ];
}

fn any(count: usize, rng: &mut Rng) -> usize {
    usize::try_from(rng.below(count as u64)).unwrap()
}

/// Mostly so short that nobody notices, or so long that everybody must.
fn length(rng: &mut Rng) -> Span {
    match rng.below(3) {
        0 => Span::ms(50 + rng.below(1_000)),
        1 => Span::ms(1_000 + rng.below(5_000)),
        _ => Span::ms(5_000 + rng.below(20_000)),
    }
}

fn down(rng: &mut Rng) -> Span {
    match rng.below(3) {
        0 => Span::ms(20 + rng.below(300)),
        1 => Span::ms(300 + rng.below(3_000)),
        _ => Span::ms(3_000 + rng.below(15_000)),
    }
}
