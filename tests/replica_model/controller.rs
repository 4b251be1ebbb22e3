//! A controller that decides at once and never fails: who leads, who is in sync, who is eligible. Its rules are those of the
//! design reduced to one partition of three replicas; no code is shared with the product.

use ringmain::base::{BrokerEpoch, LeaderEpoch, PartitionEpoch, ServerId};
use ringmain::replication::{Assignment, Counts, IsrAsk, Member, Servers, Verdict};

pub const REPLICAS: usize = 3;
const MIN_ISR: usize = 2;

/// A set of replicas, one bit each.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Set(pub u8);

impl Set {
    pub const ALL: Set = Set(0b111);

    pub fn has(self, replica: usize) -> bool {
        self.0 & (1 << replica) != 0
    }

    pub fn with(self, replica: usize) -> Set {
        Set(self.0 | 1 << replica)
    }

    pub fn without(self, replica: usize) -> Set {
        Set(self.0 & !(1 << replica))
    }

    pub fn union(self, other: Set) -> Set {
        Set(self.0 | other.0)
    }

    pub fn minus(self, other: Set) -> Set {
        Set(self.0 & !other.0)
    }

    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    pub fn iter(self) -> impl Iterator<Item = usize> {
        (0..REPLICAS).filter(move |replica| self.has(*replica))
    }
}

/// What everybody is told, in order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Image {
    pub leader_epoch: u8,
    pub leader: Option<u8>,
    pub partition_epoch: u8,
    pub isr: Set,
    pub elr: Set,
    pub unfenced: Set,
    pub broker_epochs: [u8; REPLICAS],
}

pub fn server(replica: usize) -> ServerId {
    ServerId(i32::try_from(replica).unwrap())
}

impl Image {
    pub fn first() -> Image {
        Image {
            leader_epoch: 1,
            leader: Some(0),
            partition_epoch: 1,
            isr: Set::ALL,
            elr: Set::default(),
            unfenced: Set::ALL,
            broker_epochs: [1; REPLICAS],
        }
    }

    pub fn epoch(&self) -> LeaderEpoch {
        LeaderEpoch(i32::from(self.leader_epoch))
    }

    pub fn broker_epoch(&self, replica: usize) -> BrokerEpoch {
        BrokerEpoch(i64::from(self.broker_epochs[replica]))
    }

    pub fn leads(&self, replica: usize) -> bool {
        self.leader.is_some_and(|leader| usize::from(leader) == replica)
    }

    /// What the leader makes of it.
    pub fn assignment(&self, me: usize) -> Assignment {
        let member = |replica| Member {
            server: server(replica),
            broker_epoch: self.broker_epoch(replica),
            may_join: self.unfenced.has(replica),
        };
        Assignment {
            me: server(me),
            broker_epoch: self.broker_epoch(me),
            partition_epoch: PartitionEpoch(i32::from(self.partition_epoch)),
            isr: self.isr.iter().map(server).collect::<Servers>(),
            followers: (0..REPLICAS).filter(|replica| *replica != me).map(member).collect(),
            min_isr: MIN_ISR,
            counts: Counts::Flushed,
        }
    }

    /// Gives the partition another ISR. Who leaves it stays eligible as long as nobody can have gone on alone.
    fn set_isr(&mut self, isr: Set) {
        let eligible = self.elr.union(self.isr).minus(isr);
        self.elr = if isr.len() >= MIN_ISR { Set::default() } else { eligible };
        self.isr = isr;
        self.partition_epoch += 1;
    }

    /// Finds a leader among those who have everything; true if there is a new one.
    fn elect(&mut self) -> bool {
        let found = (0..REPLICAS).find(|it| self.unfenced.has(*it) && self.isr.has(*it)).or_else(|| {
            let eligible = self.isr == Set::default();
            (0..REPLICAS).find(|it| eligible && self.unfenced.has(*it) && self.elr.has(*it))
        });
        if self.leader.is_none() && found.is_none() {
            return false;
        }
        self.leader = found.map(|it| u8::try_from(it).unwrap());
        self.leader_epoch += 1;
        self.partition_epoch += 1;
        if let Some(leader) = found.filter(|it| !self.isr.has(*it)) {
            self.isr = Set::default().with(leader);
            self.elr = self.elr.without(leader);
        }
        found.is_some()
    }

    /// The replica's server is taken for dead; true if somebody was elected.
    pub fn fence(&mut self, replica: usize) -> bool {
        self.unfenced = self.unfenced.without(replica);
        if self.isr.has(replica) {
            self.set_isr(self.isr.without(replica));
        }
        self.leads(replica) && self.elect()
    }

    /// The replica's server lives; true if somebody was elected.
    pub fn unfence(&mut self, replica: usize) -> bool {
        self.unfenced = self.unfenced.with(replica);
        self.leader.is_none() && self.elect()
    }

    /// A new incarnation: out of the ISR first, and not eligible if it has lost something. True if somebody was elected.
    pub fn register(&mut self, replica: usize, intact: bool) -> bool {
        self.broker_epochs[replica] += 1;
        let elected = self.fence(replica);
        if !intact && self.elr.has(replica) {
            self.elr = self.elr.without(replica);
            self.partition_epoch += 1;
        }
        elected
    }

    /// A leader asks for another ISR.
    pub fn alter_isr(&mut self, from: usize, ask: &IsrAsk) -> Verdict {
        if !self.leads(from) {
            return Verdict::NotLeader;
        }
        if ask.leader_epoch != self.epoch() || ask.partition_epoch.0 != i32::from(self.partition_epoch) {
            return Verdict::StaleEpoch;
        }
        let mut isr = Set::default();
        for (member, broker_epoch) in &ask.isr {
            let replica = usize::try_from(member.0).unwrap();
            if *broker_epoch != self.broker_epoch(replica) || !self.unfenced.has(replica) {
                return Verdict::Ineligible;
            }
            isr = isr.with(replica);
        }
        self.set_isr(isr);
        Verdict::Decided { partition_epoch: PartitionEpoch(i32::from(self.partition_epoch)) }
    }
}
