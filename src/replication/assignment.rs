//! What an image says of a partition's replicas, in this room's words.

use std::fmt;

use crate::base::{BrokerEpoch, LeaderEpoch, Offset, PartitionEpoch, ServerId};

/// A partition has at most so many replicas, those being added included.
pub const REPLICAS_MAX: usize = 16;

/// A few servers, without memory of their own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Servers {
    count: u8,
    ids: [ServerId; REPLICAS_MAX],
}

impl Servers {
    /// Adds a server, unless it is there.
    ///
    /// # Panics
    ///
    /// If the list is full: the controller gives no partition more replicas.
    pub fn add(&mut self, server: ServerId) {
        if self.contains(server) {
            return;
        }
        let at = usize::from(self.count);
        assert!(at < REPLICAS_MAX, "a partition has at most {REPLICAS_MAX} replicas");
        self.ids[at] = server;
        self.count += 1;
    }

    /// Whether the server is one of them.
    #[must_use]
    pub fn contains(&self, server: ServerId) -> bool {
        self.as_slice().contains(&server)
    }

    /// How many they are.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.count)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The servers in the order in which they were added.
    #[must_use]
    pub fn as_slice(&self) -> &[ServerId] {
        &self.ids[..usize::from(self.count)]
    }
}

impl FromIterator<ServerId> for Servers {
    fn from_iter<I: IntoIterator<Item = ServerId>>(servers: I) -> Servers {
        let mut list = Servers::default();
        servers.into_iter().for_each(|server| list.add(server));
        list
    }
}

impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.as_slice().iter().map(|server| server.0)).finish()
    }
}

/// Which end of a replica's log counts for the high watermark.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Counts {
    /// What is on stable storage.
    Flushed,
    /// What is appended: the topic acknowledges from memory.
    Appended,
}

/// A replica other than the leader.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Member {
    pub server: ServerId,
    /// The incarnation that the image knows.
    pub broker_epoch: BrokerEpoch,
    /// Whether it may join the ISR: it is unfenced and not stopping.
    pub may_join: bool,
}

/// A partition that this server leads, as the image says.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Assignment {
    pub me: ServerId,
    /// The incarnation of this server.
    pub broker_epoch: BrokerEpoch,
    pub partition_epoch: PartitionEpoch,
    /// The in-sync replicas, this server among them.
    pub isr: Servers,
    /// All replicas but this one.
    pub followers: Vec<Member>,
    /// The smaller of `min.insync.replicas` and the number of replicas, as the image computes it.
    pub min_isr: usize,
    pub counts: Counts,
}

/// Where a replica's log begins and ends.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Ends {
    /// The log's start. In an ack: the start that a checkpoint of the follower holds, since only that one will stay.
    pub log_start: Offset,
    /// All below is on stable storage.
    pub flushed: Offset,
    pub log_end: Offset,
}

impl Ends {
    /// The end that counts for the high watermark.
    #[must_use]
    pub fn counted(self, counts: Counts) -> Offset {
        match counts {
            Counts::Flushed => self.flushed,
            Counts::Appended => self.log_end,
        }
    }

    /// Whether the offsets are in the order in which they always are.
    #[must_use]
    pub fn is_ordered(self) -> bool {
        Offset(0) <= self.log_start && self.log_start <= self.log_end && self.flushed <= self.log_end
    }
}

/// Where an epoch ends in a log: the offset behind its last record, which is the log end for the newest epoch.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct EpochEnd {
    pub epoch: LeaderEpoch,
    pub end: Offset,
}
