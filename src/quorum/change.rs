//! Which voters may follow on which (rule Q7), and the way from one set to another.

use std::collections::BTreeSet;

use crate::base::{Offset, Rule, Voter, holds};

use super::majority::{Counts, Majority};
use super::voters::Voters;

/// Why other voters are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeRefused {
    #[error("the leader's first record is not committed yet")]
    NotSettled,
    #[error("the change of the voters at offset {0} is not committed yet")]
    Changing(Offset),
    #[error("nobody would vote")]
    Nobody,
    #[error("the leader would leave a single voter, which may lack the record of that")]
    LeaderLeaves,
    #[error("{added} voters more and {removed} less: the voters change by one at a time")]
    TooMany { added: usize, removed: usize },
    #[error("server {} has not caught up with the metadata log", .0.server)]
    Behind(Voter),
}

impl Majority {
    /// Judges whether the leader may append a record with these voters now. `caught_up` says of one that would be added
    /// whether it has, as an observer, what is committed. A record with the voters as they are is allowed: their addresses
    /// may have changed.
    pub fn judge(&self, next: &Voters, caught_up: impl Fn(Voter) -> bool) -> Result<Counts, ChangeRefused> {
        if !holds(Rule::Q7) {
            return Ok(Counts::AtAppend);
        }
        if !self.is_settled() {
            return Err(ChangeRefused::NotSettled);
        }
        if let Some(record) = self.changing() {
            return Err(ChangeRefused::Changing(record));
        }
        if next.is_empty() {
            return Err(ChangeRefused::Nobody);
        }
        let added = missing(next, self.voters());
        let removed = missing(self.voters(), next);
        let counts = match (added.len(), removed.len()) {
            // Were only the voter that leaves to keep the record, the other one could never be elected again: it would need that
            // vote, and its log would be behind.
            (0, 1) if next.is_sole(self.leader()) => Counts::OnceFlushed,
            (0, 1) if next.len() == 1 => return Err(ChangeRefused::LeaderLeaves),
            (0 | 1, 0) | (0, 1) => Counts::AtAppend,
            (2, 0) if self.voters().is_sole(self.leader()) => Counts::OnceFlushed,
            (added, removed) => return Err(ChangeRefused::TooMany { added, removed }),
        };
        match added.into_iter().find(|voter| !caught_up(*voter)) {
            Some(voter) => Err(ChangeRefused::Behind(voter)),
            None => Ok(counts),
        }
    }
}

/// The voters of one set who are not in another.
fn missing(voters: &Voters, others: &Voters) -> Vec<Voter> {
    voters.iter().filter(|voter| !others.contains(*voter)).collect()
}

/// The next set on the way from one set to another; `None` if there is no step to take now.
///
/// A dead voter is removed before another one comes: with both, one failure more would stop the quorum. A live one stays until
/// its successor votes. The leader leaves last. One voter becomes three at once: a set of two stops if either fails.
#[must_use]
pub fn next_voters(
    now: &Voters,
    wanted: &Voters,
    leader: Voter,
    alive: impl Fn(Voter) -> bool,
) -> Option<Voters> {
    let surplus = missing(now, wanted);
    let servers: BTreeSet<_> = wanted.iter().map(|voter| voter.server).collect();
    // Another voter of the same server is dead, whatever is heard of the server.
    let is_dead = |voter: &Voter| servers.contains(&voter.server) || !alive(*voter);
    if let Some(dead) = surplus.iter().find(|voter| is_dead(voter)) {
        return without(now, *dead);
    }
    let newcomers: Vec<Voter> = missing(wanted, now).into_iter().filter(|voter| alive(*voter)).collect();
    let at_once = if now.is_sole(leader) && wanted.len() > 2 { 2 } else { 1 };
    if newcomers.len() >= at_once {
        return Voters::new(now.iter().chain(newcomers.into_iter().take(at_once))).ok();
    }
    if now.len() <= wanted.len() {
        return None;
    }
    let leaves = surplus.iter().find(|voter| **voter != leader).or(surplus.first())?;
    without(now, *leaves)
}

fn without(voters: &Voters, leaves: Voter) -> Option<Voters> {
    Voters::new(voters.iter().filter(|voter| *voter != leaves)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{ServerId, VoterId};

    fn voter(server: i32) -> Voter {
        // Servers from 100 on are those below, with another voter id.
        let id = u8::try_from(server / 100).unwrap();
        Voter { server: ServerId(server % 100), id: VoterId([id; 16]) }
    }

    fn set(servers: &[i32]) -> Voters {
        Voters::new(servers.iter().map(|server| voter(*server))).unwrap()
    }

    #[test]
    fn voters_change_by_one_at_a_time() {
        let check = |now: &[i32], next: &[i32], expected: Result<Counts, ChangeRefused>| {
            let mut majority = Majority::new(voter(1), Offset(0), set(now), Offset(0));
            assert_eq!(majority.judge(&set(next), |_| true), Err(ChangeRefused::NotSettled));
            let _ = majority.flushed(|_| Some(Offset(1)));
            let judged = majority.judge(&set(next), |voter| voter.server != ServerId(9));
            assert_eq!(judged, expected, "{now:?} to {next:?}");
        };
        let too_many = |added, removed| Err(ChangeRefused::TooMany { added, removed });
        check(&[1, 2, 3], &[1, 2, 3], Ok(Counts::AtAppend));
        check(&[1, 2, 3], &[1, 2, 3, 4], Ok(Counts::AtAppend));
        check(&[1, 2, 3], &[2, 3], Ok(Counts::AtAppend));
        check(&[1, 2, 3], &[1, 2, 4], too_many(1, 1));
        check(&[1, 2, 3], &[1, 2, 103], too_many(1, 1));
        check(&[1, 2, 3], &[1], too_many(0, 2));
        check(&[1, 2, 3], &[1, 2, 3, 4, 5], too_many(2, 0));
        check(&[1, 2, 3], &[1, 2, 3, 9], Err(ChangeRefused::Behind(voter(9))));
        check(&[1, 2], &[1], Ok(Counts::OnceFlushed));
        check(&[1, 2], &[2], Err(ChangeRefused::LeaderLeaves));
        check(&[1], &[1, 2], Ok(Counts::AtAppend));
        check(&[1], &[1, 2, 3], Ok(Counts::OnceFlushed));
        check(&[1], &[1, 2, 9], Err(ChangeRefused::Behind(voter(9))));
        check(&[1], &[1, 2, 3, 4], too_many(3, 0));
        check(&[1], &[2, 3, 4], too_many(3, 1));
        check(&[2], &[2, 3, 4], too_many(2, 0));
        check(&[1], &[], Err(ChangeRefused::Nobody));
    }

    #[test]
    fn one_change_waits_for_the_other() {
        let mut majority = Majority::new(voter(1), Offset(0), set(&[1, 2, 3]), Offset(0));
        let _ = majority.flushed(|_| Some(Offset(1)));
        majority.changed(Offset(1), set(&[1, 2, 3, 4]), Counts::AtAppend);
        let judge = |majority: &Majority| majority.judge(&set(&[1, 2, 4]), |_| true);
        assert_eq!(judge(&majority), Err(ChangeRefused::Changing(Offset(1))));
        let _ = majority.flushed(|_| Some(Offset(2)));
        assert_eq!(judge(&majority), Ok(Counts::AtAppend));
    }

    #[test]
    fn the_way_from_one_set_to_another() {
        // Servers in `dead` are silent; server 1 leads.
        let check = |now: &[i32], wanted: &[i32], dead: &[i32], way: &[&[i32]]| {
            let mut at = set(now);
            let mut taken = Vec::new();
            while let Some(next) =
                next_voters(&at, &set(wanted), voter(1), |voter| !dead.contains(&voter.server.0))
            {
                taken.push(next.clone());
                at = next;
                assert!(taken.len() < 10);
            }
            let way: Vec<Voters> = way.iter().map(|servers| set(servers)).collect();
            assert_eq!(taken, way, "{now:?} to {wanted:?} without {dead:?}");
        };
        check(&[1], &[1, 2, 3], &[], &[&[1, 2, 3]]);
        check(&[1], &[1, 2, 3], &[3], &[]);
        check(&[1], &[1, 2], &[], &[&[1, 2]]);
        check(&[1, 2, 3], &[1, 2, 4], &[], &[&[1, 2, 3, 4], &[1, 2, 4]]);
        check(&[1, 2, 3], &[1, 2, 4], &[3], &[&[1, 2], &[1, 2, 4]]);
        check(&[1, 2, 3], &[1, 2, 4], &[4], &[]);
        check(&[1, 2, 3], &[1, 2, 103], &[], &[&[1, 2], &[1, 2, 103]]);
        check(&[1, 2, 3, 4, 5], &[3, 4, 5], &[], &[&[1, 3, 4, 5], &[3, 4, 5]]);
        check(&[1, 2, 3], &[1, 2, 3], &[1, 2, 3], &[]);
    }
}
