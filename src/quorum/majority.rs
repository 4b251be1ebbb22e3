//! What is committed: what a majority of the voters has flushed in the leader's epoch (rules Q4, Q5, D15), and below which
//! offset a log is never cut (Q6).
//!
//! A [`Majority`] belongs to one leadership. It knows no log: the shard says what each voter has flushed, the leader by its own
//! flushed end like anybody else, so the leader may send records before its own write has ended. A leader that is no voter
//! any more does not count.

use crate::base::{Offset, Rule, Voter, holds, mark};

use super::voters::Voters;

/// The commitment of one leader in one epoch.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Majority {
    leader: Voter,
    /// Where the epoch's LeaderRecord is.
    leader_record: Offset,
    voters: Voters,
    /// The voters that were replaced, until the record that did so is committed.
    replaced: Option<Replaced>,
    /// A record whose voters do not count yet.
    waiting: Option<(Offset, Voters)>,
    high_watermark: Offset,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Replaced {
    voters: Voters,
    record: Offset,
}

/// From when on the voters of a record count.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Counts {
    /// As soon as the record is in the log.
    AtAppend,
    /// Only when the leader has flushed the record, which is sent to nobody before: 1 -> 3, 2 -> 1. Two voters who know of it
    /// could elect one of themselves, while the third, which lost it in a crash, elects itself. Who leaves and alone knows of it
    /// gives no vote to the one that stays.
    OnceFlushed,
}

/// What a flushed end has moved.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Moved {
    /// The high watermark, if it did.
    pub high_watermark: Option<Offset>,
    /// Voters who count from now on, and their record: the election is to be told.
    pub voters: Option<(Offset, Voters)>,
}

impl Majority {
    /// A leader that has appended its LeaderRecord there. The voters are those that count; `high_watermark` is what it knew
    /// of before.
    #[must_use]
    pub fn new(leader: Voter, leader_record: Offset, voters: Voters, high_watermark: Offset) -> Majority {
        Majority { leader, leader_record, voters, replaced: None, waiting: None, high_watermark }
    }

    #[must_use]
    pub fn leader(&self) -> Voter {
        self.leader
    }

    #[must_use]
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    #[must_use]
    pub fn voters(&self) -> &Voters {
        &self.voters
    }

    /// The LeaderRecord is committed, and with it all that the log held at the election.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.high_watermark > self.leader_record
    }

    /// Whether the leader may decide anything, once it has folded what is committed (rule Q5). Before, it does not know
    /// which of the records in its log are committed, and would decide on an old state.
    #[must_use]
    pub fn may_decide(&self) -> bool {
        self.is_settled() || !holds(Rule::Q5)
    }

    /// Whether a record may be appended now. Behind a record that waits to be flushed nothing is, else the old voter
    /// could commit what the new ones lack (rule D15).
    #[must_use]
    pub fn takes_records(&self) -> bool {
        self.waiting.is_none() || !holds(Rule::D15)
    }

    /// Where sending ends for now, if it does before the log's end.
    #[must_use]
    pub fn sends_until(&self) -> Option<Offset> {
        self.waiting.as_ref().map(|(record, _)| *record)
    }

    /// Where the VotersRecord is that is not committed yet.
    #[must_use]
    pub fn changing(&self) -> Option<Offset> {
        let replaced = self.replaced.as_ref().map(|replaced| replaced.record);
        self.sends_until().or(replaced)
    }

    /// A VotersRecord was appended there, which was found allowed.
    pub fn changed(&mut self, record: Offset, voters: Voters, counts: Counts) {
        match counts {
            Counts::AtAppend => self.replace(record, voters),
            Counts::OnceFlushed => self.waiting = Some((record, voters)),
        }
    }

    fn replace(&mut self, record: Offset, voters: Voters) {
        let voters = std::mem::replace(&mut self.voters, voters);
        self.replaced = Some(Replaced { voters, record });
    }

    /// Somebody has flushed more. `flushed` says up to where each voter has in this epoch, the leader included.
    #[must_use = "tells what is committed"]
    pub fn flushed(&mut self, flushed: impl Fn(Voter) -> Option<Offset>) -> Moved {
        let mut moved = Moved::default();
        let own = flushed(self.leader);
        if let Some((record, voters)) =
            self.waiting.take_if(|(record, _)| own.is_some_and(|own| own > *record))
        {
            mark("voters count from the flush of their record");
            self.replace(record, voters.clone());
            moved.voters = Some((record, voters));
        }
        let end = self.committed(&flushed);
        if end > self.high_watermark {
            self.high_watermark = end;
            moved.high_watermark = Some(end);
            if self.replaced.take_if(|replaced| replaced.record < end).is_some() {
                mark("a change of the voters is committed");
            }
        }
        moved
    }

    fn committed(&self, flushed: &impl Fn(Voter) -> Option<Offset>) -> Offset {
        let mut end = flushed_by_majority(&self.voters, flushed);
        if let Some(replaced) = &self.replaced {
            let by_replaced = flushed_by_majority(&replaced.voters, flushed);
            // The voters that were replaced commit what is up to the record that did so, and nothing behind it.
            let limit = if holds(Rule::D15) { replaced.record.plus(1) } else { Offset(i64::MAX) };
            end = end.max(by_replaced.min(limit));
        }
        // Records of earlier epochs that a majority has may still be replaced by a leader of an epoch in between, unless
        // a record of this epoch is behind them.
        if end <= self.leader_record && holds(Rule::Q4) {
            return self.high_watermark;
        }
        end
    }
}

/// The largest end that more than half of the voters have flushed.
fn flushed_by_majority(voters: &Voters, flushed: &impl Fn(Voter) -> Option<Offset>) -> Offset {
    let mut ends: Vec<Offset> = voters.iter().filter_map(flushed).collect();
    ends.sort_unstable();
    let place = ends.len().checked_sub(voters.majority());
    place.and_then(|place| ends.get(place)).copied().unwrap_or(Offset(0))
}

/// Whether a metadata log may be cut there (rule Q6): what it showed as committed stays, whatever a leader says.
#[must_use]
pub fn may_cut(end: Offset, high_watermark: Offset) -> bool {
    let allowed = end >= high_watermark;
    if !allowed {
        mark("a cut below the high watermark was asked for");
    }
    allowed || !holds(Rule::Q6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{ServerId, VoterId};

    fn voter(server: i32) -> Voter {
        Voter { server: ServerId(server), id: VoterId([1; 16]) }
    }

    fn set(servers: &[i32]) -> Voters {
        Voters::new(servers.iter().map(|server| voter(*server))).unwrap()
    }

    /// The high watermark after ends of the servers 0, 1, ...; -1 for none.
    fn check(majority: &mut Majority, ends: &[i64], high_watermark: i64) -> Moved {
        let end = |voter: Voter| usize::try_from(voter.server.0).ok().and_then(|at| ends.get(at)).copied();
        let moved = majority.flushed(|voter| end(voter).filter(|end| *end >= 0).map(Offset));
        assert_eq!(majority.high_watermark(), Offset(high_watermark), "{ends:?}");
        moved
    }

    #[test]
    fn a_majority_commits_once_it_has_the_leader_record() {
        let mut majority = Majority::new(voter(0), Offset(10), set(&[0, 1, 2]), Offset(4));
        check(&mut majority, &[10, 10, 10], 4);
        assert!(!majority.is_settled());
        check(&mut majority, &[12, 10, 9], 4);
        check(&mut majority, &[10, 12, 11], 11);
        assert!(majority.is_settled() && majority.may_decide());
        check(&mut majority, &[-1, -1, -1], 11);
        check(&mut majority, &[14, -1, -1], 11);
        let moved = check(&mut majority, &[14, 13, -1], 13);
        assert_eq!(moved, Moved { high_watermark: Some(Offset(13)), voters: None });
    }

    #[test]
    fn a_leader_that_is_removed_does_not_count() {
        let mut majority = Majority::new(voter(0), Offset(10), set(&[0, 1, 2]), Offset(0));
        check(&mut majority, &[11, 11, 0], 11);
        majority.changed(Offset(11), set(&[1, 2]), Counts::AtAppend);
        check(&mut majority, &[15, 11, 11], 11);
        // The old voters commit the record, and nothing behind it.
        check(&mut majority, &[15, 15, 11], 12);
        assert_eq!(majority.changing(), None);
        check(&mut majority, &[15, 15, 14], 14);
    }

    #[test]
    fn one_becomes_three_once_the_one_has_flushed_it() {
        let mut majority = Majority::new(voter(0), Offset(0), set(&[0]), Offset(0));
        check(&mut majority, &[5], 5);
        majority.changed(Offset(7), set(&[0, 1, 2]), Counts::OnceFlushed);
        assert_eq!((majority.takes_records(), majority.sends_until()), (false, Some(Offset(7))));
        assert_eq!(check(&mut majority, &[7, 7, 7], 7).voters, None);
        // In one commit group with what was appended behind it: that is not committed by the one alone.
        let moved = check(&mut majority, &[9, 7, 7], 8);
        assert_eq!(moved.voters, Some((Offset(7), set(&[0, 1, 2]))));
        assert_eq!((majority.takes_records(), majority.sends_until()), (true, None));
        assert_eq!(majority.changing(), None);
        check(&mut majority, &[9, 8, 7], 8);
        check(&mut majority, &[9, 9, 7], 9);
    }

    #[test]
    fn nothing_is_cut_below_the_high_watermark() {
        assert!(may_cut(Offset(5), Offset(5)) && !may_cut(Offset(4), Offset(5)));
    }
}
