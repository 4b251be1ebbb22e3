//! What holds in every state: the invariants of the design, by their numbers.

use crate::cluster::Cluster;
use crate::controller::{REPLICAS, Set};
use crate::replica::{Record, Role, Server, index};

const MIN_ISR: usize = 2;

impl Cluster {
    /// What is wrong with the state, if anything.
    pub fn wrong(&self) -> Option<&'static str> {
        let checks: [fn(&Cluster) -> Option<&'static str>; 7] = [
            |it| it.fault,
            Cluster::one_leader_an_epoch,
            Cluster::candidates_are_complete,
            Cluster::logs_match,
            Cluster::leader_counts_all_candidates,
            Cluster::watermarks_are_ordered,
            Cluster::nothing_acknowledged_is_lost,
        ];
        checks.into_iter().find_map(|check| check(self))
    }

    /// 1.
    fn one_leader_an_epoch(&self) -> Option<&'static str> {
        let epochs: Vec<_> = self.leaders().map(|(_, leading)| leading.epoch()).collect();
        let is_double = epochs.iter().enumerate().any(|(at, epoch)| epochs[..at].contains(epoch));
        is_double.then_some("1: two leaders in one epoch")
    }

    fn leaders(&self) -> impl Iterator<Item = (&Server, &ringmain::replication::Leading)> {
        self.servers.iter().filter_map(|server| match &server.role {
            Role::Leading(leading) => Some((server, leading)),
            _ => None,
        })
    }

    /// 2 and 3: whoever may lead next, and whoever leads now, has flushed all that is committed. A disk that is gone
    /// counts once its server has registered without it.
    fn candidates_are_complete(&self) -> Option<&'static str> {
        let candidates = self.image.isr.union(self.image.elr);
        let lacks = |server: &&Server| {
            candidates.has(server.me)
                && !server.is_wiped
                && !server.log.as_slice()[..server.flushed].starts_with(&self.committed)
        };
        if self.servers.iter().any(|server| lacks(&server)) {
            return Some("3: a member of ISR or ELR lacks what is committed");
        }
        let newest =
            self.leaders().find(|(server, _)| self.image.leads(server.me) && server.image == self.image);
        let lacks = newest.is_some_and(|(server, _)| !server.log.as_slice().starts_with(&self.committed));
        lacks.then_some("2: the leader lacks what is committed")
    }

    /// 4: equal below both high watermarks, and up to wherever epoch and offset are equal.
    fn logs_match(&self) -> Option<&'static str> {
        for (a, b) in [(0, 1), (0, 2), (1, 2)] {
            let (a, b) = (&self.servers[a], &self.servers[b]);
            let (log_a, log_b) = (a.log.as_slice(), b.log.as_slice());
            let below = index(a.high_watermark().min(b.high_watermark()));
            let is_same = |records: usize| log_a[..records] == log_b[..records];
            if !is_same(below) {
                return Some("4: two replicas differ below their high watermarks");
            }
            let same_epoch = |it: &usize| log_a[*it].epoch == log_b[*it].epoch;
            let last = (0..log_a.len().min(log_b.len())).rev().find(same_epoch);
            if last.is_some_and(|last| !is_same(last + 1)) {
                return Some("4: two records of one offset and epoch differ, or what is before them");
            }
        }
        None
    }

    /// 5: a leader of the newest epoch, with enough in-sync replicas, waits for all who may lead after it.
    fn leader_counts_all_candidates(&self) -> Option<&'static str> {
        let candidates = self.image.isr.union(self.image.elr);
        let lacks = |(_, leading): &(&Server, &ringmain::replication::Leading)| {
            let mut maximal = Set::default();
            for server in leading.maximal_isr() {
                maximal = maximal.with(usize::try_from(server.0).unwrap());
            }
            leading.epoch() == self.image.epoch()
                && leading.isr().count() >= MIN_ISR
                && candidates.minus(maximal).len() > 0
        };
        self.leaders().any(|it| lacks(&it)).then_some("5: the leader does not wait for all who may lead next")
    }

    /// 6: a high watermark lies in what is flushed here.
    fn watermarks_are_ordered(&self) -> Option<&'static str> {
        let is_ordered = |it: &Server| {
            index(it.high_watermark()) <= it.flushed && it.flushed <= it.log.end() && self.is_committed(it)
        };
        let is_wrong = self.servers.iter().any(|it| !is_ordered(it));
        is_wrong.then_some("6: a high watermark covers what is not flushed, or not committed")
    }

    fn is_committed(&self, server: &Server) -> bool {
        let covered = &server.log.as_slice()[..index(server.high_watermark()).min(server.log.end())];
        self.committed.starts_with(covered)
    }

    /// 7 and 8: what a producer was told is committed, and is on the disk of somebody who may lead.
    fn nothing_acknowledged_is_lost(&self) -> Option<&'static str> {
        let has = |records: &[Record], value: usize| records.iter().any(|it| usize::from(it.value) == value);
        let is_uncommitted = |value: usize| !has(&self.committed, value);
        if (0..REPLICAS).any(|value| self.acknowledged.has(value) && is_uncommitted(value)) {
            return Some("7: acknowledged and not committed");
        }
        let candidates = self.image.isr.union(self.image.elr);
        let is_kept = |value: usize| {
            self.servers.iter().any(|it| {
                candidates.has(it.me) && !it.is_wiped && has(&it.log.as_slice()[..it.flushed], value)
            })
        };
        let is_lost = (0..REPLICAS).any(|value| self.acknowledged.has(value) && !is_kept(value));
        is_lost.then_some("8: acknowledged, and nobody who may lead has it")
    }
}
