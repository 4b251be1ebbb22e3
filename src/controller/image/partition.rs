//! One partition's state, in at most 64 bytes: a cluster has some 100,000 of them, on every server.
//!
//! Replicas are kept once, as server ids; every other list is a mask over them.

use std::fmt;

use crate::base::{Home, LeaderEpoch, PartitionEpoch, ServerId};

/// Most replicas of a partition, those that are being added included: the width of a mask.
pub const REPLICAS_MAX: usize = 16;
/// A list of at most so many replicas is kept in place, without memory of its own.
const REPLICAS_INLINE: usize = 6;

const _: () = assert!(size_of::<PartitionImage>() <= 64, "a partition's state stays small");
const _: () = assert!(REPLICAS_MAX <= u16::BITS as usize, "a mask has a bit for each replica");

/// A partition's state written out, as records have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::controller) struct PartitionState {
    /// In the order of the assignment: the first is the preferred leader.
    pub replicas: Vec<ServerId>,
    pub leader: Option<ServerId>,
    pub leader_epoch: LeaderEpoch,
    pub partition_epoch: PartitionEpoch,
    /// The last leader epoch that began with a replica which may have lacked records.
    pub unclean_epoch: Option<LeaderEpoch>,
    pub isr: Vec<ServerId>,
    /// Replicas that have everything acknowledged, though they are out of the ISR (KIP-966).
    pub elr: Vec<ServerId>,
    /// Replicas that were in ISR or ELR last and may have lost records since.
    pub last_known: Vec<ServerId>,
    pub adding: Vec<ServerId>,
    pub removing: Vec<ServerId>,
    pub home: Home,
}

/// One partition as the cluster knows it.
#[derive(Clone, PartialEq, Eq)]
pub struct PartitionImage {
    replicas: Replicas,
    leader_epoch: LeaderEpoch,
    partition_epoch: PartitionEpoch,
    /// -1 is none.
    unclean_epoch: LeaderEpoch,
    home: Home,
    isr: Mask,
    elr: Mask,
    last_known: Mask,
    adding: Mask,
    removing: Mask,
    /// Which of the replicas leads.
    leader: Option<u8>,
}

#[derive(Clone, PartialEq, Eq)]
enum Replicas {
    Few { count: u8, servers: [ServerId; REPLICAS_INLINE] },
    Many(Box<[ServerId]>),
}

/// Some of a partition's replicas: bit n is the n-th.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Mask(u16);

/// Why no partition can have such a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartitionFault {
    #[error("a partition has 1 to {REPLICAS_MAX} replicas, not {0}")]
    ReplicaCount(usize),
    #[error("server {0} is named twice")]
    Twice(ServerId),
    #[error("server {0} is no replica")]
    NoReplica(ServerId),
    #[error("server {0} leads and is not in sync")]
    LeaderNotInSync(ServerId),
    #[error("server {0} is in sync and waits to be it")]
    InSyncAndEligible(ServerId),
    #[error("an epoch is negative")]
    NegativeEpoch,
    #[error("epochs fell, or the home changed")]
    Fell,
}

impl PartitionImage {
    /// A partition with one replica, which leads it.
    #[must_use]
    pub fn single(leader: ServerId, leader_epoch: LeaderEpoch, home: Home) -> PartitionImage {
        let first = Mask(1);
        PartitionImage {
            replicas: Replicas::of(&[leader]),
            leader_epoch,
            partition_epoch: PartitionEpoch(0),
            unclean_epoch: LeaderEpoch(-1),
            home,
            isr: first,
            elr: Mask(0),
            last_known: Mask(0),
            adding: Mask(0),
            removing: Mask(0),
            leader: Some(0),
        }
    }

    pub(in crate::controller) fn new(state: &PartitionState) -> Result<PartitionImage, PartitionFault> {
        check_epochs(state)?;
        let replicas = &state.replicas;
        if replicas.is_empty() || replicas.len() > REPLICAS_MAX {
            return Err(PartitionFault::ReplicaCount(replicas.len()));
        }
        Mask::of(replicas, replicas)?;
        let (isr, elr) = (Mask::of(replicas, &state.isr)?, Mask::of(replicas, &state.elr)?);
        if let Some(both) = state.elr.iter().find(|server| state.isr.contains(server)) {
            return Err(PartitionFault::InSyncAndEligible(*both));
        }
        if let Some(leader) = state.leader.filter(|leader| !state.isr.contains(leader)) {
            return Err(PartitionFault::LeaderNotInSync(leader));
        }
        let leader = state.leader.and_then(|leader| place_of(replicas, leader));
        let image = PartitionImage {
            replicas: Replicas::of(replicas),
            leader_epoch: state.leader_epoch,
            partition_epoch: state.partition_epoch,
            unclean_epoch: state.unclean_epoch.unwrap_or(LeaderEpoch(-1)),
            home: state.home,
            isr,
            elr,
            last_known: Mask::of(replicas, &state.last_known)?,
            adding: Mask::of(replicas, &state.adding)?,
            removing: Mask::of(replicas, &state.removing)?,
            leader,
        };
        assert_eq!(image.leader(), state.leader, "a leader in sync is a replica");
        Ok(image)
    }

    /// Whether `next` can follow this state: epochs do not fall, and a home stays.
    ///
    /// # Errors
    /// When `next` cannot follow.
    pub(in crate::controller) fn check_next(&self, next: &PartitionImage) -> Result<(), PartitionFault> {
        let rises = next.leader_epoch >= self.leader_epoch
            && next.partition_epoch >= self.partition_epoch
            && next.unclean_epoch >= self.unclean_epoch;
        if rises && next.home == self.home { Ok(()) } else { Err(PartitionFault::Fell) }
    }

    /// The state written out: [`PartitionImage::new`] makes the same of it.
    pub(in crate::controller) fn state(&self) -> PartitionState {
        PartitionState {
            replicas: self.replicas().to_vec(),
            leader: self.leader(),
            leader_epoch: self.leader_epoch,
            partition_epoch: self.partition_epoch,
            unclean_epoch: self.unclean_epoch(),
            isr: self.isr().collect(),
            elr: self.elr().collect(),
            last_known: self.last_known().collect(),
            adding: self.adding().collect(),
            removing: self.removing().collect(),
            home: self.home,
        }
    }

    /// This partition after a leader was named anew, which is its only replica.
    pub(in crate::controller) fn led_anew(&self, leader: ServerId, epoch: LeaderEpoch) -> PartitionImage {
        let partition_epoch = PartitionEpoch(self.partition_epoch.0.saturating_add(1));
        let unclean_epoch = self.unclean_epoch;
        PartitionImage { partition_epoch, unclean_epoch, ..PartitionImage::single(leader, epoch, self.home) }
    }

    /// Whether some replica is eligible besides the ISR, or once was.
    pub(in crate::controller) fn has_eligible(&self) -> bool {
        self.elr.0 != 0 || self.last_known.0 != 0
    }

    /// This partition after its minimum has changed: nobody besides the ISR is eligible.
    pub(in crate::controller) fn without_eligible(&self) -> PartitionImage {
        let partition_epoch = PartitionEpoch(self.partition_epoch.0.saturating_add(1));
        PartitionImage { partition_epoch, elr: Mask(0), last_known: Mask(0), ..self.clone() }
    }

    /// Servers that keep the partition, in the order of the assignment.
    #[must_use]
    pub fn replicas(&self) -> &[ServerId] {
        match &self.replicas {
            Replicas::Few { count, servers } => &servers[..usize::from(*count)],
            Replicas::Many(servers) => servers,
        }
    }

    #[must_use]
    pub fn leader(&self) -> Option<ServerId> {
        self.replicas().get(usize::from(self.leader?)).copied()
    }

    #[must_use]
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
    }

    /// Counts the changes of this state.
    #[must_use]
    pub fn partition_epoch(&self) -> PartitionEpoch {
        self.partition_epoch
    }

    /// The last leader epoch that began with a replica which may have lacked records.
    #[must_use]
    pub fn unclean_epoch(&self) -> Option<LeaderEpoch> {
        (self.unclean_epoch >= LeaderEpoch(0)).then_some(self.unclean_epoch)
    }

    /// Gives the partition its shard on every server that keeps it.
    #[must_use]
    pub fn home(&self) -> Home {
        self.home
    }

    /// Replicas in sync.
    pub fn isr(&self) -> impl Iterator<Item = ServerId> + '_ {
        self.of(self.isr)
    }

    /// Eligible leader replicas (KIP-966).
    pub fn elr(&self) -> impl Iterator<Item = ServerId> + '_ {
        self.of(self.elr)
    }

    /// The last known eligible leader replicas (KIP-966).
    pub fn last_known(&self) -> impl Iterator<Item = ServerId> + '_ {
        self.of(self.last_known)
    }

    /// Replicas that a reassignment under way adds.
    pub fn adding(&self) -> impl Iterator<Item = ServerId> + '_ {
        self.of(self.adding)
    }

    /// Replicas that a reassignment under way removes.
    pub fn removing(&self) -> impl Iterator<Item = ServerId> + '_ {
        self.of(self.removing)
    }

    fn of(&self, mask: Mask) -> impl Iterator<Item = ServerId> + '_ {
        self.replicas().iter().enumerate().filter(move |(at, _)| mask.has(*at)).map(|(_, server)| *server)
    }
}

#[cfg(test)]
impl PartitionImage {
    /// A partition whose only replica may not lead it now.
    pub fn leaderless(replica: ServerId, home: Home) -> PartitionImage {
        let mut state = PartitionImage::single(replica, LeaderEpoch(1), home).state();
        (state.leader, state.elr) = (None, std::mem::take(&mut state.isr));
        PartitionImage::new(&state).expect("sound")
    }
}

impl fmt::Debug for PartitionImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.state().fmt(f)
    }
}

impl Replicas {
    fn of(replicas: &[ServerId]) -> Replicas {
        let mut servers = [ServerId(0); REPLICAS_INLINE];
        match servers.get_mut(..replicas.len()) {
            Some(few) => {
                few.copy_from_slice(replicas);
                Replicas::Few { count: u8::try_from(replicas.len()).expect("at most six"), servers }
            }
            None => Replicas::Many(replicas.into()),
        }
    }
}

impl Mask {
    /// # Errors
    /// For a server that is no replica, or named twice.
    fn of(replicas: &[ServerId], servers: &[ServerId]) -> Result<Mask, PartitionFault> {
        let mut mask = Mask(0);
        for server in servers {
            let at = place_of(replicas, *server).ok_or(PartitionFault::NoReplica(*server))?;
            if mask.has(usize::from(at)) {
                return Err(PartitionFault::Twice(*server));
            }
            mask.0 |= 1 << at;
        }
        Ok(mask)
    }

    fn has(self, at: usize) -> bool {
        self.0 >> at & 1 == 1
    }
}

fn check_epochs(state: &PartitionState) -> Result<(), PartitionFault> {
    let unclean = state.unclean_epoch.unwrap_or(LeaderEpoch(0));
    let is_sound = state.leader_epoch.0 >= 0 && state.partition_epoch.0 >= 0 && unclean.0 >= 0;
    if is_sound { Ok(()) } else { Err(PartitionFault::NegativeEpoch) }
}

/// Which of at most [`REPLICAS_MAX`] replicas a server is.
fn place_of(replicas: &[ServerId], server: ServerId) -> Option<u8> {
    u8::try_from(replicas.iter().position(|replica| *replica == server)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(ids: &[i32]) -> Vec<ServerId> {
        ids.iter().copied().map(ServerId).collect()
    }

    fn state(replicas: &[i32], leader: Option<i32>, isr: &[i32], elr: &[i32]) -> PartitionState {
        PartitionState {
            replicas: servers(replicas),
            leader: leader.map(ServerId),
            leader_epoch: LeaderEpoch(4),
            partition_epoch: PartitionEpoch(9),
            unclean_epoch: Some(LeaderEpoch(3)),
            isr: servers(isr),
            elr: servers(elr),
            last_known: servers(&replicas[..1]),
            adding: servers(&replicas[1..]),
            removing: Vec::new(),
            home: Home(77),
        }
    }

    #[test]
    fn a_state_survives_being_packed() {
        let sixteen: Vec<i32> = (1..=16).collect();
        for state in [
            state(&[3, 1, 2], Some(1), &[3, 1], &[2]),
            state(&[5], Some(5), &[5], &[]),
            state(&[5, 6], None, &[], &[5, 6]),
            state(&sixteen, Some(16), &sixteen, &[]),
        ] {
            assert_eq!(PartitionImage::new(&state).expect("sound").state(), state);
        }
        let single = PartitionImage::single(ServerId(1), LeaderEpoch(2), Home(3));
        assert_eq!(PartitionImage::new(&single.state()), Ok(single));
    }

    #[test]
    fn a_state_that_cannot_be_is_refused() {
        use PartitionFault as F;
        let seventeen: Vec<i32> = (1..=17).collect();
        let negative = PartitionState { leader_epoch: LeaderEpoch(-1), ..state(&[1], Some(1), &[1], &[]) };
        for (state, fault) in [
            (state(&[1, 1], Some(1), &[1], &[]), F::Twice(ServerId(1))),
            (state(&[1, 2], Some(1), &[1, 3], &[]), F::NoReplica(ServerId(3))),
            (state(&[1, 2], Some(1), &[2], &[]), F::LeaderNotInSync(ServerId(1))),
            (state(&[1, 2], Some(1), &[1, 2], &[2]), F::InSyncAndEligible(ServerId(2))),
            (state(&seventeen, None, &[], &[]), F::ReplicaCount(17)),
            (PartitionState { replicas: Vec::new(), ..negative.clone() }, F::NegativeEpoch),
            (negative, F::NegativeEpoch),
        ] {
            assert_eq!(PartitionImage::new(&state), Err(fault));
        }
    }

    #[test]
    fn epochs_rise_and_homes_stay() {
        let now = PartitionImage::new(&state(&[1, 2], Some(1), &[1], &[2])).expect("sound");
        let with = |change: &dyn Fn(&mut PartitionState)| {
            let mut next = now.state();
            change(&mut next);
            now.check_next(&PartitionImage::new(&next).expect("sound"))
        };
        assert_eq!(with(&|_| {}), Ok(()));
        assert_eq!(with(&|next| next.leader_epoch.0 += 1), Ok(()));
        assert_eq!(with(&|next| next.leader_epoch.0 -= 1), Err(PartitionFault::Fell));
        assert_eq!(with(&|next| next.partition_epoch.0 -= 1), Err(PartitionFault::Fell));
        assert_eq!(with(&|next| next.unclean_epoch = None), Err(PartitionFault::Fell));
        assert_eq!(with(&|next| next.home.0 += 1), Err(PartitionFault::Fell));
        assert_eq!(now.check_next(&now.led_anew(ServerId(2), LeaderEpoch(5))), Ok(()));
    }
}
