//! One function decides what becomes of a partition: [`settle`]. Nothing else in the controller writes a leader, an ISR or
//! the eligible replicas once a partition is there.
//!
//! The rules of ISR and ELR are KIP-966's: with fewer members than the minimum nothing is acknowledged, so whoever leaves
//! then still has everything acknowledged and may lead later. Knows no records, no clock and no lane: what is known of servers
//! comes in as [`Members`].

mod members;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use crate::base::{LeaderEpoch, PartitionEpoch, Rule, ServerId, TopicPartition, holds, mark};

use super::image::{MinIsr, PartitionImage, PartitionState};

pub(super) use members::{Incarnation, Loss, Member, Members, Reach};

/// Why a partition is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Servers have come, gone or changed: fenced, unfenced, registered anew, stopping, drained, or found so by a new controller.
    Servers,
    /// The leader asks for this ISR. Whoever asks has been checked before (R7).
    IsrAsked(Vec<ServerId>),
    /// The first replica of the assignment shall lead, if it is in sync.
    Preferred,
    /// An operator accepts that records are lost: without anybody eligible, any replica leads.
    Unclean,
    /// Another assignment: all replicas, with those that are being added and removed among them.
    Assignment { replicas: Vec<ServerId>, adding: Vec<ServerId>, removing: Vec<ServerId> },
}

/// The partition that is looked at, and what its topic says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    pub partition: TopicPartition,
    pub min_isr: MinIsr,
    /// The topic acknowledges before records are durable.
    pub from_memory: bool,
    /// `unclean.leader.election.enable`.
    pub unclean: bool,
}

/// What becomes of a partition; `None` when nothing does.
pub(super) fn settle(
    now: &PartitionImage,
    cause: &Cause,
    members: &Members,
    case: &Case,
) -> Option<PartitionState> {
    let before = now.state();
    let mut turn = Settling { next: before.clone(), before, members, case, raised: false, lossy: false };
    if turn.is_sole() && *cause == Cause::Servers && turn.restart_of_sole() {
        return turn.finish();
    }
    turn.assign(cause);
    turn.shrink(cause);
    turn.complete_assignment();
    turn.weigh();
    turn.elect(cause);
    turn.finish()
}

/// A partition between its state before and the next.
struct Settling<'a> {
    before: PartitionState,
    next: PartitionState,
    members: &'a Members,
    case: &'a Case,
    /// The leader epoch rises though the leader may stay.
    raised: bool,
    /// The leader of the next epoch may lack records.
    lossy: bool,
}

impl Settling<'_> {
    fn is_sole(&self) -> bool {
        self.before.replicas.len() == 1 && self.before.isr == self.before.replicas
    }

    /// Where a server has the only replica, nobody can have other records than it: its restart changes nothing, unless records
    /// are gone that somebody may have seen. Says whether that is all there is to do.
    fn restart_of_sole(&mut self) -> bool {
        let server = self.before.replicas[0];
        let Some(incarnation) = self.members.anew(server) else { return false };
        match incarnation.loss(self.case.partition) {
            Loss::Everything => return false,
            Loss::Some => (self.raised, self.lossy) = (true, true),
            Loss::Nothing if self.case.from_memory && !incarnation.clean => {
                (self.raised, self.lossy) = (true, true);
            }
            Loss::Nothing => {}
        }
        true
    }

    /// Takes over another assignment.
    fn assign(&mut self, cause: &Cause) {
        if let Cause::Assignment { replicas, adding, removing } = cause {
            self.next.replicas.clone_from(replicas);
            self.next.adding.clone_from(adding);
            self.next.removing.clone_from(removing);
            self.forget_strangers();
        }
    }

    /// A server that is no replica any more is nothing else either; lists are in the order of the assignment.
    fn forget_strangers(&mut self) {
        let next = &mut self.next;
        for list in [&mut next.isr, &mut next.elr, &mut next.last_known, &mut next.adding, &mut next.removing]
        {
            *list = in_order(&next.replicas, |server| list.contains(server));
        }
    }

    /// The targets of an assignment replace all other replicas once each of them is in sync.
    fn complete_assignment(&mut self) {
        let next = &mut self.next;
        let is_under_way = !next.adding.is_empty() || !next.removing.is_empty();
        let is_kept = |server: &ServerId| !next.removing.contains(server);
        let targets = in_order(&next.replicas, is_kept);
        if !is_under_way || targets.iter().any(|server| !next.isr.contains(server)) {
            return;
        }
        mark("the targets of an assignment have taken over");
        next.replicas = targets;
        (next.adding, next.removing) = (Vec::new(), Vec::new());
        self.forget_strangers();
    }

    /// Who is in the ISR.
    fn shrink(&mut self, cause: &Cause) {
        if let Cause::IsrAsked(asked) = cause {
            self.next.isr = in_order(&self.next.replicas, |server| asked.contains(server));
        }
        let members = self.members;
        self.next.isr.retain(|server| members.may_be_in_sync(*server, self.before.leader));
        // Somebody who stops leaves to whoever stays; the last one goes on until the end.
        if self.next.isr.iter().any(|server| !members.of(*server).stopping) {
            self.next.isr.retain(|server| !members.of(*server).stopping);
        }
        let next = &self.next;
        let has_left = |server: &ServerId| next.replicas.contains(server) && !next.isr.contains(server);
        if holds(Rule::U0) && self.before.isr.iter().any(has_left) {
            let count = self.next.isr.len();
            self.next.isr.retain(|server| members.of(*server).reach == Reach::Open);
            if self.next.isr.len() < count {
                mark("members that nobody hears left an ISR together with another one");
            }
        }
    }

    /// Who is eligible besides the ISR.
    fn weigh(&mut self) {
        let (before, next) = (&self.before, &mut self.next);
        let enough = self.case.min_isr.of(replication(next));
        if next.isr.len() >= enough {
            next.elr.clear();
            next.last_known.clear();
            return;
        }
        let had = |server: &ServerId| before.isr.contains(server) || before.elr.contains(server);
        let lost = |server: &ServerId| {
            let anew = self.members.anew(*server);
            anew.is_some_and(|it| it.loss(self.case.partition) != Loss::Nothing)
        };
        let out = |server: &ServerId| !next.isr.contains(server);
        next.elr = in_order(&next.replicas, |server| out(server) && had(server) && !lost(server));
        let doubted = |server: &ServerId| {
            let unclean = self.members.anew(*server).is_some_and(|it| !it.clean);
            let is_known = before.elr.contains(server) && before.last_known.contains(server);
            is_known || self.case.from_memory && unclean
        };
        next.last_known = in_order(&next.replicas, |server| match next.elr.contains(server) {
            true => doubted(server),
            false => out(server) && (had(server) || before.last_known.contains(server)),
        });
    }

    /// Who leads.
    fn elect(&mut self, cause: &Cause) {
        let leader = self.next.leader.filter(|leader| self.next.isr.contains(leader));
        let goes_on = leader.filter(|leader| self.goes_on(*leader));
        self.next.leader = match cause {
            Cause::Preferred => self.preferred().or(leader).or_else(|| self.first_in_sync()),
            _ => goes_on.or_else(|| {
                let another = self.first_in_sync();
                // Nobody is better suited than whoever leads already.
                another.filter(|server| self.members.of(*server).leads_well()).or(leader).or(another)
            }),
        };
        if self.next.isr.is_empty() {
            self.next.leader = None;
            self.elect_without_isr(cause);
        }
    }

    fn goes_on(&self, leader: ServerId) -> bool {
        let is_kept = !holds(Rule::EpochAtRestart) && self.members.anew(leader).is_some();
        is_kept || self.members.of(leader).goes_on()
    }

    fn preferred(&self) -> Option<ServerId> {
        let first = *self.next.replicas.first()?;
        (self.next.isr.contains(&first) && self.members.of(first).leads_well()).then_some(first)
    }

    fn first_in_sync(&self) -> Option<ServerId> {
        self.first(|server, member| self.next.isr.contains(&server) && member.may_lead())
    }

    /// The first replica of some, those first that lead well.
    fn first(&self, among: impl Fn(ServerId, &Member) -> bool) -> Option<ServerId> {
        let is_among = |server: &&ServerId| among(**server, self.members.of(**server));
        let leads_well = |server: &&ServerId| self.members.of(**server).leads_well();
        let mut candidates = self.next.replicas.iter().filter(is_among);
        candidates.clone().find(leads_well).or_else(|| candidates.next()).copied()
    }

    /// Nobody is in sync: an eligible replica is all that is needed, any other one may lack records. Whoever is silent has to
    /// speak first: it may be gone, and others with it.
    fn elect_without_isr(&mut self, cause: &Cause) {
        let next = &self.next;
        let speaks = |member: &Member| member.may_lead() && member.reach == Reach::Open;
        let eligible = self.first(|server, member| next.elr.contains(&server) && speaks(member));
        let (leader, lossy) = match eligible {
            Some(server) => (server, next.last_known.contains(&server)),
            None if !holds(Rule::R9) || self.case.unclean || *cause == Cause::Unclean => {
                let known = self.first(|server, member| next.last_known.contains(&server) && speaks(member));
                let any = known.or_else(|| self.first(|_, member| speaks(member)));
                let Some(any) = any else { return };
                mark("a replica that may lack records leads");
                (any, holds(Rule::R9))
            }
            None => return,
        };
        if eligible.is_some() {
            mark("an eligible replica outside the ISR leads");
        }
        (self.next.leader, self.next.isr, self.lossy) = (Some(leader), vec![leader], lossy);
        self.weigh_after_election(leader, eligible.is_none());
    }

    /// The others stay eligible, but behind a leader that may lack what they have nobody is.
    fn weigh_after_election(&mut self, leader: ServerId, unclean: bool) {
        let next = &mut self.next;
        let is_enough = next.isr.len() >= self.case.min_isr.of(replication(next));
        if is_enough || unclean {
            next.elr.clear();
            next.last_known.clear();
        }
        next.elr.retain(|server| *server != leader);
        next.last_known.retain(|server| *server != leader);
    }

    /// Epochs rise with what has changed.
    fn finish(self) -> Option<PartitionState> {
        let Settling { before, mut next, members, case, raised, lossy } = self;
        // The next incarnation of a replica that leaves might keep the partition once more, with records of this epoch that
        // nobody else has (D2).
        let gone = before.replicas.iter().any(|server| !next.replicas.contains(server)) && holds(Rule::D2);
        // A new incarnation that still leads begins a new epoch: what its last life gave out and lost must not be given again.
        let restarted = next.leader.is_some_and(|leader| members.anew(leader).is_some());
        let again = restarted && holds(Rule::EpochAtRestart) && next.replicas.len() > 1;
        if next == before && !raised && !again {
            return None;
        }
        if next.leader != before.leader || raised || again || gone {
            next.leader_epoch = LeaderEpoch(before.leader_epoch.0.saturating_add(1));
        }
        if lossy {
            next.unclean_epoch = Some(next.leader_epoch);
        }
        next.partition_epoch = PartitionEpoch(before.partition_epoch.0.saturating_add(1));
        check(&next, case);
        Some(next)
    }
}

/// How many replicas the minimum is measured by: while an assignment changes, the smaller one of both (U1).
fn replication(state: &PartitionState) -> usize {
    let all = state.replicas.len();
    (all - state.adding.len()).min(all - state.removing.len())
}

/// Invariant 14, as far as a partition alone shows it.
fn check(next: &PartitionState, case: &Case) {
    let sound = PartitionImage::new(next);
    assert!(sound.is_ok(), "a decision about {} makes a sound state: {sound:?}", case.partition);
    let is_enough = next.isr.len() >= case.min_isr.of(replication(next));
    assert!(!is_enough || next.elr.is_empty(), "nobody besides an ISR of the minimum is eligible");
    assert!(next.leader.is_some() || next.isr.is_empty(), "whoever is in sync may lead");
}

fn in_order(replicas: &[ServerId], is_in: impl Fn(&ServerId) -> bool) -> Vec<ServerId> {
    replicas.iter().copied().filter(|server| is_in(server)).collect()
}
