//! One server's replica: a log reduced to a few records, and the role that the product's code gives it.

use ringmain::base::{LeaderEpoch, MonoNanos, Offset};
use ringmain::replication::{
    Counts, Ends, EpochEnd, Evidence, Following, Kind, Leader, Leading, Replica, Room,
};

use crate::controller::{Image, REPLICAS, server};

/// All that happens, happens at this time, but for what a timer brings.
pub const NOW: MonoNanos = MonoNanos(0);

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Record {
    pub epoch: u8,
    pub value: u8,
}

/// A few records, in place.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Log {
    len: u8,
    records: [Record; 4],
}

impl Log {
    pub const EMPTY: Log = Log { len: 0, records: [Record { epoch: 0, value: 0 }; 4] };

    pub fn as_slice(&self) -> &[Record] {
        &self.records[..usize::from(self.len)]
    }

    pub fn push(&mut self, record: Record) {
        self.records[usize::from(self.len)] = record;
        self.len += 1;
    }

    /// What is cut away leaves no trace, so that equal logs are equal states.
    pub fn truncate(&mut self, len: usize) {
        for record in &mut self.records[len..] {
            *record = Record { epoch: 0, value: 0 };
        }
        self.len = self.len.min(u8::try_from(len).unwrap());
    }

    pub fn end(&self) -> usize {
        usize::from(self.len)
    }

    /// The largest epoch that is not above `epoch`, with its end.
    pub fn end_of(&self, epoch: LeaderEpoch) -> Option<EpochEnd> {
        let below = self.as_slice().iter().rposition(|record| i32::from(record.epoch) <= epoch.0)?;
        let epoch = LeaderEpoch(i32::from(self.as_slice()[below].epoch));
        Some(EpochEnd { epoch, end: offset(below + 1) })
    }

    pub fn last_epoch(&self) -> LeaderEpoch {
        self.as_slice().last().map_or(LeaderEpoch(-1), |record| LeaderEpoch(i32::from(record.epoch)))
    }
}

pub fn offset(index: usize) -> Offset {
    Offset(i64::try_from(index).unwrap())
}

pub fn index(offset: Offset) -> usize {
    usize::try_from(offset.0).unwrap()
}

/// A stream from a leader to a follower, as the leader has it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Stream {
    pub number: u8,
    pub broker_epoch: u8,
    pub next: u8,
    pub told: u8,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Role {
    Idle,
    Leading(Leading),
    Following(Following),
}

/// A producer waits for all of the ISR.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Waiter {
    pub end: u8,
    pub epoch: u8,
    pub value: u8,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Server {
    pub me: usize,
    pub is_up: bool,
    /// The disk is lost, and the controller does not know.
    pub is_wiped: bool,
    pub log: Log,
    pub flushed: usize,
    /// That of the last role; the role has the newer one.
    pub high_watermark: Offset,
    pub agreed: LeaderEpoch,
    pub image: Image,
    /// Images on their way.
    pub coming: Vec<Image>,
    pub role: Role,
    pub streams: [Option<Stream>; REPLICAS],
    /// Numbers of streams given so far, by this incarnation.
    pub numbers: u8,
    pub waiters: Vec<Waiter>,
}

impl Server {
    pub fn new(me: usize) -> Server {
        let mut server = Server {
            me,
            is_up: true,
            is_wiped: false,
            log: Log::EMPTY,
            flushed: 0,
            high_watermark: Offset(0),
            agreed: LeaderEpoch(-1),
            image: Image::first(),
            coming: Vec::new(),
            role: Role::Idle,
            streams: [None; REPLICAS],
            numbers: 0,
            waiters: Vec::new(),
        };
        server.take_role();
        server
    }

    pub fn ends(&self) -> Ends {
        Ends { log_start: Offset(0), flushed: offset(self.flushed), log_end: offset(self.log.end()) }
    }

    pub fn high_watermark(&self) -> Offset {
        match &self.role {
            Role::Idle => self.high_watermark,
            Role::Leading(leading) => leading.high_watermark(),
            Role::Following(following) => following.high_watermark(),
        }
    }

    /// Takes the next image.
    pub fn take_image(&mut self) {
        let image = self.coming.remove(0);
        let is_new_epoch = image.leader_epoch > self.image.leader_epoch;
        self.image = image;
        if is_new_epoch {
            self.fail_waiters();
            self.take_role();
        } else if let Role::Leading(leading) = &mut self.role {
            let _ = leading.reassigned(image.assignment(self.me), NOW);
            for (replica, stream) in self.streams.iter_mut().enumerate() {
                *stream = stream.filter(|it| it.broker_epoch == image.broker_epochs[replica]);
            }
        }
    }

    /// All who wait fail before anything else happens (R11).
    fn fail_waiters(&mut self) {
        if ringmain::base::holds(ringmain::base::Rule::R11) {
            self.waiters.clear();
        }
    }

    /// Takes the role that the image gives.
    fn take_role(&mut self) {
        self.streams = [None; REPLICAS];
        self.remember();
        let image = self.image;
        match image.leader {
            None => self.role = Role::Idle,
            Some(leader) if usize::from(leader) == self.me => self.lead(),
            Some(leader) => {
                let leader = Leader {
                    epoch: image.epoch(),
                    server: server(usize::from(leader)),
                    unclean_epoch: LeaderEpoch(-1),
                };
                self.follow(leader);
            }
        }
    }

    fn remember(&mut self) {
        self.high_watermark = self.high_watermark();
        self.agreed = match &self.role {
            Role::Idle => self.agreed,
            Role::Leading(leading) => leading.epoch(),
            Role::Following(following) => following.agreed(),
        };
    }

    /// Leads, unless a cut is to be finished first.
    fn lead(&mut self) {
        let epoch = self.image.epoch();
        if let Role::Following(following) = &mut self.role
            && !following.elected(epoch)
        {
            return;
        }
        self.remember();
        let assignment = self.image.assignment(self.me);
        self.role = Role::Leading(Leading::new(epoch, self.ends(), self.high_watermark, assignment, NOW));
    }

    fn follow(&mut self, leader: Leader) {
        if let Role::Following(following) = &mut self.role {
            following.renewed(leader);
            return;
        }
        let replica = Replica {
            own: self.ends(),
            high_watermark: self.high_watermark,
            agreed: self.agreed,
            kind: Kind::User,
            counts: Counts::Flushed,
            room: Room::Enough,
        };
        self.role = Role::Following(Following::new(leader, replica));
    }

    /// Does the cut that is to be done.
    pub fn cut(&mut self) {
        let Role::Following(following) = &mut self.role else { return };
        let ringmain::replication::Phase::Truncating(cut) = following.phase() else { return };
        let end = index(cut.end());
        self.log.truncate(end);
        self.flushed = self.flushed.min(end);
        // A cut is durable when it is done.
        let ends = Ends { log_start: Offset(0), flushed: offset(self.flushed), log_end: offset(end) };
        if let ringmain::replication::AfterCut::Lead(_) = following.cut_done(ends) {
            self.lead();
        }
    }

    /// What this server knows when a follower asks.
    pub fn evidence(&self, asker: usize, broker_epoch: u8, last_epoch: LeaderEpoch) -> Evidence {
        Evidence {
            epoch: self.image.epoch(),
            is_leader: matches!(self.role, Role::Leading(_)),
            is_replica: true,
            knows_broker_epoch: self.image.broker_epochs[asker] == broker_epoch,
            log_start: Offset(0),
            epoch_before_log_start: LeaderEpoch(-1),
            epoch_before_kept: LeaderEpoch(-1),
            kept_from: Offset(0),
            end_of_epoch: self.log.end_of(last_epoch),
            has_snapshot: false,
        }
    }

    /// Loses what is not flushed, or everything.
    pub fn crash(&mut self, is_wiped: bool) {
        self.remember();
        self.is_up = false;
        self.is_wiped = is_wiped;
        self.flushed = if is_wiped { 0 } else { self.flushed };
        self.log.truncate(self.flushed);
        if is_wiped {
            self.high_watermark = Offset(0);
        }
        self.agreed = self.log.last_epoch();
        self.role = Role::Idle;
        self.streams = [None; REPLICAS];
        self.coming.clear();
        self.waiters.clear();
    }
}
